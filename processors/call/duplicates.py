"""What was seen where: a duplicate is the same fact at another place of the raw log; at the same place it is a repetition.

Repetitions (Kafka's, or a restarted normaliser's) change nothing and are answered with the current version; dropping them
loses what a crash kept from getting out. Duplicates are recorded, so that the counts stay exact over crashes. Bounded: a
poller shows a settled record some 240 times, so the first `KEPT` copies are kept one by one, the others as a number, and
`FoldedUpTo` remembers how far each raw partition is folded away. This module must not know what a fact says.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from schemas.facts import Fact

KEPT: Final = 16
"""Copies of one content beside the first that are remembered one by one."""

FoldedUpTo = tuple[tuple[str, int, int, int], ...]
"""Sorted (raw topic, partition, offset, element): up to there, what is not kept was seen and folded away.

That holds because the facts of one raw partition come in its order at first sight, whatever restarts in between.
"""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Arrival(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One arrival of an item; compares by the time of its receipt, then by place."""

    received_us: int
    topic: str
    partition: int
    offset: int
    element: int

    def same_place(self, other: "Arrival") -> bool:
        """Whether both are one element of one raw record."""
        return (
            self.offset == other.offset
            and self.element == other.element
            and self.partition == other.partition
            and self.topic == other.topic
        )


class Arrivals(msgspec.Struct, frozen=True, array_like=True):
    """All arrivals of one content except the first received, which its fact names itself."""

    others: tuple[Arrival, ...] = ()
    """Sorted, at most `KEPT`."""
    more: int = 0
    """Copies beyond those, as a number."""
    shuffled: bool = False
    """The copies did not come in the order of their receipt: what is shown as received may have moved."""

    @property
    def extras(self) -> int:
        """Copies beside the first: the duplicates."""
        return len(self.others) + self.more

    @property
    def merge_count(self) -> int:
        """What the copies add to a version: nothing, unless they could change what is shown."""
        return len(self.others) + self.more if self.shuffled else 0


NEVER_AGAIN: Final = Arrivals()
"""Of a content that came once."""


def copy_of(fact: Fact) -> Arrival:
    """The arrival that a fact names in its provenance."""
    return Arrival(
        (fact.received_at - _EPOCH) // _MICROSECOND,
        fact.raw_topic,
        fact.raw_partition,
        fact.raw_offset,
        fact.raw_element,
    )


def passed(marks: FoldedUpTo, copy: Arrival) -> bool:
    """Whether the place lies in what was folded away."""
    for topic, partition, offset, element in marks:
        if topic == copy.topic and partition == copy.partition:
            return (copy.offset, copy.element) <= (offset, element)
    return False


def raise_marks(marks: FoldedUpTo, *copies: Arrival) -> FoldedUpTo:
    """The marks with these places folded away too."""
    return join_marks(marks, tuple((c.topic, c.partition, c.offset, c.element) for c in copies))


def join_marks(left: FoldedUpTo, right: FoldedUpTo) -> FoldedUpTo:
    """Per raw partition the later mark."""
    highest: dict[tuple[str, int], tuple[int, int]] = {}
    for topic, partition, offset, element in (*left, *right):
        at = (topic, partition)
        highest[at] = max(highest.get(at, (-1, -1)), (offset, element))
    return tuple(sorted((*at, *place) for at, place in highest.items()))


def knows(first: Arrival, seen: Arrivals, copy: Arrival) -> bool:
    """Whether this very arrival is one of the kept ones."""
    return first.same_place(copy) or any(other.same_place(copy) for other in seen.others)


def add(first: Arrival, seen: Arrivals, copy: Arrival) -> tuple[Arrival, Arrivals, tuple[Arrival, ...]]:
    """Record a new arrival: which copy is now the first received, the others, and what must be folded into the marks."""
    shuffled = seen.shuffled or not all(_in_order(copy, other) for other in (first, *seen.others))
    ordered = sorted((first, *seen.others, copy))
    kept, gone = tuple(ordered[1 : KEPT + 1]), tuple(ordered[KEPT + 1 :])
    return ordered[0], Arrivals(kept, seen.more + len(gone), shuffled), gone


def union(
    left_first: Arrival, left: Arrivals, right_first: Arrival, right: Arrivals
) -> tuple[Arrival, Arrivals, tuple[Arrival, ...]]:
    """All arrivals that either side knows; numbers beyond the kept ones are the higher of both."""
    places: dict[tuple[str, int, int, int], Arrival] = {}
    for copy in (left_first, *left.others, right_first, *right.others):
        at = (copy.topic, copy.partition, copy.offset, copy.element)
        places[at] = min(places.get(at, copy), copy)
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
    earlier, later = sorted((one, other), key=lambda copy: (copy.offset, copy.element))
    return earlier.received_us <= later.received_us
