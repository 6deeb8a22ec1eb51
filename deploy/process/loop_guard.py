"""Watches a part's event loop from outside, and measures for how long the loop was blocked.

The bound is kept by a thread of the interpreter's own C code (faulthandler). It needs neither the loop nor the
interpreter's lock, so it also finds a call in C that never returns. It writes the traceback of every thread (files and
lines, no values) and ends the process.
"""

import asyncio
import contextlib
import faulthandler
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from schemas.metrics import Registry

log: Final = logging.getLogger(__name__)

LOOK_S: Final = 0.25
ARM_S: Final = 1.0
WINDOW_S: Final = 60.0
"""A pause is remembered for this long; scrapes come more often than that."""


class Pauses:
    """The pauses of a loop in the last minute; times are seconds of the loop's clock."""

    def __init__(self) -> None:
        self._pauses: deque[tuple[float, float]] = deque()
        self._due_s: float | None = None

    def next_look(self, due_s: float) -> None:
        """Notes when the next look is due."""
        self._due_s = due_s

    def look(self, now_s: float) -> None:
        """Notes by how much this look is late."""
        late_s = self._late(now_s)
        while self._pauses and self._pauses[-1][1] <= late_s:
            self._pauses.pop()
        self._pauses.append((now_s, late_s))

    def longest(self, now_s: float) -> float:
        """Returns the longest pause, including one that ends now."""
        while self._pauses and now_s - self._pauses[0][0] > WINDOW_S:
            self._pauses.popleft()
        return max(self._late(now_s), self._pauses[0][1] if self._pauses else 0.0)

    def _late(self, now_s: float) -> float:
        return max(0.0, now_s - self._due_s) if self._due_s is not None else 0.0


@contextlib.asynccontextmanager
async def guarded_loop(metrics: Registry, part: str, *, blocked_s: float) -> AsyncIterator[None]:
    """Measures the running loop, and ends the process when it is blocked for `blocked_s` seconds (0: never)."""
    loop, pauses = asyncio.get_running_loop(), Pauses()
    metrics.before_read(
        lambda: metrics.put("callweave_loop_blocked_seconds", part, value=round(pauses.longest(loop.time()), 3))
    )
    watching = asyncio.create_task(_watch(pauses, blocked_s))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        if blocked_s:
            faulthandler.cancel_dump_traceback_later()


async def _watch(pauses: Pauses, blocked_s: float) -> None:
    loop = asyncio.get_running_loop()
    # Far below the bound, however short that is: a loop that is not blocked must never be late with it.
    look_s = min(LOOK_S, blocked_s / 8) if blocked_s else LOOK_S
    arm_s = min(ARM_S, blocked_s / 4)
    armed_s = -ARM_S
    while True:
        if blocked_s and loop.time() - armed_s >= arm_s:
            armed_s = loop.time()
            try:
                faulthandler.dump_traceback_later(blocked_s, exit=True)
            except (RuntimeError, ValueError, OSError) as exc:  # no memory for a thread, or no file to write to
                log.warning("nobody watches the event loop for now: %s", exc)
        pauses.next_look(loop.time() + look_s)
        await asyncio.sleep(look_s)
        pauses.look(loop.time())
