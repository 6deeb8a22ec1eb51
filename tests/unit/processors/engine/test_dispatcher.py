"""The loop around a step: strict order per partition, and an acknowledgement only after the step returned."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from processors.engine.dispatcher import run_slices
from processors.engine.offsets import CommitTracker
from processors.records import RecordBatch


class Offsets:
    """A consumer without Kafka: the real tracker behind the three calls of the lanes."""

    def __init__(self) -> None:
        self.tracker = CommitTracker()

    def slice(self, partition: int, first: int, size: int = 10) -> RecordBatch:
        ticket = self.tracker.hand_out(("t", partition), first, first + size)
        return RecordBatch(
            topic="t", partition=partition, records=(), first_offset=first, next_offset=first + size, ticket=ticket
        )

    def begin(self, slice_: RecordBatch) -> bool:
        return self.tracker.start(slice_.ticket)

    def finish(self, slice_: RecordBatch) -> None:
        self.tracker.finish(slice_.ticket)

    def poison(self) -> None:
        self.tracker.poison()


async def stream_of(*slices: RecordBatch) -> AsyncIterator[RecordBatch]:
    for slice_ in slices:
        yield slice_


async def endless(*slices: RecordBatch) -> AsyncIterator[RecordBatch]:
    for slice_ in slices:
        yield slice_
    await asyncio.Event().wait()


@pytest.fixture
def offsets() -> Offsets:
    return Offsets()


@pytest.fixture
def fatalities() -> list[str]:
    return []


async def test_every_slice_is_worked_on_and_acknowledged(offsets: Offsets, fatalities: list[str]) -> None:
    slices = [offsets.slice(n % 3, n // 3 * 10) for n in range(12)]
    done: list[RecordBatch] = []

    async def step(slice_: RecordBatch) -> None:
        await asyncio.sleep(0)
        done.append(slice_)

    await run_slices(stream_of(*slices), step, consumer=offsets, fatal=lambda reason, _: fatalities.append(reason))

    assert sorted(done, key=lambda s: s.ticket) == slices
    assert offsets.tracker.committable() == {("t", 0): 40, ("t", 1): 40, ("t", 2): 40}
    assert fatalities == []


async def test_partitions_work_side_by_side_and_each_in_order(offsets: Offsets) -> None:
    """Never two slices of one partition at once, and never more partitions than allowed."""
    slices = [offsets.slice(p, at) for at in (0, 10, 20) for p in range(4)]
    working: list[int] = []
    most, order = 0, {p: [0] for p in range(4)}

    async def step(slice_: RecordBatch) -> None:
        nonlocal most
        assert slice_.partition not in working
        working.append(slice_.partition)
        most = max(most, len(working))
        for _ in range(slice_.partition + 1):
            await asyncio.sleep(0)
        order[slice_.partition].append(slice_.next_offset)
        working.remove(slice_.partition)

    await run_slices(stream_of(*slices), step, consumer=offsets, side_by_side=3)

    assert most == 3
    assert order == {p: [0, 10, 20, 30] for p in range(4)}


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(RuntimeError("adapter"), id="an-exception"),
        pytest.param(asyncio.CancelledError(), id="cancelled-from-within"),
        pytest.param(TimeoutError(), id="a-timeout"),
    ],
)
async def test_a_failing_step_poisons_the_offsets_and_is_fatal(
    offsets: Offsets, fatalities: list[str], error: BaseException
) -> None:
    slices = [offsets.slice(0, 0), offsets.slice(0, 10), offsets.slice(0, 20), offsets.slice(1, 0)]
    begun: list[int] = []

    async def step(slice_: RecordBatch) -> None:
        begun.append(slice_.first_offset)
        if slice_.first_offset == 10:
            raise error

    await run_slices(
        stream_of(*slices),
        step,
        consumer=offsets,
        side_by_side=1,
        fatal=lambda reason, cause: fatalities.append(f"{reason}: {cause!r}"),
    )

    assert fatalities == [f"the step failed on t[0] offsets 10 to 19: {error!r}"]
    assert 20 not in begun
    assert offsets.tracker.poisoned
    assert offsets.tracker.committable() == {}


async def test_a_failing_stream_is_fatal_too(offsets: Offsets, fatalities: list[str]) -> None:
    async def broken() -> AsyncIterator[RecordBatch]:
        yield offsets.slice(0, 0)
        raise LookupError

    async def step(_: RecordBatch) -> None:
        return

    await run_slices(broken(), step, consumer=offsets, fatal=lambda reason, _: fatalities.append(reason))

    assert fatalities == ["the stream of slices failed"]
    assert offsets.tracker.poisoned


async def test_a_void_slice_is_left_alone(offsets: Offsets) -> None:
    """What was in flight when the partition was taken away is not even started."""
    gone, ours = offsets.slice(0, 0), offsets.slice(1, 0)
    offsets.tracker.forget([("t", 0)])
    worked: list[int] = []

    async def step(slice_: RecordBatch) -> None:
        worked.append(slice_.partition)

    await run_slices(stream_of(gone, ours), step, consumer=offsets)

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
        run_slices(
            endless(offsets.slice(0, 0), offsets.slice(0, 10)),
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
