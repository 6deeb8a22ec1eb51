"""The worker with a consumer in memory whose partitions change hands at the worst moments."""

import asyncio
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from schemas.backoff import Backoff
from schemas.codec import Codecs
from schemas.dead_letter import DeadLetter
from schemas.errors import Unavailable
from schemas.metrics import Registry
from schemas.timeline import Timeline
from sinks.columns import Table
from sinks.consumer import RebalanceCounter
from sinks.flush.batch import BatchPolicy
from sinks.flush.flusher import Flusher
from sinks.worker import IDLE_MS, LAST_MS, Sink

PLACES = tuple(TopicPartition("calls.timelines", partition) for partition in range(3))
RECORDS = 40


async def plenty() -> None:
    """The disk has room."""


class Consumer:
    """Three partitions of a log; random rebalances in the middle of a call reset positions to commits."""

    def __init__(
        self, rng: random.Random, rebalances: RebalanceCounter, rows: set[tuple[int, int]], stop: asyncio.Event
    ) -> None:
        self._rng, self._rebalances, self._rows, self._stop = rng, rebalances, rows, stop
        self.commits: dict[TopicPartition, int] = {}
        self._positions = dict.fromkeys(PLACES, 0)
        self._paused: set[TopicPartition] = set()
        self.rebalances = 0

    def assignment(self) -> set[TopicPartition]:
        return set(PLACES)

    async def committed(self, place: TopicPartition) -> int | None:
        await self._perhaps_rebalance(0.02)
        return self.commits.get(place)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._positions[place] = offset

    async def seek_to_beginning(self, *places: TopicPartition) -> None:
        await self._perhaps_rebalance(0.02)
        for place in places:
            self._positions[place] = 0

    def pause(self, *places: TopicPartition) -> None:
        self._paused |= set(places)

    def resume(self, *places: TopicPartition) -> None:
        self._paused -= set(places)

    def paused(self) -> set[TopicPartition]:
        return self._paused

    async def getmany(
        self, *_: TopicPartition, timeout_ms: int, max_records: int = 5
    ) -> dict[TopicPartition, list[Any]]:
        await self._perhaps_rebalance(0.1)
        place = self._rng.choice(PLACES)
        first = self._positions[place]
        count = 0 if place in self._paused else self._rng.randrange(min(5, max_records) + 1)
        records = [_record(place, offset) for offset in range(first, min(first + count, RECORDS))]
        self._positions[place] = first + len(records)
        await self._perhaps_rebalance(0.1)
        return {place: records} if records else {}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        await self._perhaps_rebalance(0.1)
        if self._rng.random() < 0.1:
            raise CommitFailedError
        for place, offset in offsets.items():
            lost = [n for n in range(offset) if (place.partition, n) not in self._rows]
            assert not lost, f"committed {offset} of {place} without the rows {lost}"
        self.commits.update(offsets)
        if all(self.commits.get(place) == RECORDS for place in PLACES):
            self._stop.set()

    async def _perhaps_rebalance(self, chance: float) -> None:
        await asyncio.sleep(0)
        if self._rng.random() < chance:
            self.rebalances += 1
            self._rebalances.count += self._rng.choice((1, 2))
            self._positions = {place: self.commits.get(place, 0) for place in PLACES}
            self._paused = set()
        await asyncio.sleep(0)


def _record(place: TopicPartition, offset: int) -> Any:
    call = Timeline(timeline_id=f"{place.partition}/{offset}", call_key="k", vendor="v")
    value = Codecs().timeline.encode(call)
    return SimpleNamespace(
        topic=place.topic, partition=place.partition, offset=offset, key=None, value=value, headers=(), timestamp=0
    )


