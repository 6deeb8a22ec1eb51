"""The wait before the next attempt or start: exponential, capped, spread by a random number. Pure."""

import msgspec

_MAX_DOUBLINGS = 30
"""Keeps the power finite for any attempt number."""


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """A wait that doubles from `first_s` to `cap_s` seconds."""

    first_s: float
    cap_s: float

    def delay_s(self, attempt: int, random: float = 0.0) -> float:
        """Returns the seconds to wait before an attempt; the first repetition is attempt 0.

        `random` in [0, 1) shortens the wait by up to a half, so that many clients do not come back at once.
        """
        longest = min(self.cap_s, self.first_s * 2.0 ** min(attempt, _MAX_DOUBLINGS))
        return longest * (1 - random / 2)


class RestartPauses:
    """The pauses between the starts of one process: longer while it keeps failing, short again once it ran well."""

    def __init__(self, backoff: Backoff, *, healthy_after_s: float) -> None:
        self._backoff = backoff
        self._healthy_after_s = healthy_after_s
        self._failures = 0

    def after(self, ran_s: float) -> float:
        """Returns the seconds to wait after the process ran for `ran_s` seconds (0: it did not start)."""
        self._failures = 0 if ran_s > self._healthy_after_s else self._failures
        pause_s = self._backoff.delay_s(self._failures)
        self._failures += 1
        return pause_s
