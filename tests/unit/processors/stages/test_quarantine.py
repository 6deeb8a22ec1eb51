"""The quarantine around a step: the noted place, the records done alone, the records put aside."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest

from processors.engine.assignments import PartitionStates
from processors.outbox import Message, Outbox
from processors.poison import trace
from processors.poison.breadcrumb import BreadcrumbNote
from processors.poison.crashes import Crashes
from processors.poison.suspects import Book, RecordPlace, WorkerEnd
from processors.poison.trace import PatientOutbox, StepTurns, in_thread, waiting
from processors.records import Record, RecordBatch
from processors.stages.quarantine import Quarantine
from schemas.codec import Codecs
from schemas.dead_letter import hash_of
from schemas.errors import Unavailable
from schemas.metrics import Registry
from schemas.topics import FACTS, RAW

CODECS = Codecs()
STAMP = 1_700_000_000_000


class Sent:
    """An outbox without Kafka."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        await asyncio.sleep(0)
        self.messages += messages


class Guard:
    """A quarantine with a breadcrumb in memory and a book that the test writes."""

    def __init__(self, *deaths: RecordPlace | None) -> None:
        self.crashes = Crashes(None, "w")
        for place in deaths:
            self.crashes.book = self.crashes.book.died(WorkerEnd(worker="w", at_ms=10**13, place=place))
        self.sent = Sent()
        self.metrics = Registry()
        self.quarantine = Quarantine(self.crashes, self.sent, CODECS, self.metrics)  # type: ignore[arg-type]

    @property
    def at(self) -> tuple[int, int] | None:
        place = self.crashes.breadcrumb.note.place
        return (place.first, place.next) if place else None

    def guarding(self, step: Callable[[RecordBatch], Awaitable[object]]) -> Callable[[RecordBatch], Awaitable[object]]:
        return self.quarantine.guarding("normalise", step)


def batch_of(
    first: int, after: int, *, topic: str = RAW.name, partition: int = 0, key: bytes | None = None
) -> RecordBatch:
    headers = (("vendor", b"nxcloud"), ("callback", b"cdr"), ("received_at", b"1700000000000"))
    return RecordBatch(
        topic=topic,
        partition=partition,
        records=tuple(
            Record(offset=n, timestamp_ms=STAMP + n, key=key, value=b"%d" % n, headers=headers)
            for n in range(first, after)
        ),
        first_offset=first,
        next_offset=after,
        ticket=7,
        epoch=9,
    )


def place(first: int, after: int, *, topic: str = RAW.name, partition: int = 0) -> RecordPlace:
    return RecordPlace(topic=topic, partition=partition, first=first, next=after, timestamp_ms=STAMP + first)


async def test_the_breadcrumb_follows_the_step_from_record_to_record() -> None:
    guard, places = Guard(), []

    async def step(batch: RecordBatch) -> None:
        places.append(guard.at)
        for record in batch.records:
            places.append(guard.at)
            assert (batch.ticket, batch.epoch) == (7, 9)
            if record.offset == 1:
                await asyncio.sleep(0)
                places.append(guard.at)
        places.append(guard.at)

    await guard.guarding(step)(batch_of(0, 3))

    assert places == [(0, 3), (0, 1), (1, 2), (1, 2), (2, 3), (0, 3)]
    assert guard.at is None


async def test_a_step_that_waits_is_nowhere() -> None:
    """A kill during a wait accuses no record: on a future, a turn of the loop, a publish, a restore."""
    guard, places = Guard(), []

    async def look() -> None:
        while True:
            places.append(guard.at)
            await asyncio.sleep(0)

    async def step(batch: RecordBatch) -> None:
        for _ in batch.records:
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
        with waiting():
            assert guard.at is None
            await asyncio.sleep(0.001)
            assert guard.at is None
        assert guard.at == (0, 5)

    looking = asyncio.create_task(look())
    await guard.guarding(step)(batch_of(0, 5))
    looking.cancel()

    assert len(places) > 10
    assert set(places) == {None}


async def test_restoring_a_partition_s_state_accuses_no_record() -> None:
    guard, places = Guard(), []

    async def restore(_topic: str, _partition: int) -> object:
        places.append(guard.at)
        await asyncio.sleep(0)
        places.append(guard.at)
        return object()

    states = PartitionStates(restore)

    async def step(batch: RecordBatch) -> None:
        await states.of(batch)
        places.append(guard.at)

    await guard.guarding(step)(batch_of(0, 5))

    assert places == [None, None, (0, 5)]


