"""The Avro versions on the topics after a run: the newest stand there only since the parts were told to write them."""

from collections.abc import Iterator
from typing import Final

import aiokafka
import msgspec

from deploy.local.stack import Stack
from schemas.codec import PREVIOUS, PUBLISHED
from schemas.topics import FACTS, NORMALIZED, TIMELINES
from tests.chaos.judge.judge import Finding

TOPICS: Final = (FACTS.name, NORMALIZED.name, TIMELINES.name)
_HEAD: Final = slice(1, 5)
"""The place of the schema's id in a framed value."""
MESSAGE_PACK: Final = -1
"""Stands for the schema of what is not framed: facts between our own workers."""
_NAMES: Final = {MESSAGE_PACK: "MessagePack", **{one.schema_id: one.file.removesuffix(".avsc") for one in PUBLISHED}}
NEW: Final = frozenset(
    (
        MESSAGE_PACK,
        *(one.schema_id for one in PUBLISHED if one.name in PREVIOUS and one.version > PREVIOUS[one.name]),
    )
)
"""The ids of what the release before cannot read."""


class Written(msgspec.Struct, kw_only=True):
    """The records of one topic with one schema."""

    topic: str
    schema_id: int
    count: int = 0
    first_ms: int
    """The time of the first of them, in milliseconds since 1970."""
    last_ms: int

    def __str__(self) -> str:
        return f"{self.topic} {_NAMES.get(self.schema_id, self.schema_id)}: {self.count}"


async def written(stack: Stack) -> list[Written]:
    """Returns what stands on the topics, by topic and schema."""
    found: dict[tuple[str, int], Written] = {}
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=stack.settings.kafka.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    places = [aiokafka.TopicPartition(topic, n) for topic in TOPICS for n in range(stack.settings.kafka.partitions)]
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    if record.value is not None:
                        _count(found, place.topic, _schema_of(record.value), record.timestamp)
    finally:
        await consumer.stop()
    return [found[key] for key in sorted(found)]


def _schema_of(value: bytes) -> int:
    return MESSAGE_PACK if value[:1] != b"\0" else int.from_bytes(value[_HEAD], "big")


def _count(found: dict[tuple[str, int], Written], topic: str, schema_id: int, at_ms: int) -> None:
    one = found.setdefault((topic, schema_id), Written(topic=topic, schema_id=schema_id, first_ms=at_ms, last_ms=at_ms))
    one.count += 1
    one.first_ms, one.last_ms = min(one.first_ms, at_ms), max(one.last_ms, at_ms)


def out_of_turn(found: list[Written], newest_ms: int | None, *, old_alone_until_ms: int = 0) -> Iterator[Finding]:
    """Yields what the old parts could not have read, and what the new ones did not write when they were to.

    `newest_ms` is when the first part was told to write the newest, None where none was. What stood there while the old
    parts were alone they wrote themselves, so they can read it.
    """
    for one in found:
        early = newest_ms is None or one.first_ms < newest_ms
        if one.schema_id in NEW and early and one.first_ms >= old_alone_until_ms:
            yield Finding(harm="wrong", where=(), text=f"{one} while old parts could be there")
    if newest_ms is None:
        return
    for topic in TOPICS:
        if not any(one.topic == topic and one.schema_id in NEW for one in found):
            yield Finding(harm="wrong", where=(), text=f"{topic}: nothing has the newest version")
