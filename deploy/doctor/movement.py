"""Which partitions do not move, judged from what Kafka says of a group and never from what its workers say. Pure."""

from collections.abc import Iterable
from typing import Final

import msgspec

PartitionKey = tuple[str, str, int]
"""Group, topic and partition."""

_SHOWN: Final = 3


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One partition, as a consumer group stands on it."""

    group: str
    topic: str
    partition: int
    committed: int
    """The next offset to be read; where nothing is committed yet, the first there is."""
    end: int

    @property
    def key(self) -> PartitionKey:
        """Which it is."""
        return self.group, self.topic, self.partition

    @property
    def waiting(self) -> int:
        """Records that are not done."""
        return max(0, self.end - self.committed)


class GroupOffsets(msgspec.Struct, frozen=True, kw_only=True):
    """One consumer group."""

    name: str
    members: int
    committed: bool
    """Whether it ever committed anything."""
    standings: tuple[Standing, ...]

    @property
    def waiting(self) -> int:
        """Records that are not done, of all partitions."""
        return sum(standing.waiting for standing in self.standings)


class Unmoved(msgspec.Struct, frozen=True, kw_only=True):
    """A partition where records wait and nothing is done."""

    topic: str
    partition: int
    waiting: int
    for_s: float

    def __str__(self) -> str:
        records = "record" if self.waiting == 1 else "records"
        place = f"partition {self.partition} of {self.topic}"
        return f"{place} has not moved for {self.for_s:.0f} s with {self.waiting:,} {records} waiting"


class Movement:
    """Since when each partition stands where it stands; times in seconds of any steady clock."""

    def __init__(self) -> None:
        self._since: dict[PartitionKey, tuple[int, float]] = {}

    def observe(self, groups: Iterable[GroupOffsets], now_s: float) -> None:
        """Take in one look."""
        since: dict[PartitionKey, tuple[int, float]] = {}
        for standing in (one for group in groups for one in group.standings if one.waiting):
            known = self._since.get(standing.key)
            stands = known is not None and known[0] == standing.committed
            since[standing.key] = known if known is not None and stands else (standing.committed, now_s)
        self._since = since

    def unmoved(self, groups: Iterable[GroupOffsets], now_s: float, *, longer_than_s: float) -> list[Unmoved]:
        """The partitions of the last look that have stood for longer, the longest first."""
        found = [
            Unmoved(
                topic=standing.topic,
                partition=standing.partition,
                waiting=standing.waiting,
                for_s=now_s - self._since[standing.key][1],
            )
            for group in groups
            for standing in group.standings
            if standing.key in self._since and now_s - self._since[standing.key][1] > longer_than_s
        ]
        return sorted(found, key=lambda one: (-one.for_s, one.topic, one.partition))


def told(unmoved: list[Unmoved]) -> list[str]:
    """A sentence for each of the first, and one for how many more there are."""
    sentences = [str(one) for one in unmoved[:_SHOWN]]
    more = len(unmoved) - _SHOWN
    return [*sentences, f"and {more} more partitions"] if more > 0 else sentences
