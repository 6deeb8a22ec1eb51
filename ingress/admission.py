"""What a process has in hand, and whether there is room for more: requests that wait for their turn, and bytes in memory.

A request that waits costs those behind it time, a byte costs memory. For time only those are turned away who can send again: a
late answer to who calls once is better than none, its body is stored all the same. For memory they are turned away first.
Requests that wait for Kafka, for a disk or for the rest of a slow body cost nobody time and have no bound but their bytes'.
It must not know HTTP, vendors or Kafka. Pure: it counts what it is told.
"""

from collections.abc import Callable
from typing import Final, Literal

from schemas.errors import Unavailable

HIGH_WATER: Final = 0.8
"""This share of the bytes is for all; the rest is for bodies that nobody brings again."""
BURST: Final = 1.25
"""So far beyond the bound bytes may go that came while the refusals were on their way; then connections are cut."""

WhyFull = Literal["overload", "buffer_full"]


def _nothing() -> int:
    return 0


class AdmissionControl:
    """The counts of one process."""

    def __init__(self, *, max_queued: int, max_bytes: int, outliving_bytes: Callable[[], int] = _nothing) -> None:
        """`outliving_bytes` is what bodies hold whose request was answered: Kafka's client or a slow disk still has them."""
        self._max_queued = max_queued
        self._max_bytes = max_bytes
        self._outliving_bytes = outliving_bytes
        self.queued = 0
        """Requests that came whole and were not taken up yet."""
        self.received_bytes = 0
        """Of requests without an answer, from their first byte."""

    @property
    def size_bytes(self) -> int:
        """All bytes that are held."""
        return self.received_bytes + self._outliving_bytes()

    def full(self, *, no_retry: bool, more: int = 0) -> WhyFull | None:
        """Why there is no room for so many more requests; None when there is."""
        if not no_retry and self.queued + more > self._max_queued:
            return "overload"
        return "buffer_full" if self._holds_too_much(no_retry=no_retry) else None

    def require_turn(self, *, no_retry: bool) -> None:
        """Raise Unavailable `overload` or `buffer_full` when a request must not be taken up."""
        if why := self.full(no_retry=no_retry):
            raise Unavailable(f"{self.queued} requests wait, {self.size_bytes} bytes are held", code=why)

    def require_bytes(self, *, no_retry: bool) -> None:
        """Raise Unavailable `buffer_full` when a body must not be read on."""
        if self._holds_too_much(no_retry=no_retry):
            raise Unavailable(f"{self.size_bytes} bytes are held", code="buffer_full")

    @property
    def bursting(self) -> bool:
        """Whether only cutting connections keeps memory within its bound."""
        return self.size_bytes > self._max_bytes * BURST

    def _holds_too_much(self, *, no_retry: bool) -> bool:
        return self.size_bytes > self._max_bytes * (1.0 if no_retry else HIGH_WATER)
