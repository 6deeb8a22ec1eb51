"""A part of Callweave as a child process of `callweave up`, with the exit codes and the variable that both know."""

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.process.child import Child, spawn
from deploy.process.supervisor import Supervised
from schemas.errors import CallweaveError, SettingsError

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 78
"""EX_CONFIG of sysexits.h: starting the part again would fail in the same way."""
RESTARTS: Final = "PART_RESTARTS"
"""The environment variable that tells a part how often it was started again."""
_LAST_LINES: Final = 8


class PartSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The command, environment and time to stop of one part."""

    name: str
    arguments: tuple[str, ...]
    """The arguments of the `callweave` command."""
    env: Mapping[str, str] = {}
    grace_s: float = 25.0
    """The time that it has to stop by itself."""


class PartProcess:
    """The process of one part; its output goes to `<name>.log`, that of the run before to `<name>.previous.log`."""

    def __init__(self, spec: PartSpec, log_dir: Path) -> None:
        self.spec = spec
        self.log_file = log_dir / f"{spec.name}.log"
        self.last_exit: int | None = None
        self._starts = 0
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The process id; raises RuntimeError when it was not started."""
        return self._running().pid

    async def start(self) -> None:
        """Starts it; raises OSError when the machine lacks the means."""
        with contextlib.suppress(FileNotFoundError):
            self.log_file.replace(self.log_file.with_suffix(".previous.log"))
        command = (sys.executable, "-m", "deploy.cli.main", *self.spec.arguments)
        env = {**os.environ, **self.spec.env, RESTARTS: str(self._starts)}
        self._starts += 1
        self._child = await spawn(command, output=self.log_file, env=env)

    async def wait(self) -> CallweaveError:
        """Waits until it ends by itself; a SettingsError when it did so because of its settings."""
        self.last_exit = await self._running().wait()
        kind = SettingsError if self.last_exit == EXIT_SETTINGS else CallweaveError
        return kind(f"it ended with code {self.last_exit}")

    async def stop(self) -> None:
        """Asks it to stop, and kills it when its grace has passed."""
        if self._child:
            await self._child.stop(grace_s=self.spec.grace_s)

    def last_lines(self) -> str:
        """Returns the end of its log, for a message about why it does not run."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log_file.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:])
        return ""

    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"{self.spec.name} was not started")
        return self._child


SupervisedPart = Supervised[PartProcess]


def supervised_part(spec: PartSpec, log_dir: Path) -> SupervisedPart:
    """Returns the part, not yet started, under a supervisor."""
    return Supervised(spec.name, PartProcess(spec, log_dir))
