"""A part of Callweave as a child process of `callweave up`, with the exit codes and the variables that both know."""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

import msgspec

from deploy.output.log_file import rotate
from deploy.process.child import Child, spawn
from deploy.process.supervisor import Supervised
from schemas.config.loader import HANDED_OVER
from schemas.config.logs import LogSettings
from schemas.errors import CallweaveError, SettingsError

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 78
"""EX_CONFIG of sysexits.h: starting the part again would fail in the same way."""
RESTARTS: Final = "PART_RESTARTS"
"""The environment variable that tells a part how often it was started again."""
LOG_FILE: Final = "PART_LOG"
"""The environment variable that tells a part the file that its stdout and stderr go to."""
_LAST_LINES: Final = 8


class PartSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The command, settings, environment and time to stop of one part."""

    name: str
    arguments: tuple[str, ...]
    """The arguments of the `callweave` command."""
    settings: str = ""
    """The settings as `schemas.config.loader.whole` writes them. Empty: the part reads its own."""
    env: Mapping[str, str] = {}
    grace_s: float = 25.0
    """The time that it has to stop by itself."""


class PartProcess:
    """The process of one part; its output goes to `<name>.log`, what was before to `<name>.1.log` and so on."""

    def __init__(self, spec: PartSpec, log_dir: Path, log: LogSettings) -> None:
        self.spec = spec
        self.log_file = log_dir / f"{spec.name}.log"
        self._log = log
        self._settings: IO[bytes] | None = None
        self.last_exit: int | None = None
        self._starts = 0
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The process id; raises RuntimeError when it was not started."""
        return self._running().pid

    async def start(self) -> None:
        """Starts it; raises OSError when the machine lacks the means."""
        rotate(self.log_file, self._log.files)
        command = (sys.executable, "-m", "deploy.cli.main", *self.spec.arguments)
        settings = self._hand_over()
        handed_over = {HANDED_OVER: str(settings[0])} if settings else {}
        env = {**os.environ, **self.spec.env, **handed_over, LOG_FILE: str(self.log_file), RESTARTS: str(self._starts)}
        self._starts += 1
        self._child = await spawn(command, output=self.log_file, env=env, keep_open=settings)

    def change(self, spec: PartSpec, log: LogSettings) -> None:
        """Makes the part read other settings: at once by SIGHUP if it runs, else at its next start."""
        self.spec, self._log = spec, log
        if self._child is not None and self._settings is not None:
            self._hand_over()
            self._child.send(signal.SIGHUP)

    def _hand_over(self) -> tuple[int, ...]:
        """Writes the settings to a file without a name, which the part has open, and returns its number.

        Secrets that have no other source than this process's memory must not lie on a disk, nor in the environment,
        which every process below the part would inherit.
        """
        if not self.spec.settings:
            return ()
        if self._settings is None:
            self._settings = _nameless_file()
        self._settings.seek(0)
        self._settings.write(self.spec.settings.encode())
        self._settings.truncate()
        self._settings.flush()
        return (self._settings.fileno(),)

    async def wait(self) -> CallweaveError:
        """Waits until it ends by itself; a SettingsError when it did so because of its settings."""
        self.last_exit = await self._running().wait()
        kind = SettingsError if self.last_exit == EXIT_SETTINGS else CallweaveError
        return kind(f"it ended with code {self.last_exit}")

    async def stop(self) -> None:
        """Asks it to stop, and kills it when its grace has passed."""
        if self._child:
            await self._child.stop(grace_s=self.spec.grace_s)
        if self._settings is not None:
            self._settings.close()
            self._settings = None

    def last_lines(self) -> str:
        """Returns the end of its log, for a message about why it does not run."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log_file.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:])
        return ""

    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"{self.spec.name} was not started")
        return self._child


def _nameless_file() -> IO[bytes]:
    """Returns a file in memory, where the system has such, that this process and those that it starts can read."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("settings"), "w+b")
    return tempfile.TemporaryFile()


SupervisedPart = Supervised[PartProcess]


def supervised_part(spec: PartSpec, log_dir: Path, log: LogSettings = LogSettings()) -> SupervisedPart:  # noqa: B008 - frozen
    """Returns the part, not yet started, under a supervisor."""
    return Supervised(spec.name, PartProcess(spec, log_dir, log))
