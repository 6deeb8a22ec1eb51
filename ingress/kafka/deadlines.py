"""The times at which records are given up, with one timer for all that may take equally long.

A timer for each record costs as much as putting the record into its batch, and nearly all are acknowledged long before.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from ingress.kafka.batches import Record

_LATE_S: Final = 0.001
"""A timer that is set for a whole millisecond may fire within the one before it."""


class Deadlines:
    """Gives up the records that still wait at their time; `give_up` gets each with the seconds that it had."""

    def __init__(self, give_up: Callable[[Record, float], None]) -> None:
        self._give_up = give_up
        self._rows: dict[float, deque[tuple[float, Record]]] = {}
        """The records by the seconds that they have, those of each in the order of their times."""
        self._timers: dict[float, asyncio.TimerHandle] = {}

    def add(self, record: Record, now: float, after_s: float) -> None:
        """Gives a record so many seconds from `now`, the loop's time."""
        row = self._rows.get(after_s)
        if row is None:
            row = self._rows[after_s] = deque()
        while row and not row[0][1].waits:
            row.popleft()
        row.append((now + after_s, record))
        if after_s not in self._timers:
            self._set(after_s, now + after_s)

    def _set(self, after_s: float, at: float) -> None:
        self._timers[after_s] = asyncio.get_running_loop().call_at(at, self._look, after_s)

    def _look(self, after_s: float) -> None:
        """Gives up what is due, and looks again when the next record that waits is."""
        row = self._rows[after_s]
        now = asyncio.get_running_loop().time() + _LATE_S
        while row and (row[0][0] <= now or not row[0][1].waits):
            _, record = row.popleft()
            if record.waits:
                self._give_up(record, after_s)
        if row:
            self._set(after_s, row[0][0])
        else:
            del self._timers[after_s]
            del self._rows[after_s]
