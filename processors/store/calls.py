"""Stores of a partition's calls: what each can do, and the one in memory. Pure.

An entry is what `kept` makes of a call. A store keeps entries and nothing else of its own: it is filled from the
changelog when a partition is restored, and thrown away with it. So nothing in it need outlive the process.
"""

from collections.abc import Callable, Iterator
from typing import Final, Protocol


class StoreFailed(BaseException):
    """A store that can no longer keep what it is given, or give it back: the process must end.

    The records are read again by the next one. It is no `Exception`, as whoever handles the errors of one call must not
    take it for one: a call that seems to be unknown would begin anew, and lose what was known of it.
    """


class Calls(Protocol):
    """The entries of one partition's calls, and the calls that wait for a minute; its methods may raise `StoreFailed`.

    Nobody else has what is in it.
    """

    def get(self, key: str) -> bytes | None:
        """Return the entry of a call, None where there is none."""
        ...

    def put(self, key: str, entry: bytes) -> None:
        """Keep the entry of a call in the place of the one before."""
        ...

    def remove(self, key: str) -> None:
        """Forget the entry of a call, if there is one."""
        ...

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Yield every call with its entry, in any order; those that were yielded may be put and removed meanwhile."""
        ...

    def wait(self, minute: int, key: str) -> None:
        """Keep a call among those that wait for this minute."""
        ...

    def take_waiting(self, minute: int) -> list[str]:
        """Return the calls that wait for this minute, in any order, perhaps repeatedly, and forget that they wait."""
        ...


class MemoryCalls:
    """Calls in the memory of the process."""

    def __init__(self) -> None:
        self._entries: Final[dict[str, bytes]] = {}
        self._waiting: Final[dict[int, list[str]]] = {}

    def get(self, key: str) -> bytes | None:
        """Return the entry of a call."""
        return self._entries.get(key)

    def put(self, key: str, entry: bytes) -> None:
        """Keep the entry of a call."""
        self._entries[key] = entry

    def remove(self, key: str) -> None:
        """Forget the entry of a call."""
        self._entries.pop(key, None)

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Yield every call."""
        return ((key, self._entries[key]) for key in list(self._entries))

    def wait(self, minute: int, key: str) -> None:
        """Keep a call among those of a minute."""
        self._waiting.setdefault(minute, []).append(key)

    def take_waiting(self, minute: int) -> list[str]:
        """Return the calls of a minute."""
        return self._waiting.pop(minute, [])


NewCalls = Callable[[], Calls]
"""Makes an empty store."""
