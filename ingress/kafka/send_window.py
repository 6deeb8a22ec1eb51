"""Counts the bytes that wait for Kafka, so that memory has a bound of our own.

There are two bounds: one on all waiting bytes, and one on those in the producer's hands. The second exists because the
producer puts one batch of every partition into one request: 24 bodies of 10 MiB would make a request larger than a
broker reads (`socket.request.max.bytes`, 100 MiB), and an idempotent producer repeats such a request for ever.
"""

import asyncio
from collections import deque

from schemas.errors import Unavailable


class SendWindow:
    """Counts bytes by stage: waiting (all of them) and handed over to the producer."""

    def __init__(self, *, limit_bytes: int, window_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._window_bytes = window_bytes
        self._waiting_bytes = 0
        self._handed_bytes = 0
        self._queue: deque[tuple[asyncio.Future[None], int]] = deque()

    @property
    def waiting_bytes(self) -> int:
        """All bytes that are not acknowledged yet."""
        return self._waiting_bytes

    def admit(self, size: int) -> None:
        """Counts a record in; raises Unavailable `buffer_full` beyond the limit."""
        if self._waiting_bytes + size > self._limit_bytes:
            raise Unavailable(f"{self._waiting_bytes} bytes already wait for Kafka", code="buffer_full")
        self._waiting_bytes += size

    def release(self, size: int) -> None:
        """Counts a record out."""
        self._waiting_bytes -= size

    async def hand_over(self, size: int) -> None:
        """Waits for room in the producer's window, first come first served; a record alone always has room."""
        if not self._queue and self._has_room(size):
            self._handed_bytes += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (turn, size)
        self._queue.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if entry in self._queue:
                self._queue.remove(entry)
            elif not turn.cancelled():
                self._handed_bytes -= size  # its turn came in the moment in which it was given up
            self._next()
            raise

    def take_back(self, size: int) -> None:
        """Counts a record out of the window that the producer is done with."""
        self._handed_bytes -= size
        self._next()

    def _has_room(self, size: int) -> bool:
        return not self._handed_bytes or self._handed_bytes + size <= self._window_bytes

    def _next(self) -> None:
        while self._queue and self._has_room(self._queue[0][1]):
            turn, size = self._queue.popleft()
            if not turn.done():
                self._handed_bytes += size
                turn.set_result(None)
