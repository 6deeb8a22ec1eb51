"""Assignment epochs: they decide whether a partition's state in memory can still be trusted.

Every rebalance takes all partitions away and hands some back. A partition that comes back in the very next generation
was nobody else's meanwhile: its state is still valid. One that comes back later, or whose last batch was abandoned half
way, gets a new epoch number, and its state is restored when its first batch arrives; the rebalance itself stays short.
Pure bookkeeping; the caller knows what the state is and where it is restored from.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Final, Generic, Protocol, TypeVar

from processors.poison.trace import waiting
from processors.records import Partition

PerPartition = TypeVar("PerPartition")

RESTORED_AT_ONCE: Final = 4
"""The first ones go on while the others are still read back; all at once would be done together, and late."""


class AssignmentEpochs:
    """The epoch number of each assigned partition; it changes whenever another worker may have had the partition."""

    def __init__(self) -> None:
        self._held: dict[Partition, int] = {}
        self._generation = -1
        self._serial = 0

    def assign(
        self, assigned: Collection[Partition], *, generation: int, abandoned: Collection[Partition] = ()
    ) -> frozenset[Partition]:
        """Take over an assignment; returns the partitions whose state in memory is no longer valid."""
        unbroken = generation == self._generation + 1
        self._generation = generation
        held = dict(self._held)
        self._held = {}
        for partition in sorted(assigned):
            if unbroken and partition in held and partition not in abandoned:
                self._held[partition] = held.pop(partition)
            else:
                self._serial += 1
                self._held[partition] = self._serial
        return frozenset(held)

    def renew(self, partitions: Iterable[Partition]) -> None:
        """Give new epochs to assigned partitions on which another worker went on meanwhile."""
        for partition in partitions:
            if partition in self._held:
                self._serial += 1
                self._held[partition] = self._serial

    def of(self, partition: Partition) -> int:
        """Return the epoch of a partition, 0 for one that is not held."""
        return self._held.get(partition, 0)


class HasEpoch(Protocol):
    """The part of a record batch that names its partition and epoch."""

    @property
    def topic(self) -> str:
        """The batch's topic."""
        ...

    @property
    def partition(self) -> int:
        """The number of its partition."""
        ...

    @property
    def epoch(self) -> int:
        """The partition's assignment epoch when the batch was read."""
        ...


class PartitionStates(Generic[PerPartition]):
    """One state per assigned partition, restored by `restore(topic, partition)` at the first batch of each epoch."""

    def __init__(self, restore: Callable[[str, int], Awaitable[PerPartition]]) -> None:
        self._restore = restore
        self._states: dict[Partition, tuple[int, PerPartition]] = {}
        self._restoring: set[Partition] = set()
        self._room = asyncio.Semaphore(RESTORED_AT_ONCE)

    async def of(self, batch: HasEpoch) -> PerPartition:
        """Return the state that this batch works on; batches of one partition must ask one after the other."""
        partition = (batch.topic, batch.partition)
        epoch, state = self._states.get(partition, (0, None))
        if state is not None and epoch == batch.epoch:
            return state
        self._states.pop(partition, None)
        self._restoring.add(partition)
        with waiting():
            async with self._room:
                restored = await self._restore(*partition)
        if partition in self._restoring:
            self._restoring.remove(partition)
            self._states[partition] = (batch.epoch, restored)
        # Else it was dropped during the restore: the batch will not count, and nobody would drop the state again.
        return restored

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Free the states of partitions that are no longer assigned."""
        for partition in partitions:
            self._states.pop(partition, None)
            self._restoring.discard(partition)

    def __len__(self) -> int:
        return len(self._states)

    def items(self) -> list[tuple[Partition, PerPartition]]:
        """Return all states, for gauges and checks."""
        return [(partition, state) for partition, (_, state) in self._states.items()]
