"""Makes each peer's environment below `~/.cache/callweave-bench`, from its locked requirements or its Go module.

An environment is made once and again only when its requirements change. Nothing of ours is installed into it: a peer
that hosts our pure functions finds them by `PYTHONPATH`.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
PROGRAMS: Final = Path(__file__).parent / "programs"
KEPT_IN: Final = Path.home() / ".cache" / "callweave-bench" / "peers"


class NotMade(Exception):
    """A peer cannot run here; the message says why."""


def place(name: str, *inputs: Path) -> Path:
    """Returns the folder of a peer's environment: another one for other inputs."""
    content = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(inputs)) + sys.version.encode())
    return KEPT_IN / f"{name}-{content.hexdigest()[:12]}"


def programs_of(lock: Path) -> Path:
    """Returns the folder of the programs of an environment made from a lock; raises `NotMade`."""
    name = lock.stem
    folder = place(name, lock)
    programs, ready = folder / "bin", folder / ".ready"
    if not ready.exists():
        _run(name, sys.executable, "-m", "venv", "--clear", str(folder))
        pip = (str(programs / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check")
        _run(name, *pip, "--require-hashes", "-r", str(lock))
        ready.touch()
    return programs


def python_command(name: str) -> tuple[str, ...]:
    """Returns the command of a peer in Python, with its environment made; raises `NotMade`."""
    return str(programs_of(PROGRAMS / f"{name}.txt") / "python"), str(PROGRAMS / f"{name}.py")


def go_command(name: str) -> tuple[str, ...]:
    """Returns the command of a peer in Go, built here; raises `NotMade`, also where there is no Go."""
    if shutil.which("go") is None:
        raise NotMade("no Go here")
    source = PROGRAMS / name
    folder = place(name, *(path for path in source.iterdir() if path.is_file()))
    program = folder / "program"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _run(name, "go", "build", "-C", str(source), "-mod=readonly", "-o", str(program), ".")
    return (str(program),)


def _run(name: str, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise NotMade(f"{name}: {last}")
