"""The timeline of a large call is told at once when it grew by a tenth, else within a second. Pure.

To tell a conference of hundreds again with every participant would cost milliseconds and tens of kilobytes each. A
version follows from what was merged alone, so what is skipped is as if its facts had come in one record batch. Nothing
stays untold: the second is one of the record clock, which ticks move on where nothing arrives, and each stored state
says how much of it was told, so that whoever restores it tells the rest.
"""

from typing import Final

from processors.call.state import CallState

WITHIN_MS: Final = 1000
"""Longest time on the record clock that news of a large call waits; the next record or tick then tells it."""
SHARE: Final = 10


class Untold:
    """The large calls of a partition that know more than was told of them."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[int, int]] = {}
        """Key to (amount merged that was told, clock at which the rest is due), in the order of the latter."""

    def waits(self, key: str, known: CallState, state: CallState, now_ms: int) -> bool:
        """True when the news may wait; `known` is the state that was told if nothing waits yet."""
        told, due_ms = self._calls.get(key, (known.merge_count, now_ms + WITHIN_MS))
        if (state.merge_count - told) * SHARE >= told:
            return False
        self._calls.setdefault(key, (told, due_ms))
        return True

    def restored(self, key: str, told: int) -> None:
        """Note a call that was restored, before any other news: the rest is due at once."""
        self._calls[key] = told, 0

    def forget(self, key: str) -> None:
        """Note that all is told."""
        self._calls.pop(key, None)

    def told(self, key: str) -> int | None:
        """Return the amount merged that was told; None for a call of which everything is."""
        return self._calls[key][0] if key in self._calls else None

    def take_due(self, now_ms: int) -> list[str]:
        """Return the calls whose news is due, as told from now on."""
        due: list[str] = []
        for key, (_, due_ms) in self._calls.items():
            if due_ms > now_ms:
                break
            due.append(key)
        for key in due:
            del self._calls[key]
        return due
