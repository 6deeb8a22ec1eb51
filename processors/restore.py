"""Reads a compacted changelog partition from its beginning to its end, to rebuild a partition's state.

A plain consumer without a group, slice by slice, as fast as it comes: no Faust table stands behind it. The end is the
one seen at the start: the partition's only writer is the one who restores, or it has lost the partition.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiokafka
from aiokafka import TopicPartition

from processors.records import Slice, cut


async def restore(
    bootstrap: str,
    topic: str,
    partition: int,
    *,
    slice_records: int = 2000,
    fetch_bytes: int = 8 << 20,
    client: Mapping[str, Any] | None = None,
) -> AsyncGenerator[Slice, None]:
    """Yield everything that lies on the partition now, oldest first; a value of None is a deletion."""
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id="callweave-restore",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=fetch_bytes,
        isolation_level="read_committed",
        **(client or {}),
    )
    try:
        await consumer.start()
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        end = (await consumer.end_offsets([place]))[place]
        while await consumer.position(place) < end:
            for records in (await consumer.getmany(place, timeout_ms=1000, max_records=10 * slice_records)).values():
                for slice_ in cut(topic, partition, records, slice_records):
                    yield slice_
    finally:
        await consumer.stop()
