"""What is known of one call: its items, each with all its contents, and the clock marks. A join-semilattice.

Within the bounds, `merge_states` is commutative, associative and idempotent, so order, repetition and replay cannot change
what is shown. Beyond them (`folding`) items are folded away, never silently: the counts go on and `overflow` is flagged.
This module must not know how a call is shown.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import structs

from processors.call.contents import Content, Item, item_of
from processors.call.duplicates import Arrival, FoldedUpTo, copy_of, join_marks, knows, passed, raise_marks, union
from schemas.facts import Fact, FactType

OPEN: Final = 0
TIMED_OUT: Final = 1
FINAL: Final = 2
REOPENED: Final = 3


class CallState(msgspec.Struct, frozen=True, kw_only=True):
    """One Kafka key's knowledge. Items are never changed in place."""

    items: dict[str, Item]
    """By fact_id."""
    contents: int
    """Distinct facts ever merged, those folded away too."""
    duplicates: int
    """Arrivals beyond those."""
    merge_count: int
    """The versions' n: distinct facts, and the copies that could change what is shown."""
    timed_out: int = 0
    """`contents` when the call last timed out: a later fact opens it again."""
    touched_ms: int
    """Record clock of the last distinct fact."""
    deadline_ms: int = 0
    """Record clock at which `processors.join.timeout` is due."""
    marks: FoldedUpTo = ()
    """Up to where arrivals were folded away; empty for nearly all calls."""
    overflow: bool = False
    """Facts were folded away: what is shown is not all that came."""

    def counts(self) -> tuple[int, int]:
        """(facts, duplicates): with the dead and the filtered they add up to the elements that came in."""
        return self.contents, self.duplicates

    @property
    def late(self) -> bool:
        """A distinct fact came after the call was closed."""
        return any(content.late for item in self.items.values() for content in item.contents)

    @property
    def settled(self) -> bool:
        """All that can be final is: a final record, or nothing that could have a timeline."""
        record = state = False
        for item in self.items.values():
            fact_type = item.fact_type
            if fact_type is FactType.RECORD:
                record = True
                if not any(content.fact.is_final for content in item.contents):
                    return False
            elif fact_type is FactType.STATE:
                state = True
        return record or not state

    def has(self, fact_type: FactType) -> bool:
        """Whether anything of this type is known."""
        return any(item.fact_type is fact_type for item in self.items.values())

    @property
    def phase(self) -> int:
        """0 open, 1 timed out without a final record, 2 final, 3 changed after it was closed."""
        if self.late:
            return REOPENED
        if self.settled:
            return FINAL
        return TIMED_OUT if self.timed_out >= self.contents else OPEN


def new_item(fact: Fact, *, late: bool = False) -> Item:
    """An item of which one content is known."""
    return item_of((Content(fact=fact, late=late),))


def merge_states(left: CallState, right: CallState) -> CallState:
    """All that two owners of a call know together."""
    items: dict[str, Item] = {}
    gone: list[Arrival] = []
    for name in sorted({**left.items, **right.items}):
        found = [(state, other) for state, other in ((left, right), (right, left)) if name in state.items]
        contents = [content for state, other in found for content in _not_folded(state.items[name], other)]
        if contents:
            more = max(state.items[name].more for state, _ in found)
            items[name] = item_of(_distinct(contents, gone), more)
    kept = _sums(items.values())
    beyond = [max(ours, theirs) for ours, theirs in zip(_folded(left), _folded(right), strict=True)]
    return CallState(
        items=items,
        contents=kept[0] + beyond[0],
        duplicates=kept[1] + beyond[1],
        merge_count=kept[2] + beyond[2],
        timed_out=max(left.timed_out, right.timed_out),
        touched_ms=max(left.touched_ms, right.touched_ms),
        deadline_ms=min(left.deadline_ms, right.deadline_ms),  # a timeout that is early sets itself right
        marks=raise_marks(join_marks(left.marks, right.marks), *gone),
        overflow=left.overflow or right.overflow,
    )


def _not_folded(item: Item, other: CallState) -> Iterator[Content]:
    """The contents, without what the other side has already folded away."""
    theirs = {content.fact.content_digest: content for content in _contents(other, item.sample.fact_id)}
    for content in item.every:
        known = theirs.get(content.fact.content_digest)
        if known is None:
            if not (other.overflow and passed(other.marks, copy_of(content.fact))):
                yield content
            continue
        first = copy_of(known.fact)
        others = tuple(
            copy for copy in content.seen.others if knows(first, known.seen, copy) or not passed(other.marks, copy)
        )
        same = len(others) == len(content.seen.others)
        yield content if same else structs.replace(content, seen=structs.replace(content.seen, others=others))


def _contents(state: CallState, name: str) -> tuple[Content, ...]:
    return state.items[name].every if name in state.items else ()


def _distinct(contents: list[Content], gone: list[Arrival]) -> Iterable[Content]:
    by_digest: dict[str, Content] = {}
    for content in contents:
        known = by_digest.get(content.fact.content_digest)
        by_digest[content.fact.content_digest] = _merge_contents(known, content, gone) if known else content
    return by_digest.values()


def _merge_contents(one: Content, other: Content, gone: list[Arrival]) -> Content:
    ours, theirs = copy_of(one.fact), copy_of(other.fact)
    first, seen, folded = union(ours, one.seen, theirs, other.seen)
    gone.extend(folded)
    fact = one.fact if first == ours else other.fact
    return Content(fact=fact, seen=seen, late=one.late or other.late)


def _sums(items: Iterable[Item]) -> tuple[int, int, int]:
    contents = duplicates = merge_count = 0
    for item in items:
        contents += len(item.every) + item.more
        duplicates += item.extras
        merge_count += item.merge_count
    return contents, duplicates, merge_count


def _folded(state: CallState) -> tuple[int, int, int]:
    contents, duplicates, merge_count = _sums(state.items.values())
    return state.contents - contents, state.duplicates - duplicates, state.merge_count - merge_count
