"""A data directory that exactly one server may use at a time: made, locked, and checked for space before anything starts."""

import fcntl
import shutil
from pathlib import Path
from typing import IO

from schemas.errors import SetupError


def claim(path: Path, *, what: str, minimum_free_bytes: int) -> IO[str]:
    """Makes and locks `path` for the server that people call `what`; closing the result gives it free.

    The lock goes with the process, however it ends. Raises SetupError `no_access`, `locked` or `no_disk`.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / "lock").open("w")
    except OSError as exc:
        raise SetupError(
            f"the data directory {path} of {what} cannot be written: {exc.strerror}",
            code="no_access",
            advice="Make it writable for you, or set another data directory.",
        ) from exc
    try:
        _check(lock, path, what=what, minimum_free_bytes=minimum_free_bytes)
    except SetupError:
        lock.close()
        raise
    return lock


def _check(lock: IO[str], path: Path, *, what: str, minimum_free_bytes: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise SetupError(
            f"another {what} already runs on {path}",
            code="locked",
            advice="Stop it, or set another data directory for this one.",
        ) from exc
    free = shutil.disk_usage(path).free
    if free < minimum_free_bytes:
        raise SetupError(
            f"only {free >> 20} MiB are free for {path}; {what} needs {minimum_free_bytes >> 20} MiB to start",
            code="no_disk",
            advice="Free some space, or set a data directory on another disk.",
        )
