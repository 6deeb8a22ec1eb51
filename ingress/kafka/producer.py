"""Publishes to Kafka through one idempotent producer, with a deadline, a bound on memory and a health of our own.

aiokafka repeats an unacknowledged batch without end and waits for metadata inside `send`; neither suits a vendor that
hangs up after some hundred milliseconds. Therefore a record is given up at the deadline (it may still arrive, and is
then a duplicate), new records are refused at once while Kafka is known to be away, and the bytes of a record that was
given up count until Kafka has acknowledged it. This module must not know HTTP or vendors.
"""

import asyncio
import contextlib
import logging
from typing import Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from ingress.kafka.connection import KafkaConnection
from ingress.kafka.health import KafkaHealth
from ingress.kafka.send_window import SendWindow
from schemas.config.settings import KafkaSettings
from schemas.errors import Unavailable
from schemas.raw import Headers
from schemas.topics import RAW

WINDOW_BYTES: Final = 32 * 1024 * 1024
_RECORD_BYTES: Final = 512
"""Rough cost of a record beside its value and headers."""
_STOP_S: Final = 5.0
"""The longest time that a stop waits for acknowledgements."""
_TRIES: Final = 3
"""Attempts to send a record whose producer had to be replaced."""
_NOT_THE_PRODUCER: Final = (KafkaTimeoutError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError)
"""Failures that another producer would have as well, and that leave no hole in this one's sequence."""

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
    ) -> None:
        """`topics` must exist before it is ready; `role` is the name of the part or command in the table of rights."""
        self._deadline_s = deadline_s
        self._max_value_bytes = max_value_bytes
        self._health = KafkaHealth(kafka.bootstrap)
        self._connection = KafkaConnection(
            kafka, role=role, topics=topics, max_value_bytes=max_value_bytes, health=self._health, on_closed=self._cut
        )
        self._window = SendWindow(limit_bytes=max_buffer_bytes, window_bytes=WINDOW_BYTES)
        self._late_bytes = 0
        self._handed: dict[asyncio.Future[object], tuple[float, AIOKafkaProducer]] = {}

    def use(self, kafka: KafkaSettings, *, max_value_bytes: int) -> None:
        """Publishes with these settings from now on."""
        self._max_value_bytes = max_value_bytes
        self._connection.use(kafka, max_value_bytes=max_value_bytes)

    async def start(self) -> None:
        """Connects, but also starts without Kafka: it is then not ready until Kafka is there."""
        await self._connection.start()

    async def stop(self) -> None:
        """Waits a bounded time for unacknowledged records, then closes."""
        if self._handed:
            await asyncio.wait(tuple(self._handed), timeout=_STOP_S)
        if self._handed:
            _log.warning(
                "stopped with records unacknowledged, none of which was acknowledged to its sender: %d",
                len(self._handed),
            )
        await self._connection.stop()

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
        oldest = next(iter(self._handed.values()), None)
        return self._health.trouble(_now(), oldest[0] if oldest else None)

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
        deadline_s = self._deadline_s if within_s is None else within_s
        if trouble := self.why_not():
            raise Unavailable(trouble, code="kafka")
        if len(value) > self._max_value_bytes:
            raise _oversize(len(value))
        record = _Record(topic=topic, key=key, value=value, headers=headers)
        self._window.admit(record.size)
        tries: list[asyncio.Future[object]] = []
        try:
            async with asyncio.timeout(deadline_s):
                await self._publish(record, tries)
        except TimeoutError as exc:
            raise AckTimeout(f"Kafka did not acknowledge within {deadline_s:g} s", _undecided(tries)) from exc
        finally:
            if tries and not tries[-1].done():
                self._outlive(tries[-1], record.size)
            else:
                self._window.release(record.size)

    async def _publish(self, record: "_Record", tries: list[asyncio.Future[object]]) -> None:
        while True:
            producer = await self._connection.producer()
            try:
                tries.append(await self._hand_over(producer, record))
                await asyncio.shield(tries[-1])
            except _NOT_THE_PRODUCER as exc:
                if isinstance(exc, TopicAuthorizationFailedError):
                    self._connection.doubt()
                raise Unavailable(f"Kafka does not take the record: {type(exc).__name__}", code="kafka") from exc
            except KafkaError as exc:
                # The failed batch has used up sequence numbers: after this hole the broker refuses the partition's
                # batches (OutOfOrderSequenceNumber) while this producer lives (aio-libs/aiokafka#1017).
                self._connection.replace(producer, exc)
                if isinstance(exc, MessageSizeTooLargeError):
                    raise _oversize(len(record.value)) from exc
                if len(tries) >= _TRIES:
                    raise Unavailable(f"Kafka refuses the record: {type(exc).__name__}", code="kafka") from exc
            else:
                return

    async def _hand_over(self, producer: AIOKafkaProducer, record: "_Record") -> "asyncio.Future[object]":
        await self._window.hand_over(record.size)
        try:
            future: asyncio.Future[object] = await producer.send(
                record.topic, record.value, key=record.key, headers=record.headers
            )
        except MessageSizeTooLargeError as exc:  # the client's own limit: nothing was sent, the producer is as it was
            self._window.take_back(record.size)
            raise _oversize(len(record.value)) from exc
        except BaseException:
            self._window.take_back(record.size)
            raise
        self._handed[future] = (_now(), producer)
        future.add_done_callback(lambda done: self._settle(done, record.size))
        return future

    def _outlive(self, sending: "asyncio.Future[object]", size: int) -> None:
        def over(_: "asyncio.Future[object]") -> None:
            self._window.release(size)
            self._late_bytes -= size

        self._late_bytes += size
        sending.add_done_callback(over)

    def _cut(self, producer: AIOKafkaProducer) -> None:
        """Fails the records of a closed producer, which aiokafka leaves without a result for ever."""
        for future, (_, holder) in tuple(self._handed.items()):
            if holder is producer and not future.done():
                future.set_exception(KafkaConnectionError("the producer was closed"))

    def _settle(self, future: asyncio.Future[object], size: int) -> None:
        del self._handed[future]
        self._window.take_back(size)
        with contextlib.suppress(asyncio.CancelledError):
            if future.exception() is None:
                self._health.acknowledged(_now())


class _Record:
    """One record on its way, and its rough cost in memory and on the wire."""

    __slots__ = ("headers", "key", "size", "topic", "value")

    def __init__(self, *, topic: str, key: bytes, value: bytes, headers: Headers) -> None:
        self.topic = topic
        self.key = key
        self.value = value
        self.headers = headers
        self.size = _RECORD_BYTES + len(key) + len(value) + sum(len(name) + len(text) for name, text in headers)


def _undecided(tries: "list[asyncio.Future[object]]") -> "asyncio.Future[object] | None":
    """Returns the last attempt when its fate is open; one that failed while the next was prepared will never arrive."""
    return tries[-1] if tries and not (tries[-1].done() and tries[-1].exception() is not None) else None


def _oversize(size: int) -> Unavailable:
    return Unavailable(f"a record of {size} bytes is larger than Kafka takes", code="oversize")


def _now() -> float:
    return asyncio.get_running_loop().time()
