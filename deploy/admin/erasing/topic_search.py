"""The topics: counts the records of an erasure, tells until when Kafka has them, and blanks the compacted calls."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from deploy.admin.erasing.tables import Progress, Sought
from schemas.codec import Codecs
from schemas.config.settings import KafkaSettings
from schemas.erasing.erased_letters import body_holds, kept_letter
from schemas.errors import Unavailable, Undecodable
from schemas.kafka import clients
from schemas.kafka.away import away
from schemas.raw import raw_from_kafka
from schemas.topics import DEAD, FACTS, NORMALIZED, RAW, TIMELINES

SEARCHED: Final = (RAW.name, FACTS.name, NORMALIZED.name, DEAD.name)
"""Topics on which nobody can change a record: it goes when its time is over."""
_POLL_MS: Final = 1_000
_MOST_RECORDS: Final = 2_000
_TELL_EVERY: Final = 50_000
_DAY_MS: Final = 24 * 3600 * 1000
_CLEANER: Final = timedelta(minutes=15)
"""Longest time after which Kafka looks again for segments to delete or to compact, by its defaults."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """The records of one topic that an erasure covers."""

    records: int = 0
    read: int = 0
    complete: bool = True
    """False where more records were there than were to be read."""
    newest_at: datetime | None = None
    """The append time of the newest of them."""


class TopicReader:
    """Reads partitions up to their present ends."""

    def __init__(self, kafka: KafkaSettings, consumer: AIOKafkaConsumer) -> None:
        self._kafka = kafka
        self._consumer = consumer

    async def records(self, topic: str, begins: Mapping[int, int] | None = None) -> AsyncIterator[Any]:
        """Yields the records from these offsets, or from the first; and then, at last, the ends by partition."""
        places = [TopicPartition(topic, number) for number in range(self._kafka.partitions)]
        self._consumer.assign(places)
        ends = await self._consumer.end_offsets(places)
        starts = await self._consumer.beginning_offsets(places)
        for place in places:
            self._consumer.seek(place, max(starts[place], (begins or {}).get(place.partition, 0)))
        left = {place for place in places if max(starts[place], (begins or {}).get(place.partition, 0)) < ends[place]}
        while left:
            found = await self._consumer.getmany(*left, timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
            for place, records in found.items():
                for record in records:
                    if record.offset < ends[place]:
                        yield record
            done = [place for place in left if await self._consumer.position(place) >= ends[place]]
            left.difference_update(done)
        yield {place.partition: ends[place] for place in places}


@contextlib.asynccontextmanager
async def reading(kafka: KafkaSettings) -> AsyncIterator[TopicReader]:
    """Yields a reader; raises `Unavailable`."""
    consumer = clients.consumer(kafka, "erase", max_partition_fetch_bytes=4 << 20)
    try:
        await consumer.start()
        yield TopicReader(kafka, consumer)
    except KafkaError as exc:
        raise await away(kafka, exc, role="erase") from exc
    finally:
        await consumer.stop()


async def count(reader: TopicReader, topic: str, sought: Sought, codecs: Codecs, limit: int, tell: Progress) -> Counted:
    """Returns how many records of a topic the erasure covers, of at most `limit` that are read."""
    found, read = 0, 0
    newest_ms = 0
    async for record in reader.records(topic):
        if isinstance(record, dict):
            break
        read += 1
        if covers(topic, record, sought, codecs):
            found += 1
            newest_ms = max(newest_ms, record.timestamp)
        if read % _TELL_EVERY == 0:
            tell(f"{topic}: {read} records read")
        if read >= limit:
            return _counted(found, read, newest_ms, complete=False)
    return _counted(found, read, newest_ms, complete=True)


def _counted(found: int, read: int, newest_ms: int, *, complete: bool) -> Counted:
    newest = datetime.fromtimestamp(newest_ms / 1000, UTC) if newest_ms else None
    return Counted(records=found, read=read, complete=complete, newest_at=newest)


def covers(topic: str, record: Any, sought: Sought, codecs: Codecs) -> bool:
    """True for a record that the erasure covers; one that cannot be read is none."""
    if record.value is None:
        return False
    try:
        return _COVERS[topic](record, sought, codecs)
    except Undecodable:
        return False


def _covers_raw(record: Any, sought: Sought, _codecs: Codecs) -> bool:
    raw = raw_from_kafka(record.value, record.headers, record.timestamp)
    if sought.erasures.has_account(raw.account, raw.received_at):
        return True
    test = sought.erasures.test(raw.account, raw.received_at)
    return sought.in_texts and body_holds(raw.body, raw.content_encoding, test)


def _covers_fact(record: Any, sought: Sought, codecs: Codecs) -> bool:
    if sought.needle not in record.value:
        return False
    fact = codecs.stage_fact.decode(record.value)  # reads both topics
    return sought.erasures.fact(fact) is not fact


def _covers_timeline(record: Any, sought: Sought, codecs: Codecs) -> bool:
    if sought.needle not in record.value:
        return False
    timeline = codecs.timeline.decode(record.value)
    return sought.erasures.timeline(timeline) is not timeline


def _covers_letter(record: Any, sought: Sought, codecs: Codecs) -> bool:
    letter = codecs.dead_letter.decode(record.value)
    return kept_letter(letter, sought.erasures) is not letter


_COVERS: Final[Mapping[str, Callable[[Any, Sought, Codecs], bool]]] = {
    RAW.name: _covers_raw,
    FACTS.name: _covers_fact,
    NORMALIZED.name: _covers_fact,
    TIMELINES.name: _covers_timeline,
    DEAD.name: _covers_letter,
}


class _Call(msgspec.Struct):
    """The knowledge of one call on the compacted topic."""

    partition: int
    version: int
    value: bytes | None
    """The blanked form of the highest version; None for a call of an erased account."""
    clear: bool
    """True while the last record of the call is not this one."""


class CompactedTimelines:
    """The calls of an erasure on `calls.timelines`, whose last record must be the blanked form of the newest version.

    A later record with the same key is all that compaction needs to remove the clear ones. Consumers of the topic see
    no call vanish and come again, as they would by a tombstone in between.
    """

    def __init__(self, reader: TopicReader, producer: AIOKafkaProducer | None, sought: Sought, codecs: Codecs) -> None:
        self._reader = reader
        self._producer = producer
        self._sought = sought
        self._codecs = codecs
        self._ends: dict[int, int] = {}
        self._calls: dict[bytes, _Call] = {}
        self.found = 0
        """Records in clear that were read."""

    async def look(self) -> int:
        """Reads what is new; returns the number of calls whose last record is not yet the right one."""
        async for record in self._reader.records(TIMELINES.name, self._ends):
            if isinstance(record, dict):
                self._ends = record
            else:
                self._take(record)
        return sum(call.clear for call in self._calls.values())

    def _take(self, record: Any) -> None:
        known = self._calls.get(record.key)
        if record.value is None:
            if known is not None:
                known.clear = known.value is not None
            return
        covered = covers(TIMELINES.name, record, self._sought, self._codecs)
        self.found += covered
        if not covered and known is None:
            return
        try:
            timeline = self._codecs.timeline.decode(record.value)
        except Undecodable:
            return
        kept = self._sought.erasures.timeline(timeline)
        if known is None or timeline.version >= known.version:
            value = None if kept is None else self._codecs.timeline.encode(kept)
            self._calls[record.key] = _Call(
                partition=record.partition, version=timeline.version, value=value, clear=covered
            )
        else:
            known.clear = True  # an older version came later: the last record must be the newest

    async def write(self) -> int:
        """Writes the right record for every call that needs it; returns their number. Raises `Unavailable`."""
        assert self._producer is not None, "a dry run writes nothing"
        due = [(key, call) for key, call in self._calls.items() if call.clear]
        try:
            sent = [
                await self._producer.send(TIMELINES.name, call.value, key=key, partition=call.partition)
                for key, call in due
            ]
            for acknowledged in sent:
                await acknowledged
        except KafkaError as exc:
            raise Unavailable(f"Kafka did not take every blanked call: {type(exc).__name__}") from exc
        return len(due)


async def kept_until(kafka: KafkaSettings, topic: str, newest_at: datetime) -> datetime | None:
    """Returns when Kafka has removed what is on a topic by now, at the latest; None where it never does."""
    admin = clients.admin(kafka, "erase")
    await admin.start()
    try:
        answer = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    values = {entry[0]: entry[1] for entry in answer[0].resources[0][4]}
    return removed_by(values, newest_at)


def removed_by(config: Mapping[str, str], newest_at: datetime) -> datetime | None:
    """Returns when a record is gone at the latest, by its topic's configuration. Kafka removes whole segments."""
    if config.get("cleanup.policy") == "compact":
        lag_ms = int(config.get("max.compaction.lag.ms", -1))
        endless = lag_ms < 0 or lag_ms >= 1 << 62
        return None if endless else newest_at + timedelta(milliseconds=lag_ms) + _CLEANER
    retention_ms = int(config.get("retention.ms", -1))
    if retention_ms < 0:
        return None
    # A segment goes when its newest record is old enough, and it grows for so long.
    segment_ms = int(config.get("segment.ms", 7 * _DAY_MS))
    return newest_at + timedelta(milliseconds=retention_ms + segment_ms) + _CLEANER
