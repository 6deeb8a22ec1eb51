"""The sink's membership in its consumer group, and the return to the committed offsets after a rebalance.

Rows read before a rebalance are dropped: the owner of a partition starts at its committed offset, and rows may be
inserted twice. So a rebalance never waits for an insert.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError

from schemas.config.settings import KafkaSettings, SinkSettings
from schemas.kafka import clients
from schemas.kafka.away import away, require
from schemas.raw import Position
from schemas.topics import MAX_MESSAGE_BYTES, SINK_GROUP
from sinks.flush.batch import Origin
from sinks.typed_records import TOPICS

log: Final = logging.getLogger(__name__)

GROUP: Final = SINK_GROUP
STOP_S: Final = 10.0
_PAUSE_S: Final = 0.05


class RebalanceCounter(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Counts rebalances, so that a reader sees that its partitions may have changed hands."""

    def __init__(self) -> None:
        self.count = 0

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002 - the interface's
        """Counts the first half of a rebalance: partitions may go to other members."""
        self.count += 1

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:  # noqa: ARG002 - the interface's
        """Counts the second half: a record handed out between the two may belong to either assignment."""
        self.count += 1

    def end(self) -> None:
        """Counts the partitions as lost when a commit is refused, which happens before the consumer notices."""
        self.count += 1


async def rewind(consumer: AIOKafkaConsumer, rebalances: RebalanceCounter) -> int:
    """Seeks every assigned partition to its committed offset, or to its beginning.

    Returns the count of rebalances for which the positions hold.
    """
    while True:
        count = rebalances.count
        try:
            partitions = list(consumer.assignment())
            committed = await asyncio.gather(*map(consumer.committed, partitions))
            fresh = [tp for tp, offset in zip(partitions, committed, strict=True) if offset is None]
            if fresh:
                await consumer.seek_to_beginning(*fresh)
            for tp, offset in zip(partitions, committed, strict=True):
                if offset is not None:
                    consumer.seek(tp, offset)
        except IllegalStateError:  # a rebalance came in between
            await asyncio.sleep(_PAUSE_S)
            continue
        if count == rebalances.count:
            return count


def origin_of(place: TopicPartition, record: Any) -> Origin:
    """Returns a record of aiokafka's, of whichever class, as one of ours."""
    return Origin(
        position=Position(place.topic, place.partition, record.offset),
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
        timestamp_ms=record.timestamp,
    )


@contextlib.asynccontextmanager
async def member(
    kafka: KafkaSettings, sink: SinkSettings
) -> AsyncIterator[tuple[AIOKafkaConsumer, RebalanceCounter, AIOKafkaProducer]]:
    """Yields the sink's consumer, its rebalance counter and a producer for dead letters; raises `Unavailable`."""
    await require(kafka, "sink")
    session_ms = int(sink.session_timeout_s * 1000)
    consumer = clients.consumer(
        kafka,
        "sink",
        make=origin_of,
        group_id=GROUP,
        group_instance_id=sink.instance or None,
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=max(1, min(3000, session_ms // 3)),
        # A topic without a leader when the group formed is noticed this late; after a broker's restart all are such.
        metadata_max_age_ms=3_000,
    )
    producer = clients.producer(kafka, "sink", max_request_size=MAX_MESSAGE_BYTES)
    rebalances = RebalanceCounter()
    consumer.subscribe(TOPICS, listener=rebalances)
    try:
        await producer.start()
        await consumer.start()
    except KafkaError as exc:
        await stop_all(consumer, producer)
        raise await away(kafka, exc, role="sink") from exc
    try:
        yield consumer, rebalances, producer
    finally:
        await stop_all(consumer, producer)


async def stop_all(*clients: AIOKafkaConsumer | AIOKafkaProducer, within_s: float = STOP_S) -> None:
    """Stops these clients independently of each other; after `within_s` seconds one is left to the process's end.

    While Kafka is away, the consumer of aiokafka 0.14.0 may hang here, or raise the cancellation of its own fetches.
    """
    stopping = [asyncio.ensure_future(client.stop()) for client in clients]
    _, late = await asyncio.wait(stopping, timeout=within_s)
    for task in late:
        task.cancel()
    for error in await asyncio.gather(*stopping, return_exceptions=True):
        if error is not None:
            log.warning("a Kafka client did not stop in order: %s", type(error).__name__)
