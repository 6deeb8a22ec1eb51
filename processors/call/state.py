"""The state of one call: its items, each with all its contents, and its clocks. A join-semilattice.

Within the bounds, `merge_states` is commutative, associative and idempotent, so order, repetition and replay cannot
change what is shown. Beyond them (`folding`) items are folded away, never silently: the counts go on and `overflow` is
set. This module must not know how a call is shown.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import structs

from processors.call.contents import Content, Item, item_of
from processors.call.duplicates import (
    Arrival,
    FoldedUpTo,
    arrival_of,
    is_folded,
    join_folded,
    knows,
    mark_folded,
    union,
)
from processors.call.slots import Slots, join_slots
from schemas.facts import Fact, FactType

# An enum looks a member up each time it is named.
_RESOLUTION: Final = FactType.RESOLUTION
_RECORD: Final = FactType.RECORD
_STATE: Final = FactType.STATE

OPEN: Final = 0
TIMED_OUT: Final = 1
FINAL: Final = 2
REOPENED: Final = 3


class Tally(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Counts over a call's items, carried along, so that a fact costs the same however many items there are."""

    records: int = 0
    unfinished: int = 0
    """The records without a final content."""
    states: int = 0
    late: int = 0
    """The contents that came after the call was closed."""

    @property
    def settled(self) -> bool:
        """True when all that can be final is: a final record, or nothing that could have a timeline."""
        return not self.unfinished and (self.records > 0 or not self.states)

    def changed(self, before: Item | None, after: Item) -> "Tally":
        """Return the counts once `after` stands in the place of `before`."""
        more = tally_of((after,))
        if before is None:
            return Tally(
                self.records + more.records,
                self.unfinished + more.unfinished,
                self.states + more.states,
                self.late + more.late,
            )
        less = tally_of((before,))
        return Tally(
            self.records + more.records - less.records,
            self.unfinished + more.unfinished - less.unfinished,
            self.states + more.states - less.states,
            self.late + more.late - less.late,
        )


UNCOUNTED: Final = Tally(records=-1)
"""Stands in the place of counts that nobody made yet."""


