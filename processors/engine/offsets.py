"""The offsets of the workers' group: a partition is committed up to the end of its unbroken run of finished batches.

Pure bookkeeping, without Kafka or Faust. Each batch handed out gets a ticket. Tickets become void when their partition
is taken away or read again from its committed offset, so that work finished too late moves nothing. Once poisoned, no
offset is ever offered again: the process is about to end and its successor must see everything since.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from processors.records import Partition
from schemas.topics import WORKERS_GROUP

GROUP: Final = WORKERS_GROUP
"""The consumer group of the workers that normalise and join."""


class _InFlight:
    """One batch between being handed out and being committed."""

    __slots__ = ("finished", "next_offset", "partition", "started", "ticket")

    def __init__(self, ticket: int, partition: Partition, next_offset: int) -> None:
        self.ticket = ticket
        self.partition = partition
        self.next_offset = next_offset
        self.started = False
        self.finished = False


class CommitTracker:
    """In-flight batches per partition, in offset order, and the offsets that may be committed."""

    def __init__(self) -> None:
        self._queues: dict[Partition, deque[_InFlight]] = {}
        self._tickets: dict[int, _InFlight] = {}
        self._read_to: dict[Partition, int] = {}
        self._safe: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}
        self._serial = 0
        self.poisoned = False

    def hand_out(self, partition: Partition, first_offset: int, next_offset: int) -> int:
        """Enter a batch that covers `first_offset` to before `next_offset`, and return its ticket."""
        read_to = self._read_to.get(partition, first_offset)
        if not read_to <= first_offset < next_offset:
            raise ValueError(
                f"{partition[0]}[{partition[1]}]: a batch of offsets {first_offset} to {next_offset} cannot follow {read_to}"
            )
        self._serial += 1
        entry = _InFlight(self._serial, partition, next_offset)
        self._queues.setdefault(partition, deque()).append(entry)
        self._tickets[entry.ticket] = entry
        self._read_to[partition] = next_offset
        return entry.ticket

    def start(self, ticket: int) -> bool:
        """Begin work on a batch; False when its ticket is void and the work must not be done."""
        entry = self._tickets.get(ticket)
        if entry is None or self.poisoned:
            return False
        if entry.started:
            raise RuntimeError(f"batch {ticket} of {entry.partition} was started twice: one topic, one reader")
        if self._queues[entry.partition][0] is not entry:
            raise RuntimeError(f"batch {ticket} of {entry.partition} was started before the one ahead of it finished")
        entry.started = True
        return True

    def finish(self, ticket: int) -> bool:
        """Acknowledge a started batch; False when its ticket became void meanwhile."""
        entry = self._tickets.get(ticket)
        if entry is None:
            return False
        if not entry.started:
            raise RuntimeError(f"batch {ticket} of {entry.partition} was finished but never started")
        entry.finished = True
        queue = self._queues[entry.partition]
        while queue and queue[0].finished:
            done = queue.popleft()
            del self._tickets[done.ticket]
            self._safe[entry.partition] = done.next_offset
        return True

    def committable(self) -> dict[Partition, int]:
        """Return the offsets that may be committed and are not yet; none once poisoned."""
        if self.poisoned:
            return {}
        return {tp: safe for tp, safe in self._safe.items() if safe > self._committed.get(tp, -1)}

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """Take note of offsets that the broker has confirmed."""
        for partition, offset in offsets.items():
            if offset > self._committed.get(partition, -1):
                self._committed[partition] = offset

    def position(self, partition: Partition) -> int | None:
        """Return the highest offset known to be committed, or None."""
        return self._committed.get(partition)

    def seek(self, committed: Mapping[Partition, int | None]) -> None:
        """Forget all that is in flight there and go on from what the broker has committed (None: nothing yet)."""
        self.forget(committed)
        for partition, offset in committed.items():
            if offset is not None:
                self._committed[partition] = offset

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Drop everything about these partitions; their tickets become void."""
        for partition in partitions:
            for entry in self._queues.pop(partition, ()):
                del self._tickets[entry.ticket]
            self._read_to.pop(partition, None)
            self._safe.pop(partition, None)
            self._committed.pop(partition, None)

    def poison(self) -> None:
        """Offer no offset from now on."""
        self.poisoned = True

    def in_flight(self, partition: Partition) -> int:
        """Return the number of batches of this partition that are handed out and not finished."""
        return len(self._queues.get(partition, ()))

    def running(self) -> frozenset[Partition]:
        """Return the partitions with a batch being processed."""
        return frozenset(tp for tp, queue in self._queues.items() if queue and queue[0].started)
