"""Decides whether Kafka takes bodies now, from what the publisher observed.

All times are seconds of one monotonic clock.

An acknowledgement is the best evidence, a metadata answer the next best. Pure: it asks nobody and reads no clock.
"""

from typing import Final

FRESH_S: Final = 1.0
"""Age below which an acknowledgement outweighs a failed probe: a busy event loop answers probes late."""
STALLED_S: Final = 2.0
"""Time without any acknowledgement after which Kafka counts as stalled: metadata may be fine while no write succeeds
(too few replicas)."""


class KafkaHealth:
    """Keeps what was observed of Kafka; at the start, that it was not asked yet."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._trouble = f"Kafka at {address} was not reached yet"
        self._acknowledged_at = float("-inf")

    def answered(self, missing: tuple[str, ...]) -> None:
        """Records that a metadata request was answered; `missing` are the topics that it did not know."""
        names = ", ".join(missing)
        self._trouble = f"Kafka has no topic {names}: create it with `callweave topics --create`" if missing else ""

    def silent(self, reason: str = "") -> None:
        """Records that a metadata request was not answered in time, with the reason where one is known."""
        self._trouble = reason or f"Kafka at {self._address} does not answer"

    def acknowledged(self, now: float) -> None:
        """Records that a record was acknowledged."""
        self._acknowledged_at = now

    def trouble(self, now: float, oldest_waiting_since: float | None) -> str:
        """Returns why Kafka would not take a body now, "" when it would.

        `oldest_waiting_since` is when the oldest unacknowledged record was handed to the producer.
        """
        quiet_s = now - self._acknowledged_at
        if self._trouble and quiet_s > FRESH_S:
            return self._trouble
        if oldest_waiting_since is not None and min(quiet_s, now - oldest_waiting_since) > STALLED_S:
            return f"Kafka at {self._address} answers but acknowledges nothing"
        return ""
