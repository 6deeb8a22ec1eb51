"""The arrivals of a content: the same fact at another place of the raw log is a duplicate, at the same place a replay.

Replays (Kafka's, or a restarted normaliser's) change nothing and are answered with the current version; dropping them
would lose what a crash kept from getting out. Duplicates are recorded, so that the counts stay exact over crashes.
Bounded: a poller shows a settled record some 240 times, so the first `KEPT` arrivals are kept one by one and the others
as a number, and `FoldedUpTo` remembers how far each raw partition is folded away. This module must not know what a fact
says.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from schemas.facts import Fact

KEPT: Final = 16
"""Most arrivals of one content beside the first that are remembered one by one."""

FoldedUpTo = tuple[tuple[str, int, int, int], ...]
"""Folded-up-to marks, sorted (raw topic, partition, offset, element): whatever is not kept up to there has arrived
before.  That holds because the facts of one raw partition first arrive in its order, whatever restarts in between."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Arrival(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One arrival of a content; compares by the time of its receipt, then by place."""

    received_us: int
    topic: str
    partition: int
    offset: int
    element: int

    def same_place(self, other: "Arrival") -> bool:
        """True when both are one element of one raw record."""
        return (
            self.offset == other.offset
            and self.element == other.element
            and self.partition == other.partition
            and self.topic == other.topic
        )


class Arrivals(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All arrivals of one content except the first received, which its fact itself names."""

    others: tuple[Arrival, ...] = ()
    """The kept ones, sorted, at most `KEPT`."""
    more: int = 0
    """Number of arrivals beyond those."""
    shuffled: bool = False
    """They did not come in the order of their receipt: the shown time of receipt may have moved."""

    @property
    def duplicates(self) -> int:
        """The number of arrivals beside the first."""
        return len(self.others) + self.more

    @property
    def merge_count(self) -> int:
        """The amount that they add to a version: nothing, unless they could change what is shown."""
        return len(self.others) + self.more if self.shuffled else 0


NEVER_AGAIN: Final = Arrivals()
"""The arrivals of a content that came once."""


def arrival_of(fact: Fact) -> Arrival:
    """Return the arrival that a fact names in its provenance."""
    return Arrival(
        (fact.received_at - _EPOCH) // _MICROSECOND,
        fact.raw_topic,
        fact.raw_partition,
        fact.raw_offset,
        fact.raw_element,
    )


def is_folded(folded_up_to: FoldedUpTo, arrival: Arrival) -> bool:
    """True when the place lies within what was folded away."""
    for topic, partition, offset, element in folded_up_to:
        if topic == arrival.topic and partition == arrival.partition:
            return (arrival.offset, arrival.element) <= (offset, element)
    return False


def mark_folded(folded_up_to: FoldedUpTo, *arrivals: Arrival) -> FoldedUpTo:
    """Raise the marks to cover these arrivals too."""
    return join_folded(folded_up_to, tuple((a.topic, a.partition, a.offset, a.element) for a in arrivals))


def join_folded(left: FoldedUpTo, right: FoldedUpTo) -> FoldedUpTo:
    """Join two sets of marks: the later one of each raw partition."""
    highest: dict[tuple[str, int], tuple[int, int]] = {}
    for topic, partition, offset, element in (*left, *right):
        at = (topic, partition)
        highest[at] = max(highest.get(at, (-1, -1)), (offset, element))
    return tuple(sorted((*at, *place) for at, place in highest.items()))


def knows(first: Arrival, arrivals: Arrivals, arrival: Arrival) -> bool:
    """True when this very arrival is one of the kept ones."""
    return first.same_place(arrival) or any(other.same_place(arrival) for other in arrivals.others)


def add(first: Arrival, arrivals: Arrivals, arrival: Arrival) -> tuple[Arrival, Arrivals, tuple[Arrival, ...]]:
    """Record a new arrival: returns the arrival that is now first, the others, and those to fold into the marks."""
    shuffled = arrivals.shuffled or not all(_in_order(arrival, other) for other in (first, *arrivals.others))
    ordered = sorted((first, *arrivals.others, arrival))
    kept, gone = tuple(ordered[1 : KEPT + 1]), tuple(ordered[KEPT + 1 :])
    return ordered[0], Arrivals(kept, arrivals.more + len(gone), shuffled), gone


def union(
    left_first: Arrival, left: Arrivals, right_first: Arrival, right: Arrivals
) -> tuple[Arrival, Arrivals, tuple[Arrival, ...]]:
    """Join all arrivals that either side knows; the number beyond the kept ones is the higher of both."""
    places: dict[tuple[str, int, int, int], Arrival] = {}
    for arrival in (left_first, *left.others, right_first, *right.others):
        at = (arrival.topic, arrival.partition, arrival.offset, arrival.element)
        places[at] = min(places.get(at, arrival), arrival)
    ordered = sorted(places.values())
    shuffled = (
        left.shuffled
        or right.shuffled
        or any(not _in_order(one, other) for index, one in enumerate(ordered) for other in ordered[:index])
    )
    kept, gone = tuple(ordered[1 : KEPT + 1]), tuple(ordered[KEPT + 1 :])
    return ordered[0], Arrivals(kept, max(left.more, right.more) + len(gone), shuffled), gone


def _in_order(one: Arrival, other: Arrival) -> bool:
    if one.topic != other.topic or one.partition != other.partition:
        return False
    earlier, later = sorted((one, other), key=lambda arrival: (arrival.offset, arrival.element))
    return earlier.received_us <= later.received_us
