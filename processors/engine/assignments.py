"""Which partitions have been ours without a break, so that their state in memory can be trusted.

Every rebalance takes all partitions away and hands some back. A partition that comes back in the very next generation
was nobody else's meanwhile: its state still holds. One that comes back later, or whose last slice was abandoned half
way, gets a new epoch number, and its state is restored anew when its first slice arrives; the rebalance itself stays
short. Pure bookkeeping; what the state is and where it is restored from is the caller's.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Generic, Protocol, TypeVar

from processors.poison.trace import waiting
from processors.records import Partition

PerPartition = TypeVar("PerPartition")


class AssignmentEpochs:
    """The number under which each assigned partition is held; it changes whenever someone else may have held it."""

    def __init__(self) -> None:
        self._held: dict[Partition, int] = {}
        self._generation = -1
        self._serial = 0

    def assign(
        self, assigned: Collection[Partition], *, generation: int, abandoned: Collection[Partition] = ()
    ) -> frozenset[Partition]:
        """Take over an assignment and return the partitions that are ours no more, or no more without a break."""
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
        """Begin anew with partitions that are ours, and that somebody else went on with meanwhile."""
        for partition in partitions:
            if partition in self._held:
                self._serial += 1
                self._held[partition] = self._serial

    def of(self, partition: Partition) -> int:
        """Return the epoch of a partition, 0 for one that is not held."""
        return self._held.get(partition, 0)


class HasEpoch(Protocol):
    """What a slice tells about the partition it comes from."""

    @property
    def topic(self) -> str:
        """Its topic."""
        ...

    @property
    def partition(self) -> int:
        """Its partition's number."""
        ...

    @property
    def epoch(self) -> int:
        """The number under which the partition was held when the slice was read."""
        ...


class PartitionStates(Generic[PerPartition]):
    """One state per partition in hand, restored by `restore(topic, partition)` before the first slice of each epoch."""

    def __init__(self, restore: Callable[[str, int], Awaitable[PerPartition]]) -> None:
        self._restore = restore
        self._states: dict[Partition, tuple[int, PerPartition]] = {}
        self._restoring: set[Partition] = set()

    async def of(self, slice_: HasEpoch) -> PerPartition:
        """Return the state that this slice works on; slices of one partition must ask one after the other."""
        partition = (slice_.topic, slice_.partition)
        epoch, state = self._states.get(partition, (0, None))
        if state is not None and epoch == slice_.epoch:
            return state
        self._states.pop(partition, None)
        self._restoring.add(partition)
        with waiting():
            restored = await self._restore(*partition)
        if partition in self._restoring:
            self._restoring.remove(partition)
            self._states[partition] = (slice_.epoch, restored)
        # Else it was dropped while it was read back: the slice comes to nothing, and nobody would drop it again.
        return restored

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Free the states of partitions that are ours no more."""
        for partition in partitions:
            self._states.pop(partition, None)
            self._restoring.discard(partition)

    def __len__(self) -> int:
        return len(self._states)

    def items(self) -> list[tuple[Partition, PerPartition]]:
        """Return the states in hand, for gauges and checks."""
        return [(partition, state) for partition, (_, state) in self._states.items()]
