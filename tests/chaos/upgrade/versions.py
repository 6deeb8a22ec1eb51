"""A version of Callweave, taken from git into a folder, and its parts as processes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.process.child import Child, spawn
from schemas.errors import CallweaveError

ROOT: Final = Path(__file__).parents[3]
_LOCK: Final = Path("deploy/requirements.txt")
_STOP_S: Final = 60.0


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """The source of a version, and an interpreter with the packages that it is locked to."""

    name: str
    root: Path
    python: Path
    settings: Mapping[str, str] = {}
    """Settings that its parts have beside those of all versions, which the others need not know."""

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Returns the environment of a process of this version, with these settings and none of this process's."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CALLWEAVE_")}
        return {**inherited, **settings, **self.settings, "PYTHONPATH": str(self.root), "PYTHONSAFEPATH": "1"}

    def command(self, *arguments: str) -> tuple[str, ...]:
        """Returns the command line of a `callweave` command."""
        return (str(self.python), "-m", self.entry, *arguments)

    @property
    def entry(self) -> str:
        """The module of the command line, which was a file of its own in the first versions."""
        return "deploy.cli" if (self.root / "deploy/cli.py").is_file() else "deploy.cli.main"


def checked_out(name: str, ref: str, folder: Path) -> Version:
    """Returns the version `ref` of this repository, written into `folder`; "" is this checkout as it is.

    Its packages are those of this environment where both have the same lock, and installed by its own lock otherwise.
    """
    if not ref:
        return _proven(Version(name=name, root=ROOT, python=Path(sys.executable)))
    folder.mkdir(parents=True)
    archive = subprocess.run(("git", "archive", ref), cwd=ROOT, check=True, capture_output=True)
    subprocess.run(("tar", "-x", "-C", str(folder)), input=archive.stdout, check=True)
    python = Path(sys.executable)
    if (folder / _LOCK).read_bytes() != (ROOT / _LOCK).read_bytes():
        subprocess.run((sys.executable, "-m", "venv", str(folder / ".venv")), check=True)
        python = folder / ".venv/bin/python"
        install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r")
        subprocess.run((str(python), *install, str(folder / _LOCK)), check=True)
    return _proven(Version(name=name, root=folder, python=python))


def _proven(version: Version) -> Version:
    """Returns the version when its interpreter really loads its source and no other."""
    code = f"import {version.entry} as one; print(one.__file__)"
    done = subprocess.run(
        (str(version.python), "-c", code), env=version.environment({}), check=True, capture_output=True
    )
    assert Path(done.stdout.decode().strip()).is_relative_to(version.root), done.stdout
    return version


async def run_command(version: Version, settings: Mapping[str, str], *arguments: str) -> str:
    """Runs a command of a version to its end and returns its output; fails when it does."""
    process = await asyncio.create_subprocess_exec(
        *version.command(*arguments),
        env=version.environment(settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


class VersionedPart:
    """A part of one version, as `Supervised` keeps it running."""

    def __init__(self, version: Version, command: str, settings: Mapping[str, str], log_file: Path) -> None:
        self._version = version
        self._command = command
        self._settings = settings
        self._log_file = log_file
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._child, "it was not started"
        return self._child.pid

    async def start(self) -> None:
        """Starts it."""
        self._child = await spawn(
            self._version.command(self._command),
            output=self._log_file,
            env=self._version.environment(self._settings),
        )

    async def wait(self) -> CallweaveError:
        """Waits until it ends by itself."""
        assert self._child, "it was not started"
        return CallweaveError(f"it ended with code {await self._child.wait()}")

    async def stop(self) -> None:
        """Asks it to stop and waits for that."""
        if self._child:
            await self._child.stop(grace_s=_STOP_S)
