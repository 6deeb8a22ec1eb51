"""Sends records to Kafka in batches of our own: one list, one batch and one acknowledgement for many callers.

Records gather while more of them come, for `kafka.linger_ms` at most, until as many wait as did so lately (`Crowd`), or
until they are enough for a request and none is under way, and leave together; aiokafka's `send`, with a future and a
wait for each record, costs client and broker several times as much. A partition has one batch under way. While every
partition has one, records go on gathering: batches grow when Kafka is slow, and a partition that does not answer holds
up no other. This module must not know deadlines, nor who waits.
"""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.partitioner import DefaultPartitioner

from ingress.kafka.batches import Batch, Record, planned
from ingress.kafka.connection import BATCH_BYTES, KafkaConnection
from ingress.kafka.crowd import Crowd
from ingress.kafka.health import KafkaHealth
from ingress.kafka.send_window import SendWindow
from schemas.errors import Unavailable

_TRIES: Final = 3
"""Attempts to send a record whose producer had to be replaced."""
LOOKS: Final = 4
"""Looks within `kafka.linger_ms` for whether more records come: callers that wait for each other's answers send their
next requests at the same time, and then none of them."""
ENOUGH: Final = 16
"""Records that are worth a request of their own where none is under way."""
_LOOK_S: Final = 0.01
_NOT_THE_PRODUCER: Final = (KafkaTimeoutError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError)
"""Failures that another producer would have as well, and that leave no hole in this one's sequence."""
_PARTITIONER: Final = DefaultPartitioner()

_log = logging.getLogger("callweave.ingress.kafka")


