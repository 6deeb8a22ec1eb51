"""The calls that were touched last, decoded beside their bytes: the next fact of a call often comes soon. Pure.

With each goes what was packed of it, so that a state that got one content more is written by packing that one.
"""

from collections.abc import Iterator
from typing import Final

from processors.call.state import CallState
from processors.store.state_codec import Packed

ITEMS: Final = 1024
"""Most items of calls that are held: some three megabytes a partition. One call is held whatever it has."""


class HeldCalls:
    """The held calls of one partition, the one that was written last at the end."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[CallState, Packed]] = {}
        self._items = 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._calls)

    def state(self, key: str) -> CallState | None:
        """Return a held state."""
        found = self._calls.get(key)
        return found[0] if found else None

    def packed(self, key: str) -> Packed:
        """Return what is packed of a call; nothing of one that is not held."""
        found = self._calls.get(key)
        return found[1] if found else {}

    def put(self, key: str, state: CallState, packed: Packed) -> None:
        """Hold a state as it was written, and let go of those written longest ago where they are too many."""
        self.drop(key)
        self._calls[key] = state, packed
        self._items += len(state.items)
        while self._items > ITEMS and len(self._calls) > 1:
            self.drop(next(iter(self._calls)))

    def drop(self, key: str) -> None:
        """Let go of a call."""
        found = self._calls.pop(key, None)
        if found:
            self._items -= len(found[0].items)
