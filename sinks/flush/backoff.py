"""How long to wait before the next attempt. Pure: the random number is an argument."""

import msgspec

_DOUBLINGS = 30


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Doubles from `first_s` to `cap_s`, each wait shortened by up to a half so that many clients do not come at once."""

    first_s: float
    cap_s: float

    def delay_s(self, attempt: int, random: float) -> float:
        """Seconds before attempt number `attempt` (the first repetition is 0); `random` is in [0, 1)."""
        longest = min(self.cap_s, self.first_s * 2.0 ** min(attempt, _DOUBLINGS))
        return longest * (1 - random / 2)
