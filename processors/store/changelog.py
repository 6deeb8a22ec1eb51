"""The calls' states as they lie on `calls.join-state`: who wrote which, and what of it counts when a partition is read back.

A writer's own records of a call grow, and it has read what lay there before it began. So of a call the last record says all,
but for what somebody wrote meanwhile who had lost the partition without knowing it (a zombie): only that is to be merged, and
what compaction has not taken yet is read as fast as it comes. Pure.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from processors.records import Record

_HEADER: Final = "writer"
_NAME_BYTES: Final = 8


class Writer(msgspec.Struct, frozen=True):
    """A worker from the time when it read a partition's states until it reads them again or loses the partition."""

    name: bytes
    """Nobody else's."""
    began_at: int
    """The offset at which the states ended: it has read what lies below."""

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """What stands beside everything that it writes."""
        return ((_HEADER, self.name + self.began_at.to_bytes(8, "big")),)


def new_writer(began_at: int) -> Writer:
    """One with a name of its own."""
    return Writer(os.urandom(_NAME_BYTES), began_at)


class StateLog:
    """One partition's records, as far as they were read."""

    def __init__(self) -> None:
        self._said: dict[bytes, list[tuple[bytes, int, bytes]]] = {}
        """By key (writer, offset, state) in the order of offsets: nearly always one."""

    def take(self, record: Record) -> None:
        """Read on by one record; one without a value says that its call is forgotten."""
        if record.key is None:
            return
        if record.value is None:
            self._said.pop(record.key, None)
            return
        writer = _writer(record.headers)
        unread = [
            said for said in self._said.get(record.key, ()) if said[0] != writer.name and said[1] >= writer.began_at
        ]
        self._said[record.key] = [*unread, (writer.name, record.offset, record.value)]

    def calls(self) -> Iterator[tuple[str, list[bytes]]]:
        """Each call's key, and the states that together say what is known of it, the last one last; given once."""
        while self._said:
            key, said = self._said.popitem()
            yield key.decode("utf-8", "replace"), [state for _, _, state in said]


def _writer(headers: Iterable[tuple[str, bytes]]) -> Writer:
    for name, value in headers:
        if name == _HEADER and len(value) > _NAME_BYTES:
            return Writer(value[:_NAME_BYTES], int.from_bytes(value[_NAME_BYTES:], "big"))
    return Writer(b"", 0)
