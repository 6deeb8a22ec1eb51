"""Restore: reads a compacted partition up to its end, to rebuild a partition's state.

A plain consumer without a group, batch by batch, as fast as they come, without Faust tables.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from processors.records import RecordBatch, cut, record_of
from schemas.config.settings import KafkaSettings
from schemas.errors import Unavailable
from schemas.kafka import clients

_ASK_MS: Final = 5000
"""Timeout of asking for the end of a partition."""


@contextlib.asynccontextmanager
async def ends(
    kafka: KafkaSettings,
) -> AsyncGenerator[Callable[[str, int], Awaitable[int]], None]:
    """Yield `end(topic, partition)`, which returns the offset of a partition's next record, or raises `Unavailable`."""
    consumer = clients.consumer(kafka, "ends", request_timeout_ms=_ASK_MS)

    async def end(topic: str, partition: int) -> int:
        place = TopicPartition(topic, partition)
        try:
            return int((await consumer.end_offsets([place]))[place])
        except KafkaError as error:
            raise Unavailable(f"Kafka does not tell where {topic}[{partition}] ends: {error!r}") from error

    try:
        await consumer.start()
        yield end
    finally:
        await consumer.stop()


async def restore(
    kafka: KafkaSettings,
    topic: str,
    partition: int,
    end: int,
    *,
    batch_records: int = 2000,
    fetch_bytes: int = 8 << 20,
) -> AsyncGenerator[RecordBatch, None]:
    """Yield the partition's records below the offset `end`, oldest first; None is a deletion. Raises `Unavailable`."""
    consumer = clients.consumer(
        kafka, "restore", make=record_of, max_partition_fetch_bytes=fetch_bytes, isolation_level="read_committed"
    )
    try:
        await consumer.start()
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        while await consumer.position(place) < end:
            for records in (await consumer.getmany(place, timeout_ms=1000, max_records=10 * batch_records)).values():
                below = [record for record in records if record.offset < end]
                for batch in cut(topic, partition, below, batch_records):
                    yield batch
    except KafkaError as error:
        raise Unavailable(f"Kafka does not give {topic}[{partition}]: {error!r}") from error
    finally:
        await consumer.stop()