class Sender:
    """Gathers records and sends them through the connection's producer of the moment."""

    def __init__(
        self,
        connection: KafkaConnection,
        health: KafkaHealth,
        window: SendWindow,
        *,
        linger_s: float,
        spread: Collection[str],
    ) -> None:
        """`spread` are the topics whose records may lie on any partition; on others the key chooses it."""
        self._connection = connection
        self._health = health
        self._window = window
        self.linger_s = linger_s
        self._spread = spread
        self._crowd = Crowd()
        self._turn = 0
        self._queues: dict[str, list[Record]] = {}
        self._gathered_bytes = 0
        self._gathered = 0
        self._gathering: asyncio.TimerHandle | None = None
        self._due = asyncio.Event()
        self._crowded = False
        """True while records wait for a partition or for room."""
        self._busy: set[tuple[AIOKafkaProducer, str, int]] = set()
        """The partitions that have a batch under way; those of a producer that was replaced hold up only itself."""
        self._handed: dict[asyncio.Future[object], tuple[float, AIOKafkaProducer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begins to send."""
        self._spawn(self._run())

    async def finish(self, within_s: float) -> int:
        """Sends what has gathered and waits for it; returns the number of batches that are not acknowledged in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._busy or any(record.waits for queue in self._queues.values() for record in queue):
                    self._due.set()
                    await asyncio.sleep(_LOOK_S)
        return len(self._busy)

    async def stop(self) -> None:
        """Ends at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def put(self, record: Record, now: float) -> None:
        """Takes a record, to be sent together with those that come in the same moment; `now` is the loop's time."""
        self._queues.setdefault(record.topic, []).append(record)
        self._gathered_bytes += record.size
        self._gathered += 1
        if self._crowd.join(now) or self._gathered_bytes >= BATCH_BYTES or self._is_enough():
            self._due.set()
        elif self._gathering is None:
            self._gather(0, LOOKS)

    def over(self) -> None:
        """Counts a record out whose caller waits no more."""
        self._crowd.leave()

    def _is_enough(self) -> bool:
        return not self._busy and self._gathered >= ENOUGH

    def _gather(self, bytes_before: int, looks_left: int) -> None:
        """Ends the gathering when nothing came since the look before, and at the last look in any case."""
        if not looks_left or self._gathered_bytes == bytes_before:
            self._due.set()
            return
        self._gathering = asyncio.get_running_loop().call_later(
            self.linger_s / LOOKS, self._gather, self._gathered_bytes, looks_left - 1
        )

    @property
    def oldest_since(self) -> float | None:
        """The time at which the oldest unacknowledged batch was handed to the producer, None when there is none.

        What a producer that was replaced still holds says nothing about the one in use.
        """
        current = self._connection.current
        return next((since for since, holder in self._handed.values() if holder is current), None)

    def cut(self, producer: AIOKafkaProducer) -> None:
        """Fails the batches of a closed producer, which aiokafka leaves without a result for ever."""
        for fate, (_, holder) in tuple(self._handed.items()):
            if holder is producer and not fate.done():
                fate.set_exception(KafkaConnectionError("the producer was closed"))

    async def _run(self) -> None:
        while True:
            await self._due.wait()
            producer = await self._connection.producer()
            self._due.clear()
            self._crowded = False
            self._gathered_bytes = 0
            self._gathered = 0
            if self._gathering is not None:
                self._gathering.cancel()
                self._gathering = None
            for topic in tuple(self._queues):
                try:
                    await self._send(producer, topic)
                except Exception as exc:  # noqa: BLE001  # nothing may end the one task that sends
                    self._refuse(self._queues.pop(topic), exc)

    async def _send(self, producer: AIOKafkaProducer, topic: str) -> None:
        """Sends the records of a topic for which there is room; the others wait until a batch is acknowledged."""
        partitions = sorted(await producer.partitions_for(topic))
        led = producer.client.cluster.available_partitions_for_topic(topic) or partitions
        self._turn += 1
        batches, rest = planned(
            self._queues[topic],
            [
                each
                for each in _turned(partitions, self._turn)
                if each in led and (producer, topic, each) not in self._busy
            ],
            self._window,
            producer.create_batch,
            None if topic in self._spread else lambda key: _PARTITIONER(key, partitions, partitions),
        )
        if rest:
            self._queues[topic] = rest
            self._crowded = True
        else:
            del self._queues[topic]
        for batch in batches:
            self._busy.add((producer, topic, batch.partition))
            self._spawn(self._deliver(producer, batch))

    async def _deliver(self, producer: AIOKafkaProducer, batch: Batch) -> None:
        again: list[Record] = []
        try:
            await self._acknowledged(producer, batch)
        except Exception as exc:  # noqa: BLE001  # whatever it is, the callers must hear of it
            again = self._failed(producer, batch, exc)
        else:
            self._health.acknowledged(_now())
            for record in batch.records:
                record.settle()
        self._busy.discard((producer, batch.topic, batch.partition))
        self._window.take_back(batch.size)
        if again:
            self._queues[batch.topic] = [*again, *self._queues.get(batch.topic, ())]
        if again or self._crowded or self._is_enough():
            self._due.set()

    async def _acknowledged(self, producer: AIOKafkaProducer, batch: Batch) -> None:
        """Returns after Kafka's acknowledgement."""
        batch.builder.close()  # aiokafka lets an open one linger
        sending = await producer.send_batch(batch.builder, batch.topic, partition=batch.partition)
        fate: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        sending.add_done_callback(partial(_pass_on, fate))
        self._handed[fate] = (_now(), producer)
        try:
            await fate
        finally:
            del self._handed[fate]

    def _failed(self, producer: AIOKafkaProducer, batch: Batch, error: Exception) -> list[Record]:
        """Returns the records of a failed batch that are to be sent again, and tells the others their fate."""
        if isinstance(error, _NOT_THE_PRODUCER):
            self._refuse(batch.records, error)
            return []
        _log_unknown(error)
        # The failed batch has used up sequence numbers: after this hole the broker refuses the partition's batches
        # (OutOfOrderSequenceNumber) while this producer lives (aio-libs/aiokafka#1017).
        self._connection.replace(producer, error)
        if isinstance(error, MessageSizeTooLargeError) and len(batch.records) == 1:
            batch.records[0].settle(oversize(len(batch.records[0].value)))
            return []
        again: list[Record] = []
        for record in batch.records:
            record.handed = False
            record.tries += 1
            record.alone |= isinstance(error, MessageSizeTooLargeError)  # one of them is too large, or only their sum
            if record.waits and record.tries < _TRIES:
                again.append(record)
            else:
                record.settle(Unavailable(f"Kafka refuses the record: {type(error).__name__}", code="kafka"))
        return again

    def _refuse(self, records: Sequence[Record], error: Exception) -> None:
        _log_unknown(error)
        if isinstance(error, TopicAuthorizationFailedError):
            self._connection.doubt()
        for record in records:
            record.settle(Unavailable(f"Kafka does not take the record: {type(error).__name__}", code="kafka"))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def oversize(size: int) -> Unavailable:
    """Returns the error of a record that Kafka would refuse whenever it is sent."""
    return Unavailable(f"a record of {size} bytes is larger than Kafka takes", code="oversize")


def _log_unknown(error: Exception) -> None:
    if not isinstance(error, KafkaError):
        _log.error("sending failed in an unknown way", exc_info=error)


def _turned(partitions: list[int], turn: int) -> list[int]:
    start = turn % len(partitions)
    return partitions[start:] + partitions[:start]


def _pass_on(fate: "asyncio.Future[object]", sending: "asyncio.Future[Any]") -> None:
    error = None if sending.cancelled() else sending.exception()
    if fate.done():
        return
    if error is None:
        fate.set_result(None)
    else:
        fate.set_exception(error)


def _now() -> float:
    return asyncio.get_running_loop().time()
