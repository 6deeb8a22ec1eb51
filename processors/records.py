"""Records of a topic, in batches of one partition: the input of every stage. Pure; it knows neither Kafka nor Faust."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import msgspec

Partition = tuple[str, int]
"""A topic's name and the number of one of its partitions."""


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One Kafka record as it is on the topic."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def record_of(_place: object, record: Any) -> Record:
    """Return a record of aiokafka's, of whichever class, as one of ours."""
    return Record(
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
    )


class RecordBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive records of one partition, the unit of work and of acknowledgement."""

    topic: str
    partition: int
    records: tuple[Record, ...]
    first_offset: int
    next_offset: int
    """The offset that is committed when this batch and all before it are done."""
    epoch: int = 0
    """Assignment epoch: changes when another process may have worked on the partition, so that state must be
    restored."""
    ticket: int = 0
    """Number that ties the acknowledgement to this very delivery."""


def cut(topic: str, partition: int, records: Sequence[Record], size: int) -> Iterator[RecordBatch]:
    """Cut records of one partition into batches of at most `size` records."""
    for at in range(0, len(records), size):
        part = records[at : at + size]
        yield RecordBatch(
            topic=topic,
            partition=partition,
            records=tuple(part),
            first_offset=part[0].offset,
            next_offset=part[-1].offset + 1,
        )


def interleave(fetched: Mapping[Partition, Sequence[Record]], size: int) -> Iterator[RecordBatch]:
    """Cut a fetch into batches, one of each partition in turn, so that no partition waits for another's backlog."""
    cuts = [cut(topic, partition, records, size) for (topic, partition), records in fetched.items()]
    for turn in zip_longest(*cuts):
        yield from (batch for batch in turn if batch is not None)
