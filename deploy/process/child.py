"""One child process that does not outlive its parent: started in its own session, stopped within a bound.

A terminal's Ctrl-C reaches only the parent, so whoever started several children decides the order in which they stop.
On Linux the kernel kills the child when the thread that started it ends; elsewhere a killed parent leaves the child
running. This module does not know what it runs.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Runs between fork and exec in a fresh interpreter, because code between fork and exec in a threaded parent can
# deadlock. The check of the parent closes the gap in which the parent died before prctl was called.
_BIND = """\
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Child:
    """A running child process whose output goes to a file."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The process id, the same from start to end."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code (negative: the signal that ended it); None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Waits until it ends by itself and returns its exit code."""
        return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal, if it still runs."""
        if self._process.returncode is None:
            self._signal(number)

    async def stop(self, *, grace_s: float) -> int:
        """Asks it to end, kills it when `grace_s` seconds were not enough, and returns its exit code."""
        if self._process.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), grace_s)
            except TimeoutError:
                self._signal(signal.SIGKILL)
        return await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            return  # it ended by itself in this moment


async def spawn(
    argv: Sequence[str], *, output: Path, env: Mapping[str, str] | None = None, keep_open: Sequence[int] = ()
) -> Child:
    """Starts `argv`, whose first item is an absolute path; its output and errors replace the contents of `output`.

    `keep_open` are open files that it inherits under their numbers.
    It must be called from a thread that lives as long as the child should: the event loop's own is the right one.
    """
    bound = (sys.executable, "-I", "-S", "-c", _BIND, str(os.getpid()), *argv)
    output.unlink(missing_ok=True)  # noqa: ASYNC240 - as quick as the open below
    # Appending, so that nobody's place in the file is kept when another process begins it anew.
    with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as sink:
        process = await asyncio.create_subprocess_exec(
            *bound,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=asyncio.subprocess.STDOUT,
            env=None if env is None else dict(env),
            start_new_session=True,
            pass_fds=tuple(keep_open),
        )
    return Child(process)
