"""One child process that never outlives us: started in its own session, stopped within a bound, gone when we are killed.

A terminal's Ctrl-C reaches only us, so that whoever started several children decides the order in which they stop. On
Linux the kernel kills the child when the thread that started it ends; elsewhere a killed parent leaves the child running.
It must not know what it runs.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Runs between fork and exec in a fresh interpreter, because code between fork and exec in a threaded parent can deadlock.
# The second look at the parent closes the gap in which the parent died before the kernel was told.
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
        """The process id; the same from start to end."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs, else its exit code (negative: the signal that ended it)."""
        return self._process.returncode

    async def wait(self) -> int:
        """Waits until it ends by itself and gives its exit code."""
        return await self._process.wait()

    async def stop(self, *, grace_s: float) -> int:
        """Asks it to end, and kills it when `grace_s` seconds were not enough."""
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


async def spawn(argv: Sequence[str], *, output: Path, env: Mapping[str, str] | None = None) -> Child:
    """Starts `argv` (the first is an absolute path); its output and errors replace what `output` held.

    Call it from a thread that lives as long as the child should: the event loop's own is the right one.
    """
    bound = (sys.executable, "-I", "-S", "-c", _BIND, str(os.getpid()), *argv)
    with output.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *bound,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=asyncio.subprocess.STDOUT,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
    return Child(process)
