"""The quarantine around a step: the noted place, the records done alone, the records put aside."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import msgspec
import pytest

from processors.outbox import Message
from processors.poison import trace
from processors.poison.breadcrumb import BreadcrumbNote
from processors.poison.suspects import Book, RecordPlace
from processors.poison.trace import StepTurns, in_thread, note_records
from processors.records import Record, RecordBatch
from schemas.dead_letter import hash_of
from schemas.errors import Unavailable
from schemas.topics import FACTS, RAW
from tests.unit.processors.stages.quarantined import CODECS, Guard, Sent, batch_of, place


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

        await in_thread(work, turn)

    await guard.guarding(step)(batch_of(4, 5))
    assert places == [(-1, place(4, 5))]
    assert guard.crashes.breadcrumb.note.thread_place is None


async def test_a_thread_that_does_not_end_is_a_death_at_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "THREAD_S", 0.05)
    guard, end = Guard(), threading.Event()

    async def step(batch: RecordBatch) -> None:
        note_records(batch.records[:1])
        await in_thread(end.wait, asyncio.Lock())

    try:
        with pytest.raises(trace.Hangs):
            await guard.guarding(step)(batch_of(4, 6))
    finally:
        end.set()

    assert guard.crashes.breadcrumb.note == BreadcrumbNote(place=place(4, 5), cause="Hangs")
