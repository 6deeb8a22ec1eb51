"""The state of a large call in several records: one that was whole, and one for each change since. Pure.

A conference of hundreds is told of one participant at a time; to write all of them each time would cost a millisecond
and tens of kilobytes. So such a call's news is a segment: a state like any other, but of the items that changed alone,
and under a key of its own. As states merge, all of them together are the state, whatever is repeated: each segment has
all that one record batch changed, so that a crash leaves a batch's changes whole or not at all. Now and then the whole
state is written anew, and its segments are removed once that is acknowledged. Their names begin with the writer's, so
that nobody removes or overwrites what another wrote without having read it.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from msgspec import Struct, structs

from processors.call.state import UNCOUNTED, CallState, sums
from processors.store.state_codec import LIMIT_BYTES, encode_state, items_bytes

LARGE: Final = 32
"""Number of items above which a call is large."""
MARK: Final = b"#"
"""First character of a segment's name; a call's key begins with the name of a vendor."""
_MARK: Final = MARK.decode()
_WRITER_CHARS: Final = 16
_NUMBER_CHARS: Final = 8
_PREFIX_CHARS: Final = len(_MARK) + _WRITER_CHARS + _NUMBER_CHARS


class Segments(Struct, frozen=True):
    """The segments of one call since it was last written whole, oldest first."""

    states: Mapping[str, bytes] = {}
    """Name to stored state."""
    weight: int = 0
    """Number of segments, and of the items in them."""
    items_bytes: int = 0
    """Size of the items in the whole state and in its segments, before compression."""


NO_SEGMENTS: Final = Segments()


def segment_name(writer: bytes, number: int, key: str) -> str:
    """Name a writer's next segment of the call with this key."""
    return f"{_MARK}{writer.hex()}{number:0{_NUMBER_CHARS}x}{key}"


def call_of(name: str) -> str:
    """Return the key of the call that a record is of: its own, or that in a segment's name."""
    return name[_PREFIX_CHARS:] if name.startswith(_MARK) and len(name) > _PREFIX_CHARS else name


def is_large(state: CallState) -> bool:
    """True for a call that is too large to be told and written with each of its facts."""
    return len(state.items) > LARGE


def with_segment(
    segments: Segments, name: str, state: CallState, changed: Collection[str], whole: bytes, told: int
) -> Segments | None:
    """Return the segments with one more of these items; None where it is time to write the whole state anew.

    That is when the segments hold as much as the state, so that both together are bounded, and cheap at any size; and
    always where items were folded away: a record from before would bring them back.
    """
    weight = segments.weight + 1 + len(changed)
    if weight > len(state.items) or state.overflow:
        return None
    stored = encode_state(part_of(state, changed), told, state.phase, short=True)
    size = (segments.items_bytes or sum(map(items_bytes, (whole, *segments.states.values())))) + items_bytes(stored)
    return Segments({**segments.states, name: stored}, weight, size) if size <= LIMIT_BYTES else None


def part_of(state: CallState, names: Iterable[str]) -> CallState:
    """Return the state as far as these items go, with the totals of the whole."""
    items = {name: state.items[name] for name in names if name in state.items}
    return structs.replace(state, items=items, tally=UNCOUNTED)


def by_itself(segment: CallState) -> CallState:
    """Return a segment's state with its own totals, so that it can be merged."""
    contents, duplicates, merge_count = sums(segment.items.values())
    return structs.replace(segment, contents=contents, duplicates=duplicates, merge_count=merge_count)
