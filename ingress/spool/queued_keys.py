"""Which keys have bodies in the spool, in a fixed amount of memory: a live body of such a key goes behind them, not past them.

Keys are counted by their hash: two that share a count wait for each other without need, and none is ever passed. Of one
thread; it must not know the store.
"""

from collections.abc import Iterable
from mmap import mmap
from typing import Final

SpoolKey = tuple[str, bytes]
"""Topic and key."""
COUNTS: Final = 1 << 20
"""4 MiB of them: with 100,000 keys in the spool one live key in ten goes behind them without need."""

_NONE: Final = memoryview(b"").cast("I")


class SpooledKeys:
    """Counts bodies by key."""

    def __init__(self) -> None:
        self._counts = _NONE
        self._total = 0

    def add(self, keys: Iterable[SpoolKey]) -> None:
        """A body of each came into the spool."""
        for key in keys:
            if not self._total and self._counts is _NONE:
                self._counts = memoryview(mmap(-1, 4 * COUNTS)).cast("I")  # pages that no key falls on take no memory
            self._counts[hash(key) % COUNTS] += 1
            self._total += 1

    def remove(self, keys: Iterable[SpoolKey]) -> None:
        """A body of each left it."""
        for key in keys:
            place = hash(key) % COUNTS
            if self._total and self._counts[place]:
                self._counts[place] -= 1
                self._total -= 1

    def clear(self) -> None:
        """The spool is empty: forget what a damaged file took with it and nobody will ever remove."""
        if self._total:
            self._counts, self._total = _NONE, 0

    def __contains__(self, key: SpoolKey) -> bool:
        return self._total > 0 and self._counts[hash(key) % COUNTS] > 0
