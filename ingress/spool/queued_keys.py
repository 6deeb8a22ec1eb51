"""Counts the spooled bodies by key in a fixed amount of memory: a live body of such a key queues behind them.

Keys are counted by their hash: two keys that share a count wait for each other without need, and no body overtakes
another of its key. Not thread-safe; it must not know the store.
"""

from collections.abc import Iterable
from mmap import mmap
from typing import Final

SpoolKey = tuple[str, bytes]
"""Topic and key of a record."""
COUNTS: Final = 1 << 20
"""Number of counts (4 MiB): with 100,000 keys in the spool one live key in ten queues behind them without need."""

_NONE: Final = memoryview(b"").cast("I")


class SpooledKeys:
    """Counts spooled bodies by key."""

    def __init__(self) -> None:
        self._counts = _NONE
        self._total = 0

    def add(self, keys: Iterable[SpoolKey]) -> None:
        """Counts a body of each key in."""
        for key in keys:
            if not self._total and self._counts is _NONE:
                # Memory pages that no key falls on are never allocated.
                self._counts = memoryview(mmap(-1, 4 * COUNTS)).cast("I")
            self._counts[hash(key) % COUNTS] += 1
            self._total += 1

    def remove(self, keys: Iterable[SpoolKey]) -> None:
        """Counts a body of each key out."""
        for key in keys:
            place = hash(key) % COUNTS
            if self._total and self._counts[place]:
                self._counts[place] -= 1
                self._total -= 1

    def clear(self) -> None:
        """Resets the counts of an empty spool, and so those of bodies that a damaged file has lost."""
        if self._total:
            self._counts, self._total = _NONE, 0

    def __contains__(self, key: SpoolKey) -> bool:
        return self._total > 0 and self._counts[hash(key) % COUNTS] > 0