@pytest.mark.parametrize("seed", range(60))
async def test_nothing_is_committed_without_its_row_and_everything_in_the_end(seed: int) -> None:
    rng = random.Random(seed)
    rows: set[tuple[int, int]] = set()
    rebalances, stop, metrics = RebalanceCounter(), asyncio.Event(), Registry()
    consumer = Consumer(rng, rebalances, rows, stop)

    async def insert(table: Table[Any], records: Sequence[Timeline]) -> None:
        for _ in range(rng.randrange(3)):
            await asyncio.sleep(0)
        if rng.random() < 0.1:
            raise Unavailable("away")
        rows.update((int(partition), int(offset)) for partition, offset in (r.timeline_id.split("/") for r in records))

    async def publish(dead_letters: list[DeadLetter]) -> None:
        assert dead_letters == []

    sink = Sink(
        consumer,
        rebalances,
        Flusher(insert, publish, Backoff(first_s=1e-4, cap_s=1e-3), metrics, plenty),
        Codecs(),
        BatchPolicy(max_rows=7, max_bytes=10**6, max_age_s=1e-3),
        metrics,
    )
    await asyncio.wait_for(sink.work(stop), 60)
    assert consumer.rebalances > 0
    assert rows == {(place.partition, offset) for place in PLACES for offset in range(RECORDS)}
    assert consumer.commits == dict.fromkeys(PLACES, RECORDS)


