"""Publishes to Kafka through one idempotent producer, with a deadline, a bound on memory and a health of our own.

aiokafka repeats an unacknowledged batch without end and waits for metadata inside `send`; neither suits a vendor that
hangs up after some hundred milliseconds. Therefore a record is given up at the deadline (it may still arrive, and is
then a duplicate), new records are refused at once while Kafka is known to be away, and the bytes of a record that was
given up count until Kafka has acknowledged it. This module must not know HTTP or vendors.
"""

import asyncio
import logging
from collections.abc import Collection
from functools import partial
from typing import Final, Self

from aiokafka import AIOKafkaProducer

from ingress.kafka.batches import Record
from ingress.kafka.connection import HEADER_BYTES, KafkaConnection
from ingress.kafka.deadlines import Deadlines
from ingress.kafka.health import KafkaHealth
from ingress.kafka.publisher import Settled, settle
from ingress.kafka.send_window import SendWindow
from ingress.kafka.sender import Sender, oversize
from schemas.config.settings import KafkaSettings
from schemas.errors import Unavailable, raised_at
from schemas.raw import Headers
from schemas.topics import RAW

WINDOW_BYTES: Final = 32 * 1024 * 1024
_STOP_S: Final = 5.0
"""The longest time that a stop waits for acknowledgements."""
_log = logging.getLogger("callweave.ingress.kafka")


class AckTimeout(Unavailable):
    """Raised when a record was not acknowledged in time (code `timeout`).

    `later` is its open result, None if it was never sent.
    """

    def __init__(self, message: str, later: "asyncio.Future[object] | None") -> None:
        super().__init__(message, code="timeout")
        self.later = later


class KafkaPublisher:
    """A `Publisher` over Kafka; use it as an async context manager."""

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        deadline_s: float,
        max_buffer_bytes: int,
        max_value_bytes: int,
        topics: tuple[str, ...] = (RAW.name,),
        role: str = "ingress",
        spread: Collection[str] = (),
    ) -> None:
        """`topics` must exist before it is ready; `role` is the name of the part or command in the table of rights.

        Records of a topic in `spread` may lie on any partition, so that those of many keys share a batch.
        """
        self._deadline_s = deadline_s
        self._max_value_bytes = max_value_bytes
        self._health = KafkaHealth(kafka.bootstrap)
        self._connection = KafkaConnection(
            kafka, role=role, topics=topics, max_value_bytes=max_value_bytes, health=self._health, on_closed=self._cut
        )
        self._window = SendWindow(limit_bytes=max_buffer_bytes, window_bytes=WINDOW_BYTES)
        self._sender = Sender(
            self._connection, self._health, self._window, linger_s=kafka.linger_ms / 1000, spread=spread
        )
        self._deadlines = Deadlines(_give_up)
        self._late_bytes = 0

    def use(self, kafka: KafkaSettings, *, max_value_bytes: int) -> None:
        """Publishes with these settings from now on."""
        self._max_value_bytes = max_value_bytes
        self._sender.linger_s = kafka.linger_ms / 1000
        self._connection.use(kafka, max_value_bytes=max_value_bytes)

    async def start(self) -> None:
        """Connects, but also starts without Kafka: it is then not ready until Kafka is there."""
        self._sender.start()
        await self._connection.start()

    async def stop(self) -> None:
        """Waits a bounded time for unacknowledged records, then closes."""
        if left := await self._sender.finish(_STOP_S):
            _log.warning("stopped with batches unacknowledged, of which no sender was told success: %d", left)
        await self._connection.stop()
        await self._sender.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that Kafka has not acknowledged yet."""
        return self._window.waiting_bytes

    @property
    def late_bytes(self) -> int:
        """Bytes of those that belong to records whose `publish` is over."""
        return self._late_bytes

    def why_not(self) -> str:
        """Returns why it is not ready, "" when it is."""
        return self._health.trouble(_now(), self._sender.oldest_since)

    def note(self) -> str:
        """Returns "": it is ready or it is not."""
        return ""

    async def publish(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        headers: Headers,
        *,
        no_retry: bool = False,  # noqa: ARG002  # one bound for all: a record that is refused here goes to the spool
        within_s: float | None = None,
    ) -> None:
        """Returns after Kafka's acknowledgement; see `Publisher.publish`.

        Raises `AckTimeout` after `within_s` seconds, without it after the deadline of this publisher.
        """
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        record = self._begin(topic, key, value, headers, partial(settle, told), within_s)
        try:
            await told
        finally:
            record.conclude()  # where its caller was cancelled

    def submit(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        headers: Headers,
        settled: Settled,
        *,
        no_retry: bool = False,  # noqa: ARG002  # as for `publish`
        within_s: float | None = None,
    ) -> None:
        """Begins what `publish` does; see `Publisher.submit`."""
        try:
            self._begin(topic, key, value, headers, settled, within_s)
        except Unavailable as exc:
            settled(exc)

    def _begin(
        self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, within_s: float | None
    ) -> Record:
        """Returns a record under way, of which `settled` will hear; raises Unavailable where it is refused at once."""
        now = _now()
        if trouble := self._health.trouble(now, self._sender.oldest_since):
            raise Unavailable(trouble, code="kafka")
        record = Record(topic, key, value, headers, partial(self._over, settled))
        if len(value) > self._max_value_bytes or record.size > self._max_value_bytes + HEADER_BYTES:
            raise oversize(len(value))
        self._window.admit(record.size)
        self._deadlines.add(record, now, self._deadline_s if within_s is None else within_s)
        self._sender.put(record, now)
        return record

    def _over(self, settled: Settled, record: Record, error: Unavailable | None) -> None:
        self._sender.over()
        record.value = b""  # nobody waits for it any more, so it is not sent again
        if record.handed:
            self._outlive(record)
        else:
            self._window.release(record.size)
        try:
            settled(error)
        except Exception as exc:  # noqa: BLE001  # no caller may keep their fate from those that share its batch
            _log.error("a caller failed when it was told of its record: error=%s", raised_at(exc))

    def _outlive(self, record: Record) -> None:
        def over(_: "asyncio.Future[object]") -> None:
            self._window.release(record.size)
            self._late_bytes -= record.size

        self._late_bytes += record.size
        record.outlive().add_done_callback(over)

    def _cut(self, producer: AIOKafkaProducer) -> None:
        self._sender.cut(producer)


def _give_up(record: Record, after_s: float) -> None:
    """Ends the wait for a record; one that Kafka's client has may still arrive."""
    later = record.outlive() if record.handed else None
    record.conclude(AckTimeout(f"Kafka did not acknowledge within {after_s:g} s", later))


def _now() -> float:
    return asyncio.get_running_loop().time()
