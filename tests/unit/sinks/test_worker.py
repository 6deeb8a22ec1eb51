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
from schemas.raw import Position
from schemas.timeline import Timeline
from sinks.columns import Table
from sinks.consumer import RebalanceCounter
from sinks.flush.batch import BatchPolicy, Origin
from sinks.flush.flusher import Flusher
from sinks.worker import ANSWER_MS, HOLD_MS, IDLE_MS, LAST_MS, Sink

PLACES = tuple(TopicPartition("calls.timelines", partition) for partition in range(3))
RECORDS = 40


async def plenty() -> None:
    """The disk has room."""


class _Fetcher:
    """Writes down how long each fetch is held."""

    def __init__(self, held_ms: list[int]) -> None:
        self._held_ms = held_ms
        self._fetch_min_bytes = 1

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "_fetch_max_wait_ms":
            self._held_ms.append(value if self._fetch_min_bytes > 1 else 0)


class Fetching:
    """A consumer as far as the sink needs it besides its records: pauses, and how its fetches are answered."""

    def __init__(self) -> None:
        self.held_ms: list[int] = []
        """The time for which each fetch is held."""
        self.waiting: set[TopicPartition] = set()
        self._fetch_min_bytes, self._fetch_max_wait_ms = 1, 500
        self._fetcher = _Fetcher(self.held_ms)

    def pause(self, *places: TopicPartition) -> None:
        self.waiting |= set(places)

    def resume(self, *places: TopicPartition) -> None:
        self.waiting -= set(places)

    def paused(self) -> set[TopicPartition]:
        return self.waiting


class Consumer(Fetching):
    """Three partitions of a log; random rebalances in the middle of a call reset positions to commits."""

    def __init__(
        self, rng: random.Random, rebalances: RebalanceCounter, rows: set[tuple[int, int]], stop: asyncio.Event
    ) -> None:
        super().__init__()
        self._rng, self._rebalances, self._rows, self._stop = rng, rebalances, rows, stop
        self.commits: dict[TopicPartition, int] = {}
        self._positions = dict.fromkeys(PLACES, 0)
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

    async def getmany(
        self, *_: TopicPartition, timeout_ms: int, max_records: int = 5
    ) -> dict[TopicPartition, list[Any]]:
        await self._perhaps_rebalance(0.1)
        place = self._rng.choice(PLACES)
        first = self._positions[place]
        count = 0 if place in self.waiting else self._rng.randrange(min(5, max_records) + 1)
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
            self.waiting = set()
        await asyncio.sleep(0)


def _record(place: TopicPartition, offset: int) -> Any:
    call = Timeline(timeline_id=f"{place.partition}/{offset}", call_key="k", vendor="v")
    value = Codecs().timeline.encode(call)
    return Origin(position=Position(place.topic, place.partition, offset), key=None, value=value)


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

    class Three(Fetching):
        def assignment(self) -> set[TopicPartition]:
            return set()

        async def committed(self, place: TopicPartition) -> int | None:
            raise AssertionError(place)

        async def getmany(self, *_: Any, **__: Any) -> dict[TopicPartition, list[Any]]:
            await asyncio.sleep(0)
            there = [
                Origin(position=Position("calls.timelines", 0, n), key=None, value=value)
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


class Clocked(Fetching):
    """A consumer of one partition whose fetches bring so many records each, and which ends the work behind the last."""

    def __init__(self, fetched: list[int], stop: asyncio.Event) -> None:
        super().__init__()
        self._fetched, self._stop = fetched, stop
        self.waits_ms: list[int] = []
        self._offset = 0

    def assignment(self) -> set[TopicPartition]:
        return {PLACES[0]}

    async def committed(self, _: TopicPartition) -> int:
        return 0

    def seek(self, _: TopicPartition, offset: int) -> None:
        assert offset == 0

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        self.waits_ms.append(timeout_ms)
        count = min(self._fetched.pop(0), max_records) if self._fetched else 0
        if not count:
            await asyncio.sleep(timeout_ms / 1000)
            return {}
        self._offset += count
        return {PLACES[0]: [_record(PLACES[0], n) for n in range(self._offset - count, self._offset)]}

    async def commit(self, _: dict[TopicPartition, int]) -> None:
        if not self._fetched:
            self._stop.set()


async def inserts_of(fetched: list[int], max_age_s: float) -> tuple[list[int], Clocked]:
    """Returns the sizes of the inserts of what is fetched, and the consumer."""
    inserts, stop = list[int](), asyncio.Event()

    async def insert(_table: Table[Any], records: Sequence[Timeline]) -> None:
        inserts.append(len(records))

    async def publish(found: list[DeadLetter]) -> None:
        assert found == []

    consumer, metrics = Clocked(fetched, stop), Registry()
    flusher = Flusher(insert, publish, Backoff(first_s=1e-4, cap_s=1e-3), metrics, plenty)
    policy = BatchPolicy(max_rows=2000, max_bytes=10**6, max_age_s=max_age_s)
    sink = Sink(consumer, RebalanceCounter(), flusher, Codecs(), policy, metrics)
    await asyncio.wait_for(sink.work(stop), 60)
    return inserts, consumer


async def test_a_record_that_comes_alone_is_inserted_with_what_the_fetch_behind_it_brings() -> None:
    """The first row is due at once; the other rows of its call come a moment later, and are inserted with it."""
    inserts, consumer = await inserts_of([2, 3], max_age_s=1e-6)

    assert inserts == [5]
    assert consumer.waits_ms == [IDLE_MS, LAST_MS + ANSWER_MS]
    assert consumer.held_ms == [LAST_MS, HOLD_MS]


async def test_fetches_are_held_until_the_batch_is_due() -> None:
    """One that is answered with its first record has none of the others, and the next one waits behind it."""
    inserts, consumer = await inserts_of([1, 1, *[1] * 8], max_age_s=1.0)

    assert inserts == [2, 8]
    assert consumer.held_ms[:10] == [LAST_MS, *[HOLD_MS] * 9]
    assert set(consumer.waits_ms[2:10]) == {IDLE_MS}


async def test_a_backlog_is_fetched_without_a_wait() -> None:
    inserts, consumer = await inserts_of([600, 600, 600, 600], max_age_s=1.0)

    assert inserts == [600, 1800]
    assert consumer.held_ms[:4] == [0] * 4


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
    ledger = TopicPartition("calls.ledger", 0)
    stop, asked = asyncio.Event(), list[bool]()

    class Asked(Fetching):
        def assignment(self) -> set[TopicPartition]:
            return {ledger, PLACES[0]}

        async def committed(self, _place: TopicPartition) -> int:
            return 0

        def seek(self, _place: TopicPartition, _offset: int) -> None: ...

        async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
            await asyncio.sleep(0.01)
            asked.append(ledger not in self.waiting)
            if len(asked) == 5:
                stop.set()
            return {ledger: []} if asked == [True, True] else {}

    async def nothing(*_: object) -> None: ...

    metrics = Registry()
    flusher = Flusher(nothing, nothing, Backoff(first_s=0.01, cap_s=0.01), metrics, plenty)
    policy = BatchPolicy(max_rows=10, max_bytes=1 << 20, max_age_s=0.01)
    consumer = Asked()
    sink = Sink(consumer, RebalanceCounter(), flusher, Codecs(), policy, metrics)
    await sink.work(stop)
    assert asked == [True, True, False, False, False]
    sink._ledger_due_s = 0.0
    await sink._fetched(1)
    assert asked[-1]