class Raising:
    """A codec with a fault: it raises an error that nobody expected."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def decode(self, value: bytes) -> Timeline:
        if value == b"good":
            return Timeline(timeline_id="0/0", call_key="k", vendor="v")
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        RecursionError("deep"), MemoryError("much"), AttributeError("none"), KeyError("k"), OverflowError("far"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "lone surrogate"), AssertionError("rule"), RuntimeError("odd"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
async def test_a_record_at_which_our_own_code_fails_is_a_dead_letter_and_the_others_are_inserted(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """One bad record among good ones: its dead letter has the position, the log no value, and all is committed."""
    values = [b"good", b"a secret 13900000001", b"good"]
    stop = asyncio.Event()
    rows: list[Timeline] = []
    dead_letters: list[DeadLetter] = []
    commits: dict[TopicPartition, int] = {}

    class Three:
        def assignment(self) -> set[TopicPartition]:
            return set()

        async def committed(self, place: TopicPartition) -> int | None:
            raise AssertionError(place)

        async def getmany(self, *_: Any, **__: Any) -> dict[TopicPartition, list[Any]]:
            await asyncio.sleep(0)
            there = [
                SimpleNamespace(
                    topic="calls.timelines", partition=0, offset=n, key=None, value=value, headers=(), timestamp=0
                )
                for n, value in enumerate(values)
            ]
            values.clear()
            return {PLACES[0]: there} if there else {}

        async def commit(self, offsets: dict[TopicPartition, int]) -> None:
            commits.update(offsets)
            stop.set()

    async def insert(_table: Table[Any], records: Sequence[Timeline]) -> None:
        rows.extend(records)

    async def publish(found: list[DeadLetter]) -> None:
        dead_letters.extend(found)

    rebalances, metrics = RebalanceCounter(), Registry()
    codecs: Any = SimpleNamespace(timeline=Raising(error), fact=None, dead_letter=None)
    flusher = Flusher(insert, publish, Backoff(first_s=1e-4, cap_s=1e-3), metrics, plenty)
    policy = BatchPolicy(max_rows=7, max_bytes=10**6, max_age_s=1e-3)
    consumer: Any = Three()
    await asyncio.wait_for(Sink(consumer, rebalances, flusher, codecs, policy, metrics).work(stop), 60)

    assert [(one.stage, one.code, one.detail, one.offset) for one in dead_letters] == [
        ("sink", "internal", type(error).__name__, 1)
    ]
    assert (len(rows), commits) == (2, {PLACES[0]: 3})
    assert "13900000001" not in caplog.text


async def test_a_batch_that_is_due_takes_what_the_fetch_behind_its_last_records_brings() -> None:
    """The first row is due at once; the other rows of its call come a moment later, and are inserted with it."""
    fetched, waits_ms, inserts = [2, 3, 1], list[int](), list[int]()
    stop = asyncio.Event()

    class Fetching:
        def assignment(self) -> set[TopicPartition]:
            return {PLACES[0]}

        async def committed(self, _: TopicPartition) -> int:
            return 0

        def seek(self, _: TopicPartition, offset: int) -> None:
            assert offset == 0

        async def getmany(
            self, *_: TopicPartition, timeout_ms: int, max_records: int
        ) -> dict[TopicPartition, list[Any]]:
            await asyncio.sleep(0)
            waits_ms.append(timeout_ms)
            count = fetched.pop(0) if fetched else 0
            return {PLACES[0]: [_record(PLACES[0], n) for n in range(min(count, max_records))]} if count else {}

        async def commit(self, _: dict[TopicPartition, int]) -> None:
            if not fetched:
                stop.set()

    async def insert(_table: Table[Any], records: Sequence[Timeline]) -> None:
        inserts.append(len(records))

    async def publish(found: list[DeadLetter]) -> None:
        assert found == []

    rebalances, metrics = RebalanceCounter(), Registry()
    consumer: Any = Fetching()
    flusher = Flusher(insert, publish, Backoff(first_s=1e-4, cap_s=1e-3), metrics, plenty)
    policy = BatchPolicy(max_rows=7, max_bytes=10**6, max_age_s=1e-6)
    sink = Sink(consumer, rebalances, flusher, Codecs(), policy, metrics)
    await asyncio.wait_for(sink.work(stop), 60)

    assert inserts == [5, 1]
    assert waits_ms[:4] == [IDLE_MS, LAST_MS, IDLE_MS, LAST_MS]


class Silent(Consumer):
    """A broker that does not answer when it is asked for the committed offsets, as while Kafka is away."""

    def __init__(self, rebalances: RebalanceCounter) -> None:
        super().__init__(random.Random(0), rebalances, set(), asyncio.Event())
        self.asked = asyncio.Event()

    async def committed(self, place: TopicPartition) -> int | None:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError(place)


async def test_a_stop_does_not_wait_for_a_broker_that_is_away() -> None:
    async def nobody(*_: Any) -> None:
        raise AssertionError("there is nothing to insert or to publish")

    rebalances, stop, metrics = RebalanceCounter(), asyncio.Event(), Registry()
    rebalances.count = 1
    consumer = Silent(rebalances)
    flusher = Flusher(nobody, nobody, Backoff(first_s=1, cap_s=1), metrics, plenty)
    policy = BatchPolicy(max_rows=7, max_bytes=10**6, max_age_s=1)
    working = asyncio.create_task(Sink(consumer, rebalances, flusher, Codecs(), policy, metrics).work(stop))
    await consumer.asked.wait()
    stop.set()

    await asyncio.wait_for(working, 60)

    assert consumer.commits == {}


async def test_entries_of_the_ledger_gather_while_other_records_are_read_at_once() -> None:
    """An insert of the ledger costs a server as much as one of anything else, and nobody waits for it."""
    places = {TopicPartition("calls.ledger", 0), PLACES[0]}
    stop, asked = asyncio.Event(), list[set[TopicPartition]]()

    class Asked:
        def assignment(self) -> set[TopicPartition]:
            return places

        async def committed(self, _place: TopicPartition) -> int:
            return 0

        def seek(self, _place: TopicPartition, _offset: int) -> None: ...

        async def getmany(self, *some: TopicPartition, **_: Any) -> dict[TopicPartition, list[Any]]:
            await asyncio.sleep(0.01)
            asked.append(set(some) or places)
            if len(asked) == 5:
                stop.set()
            return {}

    async def nothing(*_: object) -> None: ...

    metrics = Registry()
    flusher = Flusher(nothing, nothing, Backoff(first_s=0.01, cap_s=0.01), metrics, plenty)
    policy = BatchPolicy(max_rows=10, max_bytes=1 << 20, max_age_s=0.01)
    sink = Sink(Asked(), RebalanceCounter(), flusher, Codecs(), policy, metrics)
    await sink.work(stop)
    assert asked == [places, *[{PLACES[0]}] * 4]
    sink._ledger_due_s = 0.0
    assert sink._in_turn() == []
