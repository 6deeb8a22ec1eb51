"""A small file system in memory that can be filled up, where the machine permits to mount one."""

import asyncio
import contextlib
import errno
import os
from pathlib import Path
from typing import Final

_CHUNK: Final = b"\0" * (1 << 20)


class Disk:
    """A directory on a file system of its own, or a plain one with the reason why."""

    def __init__(self, path: Path, size_mb: int) -> None:
        self.path = path
        self.refusal = ""
        """The reason for which it cannot be filled; "" when it can."""
        self._size_mb = size_mb

    async def mount(self) -> None:
        """Makes and mounts the file system."""
        self.path.mkdir(parents=True, exist_ok=True)
        code, output = await _run("mount", "-t", "tmpfs", "-o", f"size={self._size_mb}m", "tmpfs", str(self.path))
        self.refusal = "" if code == 0 else f"no file system can be mounted here ({output})"

    async def unmount(self) -> None:
        """Unmounts the file system; nobody may use it any more."""
        if not self.refusal:
            await _run("umount", "-l", str(self.path))

    def fill(self, *, but: int = 0) -> None:
        """Fills the file system, except for `but` bytes."""
        with (self.path / "filler").open("ab", buffering=0) as filler:
            room = os.statvfs(self.path)
            # In one step, so that another writer finds no room at once.
            with contextlib.suppress(OSError):
                os.posix_fallocate(filler.fileno(), filler.tell(), room.f_bavail * room.f_frsize - but)
            size = 0 if but else len(_CHUNK)
            while size:
                try:
                    filler.write(_CHUNK[:size])
                except OSError as exc:
                    if exc.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def free(self) -> None:
        """Removes the filling."""
        (self.path / "filler").unlink(missing_ok=True)


async def _run(*command: str) -> tuple[int, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=dict(os.environ)
        )
    except FileNotFoundError:
        return 1, f"there is no {command[0]}"
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode("utf-8", "replace").strip()
