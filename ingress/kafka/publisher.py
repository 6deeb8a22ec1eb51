"""Publisher: the interface to whatever makes a body durable.

The HTTP handlers and the pollers know only `Publisher`. The ingress's own publisher also keeps bodies on a local disk,
of which neither side knows. This module must not know vendors, HTTP or what a body holds.
"""

from typing import Literal, Protocol

import msgspec

from schemas.errors import Unavailable

Headers = list[tuple[str, bytes]]
WhyNot = Literal["timeout", "buffer_full", "kafka", "oversize", "spool", "spool_full"]
"""Codes of a publisher's `Unavailable`."""


class Publisher(Protocol):
    """Makes bodies durable."""

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        """Returns when the record is durable; else raises `Unavailable` with a code of `WhyNot`.

        `no_retry` says that nobody will send it again: where room is short, others are refused for its sake. A record
        given up as `timeout` may still arrive later: a sender that repeats it makes a duplicate, never a loss.
        """

    def ready(self) -> bool:
        """True when a body would be taken now."""

    def why_not(self) -> str:
        """Returns why `ready` is false, as a sentence for people; "" when it is true."""

    def note(self) -> str:
        """Returns what people should know although it is ready; "" when there is nothing."""


class PublishedBody(msgspec.Struct, frozen=True, kw_only=True):
    """One record that a `MemoryPublisher` took."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class MemoryPublisher:
    """Keeps records in a list, for tests; `fail_with` makes it refuse as a publisher without Kafka does."""

    def __init__(self, *, max_value_bytes: int = 64 * 1024 * 1024) -> None:
        self.records: list[PublishedBody] = []
        self.no_retry: list[bool] = []
        """The `no_retry` of each record."""
        self.fail_with: WhyNot | None = None
        self._max_value_bytes = max_value_bytes

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        """Keeps the record, or raises `Unavailable`."""
        if self.fail_with:
            raise Unavailable("refuses on purpose", code=self.fail_with)
        if len(value) > self._max_value_bytes:
            raise Unavailable(f"a record of {len(value)} bytes is larger than Kafka takes", code="oversize")
        self.no_retry.append(no_retry)
        self.records.append(PublishedBody(topic=topic, key=key, value=value, headers=tuple(headers)))

    def ready(self) -> bool:
        """False while `fail_with` is set."""
        return self.fail_with is None

    def why_not(self) -> str:
        """Returns the code that it refuses with, "" while it does not."""
        return f"refuses on purpose: {self.fail_with}" if self.fail_with else ""

    def note(self) -> str:
        """Returns ""."""
        return ""
