"""The calls that were touched last, decoded beside their bytes: the next fact of a call often comes soon. Pure.

With each goes what was packed of it, so that a state that got one content more is written by packing that one. A call
that has its record is let go of earlier: at most a late push of it comes. What is held for long is no longer in the
processor's caches when its memory is used again.
"""

from collections.abc import Iterator
from typing import Final

from processors.call.state import CallState
from processors.store.state_codec import Packed

ITEMS: Final = 1024
"""Most items of calls that are held while more of them is awaited: some three megabytes a partition. One call is held
whatever it has."""
ITEMS_WITH_RECORD: Final = 64
"""Most items of the other calls that are held."""


class _Line:
    """Some held calls, the one that was written last at the end."""

    __slots__ = ("calls", "items")

    def __init__(self) -> None:
        self.calls: Final[dict[str, tuple[CallState, Packed]]] = {}
        self.items = 0
        """The number of their items."""

    def drop(self, key: str) -> None:
        found = self.calls.pop(key, None)
        if found:
            self.items -= len(found[0].items)


class HeldCalls:
    """The held calls of one partition."""

    def __init__(self) -> None:
        self._awaited, self._with_record = _Line(), _Line()

    def __iter__(self) -> Iterator[str]:
        """Yield their keys, first those of which more is awaited, each time in the order of their writing."""
        yield from (*self._awaited.calls, *self._with_record.calls)

    def state(self, key: str) -> CallState | None:
        """Return a held state."""
        found = self._awaited.calls.get(key) or self._with_record.calls.get(key)
        return found[0] if found else None

    def packed(self, key: str) -> Packed:
        """Return what is packed of a call; nothing of one that is not held."""
        found = self._awaited.calls.get(key) or self._with_record.calls.get(key)
        return found[1] if found else {}

    def put(self, key: str, state: CallState, packed: Packed) -> None:
        """Hold a state as it was written, and let go of those written longest ago where they are too many."""
        self.drop(key)
        # A conference has a record of each participant, and nobody knows of how many.
        has_all = state.tally.settled and state.tally.records <= 1
        line, most = (self._with_record, ITEMS_WITH_RECORD) if has_all else (self._awaited, ITEMS)
        line.calls[key] = state, packed
        line.items += len(state.items)
        while line.items > most and len(line.calls) > 1:
            line.drop(next(iter(line.calls)))

    def drop(self, key: str) -> None:
        """Let go of a call."""
        self._awaited.drop(key)
        self._with_record.drop(key)
