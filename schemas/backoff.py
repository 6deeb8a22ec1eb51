"""The wait before the next attempt: exponential, capped, spread by a random number that is an argument. Pure."""

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
