"""Counts events against a rate and against a day's cap. Pure: the time is an argument."""

from datetime import date


class TokenBucket:
    """A rate with a burst: `per_s` tokens come in a second, and at most `burst` are kept."""

    __slots__ = ("_burst", "_left", "_per_s", "_then_s")

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._then_s = now_s

    def take(self, now_s: float) -> bool:
        """Takes a token; returns False when there is none. A clock that goes back gives none."""
        self._left = min(self._burst, self._left + max(0.0, now_s - self._then_s) * self._per_s)
        self._then_s = max(self._then_s, now_s)
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class DayCount:
    """A count that begins anew with each day (UTC)."""

    __slots__ = ("_count", "_day")

    def __init__(self) -> None:
        self._day = date.min
        self._count = 0

    def below(self, cap: int, today: date) -> bool:
        """True while fewer than `cap` events of this day were counted."""
        return today != self._day or self._count < cap

    def add(self, today: date) -> None:
        """Counts an event."""
        if today != self._day:
            self._day, self._count = today, 0
        self._count += 1
