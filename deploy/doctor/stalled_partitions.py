"""Finds partitions that do not move, from the offsets in Kafka and never from the workers' own reports. Pure."""

from collections.abc import Iterable
from typing import Final

import msgspec

PartitionKey = tuple[str, str, int]
"""Group, topic and partition number."""

_SHOWN: Final = 3


class PartitionOffsets(msgspec.Struct, frozen=True, kw_only=True):
    """The offsets of one partition in one consumer group."""

    group: str
    topic: str
    partition: int
    committed: int
    """The next offset to be read; the first one of the partition when nothing is committed."""
    end: int

    @property
    def key(self) -> PartitionKey:
        """The key of the partition."""
        return self.group, self.topic, self.partition

    @property
    def waiting(self) -> int:
        """The number of records that are not done."""
        return max(0, self.end - self.committed)


class GroupOffsets(msgspec.Struct, frozen=True, kw_only=True):
    """The offsets of one consumer group."""

    name: str
    members: int
    committed: bool
    """True when it ever committed anything."""
    partitions: tuple[PartitionOffsets, ...]

    @property
    def waiting(self) -> int:
        """The number of records that are not done in all partitions."""
        return sum(one.waiting for one in self.partitions)


class StalledPartition(msgspec.Struct, frozen=True, kw_only=True):
    """A partition where records wait and nothing is done."""

    topic: str
    partition: int
    waiting: int
    for_s: float

    def __str__(self) -> str:
        records = "record" if self.waiting == 1 else "records"
        place = f"partition {self.partition} of {self.topic}"
        return f"{place} has not moved for {self.for_s:.0f} s with {self.waiting:,} {records} waiting"


class StallDetector:
    """Remembers since when each partition has its committed offset; times are seconds of a steady clock."""

    def __init__(self) -> None:
        self._since: dict[PartitionKey, tuple[int, float]] = {}

    def observe(self, groups: Iterable[GroupOffsets], now_s: float) -> None:
        """Takes the offsets of one look."""
        since: dict[PartitionKey, tuple[int, float]] = {}
        for one in (one for group in groups for one in group.partitions if one.waiting):
            known = self._since.get(one.key)
            unchanged = known is not None and known[0] == one.committed
            since[one.key] = known if known is not None and unchanged else (one.committed, now_s)
        self._since = since

    def stalled(self, groups: Iterable[GroupOffsets], now_s: float, *, longer_than_s: float) -> list[StalledPartition]:
        """Returns the partitions of the last look that have not moved for longer, the longest first."""
        found = [
            StalledPartition(
                topic=one.topic,
                partition=one.partition,
                waiting=one.waiting,
                for_s=now_s - self._since[one.key][1],
            )
            for group in groups
            for one in group.partitions
            if one.key in self._since and now_s - self._since[one.key][1] > longer_than_s
        ]
        return sorted(found, key=lambda one: (-one.for_s, one.topic, one.partition))


def sentences(stalled: list[StalledPartition]) -> list[str]:
    """Returns a sentence for each of the first, and one for the number of the others."""
    sentences = [str(one) for one in stalled[:_SHOWN]]
    more = len(stalled) - _SHOWN
    return [*sentences, f"and {more} more partitions"] if more > 0 else sentences