class CallState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All that is known under one Kafka key. Immutable."""

    items: dict[str, Item]
    """fact_id to item."""
    contents: int
    """Number of distinct facts ever merged, including those folded away."""
    duplicates: int
    """Number of arrivals beyond those."""
    merge_count: int
    """The amount merged, as versions count it: distinct facts, and arrivals that could change what is shown."""
    timed_out: int = 0
    """The value of `contents` when the call last timed out: a later fact opens it again."""
    touched_ms: int
    """Record clock of the last distinct fact."""
    deadline_ms: int = 0
    """Record clock at which `processors.join.timeout` is due."""
    folded_up_to: FoldedUpTo = ()
    """Folded-up-to marks; empty for nearly all calls."""
    slots: Slots = {}
    """The places of its rows; of no account in states of older releases."""
    overflow: bool = False
    """Facts were folded away: not everything that came is shown."""
    tally: Tally = UNCOUNTED
    """Counts over the items; whoever replaces the items gives theirs, or `UNCOUNTED` to have them counted."""

    def __post_init__(self) -> None:
        """Count the items where nobody did."""
        if self.tally is UNCOUNTED:
            structs.force_setattr(self, "tally", tally_of(self.items.values()))

    def counts(self) -> tuple[int, int]:
        """Return (facts, duplicates): with the dead and the filtered they add up to the elements that came in."""
        return self.contents, self.duplicates

    @property
    def late(self) -> bool:
        """True when a distinct fact came after the call was closed."""
        return self.tally.late > 0

    @property
    def phase(self) -> int:
        """`OPEN`, `TIMED_OUT` without a final record, `FINAL`, or `REOPENED` by a change after it was closed."""
        tally = self.tally
        if tally.late > 0:
            return REOPENED
        if tally.settled:
            return FINAL
        return TIMED_OUT if self.timed_out >= self.contents else OPEN


def new_item(fact: Fact, *, late: bool = False) -> Item:
    """Build an item with one content."""
    content = Content(fact=fact, late=late)
    if fact.fact_type is _RESOLUTION:
        return Item(contents=(), resolutions=(content,))
    return Item(contents=(content,))


def sums(items: Iterable[Item]) -> tuple[int, int, int]:
    """Return (facts, duplicates, amount merged) of these items."""
    contents = duplicates = merge_count = 0
    for item in items:
        contents += len(item.every) + item.more
        duplicates += item.duplicates
        merge_count += item.merge_count
    return contents, duplicates, merge_count


def merge_states(left: CallState, right: CallState) -> CallState:
    """Merge what two owners of a call know."""
    items: dict[str, Item] = {}
    gone: list[Arrival] = []
    for name in sorted({**left.items, **right.items}):
        found = [(state, other) for state, other in ((left, right), (right, left)) if name in state.items]
        if len(found) == 1 and not found[0][1].overflow:
            items[name] = found[0][0].items[name]  # as it is: a segment of a large call shares few with the others
            continue
        contents = [content for state, other in found for content in _not_folded(state.items[name], other)]
        if contents:
            more = max(state.items[name].more for state, _ in found)
            items[name] = item_of(_distinct(contents, gone), more)
    kept = sums(items.values())
    beyond = [max(ours, theirs) for ours, theirs in zip(_folded(left), _folded(right), strict=True)]
    return CallState(
        items=items,
        contents=kept[0] + beyond[0],
        duplicates=kept[1] + beyond[1],
        merge_count=kept[2] + beyond[2],
        timed_out=max(left.timed_out, right.timed_out),
        touched_ms=max(left.touched_ms, right.touched_ms),
        deadline_ms=min(left.deadline_ms, right.deadline_ms),  # a timeout that is early sets itself right
        folded_up_to=mark_folded(join_folded(left.folded_up_to, right.folded_up_to), *gone),
        slots=join_slots(left.slots, right.slots),
        overflow=left.overflow or right.overflow,
    )


def _not_folded(item: Item, other: CallState) -> Iterator[Content]:
    """Yield the contents, without what the other side has already folded away."""
    theirs = {content.fact.content_digest: content for content in _contents(other, item.sample.fact_id)}
    for content in item.every:
        known = theirs.get(content.fact.content_digest)
        if known is None:
            if not (other.overflow and is_folded(other.folded_up_to, arrival_of(content.fact))):
                yield content
            continue
        first = arrival_of(known.fact)
        others = tuple(
            arrival
            for arrival in content.arrivals.others
            if knows(first, known.arrivals, arrival) or not is_folded(other.folded_up_to, arrival)
        )
        same = len(others) == len(content.arrivals.others)
        yield content if same else structs.replace(content, arrivals=structs.replace(content.arrivals, others=others))


def _contents(state: CallState, name: str) -> tuple[Content, ...]:
    return state.items[name].every if name in state.items else ()


def _distinct(contents: list[Content], gone: list[Arrival]) -> Iterable[Content]:
    by_digest: dict[str, Content] = {}
    for content in contents:
        known = by_digest.get(content.fact.content_digest)
        by_digest[content.fact.content_digest] = _merge_contents(known, content, gone) if known else content
    return by_digest.values()


def _merge_contents(one: Content, other: Content, gone: list[Arrival]) -> Content:
    ours, theirs = arrival_of(one.fact), arrival_of(other.fact)
    first, arrivals, folded = union(ours, one.arrivals, theirs, other.arrivals)
    gone.extend(folded)
    fact = one.fact if first == ours else other.fact
    return Content(fact=fact, arrivals=arrivals, late=one.late or other.late)


def _folded(state: CallState) -> tuple[int, int, int]:
    contents, duplicates, merge_count = sums(state.items.values())
    return state.contents - contents, state.duplicates - duplicates, state.merge_count - merge_count


def tally_of(items: Iterable[Item]) -> Tally:
    """Count over these items."""
    records = unfinished = states = late = 0
    for item in items:
        contents = item.contents
        if not contents:
            continue
        final = False
        for content in contents:
            late += content.late
            final |= content.fact.is_final
        fact_type = contents[0].fact.fact_type
        if fact_type is _RECORD:
            records += 1
            unfinished += not final
        elif fact_type is _STATE:
            states += 1
    return Tally(records, unfinished, states, late)
