"""Counts the requests and bytes that one process holds, and decides whether there is room for more.

A waiting request costs those behind it time, a byte costs memory. For the sake of time, only requests whose sender can
send again are refused: a late answer to a vendor that calls once is better than none, because its body is stored all
the same. For the sake of memory, senders that can send again are refused first. Requests that wait for Kafka, for a
disk or for the rest of a slow body cost nobody time, so only their bytes are bounded. This module must not know HTTP,
vendors or Kafka. Pure: it only counts.
"""

from collections.abc import Callable
from typing import Final, Literal

from schemas.errors import Unavailable

HIGH_WATER: Final = 0.8
"""Share of the bytes that is for all requests; the rest is kept for bodies that are sent only once."""
BURST: Final = 1.25
"""Factor of the bound that bytes may reach that arrived while refusals were on their way; beyond it connections are
cut."""

WhyFull = Literal["overload", "buffer_full"]


def _nothing() -> int:
    return 0


class AdmissionControl:
    """Counts of one process, and the decisions that follow from them."""

    def __init__(self, *, max_queued: int, max_bytes: int, outliving_bytes: Callable[[], int] = _nothing) -> None:
        """`outliving_bytes` returns the bytes of answered requests that Kafka's client or a slow disk still holds."""
        self._max_queued = max_queued
        self._max_bytes = max_bytes
        self._outliving_bytes = outliving_bytes
        self.queued = 0
        """Requests that have arrived completely and wait to be handled."""
        self.received_bytes = 0
        """Bytes of requests that are not answered yet, counted from the first byte."""

    def allow_queued(self, max_queued: int) -> None:
        """Sets another bound of waiting requests."""
        self._max_queued = max_queued

    @property
    def size_bytes(self) -> int:
        """All bytes that the process holds."""
        return self.received_bytes + self._outliving_bytes()

    def full(self, *, no_retry: bool, more: int = 0) -> WhyFull | None:
        """Returns why there is no room for `more` further requests, None when there is."""
        if not no_retry and self.queued + more > self._max_queued:
            return "overload"
        return "buffer_full" if self._holds_too_much(no_retry=no_retry) else None

    def require_turn(self, *, no_retry: bool) -> None:
        """Raises Unavailable `overload` or `buffer_full` when a request must not be handled now."""
        if why := self.full(no_retry=no_retry):
            raise Unavailable(f"{self.queued} requests wait, {self.size_bytes} bytes are held", code=why)

    def require_bytes(self, *, no_retry: bool) -> None:
        """Raises Unavailable `buffer_full` when a body must not be read further."""
        if self._holds_too_much(no_retry=no_retry):
            raise Unavailable(f"{self.size_bytes} bytes are held", code="buffer_full")

    @property
    def bursting(self) -> bool:
        """True when only cutting connections keeps memory within its bound."""
        return self.size_bytes > self._max_bytes * BURST

    def _holds_too_much(self, *, no_retry: bool) -> bool:
        return self.size_bytes > self._max_bytes * (1.0 if no_retry else HIGH_WATER)
