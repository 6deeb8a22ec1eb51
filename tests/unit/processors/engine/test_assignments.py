"""Trust in a partition's state in memory after a rebalance."""

import asyncio
from collections.abc import Collection

import pytest

from processors.engine.assignments import RESTORED_AT_ONCE, AssignmentEpochs, PartitionStates
from processors.records import RecordBatch

A, B, C = ("facts", 0), ("facts", 1), ("facts", 2)


@pytest.mark.parametrize(
    ("generation", "assigned", "abandoned", "kept", "lost"),
    [
        pytest.param(8, [A, B], [], {A, B}, set(), id="all-come-back-in-the-next-generation"),
        pytest.param(8, [A], [], {A}, {B}, id="one-goes-to-another-worker"),
        pytest.param(8, [A, B, C], [], {A, B}, set(), id="one-more-arrives"),
        pytest.param(9, [A, B], [], set(), {A, B}, id="a-generation-was-missed"),
        pytest.param(7, [A, B], [], set(), {A, B}, id="the-same-generation-again"),
        pytest.param(1, [A, B], [], set(), {A, B}, id="the-group-began-anew"),
        pytest.param(8, [A, B], [B], {A}, {B}, id="a-batch-was-abandoned-half-way"),
        pytest.param(8, [], [], set(), {A, B}, id="nothing-is-left"),
    ],
)
def test_what_a_rebalance_leaves_unbroken(
    generation: int,
    assigned: Collection[tuple[str, int]],
    abandoned: Collection[tuple[str, int]],
    kept: set[tuple[str, int]],
    lost: set[tuple[str, int]],
) -> None:
    epochs = AssignmentEpochs()
    epochs.assign([A, B], generation=7)
    before = {tp: epochs.of(tp) for tp in (A, B)}

    assert epochs.assign(assigned, generation=generation, abandoned=abandoned) == lost
    assert {tp for tp in before if epochs.of(tp) == before[tp]} == kept
    assert all(epochs.of(tp) > max(before.values()) for tp in assigned if tp not in kept)


def test_what_others_went_on_with_begins_anew() -> None:
    """Only that epoch is renewed; a partition that is not ours stays so."""
    epochs = AssignmentEpochs()
    epochs.assign([A, B], generation=7)
    before = epochs.of(A), epochs.of(B)

    epochs.renew([B, C])

    assert (epochs.of(A), epochs.of(C)) == (before[0], 0)
    assert epochs.of(B) > max(before)


def test_a_partition_that_is_not_ours_has_epoch_zero() -> None:
    assert AssignmentEpochs().of(A) == 0


def batch_of(partition: tuple[str, int], epoch: int) -> RecordBatch:
    return RecordBatch(
        topic=partition[0], partition=partition[1], records=(), first_offset=0, next_offset=1, epoch=epoch
    )


class Restorer:
    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, topic: str, partition: int) -> list[str]:
        self.asked.append((topic, partition))
        return []


async def test_a_state_is_restored_once_per_epoch() -> None:
    restorer = Restorer()
    states: PartitionStates[list[str]] = PartitionStates(restorer)
    first = await states.of(batch_of(A, 1))

    assert await states.of(batch_of(A, 1)) is first
    assert await states.of(batch_of(B, 2)) is not first
    assert await states.of(batch_of(A, 3)) is not first
    assert restorer.asked == [A, B, A]


async def test_dropped_states_are_freed() -> None:
    restorer = Restorer()
    states: PartitionStates[list[str]] = PartitionStates(restorer)
    await states.of(batch_of(A, 1))
    await states.of(batch_of(B, 2))
    states.drop([A, C])

    assert [partition for partition, _ in states.items()] == [B]
    assert len(states) == 1


async def test_a_state_dropped_while_it_is_read_back_is_not_kept() -> None:
    """Otherwise nobody would drop the state, and it would be counted beside the new owner's."""

    async def lose(topic: str, partition: int) -> list[str]:
        states.drop([(topic, partition)])
        return []

    states: PartitionStates[list[str]] = PartitionStates(lose)

    assert await states.of(batch_of(A, 1)) == []
    assert len(states) == 0


async def test_a_failed_restore_leaves_no_state_behind() -> None:
    async def fail(_: str, __: int) -> list[str]:
        raise ConnectionError

    states: PartitionStates[list[str]] = PartitionStates(fail)
    with pytest.raises(ConnectionError):
        await states.of(batch_of(A, 1))

    assert len(states) == 0


async def test_few_states_are_restored_at_once() -> None:
    """The first partitions go on while the others are read back."""
    restoring, most = 0, 0

    async def restore(_: str, __: int) -> list[str]:
        nonlocal restoring, most
        restoring += 1
        most = max(most, restoring)
        await asyncio.sleep(0)
        restoring -= 1
        return []

    states: PartitionStates[list[str]] = PartitionStates(restore)
    await asyncio.gather(*(states.of(batch_of(("calls.facts", number), 1)) for number in range(20)))

    assert len(states) == 20
    assert most == RESTORED_AT_ONCE
