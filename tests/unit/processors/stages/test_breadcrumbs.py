"""The breadcrumb of a step: which records are accused when a worker dies."""

import asyncio
from collections.abc import Awaitable, Sequence

import pytest

from processors.engine.assignments import PartitionStates
from processors.outbox import Message, Outbox
from processors.poison.trace import PatientOutbox, note_records, waiting
from processors.records import RecordBatch
from processors.store.calls import StoreFailed
from schemas.errors import Unavailable
from tests.unit.processors.stages.quarantined import Guard, batch_of


async def test_the_breadcrumb_follows_the_step_from_run_to_run() -> None:
    guard, places = Guard(), []

    async def step(batch: RecordBatch) -> None:
        places.append(guard.at)
        for start in (0, 2):
            note_records(batch.records[start : start + 2])
            places.append(guard.at)
            await asyncio.sleep(0)
            places.append(guard.at)
        note_records(batch.records)
        places.append(guard.at)
        assert (batch.ticket, batch.epoch) == (7, 9)

    await guard.guarding(step)(batch_of(5, 9))

    assert places == [(5, 9), (5, 7), (5, 7), (7, 9), (7, 9), (5, 9)]
    assert guard.at is None


def test_outside_of_a_step_nothing_is_noted() -> None:
    note_records(batch_of(0, 3).records)


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
        pytest.param(MemoryError(), (1, 3), id="no memory"),
        pytest.param(RecursionError(), (1, 3), id="too deep"),
        pytest.param(RuntimeError("a law of ours"), (1, 3), id="an exception"),
        pytest.param(Unavailable("Kafka"), None, id="Kafka is away"),
        pytest.param(TimeoutError(), None, id="it took too long"),
        pytest.param(OSError(28, "no space"), None, id="the disk is full"),
        pytest.param(StoreFailed("no space"), None, id="the disk of remembered calls is full"),
        pytest.param(asyncio.CancelledError(), None, id="the worker stops"),
    ],
)
async def test_who_is_accused_of_an_exception(error: BaseException, accused: tuple[int, int] | None) -> None:
    guard = Guard()

    async def step(batch: RecordBatch) -> None:
        note_records(batch.records[1:3])
        raise error

    with pytest.raises(type(error)):
        await guard.guarding(step)(batch_of(0, 5))

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
            note_records([record])
            place = guard.crashes.breadcrumb.note.place
            if place is None or (place.partition, place.first) != (batch.partition, record.offset):
                wrong.append((batch.partition, record.offset, place))
            await asyncio.sleep(0)
            place = guard.crashes.breadcrumb.note.place
            if place is None or (place.partition, place.first) != (batch.partition, record.offset):
                wrong.append((batch.partition, record.offset, place))

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
