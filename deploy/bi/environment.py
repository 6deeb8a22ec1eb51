"""Superset's own environment, installed from hash-pinned requirements: none of its packages come near the parts'.

uv does it in a fifth of pip's time, and is itself installed from a pinned requirement. Where it fails, pip does it.
Each step is a process that ends with this one, whatever ends this one, so that a second start never meets it.
"""

import ast
import asyncio
import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from deploy.process.child import spawn
from schemas.errors import SetupError

SUPERSET: Final = Path(__file__).parents[1] / "superset"
REQUIREMENTS: Final = SUPERSET / "requirements.txt"
INSTALLER: Final = SUPERSET / "requirements-installer.txt"
Step = Callable[[str], None]
STEPS: Final = 3
"""The steps of an installation."""
PYTHONS: Final = ((3, 11), (3, 12))
"""The versions of Python for which Superset's pinned packages have wheels."""
_LAST_LINES: Final = 5
_STOP_S: Final = 5.0


def python_of(home: Path) -> Path:
    """Returns the environment's interpreter."""
    return home / "env" / "bin" / "python"


def is_made(home: Path) -> bool:
    """Returns whether the environment has what the requirements of this release say, and an interpreter."""
    done = home / "env" / "requirements"
    return done.exists() and done.read_text("utf-8") == _digest() and python_of(home).exists()


async def make(home: Path, step: Step) -> None:
    """Installs the environment, unless it is there; raises SetupError with the end of what the installer said."""
    if is_made(home):
        return
    log = home / "install.log"
    python = interpreter()
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    step("makes an environment")
    await _run((python, "-m", "venv", "--clear", "--without-pip", str(home / "env")), log)
    step("fetches the installer")
    place = home / "installer"
    pinned = ("install", "--quiet", "--require-hashes")
    await _run((*pip, *pinned, "--upgrade", "--target", str(place), "--requirement", str(INSTALLER)), log)
    step("installs Superset: 160 packages")
    into = str(python_of(home))
    url = await _index_url(pip)
    index = ("--index-url", url) if url else ()
    uv = (str(place / "bin" / "uv"), "pip", *pinned, "--no-deps", *index, "--python", into)
    try:
        await _run((*uv, "--requirement", str(REQUIREMENTS)), log)
    except SetupError:
        step("installs Superset with pip: this takes some minutes")
        await _run((*pip, "--python", into, *pinned, "--no-deps", "--requirement", str(REQUIREMENTS)), log)
    (home / "env" / "requirements").write_text(_digest(), "utf-8")


def interpreter() -> str:
    """Returns a Python that Superset is made for: this one, or one on the PATH; raises SetupError without one."""
    if sys.version_info[:2] in PYTHONS:
        return sys.executable
    for major, minor in reversed(PYTHONS):
        if found := shutil.which(f"python{major}.{minor}"):
            return found
    wanted = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    raise SetupError(
        f"Superset needs Python {wanted}, and this is {sys.version_info[0]}.{sys.version_info[1]}",
        code="install",
        advice="Install one of them, so that its name (python3.12) is on the PATH; Callweave itself stays as it is.",
    )


def _digest() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()


async def _index_url(pip: tuple[str, ...]) -> str:
    """Returns where pip asks, which uv does not look up itself; empty for where both ask by themselves."""
    asking = await asyncio.create_subprocess_exec(
        *(*pip, "config", "list"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    said, _ = await asking.communicate()
    return index_url(said.decode(errors="replace")) if asking.returncode == 0 else ""


def index_url(listed: str) -> str:
    """Reads what `pip config list` says: the environment before the command's own section before the general one."""
    found = dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)
    texts = (found.get(f"{section}.index-url", "") for section in (":env:", "install", "global"))
    return next((str(ast.literal_eval(text)) for text in texts if text), "")


async def _run(command: tuple[str, ...], log: Path) -> None:
    """Runs a command to its end; `log` has what the last one said."""
    running = await spawn(command, output=log)
    try:
        code = await running.wait()
    finally:
        await running.stop(grace_s=_STOP_S)
    if code:
        raise SetupError(
            f"`{Path(command[0]).name} {' '.join(command[1:4])} ...` ended with {code}:\n  {_end_of(log)}",
            code="install",
            advice=f"A package registry must be reached: pip's own settings say which one. All that was said: {log}",
        )


def _end_of(log: Path) -> str:
    return "\n  ".join(log.read_text("utf-8", errors="replace").strip().splitlines()[-_LAST_LINES:])