async def test_publishing_accuses_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds even where a failpoint kills the worker just before it."""
    guard, places = Guard(), []

    async def publish(_self: Outbox, _messages: Sequence[Message]) -> None:
        places.append(guard.at)
        await asyncio.sleep(0)
        places.append(guard.at)

    monkeypatch.setattr(Outbox, "publish", publish)
    outbox = PatientOutbox.__new__(PatientOutbox)

    async def step(_: RecordBatch) -> None:
        await outbox.publish([])
        places.append(guard.at)

    await guard.guarding(step)(batch_of(0, 5))

    assert places == [None, None, (0, 5)]


@pytest.mark.parametrize(
    ("error", "accused"),
    [
        pytest.param(MemoryError(), (1, 2), id="no memory"),
        pytest.param(RecursionError(), (1, 2), id="too deep"),
        pytest.param(RuntimeError("a law of ours"), (1, 2), id="an exception"),
        pytest.param(Unavailable("Kafka"), None, id="Kafka is away"),
        pytest.param(TimeoutError(), None, id="it took too long"),
        pytest.param(OSError(28, "no space"), None, id="the disk is full"),
        pytest.param(asyncio.CancelledError(), None, id="the worker stops"),
    ],
)
async def test_who_is_accused_of_an_exception(error: BaseException, accused: tuple[int, int] | None) -> None:
    guard = Guard()

    async def step(batch: RecordBatch) -> None:
        for record in batch.records:
            if record.offset == 1:
                raise error

    with pytest.raises(type(error)):
        await guard.guarding(step)(batch_of(0, 3))

    assert guard.at == accused


async def test_an_exception_of_what_is_waited_for_accuses_nobody() -> None:
    """Otherwise an unreadable state would have one record after the other put aside."""
    guard = Guard()

    async def step(_: RecordBatch) -> None:
        with waiting():
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - no message is needed
        await guard.guarding(step)(batch_of(0, 3))

    assert guard.at is None


async def test_concurrent_partitions_are_traced_apart() -> None:
    guard, wrong = Guard(), []

    async def step(batch: RecordBatch) -> None:
        for record in batch.records:
            place = guard.crashes.breadcrumb.note.place
            if place is None or (place.partition, place.first) != (batch.partition, record.offset):
                wrong.append((batch.partition, record.offset, place))
            await asyncio.sleep(0)

    guarded = guard.guarding(step)
    await asyncio.gather(*(guarded(batch_of(10 * n, 10 * n + 5, partition=n)) for n in range(4)))

    assert wrong == []


async def test_what_is_thrown_into_a_step_reaches_it() -> None:
    guard, caught, inside = Guard(), [], asyncio.Event()

    async def step(_: RecordBatch) -> None:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            caught.append("timeout")
            inside.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            caught.append("cancelled")
            raise

    task = asyncio.create_task(_awaited(guard.guarding(step)(batch_of(0, 1))))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert caught == ["timeout", "cancelled"]
    assert guard.at is None


async def _awaited(work: Awaitable[object]) -> None:
    await work


async def test_suspects_are_done_one_at_a_time_and_alone() -> None:
    """Others wait meanwhile, and finished records are no longer suspected."""
    guard = Guard(place(2, 5))
    running, log = set[int](), list[tuple[int, list[int]]]()

    async def step(batch: RecordBatch) -> None:
        offsets = [record.offset for record in batch.records]
        assert not running or not (set(offsets) | running) & {2, 3, 4}
        running.update(offsets)
        for _ in range(5):
            await asyncio.sleep(0)
        running.difference_update(offsets)
        log.append((batch.partition, offsets))

    guarded = guard.guarding(step)
    await asyncio.gather(guarded(batch_of(0, 8)), *(guarded(batch_of(100, 103, partition=n)) for n in (1, 2, 3)))

    assert [offsets for partition, offsets in log if partition == 0] == [[0, 1], [2], [3], [4], [5, 6, 7]]
    assert len(log) == 8
    assert guard.crashes.book.suspects == ()


async def test_poison_is_a_dead_letter_before_its_batch_is_done_and_is_not_touched() -> None:
    guard, done = Guard(place(0, 5), place(2, 3)), list[int]()

    async def step(batch: RecordBatch) -> None:
        done.extend(record.offset for record in batch.records)

    await guard.guarding(step)(batch_of(0, 5))

    assert done == [0, 1, 3, 4]
    (message,) = guard.sent.messages
    dead_letter = CODECS.dead_letter.decode(message.value)
    assert (dead_letter.stage, dead_letter.code, dead_letter.vendor, dead_letter.callback) == (
        "normalise",
        "poison",
        "nxcloud",
        "cdr",
    )
    assert (dead_letter.topic, dead_letter.partition, dead_letter.offset, dead_letter.element) == (RAW.name, 0, 2, -1)
    assert (dead_letter.original, dead_letter.origin_hash) == (b"2", hash_of(b"2", dead_letter.occurred_at))
    assert dead_letter.headers["vendor"] == "nxcloud"
    assert dead_letter.detail == "workers died at this record 2 times (killed or blocked): replay it after a fix"
    assert guard.metrics.get("callweave_process_quarantined_total", "normalise") == 1
    assert guard.metrics.get("callweave_normalise_elements_total", "nxcloud", "dead") == 1
    assert guard.metrics.get("callweave_normalise_dead_total", "nxcloud", "poison") == 1


async def test_a_fact_is_put_aside_under_the_join() -> None:
    guard = Guard(*[place(2, 3, topic=FACTS.name)] * 2)

    async def step(batch: RecordBatch) -> None:
        assert 2 not in [record.offset for record in batch.records]

    guarded = guard.quarantine.guarding("join", step)
    await guarded(batch_of(0, 5, topic=FACTS.name, key=b"ytx|main|17"))

    dead_letter = CODECS.dead_letter.decode(guard.sent.messages[0].value)
    assert (dead_letter.stage, dead_letter.code, dead_letter.vendor, dead_letter.offset) == ("join", "poison", "ytx", 2)
    assert dead_letter.original == b"2"
    assert guard.metrics.get("callweave_process_quarantined_total", "join") == 1
    assert guard.metrics.get("callweave_normalise_elements_total", "ytx", "dead") == 0


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(lambda records: [records], id="in one batch"),
        pytest.param(lambda records: [records[:5], records[5:]], id="in the next batch"),
    ],
)
@pytest.mark.parametrize(
    ("topic", "dead_letters"),
    [
        pytest.param(RAW.name, [2, 7], id="a body that came again has a dead letter of its own"),
        pytest.param(FACTS.name, [2], id="a fact that was written again has one already"),
    ],
)
async def test_a_copy_of_poison_kills_nobody(
    topic: str, dead_letters: list[int], parts: Callable[[list[Record]], list[list[Record]]]
) -> None:
    guard, done = Guard(*[place(2, 3, topic=topic)] * 2), list[int]()

    async def step(batch: RecordBatch) -> None:
        done.extend(record.offset for record in batch.records)

    batch = batch_of(0, 9, topic=topic)
    records = [msgspec.structs.replace(one, value=b"2") if one.offset == 7 else one for one in batch.records]
    guarded = guard.quarantine.guarding("normalise" if topic == RAW.name else "join", step)
    for part in parts(records):
        first, after = part[0].offset, part[-1].offset + 1
        await guarded(msgspec.structs.replace(batch, records=tuple(part), first_offset=first, next_offset=after))

    assert done == [0, 1, 3, 4, 5, 6, 8]
    assert [CODECS.dead_letter.decode(message.value).offset for message in guard.sent.messages] == dead_letters


async def test_a_dead_letter_that_cannot_be_published_lets_nothing_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Guard(*[place(2, 3)] * 2)
    later: list[int] = []

    async def away(_sent: Sent, _messages: Sequence[Message]) -> None:
        raise Unavailable("Kafka")

    monkeypatch.setattr(Sent, "publish", away)

    async def step(batch: RecordBatch) -> None:
        later.extend(record.offset for record in batch.records)

    with pytest.raises(Unavailable):
        await guard.guarding(step)(batch_of(0, 5))

    assert later == [0, 1]
    assert guard.at is None


async def test_one_alone_waits_for_those_at_work_and_keeps_others_out() -> None:
    turns, order = StepTurns(), list[str]()

    async def together(name: str, turns_of_the_loop: int) -> None:
        async with turns.together():
            order.append(f"{name} begins")
            for _ in range(turns_of_the_loop):
                await asyncio.sleep(0)
            order.append(f"{name} ends")

    async def alone(name: str) -> None:
        async with turns.alone():
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    await asyncio.gather(together("a", 5), alone("x"), alone("y"), together("b", 2))

    assert order[:2] == ["a begins", "a ends"]
    assert sorted(order[::2]) == [f"{name} begins" for name in "abxy"]
    assert order[1::2] == [note.replace("begins", "ends") for note in order[::2]]


def test_nothing_is_known_at_first() -> None:
    assert Guard().crashes.book == Book()


async def test_what_a_thread_reads_stays_accused_while_others_go_on() -> None:
    """Otherwise a body that kills in the thread would never be found."""
    guard, turn = Guard(), asyncio.Lock()
    places: list[tuple[int, RecordPlace | None]] = []

    async def step(batch: RecordBatch) -> None:
        def work() -> None:
            places.append((-1, guard.crashes.breadcrumb.note.thread_place))

        for _ in batch.records:
            await in_thread(work, turn)

    await guard.guarding(step)(batch_of(4, 5))
    assert places == [(-1, place(4, 5))]
    assert guard.crashes.breadcrumb.note.thread_place is None


async def test_a_thread_that_does_not_end_is_a_death_at_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "THREAD_S", 0.05)
    guard, end = Guard(), threading.Event()

    async def step(batch: RecordBatch) -> None:
        for _ in batch.records:
            await in_thread(end.wait, asyncio.Lock())

    try:
        with pytest.raises(trace.Hangs):
            await guard.guarding(step)(batch_of(4, 6))
    finally:
        end.set()

    assert guard.crashes.breadcrumb.note == BreadcrumbNote(place=place(4, 5), cause="Hangs")
