"""What stands between whoever accepted a body and Kafka: the one place where "durable" is decided.

The HTTP handlers and the pollers know only `Publisher`. The ingress's publisher also keeps bodies on a local disk, and neither
side knows it. It must not know vendors, HTTP or what a body holds.
"""

from typing import Literal, Protocol

import msgspec

from schemas.errors import Unavailable

Headers = list[tuple[str, bytes]]
WhyNot = Literal["timeout", "buffer_full", "kafka", "oversize", "spool", "spool_full"]
"""The codes of a publisher's `Unavailable`."""


class Publisher(Protocol):
    """Makes bodies durable."""

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        """Return when the record is durable; else raise `Unavailable` with a code of `WhyNot`.

        `no_retry` says that nobody will bring it again: where room is short, others are turned away for it.
        A record given up as `timeout` may still arrive later: whoever sends it again makes a duplicate, never a loss.
        """

    def ready(self) -> bool:
        """Whether a body would be taken now."""

    def why_not(self) -> str:
        """Why `ready` is false, as a sentence for people; "" when it is true."""

    def note(self) -> str:
        """What people should know although it is ready; "" when all is well."""


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
        """What each of them was said to be."""
        self.fail_with: WhyNot | None = None
        self._max_value_bytes = max_value_bytes

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        """Keep the record, or raise `Unavailable`."""
        if self.fail_with:
            raise Unavailable("told to refuse", code=self.fail_with)
        if len(value) > self._max_value_bytes:
            raise Unavailable(f"a record of {len(value)} bytes is larger than Kafka takes", code="oversize")
        self.no_retry.append(no_retry)
        self.records.append(PublishedBody(topic=topic, key=key, value=value, headers=tuple(headers)))

    def ready(self) -> bool:
        """False while it is told to refuse."""
        return self.fail_with is None

    def why_not(self) -> str:
        """The code that it refuses with."""
        return f"told to refuse: {self.fail_with}" if self.fail_with else ""

    def note(self) -> str:
        """Nothing."""
        return ""
