"""A data directory that one server at a time may use: created, locked and checked for space before anything starts."""

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO, Final

from schemas.errors import SetupError

_OWNER_ONLY: Final = 0o700
_OF_OTHERS: Final = 0o077


def claim(path: Path, *, what: str, minimum_free_bytes: int) -> IO[str]:
    """Creates and locks `path` for the server that messages call `what`; closing the result releases the lock.

    The lock ends with the process, however that ends. Raises SetupError `no_access`, `locked` or `no_disk`.
    """
    try:
        path.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        _close_to_others(path)
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


def _close_to_others(path: Path) -> None:
    """Removes every right of others, once: earlier releases made directories that every local user could read."""
    if not path.stat().st_mode & _OF_OTHERS:
        return
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if not file.is_symlink():
                file.chmod(file.stat().st_mode & ~_OF_OTHERS)
        if Path(folder) != path:
            Path(folder).chmod(_OWNER_ONLY)
    path.chmod(_OWNER_ONLY)  # last: if this is interrupted, the next start repeats it


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
