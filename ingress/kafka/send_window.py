"""Counts the bytes that wait for Kafka, so that memory has a bound of our own.

There are two bounds: one on all waiting bytes, and one on those in the producer's hands. The second exists because the
producer puts one batch of every partition into one request: 24 bodies of 10 MiB would make a request larger than a
broker reads (`socket.request.max.bytes`, 100 MiB), and an idempotent producer repeats such a request for ever.
"""

from schemas.errors import Unavailable


class SendWindow:
    """Counts bytes by stage: waiting (all of them) and handed over to the producer."""

    def __init__(self, *, limit_bytes: int, window_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._window_bytes = window_bytes
        self._waiting_bytes = 0
        self._handed_bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """All bytes that are not acknowledged yet."""
        return self._waiting_bytes

    def admit(self, size: int) -> None:
        """Counts a record in; raises Unavailable `buffer_full` beyond the limit."""
        if self._waiting_bytes + size > self._limit_bytes:
            raise Unavailable(f"{self._waiting_bytes} bytes already wait for Kafka", code="buffer_full")
        self._waiting_bytes += size

    def release(self, size: int) -> None:
        """Counts a record out."""
        self._waiting_bytes -= size

    def has_room(self, size: int) -> bool:
        """True when the producer may have a record of this size as well; one alone always has room."""
        return not self._handed_bytes or self._handed_bytes + size <= self._window_bytes

    def hand_over(self, size: int) -> None:
        """Counts a record into the producer's hands."""
        self._handed_bytes += size

    def take_back(self, size: int) -> None:
        """Counts records out that the producer is done with."""
        self._handed_bytes -= size
