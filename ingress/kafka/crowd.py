"""Counts the records that wait at once, to know when no more are to be expected. Pure: time is an argument.

Callers wait for their answers before they send on. When as many records wait as at most waited lately, all callers do,
and whoever lingered for further records would linger in vain.
"""

from typing import Final

LATELY_S: Final = 1.0
"""The least time for which the most is remembered, and half of the longest."""


class Crowd:
    """The records that wait now, and the most that did so lately."""

    def __init__(self) -> None:
        self._now = 0
        self._most = 0
        self._most_before = 0
        self._until_s = 0.0

    def join(self, now_s: float) -> bool:
        """Counts a record in; True when no more are to be expected before one of these is answered."""
        if now_s >= self._until_s:
            self._most_before = self._most if now_s < self._until_s + LATELY_S else 0
            self._most = self._now
            self._until_s = now_s + LATELY_S
        self._now += 1
        self._most = max(self._most, self._now)
        return self._now >= max(self._most, self._most_before)

    def leave(self) -> None:
        """Counts a record out."""
        self._now -= 1
