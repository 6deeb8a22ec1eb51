"""The timeline of a large call is told at once when it grew by a tenth, else within a time that grows with it. Pure.

To tell a conference of hundreds again with every participant would cost milliseconds and tens of kilobytes each. A
version follows from what was merged alone, so what is skipped is as if its facts had come in one record batch. Nothing
stays untold: the time is one of the record clock, which ticks move on where nothing arrives, and each stored state
says how much of it was told, so that whoever restores it tells the rest. As the time is in proportion to the call, one
that grows slowly costs as little a participant as a small one.
"""

import heapq
from typing import Final

from processors.call.state import CallState

WAIT_MS_AN_ITEM: Final = 20
WAIT_MS: Final = (1000, 10_000)
"""Shortest and longest time on the record clock that news of a large call waits; the next record or tick tells it."""
SHARE: Final = 10


def wait_ms(items: int) -> int:
    """Return the time for which news of a call of so many items may wait."""
    shortest, longest = WAIT_MS
    return max(shortest, min(longest, WAIT_MS_AN_ITEM * items))


class Untold:
    """The large calls of a partition that know more than was told of them."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[int, int]] = {}
        """Key to (amount merged that was told, clock at which the rest is due)."""
        self._due: list[tuple[int, str]] = []
        """A heap of the clocks and keys; one whose call is told, or due at another clock, counts no more."""

    def waits(self, key: str, known: CallState, state: CallState, now_ms: int) -> bool:
        """True when the news may wait; `known` is the state that was told if nothing waits yet."""
        told = self._calls[key][0] if key in self._calls else known.merge_count
        if (state.merge_count - told) * SHARE >= told:
            return False
        if key not in self._calls:
            self._wait(key, told, now_ms + wait_ms(len(state.items)))
        return True

    def restored(self, key: str, told: int) -> None:
        """Note a call that was restored, before any other news: the rest is due at once."""
        self._wait(key, told, 0)

    def forget(self, key: str) -> None:
        """Note that all is told."""
        self._calls.pop(key, None)

    def told(self, key: str) -> int | None:
        """Return the amount merged that was told; None for a call of which everything is."""
        return self._calls[key][0] if key in self._calls else None

    def take_due(self, now_ms: int) -> list[str]:
        """Return the calls whose news is due, as told from now on, in the order of their clocks."""
        due: list[str] = []
        while self._due and self._due[0][0] <= now_ms:
            due_ms, key = heapq.heappop(self._due)
            if key in self._calls and self._calls[key][1] == due_ms:
                del self._calls[key]
                due.append(key)
        return due

    def _wait(self, key: str, told: int, due_ms: int) -> None:
        self._calls[key] = told, due_ms
        heapq.heappush(self._due, (due_ms, key))
