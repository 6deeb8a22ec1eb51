"""A publisher in memory: what tests give the ingress in Kafka's place."""

import msgspec

from ingress.kafka.publisher import Settled, WhyNot
from schemas.errors import Unavailable
from schemas.raw import Headers
from tests.support.http.submitting import by_task


class PublishedBody(msgspec.Struct, frozen=True, kw_only=True):
    """One record that a `MemoryPublisher` took."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class MemoryPublisher:
    """Keeps records in a list; `fail_with` makes it refuse as a publisher without Kafka does."""

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

    def submit(
        self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, *, no_retry: bool = False
    ) -> None:
        """Begins what `publish` does."""
        by_task(self.publish(topic, key, value, headers, no_retry=no_retry), settled)

    def why_not(self) -> str:
        """Returns the code that it refuses with, "" while it does not."""
        return f"refuses on purpose: {self.fail_with}" if self.fail_with else ""

    def note(self) -> str:
        """Returns ""."""
        return ""
