"""What a step gets: records as they lie on a topic, in slices of one partition. Pure; it knows neither Kafka nor Faust."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import msgspec

Partition = tuple[str, int]
"""A topic's name and the number of one of its partitions."""


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One Kafka record as it lies on the topic."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class RecordBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive records of one partition, the unit of work and of acknowledgement."""

    topic: str
    partition: int
    records: tuple[Record, ...]
    first_offset: int
    next_offset: int
    """Where the partition goes on: the offset that is committed when this slice and all before it are done."""
    epoch: int = 0
    """Changes when another process may have worked on this partition: state in memory is then to be restored."""
    ticket: int = 0
    """Ties the acknowledgement to this very delivery."""


def cut(topic: str, partition: int, records: list[Any], size: int) -> Iterator[RecordBatch]:
    """Cut aiokafka's records of one partition into slices of at most `size` records."""
    for at in range(0, len(records), size):
        part = records[at : at + size]
        yield RecordBatch(
            topic=topic,
            partition=partition,
            records=tuple(
                Record(offset=r.offset, timestamp_ms=r.timestamp, key=r.key, value=r.value, headers=tuple(r.headers))
                for r in part
            ),
            first_offset=part[0].offset,
            next_offset=part[-1].offset + 1,
        )


def interleave(fetched: Mapping[Partition, list[Any]], size: int) -> Iterator[RecordBatch]:
    """Cut a fetch into slices, one of each partition in turn, so that no partition waits for another's backlog."""
    cuts = [cut(topic, partition, records, size) for (topic, partition), records in fetched.items()]
    for turn in zip_longest(*cuts):
        yield from (slice_ for slice_ in turn if slice_ is not None)
