"""A sink as `sinks.main.run` makes one: the real worker, flusher and rows over the world's consumer and tables."""

import asyncio
from collections.abc import KeysView, Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError, UnknownMemberIdError

from processors.records import Partition
from schemas.backoff import Backoff
from schemas.errors import Unavailable
from schemas.metrics import Registry
from schemas.raw import Position
from schemas.topics import DEAD
from sinks.consumer import RebalanceCounter
from sinks.flush.batch import BatchPolicy, Origin
from sinks.flush.flusher import Flusher, publisher
from sinks.flush.placing import Places, placing
from sinks.typed_records import TOPICS
from sinks.worker import Sink
from tests.property.whole_way.broker import Broker, LetterProducer, Outbox
from tests.property.whole_way.clickhouse import ClickHouse
from tests.property.whole_way.groups import Group
from tests.property.whole_way.loop import Process
from tests.property.whole_way.quick import CODECS
from tests.property.whole_way.rules import Rules

_POLICY: Final = BatchPolicy(max_rows=12, max_bytes=1 << 20, max_age_s=0.02)
_BACKOFF: Final = Backoff(first_s=0.02, cap_s=0.1)
_IDLE_S: Final = 0.5
_LETTER_BYTES: Final = 1 << 20


async def _plenty() -> None:
    """The disk has room."""


class Consumer:
    """The part of an aiokafka consumer that the sink uses, in a group of the world."""

    def __init__(self, name: str, process: Process, broker: Broker, group: Group, rebalances: RebalanceCounter) -> None:
        self.name = name
        self.process = process
        self._broker = broker
        self._group = group
        self._rebalances = rebalances
        self._generation = -1
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._fetch_min_bytes = 2  # as if the operator had set when fetches are answered: here they are at once

    # Called by the group.

    def revoke(self, turn: int) -> None:
        """Partitions may go to others."""
        self._rebalances.count += 1
        self._positions, self._paused = {}, set()
        self._group.ready(self, turn)

    def assign(self, partitions: Sequence[Partition], generation: int) -> None:
        """Partitions are ours."""
        self._generation = generation
        self._positions = {TopicPartition(*place): self._group.committed.get(place, 0) for place in partitions}
        self._paused = set()
        self._rebalances.count += 1

    # Called by the sink.

    def assignment(self) -> KeysView[TopicPartition]:
        """Return the assigned partitions, in an order that a seed repeats."""
        return self._positions.keys()

    async def committed(self, place: TopicPartition) -> int | None:
        """Return the group's committed offset."""
        return (await self._group.fetch([place]))[place]

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Read on from there."""
        if place in self._positions:
            self._positions[place] = offset

    async def seek_to_beginning(self, *places: TopicPartition) -> None:
        """Read all of it."""
        for place in places:
            self.seek(place, 0)

    def pause(self, *places: TopicPartition) -> None:
        """Give nothing of these."""
        self._paused |= set(places)

    def resume(self, *places: TopicPartition) -> None:
        """Give again."""
        self._paused -= set(places)

    def paused(self) -> set[TopicPartition]:
        """Return the paused partitions."""
        return self._paused

    async def getmany(
        self, *places: TopicPartition, timeout_ms: int, max_records: int = 1 << 30
    ) -> dict[TopicPartition, list[Any]]:
        """Some records; nothing after a while without any."""
        if not self._group.is_member(self):
            if self._group.has(self.name):
                raise UnknownMemberIdError
            self._group.join(self)
        if timeout_ms == 0:
            return {}
        found = self._some(max_records, places)
        if found:
            await self._broker.weather.hop()
            return found
        await self._broker.news(TOPICS, _IDLE_S)
        return self._some(max_records, places)

    def _some(self, most: int, places: tuple[TopicPartition, ...]) -> dict[TopicPartition, list[Any]]:
        found: dict[TopicPartition, list[Any]] = {}
        for place, position in self._positions.items():
            if places and place not in places:
                continue
            records = self._broker.logs[place][position : position + most] if place not in self._paused else []
            if records:
                found[place] = [
                    Origin(
                        position=Position(place.topic, place.partition, record.offset),
                        key=record.key,
                        value=record.value,
                        headers=record.headers,
                        timestamp_ms=record.timestamp_ms,
                    )
                    for record in records
                ]
                self._positions[place] = position + len(records)
                most -= len(records)
        return found

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit, or raise what a member raises that was left out."""
        if not await self._group.commit(self, self._generation, offsets):
            raise CommitFailedError


def start_sink(name: str, process: Process, broker: Broker, group: Group, clickhouse: ClickHouse, rules: Rules) -> None:
    """Start one sink."""
    metrics, rebalances = Registry(), RebalanceCounter()
    consumer = Consumer(name, process, broker, group, rebalances)
    publish = publisher(LetterProducer(Outbox(broker, process)), CODECS, DEAD.name, _LETTER_BYTES)
    insert = placing(clickhouse.insert_for(process), Places(clickhouse.query_for(process), "calls"))
    flusher = Flusher(insert, publish, _BACKOFF, metrics, _plenty)
    sink = rules.sink(consumer, rebalances, flusher, CODECS, _POLICY, metrics)
    group.join(consumer)
    process.spawn(_live(sink, process))


async def _live(sink: Sink, process: Process) -> None:
    try:
        await sink.work(asyncio.Event())
    except (KafkaError, Unavailable):
        process.exit_soon()
