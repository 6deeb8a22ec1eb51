"""A conference against a real broker: segments are written, removed and read back, and every participant is told."""

import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from typing import Self

import msgspec

from processors.outbox import Message, Outbox
from processors.records import Record, RecordBatch
from processors.stages.join_stage import JoinStage
from processors.store import restore as restoring
from processors.store.changelog import StateLog
from processors.store.segments import LARGE, call_of
from schemas.codec import Codecs
from schemas.config.settings import JoinSettings, KafkaSettings
from schemas.metrics import Registry
from schemas.topics import FACTS, LEDGER, NORMALIZED, STATE, TIMELINES
from tests.support.kafka.new_topics import make_topics
from tests.support.strategies import in_a_row, participant

PEOPLE = in_a_row([participant(f"+86138{number:08d}", number, 600) for number in range(3 * LARGE + 20)])
KEY = PEOPLE[0].call_key
CODECS = Codecs()
DIES_EVERY, REPEATED = 25, 4


class Place:
    """The topics of this test, by names of their own, as others use the broker as well."""

    def __init__(self, bootstrap: str) -> None:
        self.kafka = KafkaSettings(bootstrap=bootstrap)
        self._suffix = f"-{uuid.uuid4().hex}"

    async def make(self) -> None:
        """Make the topics, as compacted as ours are."""
        names = (STATE.name, TIMELINES.name, NORMALIZED.name, FACTS.name, LEDGER.name)
        topics = [name + self._suffix for name in names]
        await make_topics(self.kafka.bootstrap, topics, config={"cleanup.policy": "compact"})

    async def __aenter__(self) -> Self:
        self._open = AsyncExitStack()
        self._outbox = await self._open.enter_async_context(Outbox(self.kafka))
        self._ends = await self._open.enter_async_context(restoring.ends(self.kafka))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish under the names of this test."""
        await self._outbox.publish(
            [msgspec.structs.replace(each, topic=each.topic + self._suffix) for each in messages]
        )

    async def end(self, topic: str, partition: int) -> int:
        """The end of a topic."""
        return await self._ends(topic + self._suffix, partition)

    async def restore(self, topic: str, partition: int, end: int) -> AsyncGenerator[RecordBatch, None]:
        """Read a topic."""
        async for batch in restoring.restore(self.kafka, topic + self._suffix, partition, end):
            yield batch

    async def all(self, topic: str) -> list[Record]:
        """Read all of a topic."""
        return [record async for batch in self.restore(topic, 0, await self.end(topic, 0)) for record in batch.records]

    def worker(self) -> JoinStage:
        """Start a worker, which restores."""
        return JoinStage(self, CODECS, JoinSettings(), self.restore, Registry(), end=self.end)  # type: ignore[arg-type]  # as much of an outbox as it uses


async def test_every_participant_is_told_whatever_dies_in_between(kafka: str) -> None:
    records = [
        Record(offset=number, timestamp_ms=10 * number, key=b"", value=CODECS.stage_fact.encode(fact))
        for number, fact in enumerate(PEOPLE)
    ]
    tick = Record(offset=len(records), timestamp_ms=10 * len(records) + 1000, key=None, value=None)
    place = Place(kafka)
    await place.make()
    async with place:
        worker = place.worker()
        for number, record in enumerate(records):
            if number % DIES_EVERY == DIES_EVERY - 1:
                worker = place.worker()
                await worker.step(batch_of(records[number - REPEATED : number]))
            await worker.step(batch_of([record]))
        worker = place.worker()
        await worker.step(batch_of([tick]))

        told = [CODECS.timeline.decode(record.value) for record in await place.all(TIMELINES.name) if record.value]
        states = await place.all(STATE.name)

    newest = max(told, key=lambda timeline: timeline.version)
    assert len(newest.legs) == newest.fact_count == len(PEOPLE)
    assert LARGE < len(told) < len(PEOPLE)
    assert {call_of((record.key or b"").decode()) for record in states} == {KEY}
    assert any(record.value is None for record in states)
    log = StateLog()
    for record in states:
        log.take(record)
    (call,) = log.calls()
    assert (call.key, len(call.states)) == (KEY, 1)


def batch_of(records: Sequence[Record]) -> RecordBatch:
    """One batch of these facts."""
    first, last = records[0].offset, records[-1].offset
    return RecordBatch(topic=FACTS.name, partition=0, records=tuple(records), first_offset=first, next_offset=last + 1)
