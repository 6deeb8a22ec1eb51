"""Keeps the log file that a process's stderr goes to within a size: a full one is renamed, and a new one begun.

The files are `NAME.log`, and before it `NAME.1.log`, `NAME.2.log` and so on. The process itself does it, so that
nothing stands between it and its file: what its C code writes goes there too, and no line is lost. Several processes
may share the file; whoever finds it full renames it, and the others follow.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from schemas.config.logs import LogSettings

_LOOK_EVERY: Final = 64
"""Lines between two looks at the size; a line is short."""
_STREAMS: Final = (1, 2)
_STDERR: Final = 2


def numbered(file: Path, number: int) -> Path:
    """Returns the name of the file before the current one (1), the one before that (2), and so on."""
    return file.with_suffix(f".{number}.log")


def rotate(file: Path, files: int) -> None:
    """Renames the file and those before it, so that at most `files` remain; raises OSError."""
    numbered(file, files - 1).unlink(missing_ok=True) if files > 1 else file.unlink(missing_ok=True)
    for number in range(files - 2, -1, -1):
        with contextlib.suppress(FileNotFoundError):
            (numbered(file, number) if number else file).rename(numbered(file, number + 1))


class LogFile:
    """The file that stdout and stderr of this process go to."""

    def __init__(self, file: Path, log: LogSettings) -> None:
        self._file = file
        self._log = log
        self._lines = 0

    def line(self) -> None:
        """Counts a line that was written, and looks at the file from time to time; a full disk changes nothing."""
        self._lines += 1
        if self._lines % _LOOK_EVERY == 1:
            with contextlib.suppress(OSError):
                self.look()

    def look(self) -> None:
        """Begins a new file when the current one is full, or when another process has begun one; raises OSError."""
        ours = os.fstat(_STDERR)
        if ours.st_size < self._log.max_bytes and self._is_current(ours):
            return
        with (self._file.parent / f".{self._file.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._is_current(os.fstat(_STDERR)):  # else another process was faster
                rotate(self._file, self._log.files)
            fresh = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                for stream in _STREAMS:
                    os.dup2(fresh, stream)
            finally:
                os.close(fresh)

    def _is_current(self, ours: os.stat_result) -> bool:
        try:
            theirs = self._file.stat()
        except FileNotFoundError:
            return False
        return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
