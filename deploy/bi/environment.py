"""Superset's own environment, installed from hash-pinned requirements: none of its packages come near the parts'.

uv does it in a fifth of pip's time, and is itself installed from a pinned requirement. Where it fails, pip does it.
"""

import asyncio
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from schemas.errors import SetupError

SUPERSET: Final = Path(__file__).parents[1] / "superset"
REQUIREMENTS: Final = SUPERSET / "requirements.txt"
INSTALLER: Final = SUPERSET / "requirements-installer.txt"
Step = Callable[[str], None]
_LAST_LINES: Final = 5


def python_of(home: Path) -> Path:
    """Returns the environment's interpreter."""
    return home / "env" / "bin" / "python"


def is_made(home: Path) -> bool:
    """Returns whether the environment has what the requirements of this release say."""
    done = home / "env" / "requirements"
    return done.exists() and done.read_text("utf-8") == _digest()


async def make(home: Path, step: Step) -> None:
    """Installs the environment, unless it is there; raises SetupError with the end of what the installer said."""
    if is_made(home):
        return
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    step("makes an environment")
    await _run((sys.executable, "-m", "venv", "--clear", "--without-pip", str(home / "env")))
    step("fetches the installer")
    place = home / "installer"
    pinned = ("install", "--quiet", "--require-hashes")
    await _run((*pip, *pinned, "--upgrade", "--target", str(place), "--requirement", str(INSTALLER)))
    step("installs Superset: 160 packages")
    python = str(python_of(home))
    index = await _index(pip)
    uv = (str(place / "bin" / "uv"), "pip", *pinned, "--no-deps", *index, "--python", python)
    try:
        await _run((*uv, "--requirement", str(REQUIREMENTS)))
    except SetupError:
        step("installs Superset with pip: this takes some minutes")
        await _run((*pip, "--python", python, *pinned, "--no-deps", "--requirement", str(REQUIREMENTS)))
    (home / "env" / "requirements").write_text(_digest(), "utf-8")


def _digest() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()


async def _index(pip: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the option that has uv ask where pip asks, which it does not look up itself."""
    asking = await asyncio.create_subprocess_exec(
        *(*pip, "config", "get", "global.index-url"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await asking.communicate()
    url = said.decode().strip()
    return ("--index-url", url) if asking.returncode == 0 and url else ()


async def _run(command: tuple[str, ...]) -> None:
    running = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await running.communicate()
    except asyncio.CancelledError:
        running.terminate()
        await running.wait()
        raise
    if running.returncode:
        last = "\n  ".join(said.decode(errors="replace").strip().splitlines()[-_LAST_LINES:])
        raise SetupError(
            f"`{Path(command[0]).name} {' '.join(command[1:4])} ...` ended with {running.returncode}:\n  {last}",
            code="install",
            advice="Superset needs Python 3.11 or 3.12 and a package registry that can be reached.",
        )
