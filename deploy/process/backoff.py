"""How long to wait before what died is started again: longer while it keeps dying. Pure."""

from typing import Final

FIRST_S: Final = 0.5
CAP_S: Final = 10.0
HEALTHY_AFTER_S: Final = 10.0
"""Who ran this long did not die of its start."""


class Backoff:
    """The pauses between the starts of one process."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def after(self, ran_s: float) -> float:
        """Seconds to wait, after it ran for `ran_s` seconds (0: it did not start)."""
        if ran_s > HEALTHY_AFTER_S:
            self._next_s = FIRST_S
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, CAP_S)
        return pause_s
