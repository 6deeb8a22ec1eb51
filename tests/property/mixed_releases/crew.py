"""Workers of any release on one partition of facts, one after the other: they restore, publish, die, or freeze."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from typing import Final
from zlib import crc32

import msgspec

from processors.outbox import Message
from processors.records import Record, RecordBatch
from processors.stages.join_stage import JoinStage
from schemas.config.settings import JoinSettings
from schemas.metrics import Registry
from schemas.topics import FACTS, STATE
from tests.property.mixed_releases.late_news import Appended
from tests.property.mixed_releases.releases import RELEASES, Writes, without_slots
from tests.support.kafka.join_log import StateLog

PARTITION: Final = 1


class Topics(StateLog):
    """The topics that the workers publish to."""

    def __init__(self) -> None:
        super().__init__()
        self.of: defaultdict[str, list[Message]] = defaultdict(list)
        self.facts_end = 0
        """The number of facts that are on their topic so far."""
        self.clock_ms = 0
        """The time that the topics stamp."""
        self._stamps: list[int] = []

    @property
    def states(self) -> list[Message]:
        """Return the records of the state topic."""
        return self.of[STATE.name]

    def append(self, message: Message) -> None:
        """Append a message to its topic."""
        self.of[message.topic].append(message)
        if message.topic == STATE.name:
            self._stamps.append(self.clock_ms)

    async def restore(self, topic: str, partition: int, end: int) -> AsyncGenerator[RecordBatch, None]:
        """Yield the states below `end`, with the times at which they were written."""
        async for batch in super().restore(topic, partition, end):
            records = zip(batch.records, self._stamps, strict=False)
            stamped = tuple(msgspec.structs.replace(record, timestamp_ms=at_ms) for record, at_ms in records)
            yield msgspec.structs.replace(batch, records=stamped)

    async def end(self, topic: str, partition: int) -> int:
        """The length of the state topic, or of that of the facts."""
        return self.facts_end if topic == FACTS.name else await super().end(topic, partition)


class Killed(Exception):
    """The worker is killed between two of its messages."""


class CrewWorker:
    """One life of a worker, from the committed offset on."""

    def __init__(self, topics: Topics, release: Writes, position: int) -> None:
        self.release = release
        self.position = position
        self.lives_for: int | None = None
        """Number of outputs that it still gets out; then some states, and it is dead. None: it lives on."""
        self._topics = topics
        self._stage = JoinStage(
            self,  # type: ignore[arg-type]  # as much of an outbox as it uses
            RELEASES[release],
            JoinSettings(),
            topics.restore,
            Registry(),
            end=topics.end,
        )

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append the messages as this release writes them; raises `Killed`."""
        written = messages if self.lives_for is None else messages[: self.lives_for]
        if self.lives_for is not None and messages[0].topic == STATE.name:
            # By their keys and not by their number: another release may have some more to write.
            written = [message for message in messages if crc32(message.key or b"") % 2 == self.lives_for % 2]
        for message in written:
            self._topics.append(without_slots(message) if self.release == "older" else message)
        if self.lives_for is not None:
            self.lives_for -= len(written)
            if len(written) < len(messages):
                raise Killed

    async def work(self, records: Sequence[Record]) -> None:
        """Join these records and go on behind them; raises `Killed`."""
        first = records[0].offset
        self._topics.facts_end = max(self._topics.facts_end, records[-1].offset + 1)
        self._topics.clock_ms = max(self._topics.clock_ms, *(record.timestamp_ms for record in records))
        batch = RecordBatch(
            topic=FACTS.name,
            partition=PARTITION,
            records=tuple(records),
            first_offset=first,
            next_offset=first + len(records),
        )
        await self._stage.step(batch)
        self.position = batch.next_offset


def on_the_topic(log: Sequence[Appended], writers: Sequence[Writes]) -> list[Record]:
    """Return the facts topic, each record written by a normaliser of its release."""
    return [
        Record(
            offset=offset,
            timestamp_ms=one.at_ms,
            key=b"",
            value=RELEASES[writer].stage_fact.encode(one.fact) if one.fact else None,
        )
        for offset, (one, writer) in enumerate(zip(log, writers, strict=True))
    ]
