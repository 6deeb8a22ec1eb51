"""Which keys have bodies in the spool, in a fixed amount of memory: a live body of such a key goes behind them, not past them.

Keys are counted by their hash: two that share a count wait for each other without need, and none is ever passed. Of one
thread; it must not know the store.
"""

from array import array
from collections.abc import Iterable
from typing import Final

Key = tuple[str, bytes]
"""Topic and key."""
COUNTS: Final = 1 << 20
"""4 MiB of them: with 100,000 keys in the spool one live key in ten goes behind them without need."""


class SpooledKeys:
    """Counts bodies by key."""

    def __init__(self) -> None:
        self._counts = array("I")
        self._total = 0

    def add(self, keys: Iterable[Key]) -> None:
        """A body of each came into the spool."""
        if not self._counts:  # most of the time a spool is empty and needs none of this
            self._counts = array("I", bytes(4 * COUNTS))
        for key in keys:
            self._counts[hash(key) % COUNTS] += 1
            self._total += 1

    def remove(self, keys: Iterable[Key]) -> None:
        """A body of each left it."""
        for key in keys:
            place = hash(key) % COUNTS
            if self._total and self._counts[place]:
                self._counts[place] -= 1
                self._total -= 1

    def clear(self) -> None:
        """The spool is empty: forget what a damaged file took with it and nobody will ever remove."""
        if self._total:
            self._counts, self._total = array("I"), 0

    def __contains__(self, key: Key) -> bool:
        return self._total > 0 and self._counts[hash(key) % COUNTS] > 0
