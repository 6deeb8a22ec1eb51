"""The room for batches that are worked on at once: a few large ones, or many small ones of all partitions.

Steps on small batches that run together publish together, and then share the requests. Pure bookkeeping on the event
loop; whoever came first enters first, so that small batches never keep a large one out.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from processors.records import RecordBatch

FULL: Final = 1000
"""Share of a batch that is as large as batches get."""


def share_of(batch: RecordBatch, *, full_records: int, full_bytes: int) -> int:
    """Return the share of a batch, from 1 to `FULL`, by its records or by its bytes, whichever is more."""
    size = sum(len(record.value or b"") for record in batch.records)
    return min(max(1, len(batch.records) * FULL // full_records, size * FULL // full_bytes), FULL)


class Room:
    """Room for shares of this sum."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def taken(self, share: int) -> AsyncIterator[None]:
        """Wait until a share is free, and hold it while the block runs; it must not be above the room's size."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((share, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._admit()  # others may have waited behind it
            else:
                self._give_back(share)
            raise
        try:
            yield
        finally:
            self._give_back(share)

    def _give_back(self, share: int) -> None:
        self._free += share
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            share, turn = self._waiting[0]
            if not turn.cancelled():
                if share > self._free:
                    return
                self._free -= share
                turn.set_result(None)
            self._waiting.popleft()
