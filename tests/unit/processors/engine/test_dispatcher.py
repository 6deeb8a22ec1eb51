"""The partition dispatcher: strict order per partition, and an acknowledgement only after the step returned."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from processors.engine.dispatcher import run_batches
from processors.engine.fetcher import ReaderSettings
from processors.engine.offsets import CommitTracker
from processors.records import Record, RecordBatch
from processors.store.calls import StoreFailed

FULL = ReaderSettings(batch_records=10)
"""Batches of ten records are as large as they get."""


class Offsets:
    """A consumer without Kafka: the real tracker behind the three methods that the dispatcher calls."""

    def __init__(self) -> None:
        self.tracker = CommitTracker()

    def batch(self, partition: int, first: int, size: int = 10) -> RecordBatch:
        ticket = self.tracker.hand_out(("t", partition), first, first + size)
        return RecordBatch(
            topic="t",
            partition=partition,
            records=tuple(
                Record(offset=offset, timestamp_ms=0, key=None, value=None) for offset in range(first, first + size)
            ),
            first_offset=first,
            next_offset=first + size,
            ticket=ticket,
        )

    def begin(self, batch: RecordBatch) -> bool:
        return self.tracker.start(batch.ticket)

    def finish(self, batch: RecordBatch) -> None:
        self.tracker.finish(batch.ticket)

    def poison(self) -> None:
        self.tracker.poison()


async def stream_of(*batches: RecordBatch) -> AsyncIterator[RecordBatch]:
    for batch in batches:
        yield batch


async def endless(*batches: RecordBatch) -> AsyncIterator[RecordBatch]:
    for batch in batches:
        yield batch
    await asyncio.Event().wait()


@pytest.fixture
def offsets() -> Offsets:
    return Offsets()


@pytest.fixture
def fatalities() -> list[str]:
    return []


async def test_every_batch_is_worked_on_and_acknowledged(offsets: Offsets, fatalities: list[str]) -> None:
    batches = [offsets.batch(n % 3, n // 3 * 10) for n in range(12)]
    done: list[RecordBatch] = []

    async def step(batch: RecordBatch) -> None:
        await asyncio.sleep(0)
        done.append(batch)

    await run_batches(stream_of(*batches), step, consumer=offsets, fatal=lambda reason, _: fatalities.append(reason))

    assert sorted(done, key=lambda s: s.ticket) == batches
    assert offsets.tracker.committable() == {("t", 0): 40, ("t", 1): 40, ("t", 2): 40}
    assert fatalities == []


async def test_partitions_work_side_by_side_and_each_in_order(offsets: Offsets) -> None:
    """One partition never has two batches at work, and never more partitions work than allowed."""
    batches = [offsets.batch(p, at) for at in (0, 10, 20) for p in range(4)]
    working: list[int] = []
    most, order = 0, {p: [0] for p in range(4)}

    async def step(batch: RecordBatch) -> None:
        nonlocal most
        assert batch.partition not in working
        working.append(batch.partition)
        most = max(most, len(working))
        for _ in range(batch.partition + 1):
            await asyncio.sleep(0)
        order[batch.partition].append(batch.next_offset)
        working.remove(batch.partition)

    await run_batches(stream_of(*batches), step, consumer=offsets, side_by_side=3, full=FULL)

    assert most == 3
    assert order == {p: [0, 10, 20, 30] for p in range(4)}


async def test_small_batches_of_many_partitions_work_at_once(offsets: Offsets) -> None:
    """Their outputs can leave together then."""
    batches = [offsets.batch(p, 0, 1) for p in range(15)]
    begun, go_on = set[int](), asyncio.Event()

    async def step(batch: RecordBatch) -> None:
        begun.add(batch.partition)
        await go_on.wait()

    running = asyncio.create_task(run_batches(stream_of(*batches), step, consumer=offsets, side_by_side=1, full=FULL))
    for _ in range(100):
        await asyncio.sleep(0)

    assert begun == set(range(10))

    go_on.set()
    await running

    assert begun == set(range(15))


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(RuntimeError("adapter"), id="an-exception"),
        pytest.param(asyncio.CancelledError(), id="cancelled-from-within"),
        pytest.param(TimeoutError(), id="a-timeout"),
        pytest.param(StoreFailed("no space"), id="a-store-that-fails"),
    ],
)
async def test_a_failing_step_poisons_the_offsets_and_is_fatal(
    offsets: Offsets, fatalities: list[str], error: BaseException
) -> None:
    batches = [offsets.batch(0, 0), offsets.batch(0, 10), offsets.batch(0, 20), offsets.batch(1, 0)]
    begun: list[int] = []

    async def step(batch: RecordBatch) -> None:
        begun.append(batch.first_offset)
        if batch.first_offset == 10:
            raise error

    await run_batches(
        stream_of(*batches),
        step,
        consumer=offsets,
        side_by_side=1,
        full=FULL,
        fatal=lambda reason, cause: fatalities.append(f"{reason}: {cause!r}"),
    )

    assert fatalities == [f"the step failed on t[0] offsets 10 to 19: {error!r}"]
    assert 20 not in begun
    assert offsets.tracker.poisoned
    assert offsets.tracker.committable() == {}


async def test_a_failing_stream_is_fatal_too(offsets: Offsets, fatalities: list[str]) -> None:
    async def broken() -> AsyncIterator[RecordBatch]:
        yield offsets.batch(0, 0)
        raise LookupError

    async def step(_: RecordBatch) -> None:
        return

    await run_batches(broken(), step, consumer=offsets, fatal=lambda reason, _: fatalities.append(reason))

    assert fatalities == ["the stream of record batches failed"]
    assert offsets.tracker.poisoned


async def test_a_void_batch_is_left_alone(offsets: Offsets) -> None:
    """A batch in flight when the partition was taken away is not even started."""
    gone, ours = offsets.batch(0, 0), offsets.batch(1, 0)
    offsets.tracker.forget([("t", 0)])
    worked: list[int] = []

    async def step(batch: RecordBatch) -> None:
        worked.append(batch.partition)

    await run_batches(stream_of(gone, ours), step, consumer=offsets)

    assert worked == [1]


@pytest.mark.parametrize("cancel", [asyncio.Task.cancel], ids=["the-agent-is-stopped"])
async def test_stopping_in_the_middle_of_a_step_acknowledges_nothing(
    offsets: Offsets, fatalities: list[str], cancel: Callable[[asyncio.Task[None]], bool]
) -> None:
    inside, cancelled = asyncio.Event(), asyncio.Event()

    async def step(_: RecordBatch) -> None:
        inside.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    agent = asyncio.create_task(
        run_batches(
            endless(offsets.batch(0, 0), offsets.batch(0, 10)),
            step,
            consumer=offsets,
            fatal=lambda reason, _: fatalities.append(reason),
        )
    )
    await inside.wait()
    cancel(agent)
    with pytest.raises(asyncio.CancelledError):
        await agent
    await cancelled.wait()

    assert fatalities == []
    assert offsets.tracker.committable() == {}
