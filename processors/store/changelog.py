"""The changelog `calls.join-state`: the writer of each state, and which states count when a partition is restored.

A writer's own records of a call only grow, and it has read everything before its beginning. So the last record of a
call contains all others, except those that a worker wrote after it had lost the partition without knowing it (a
zombie): only these must be merged, and records that compaction has not removed yet cost nothing but their reading.
Pure.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from processors.records import Record

_HEADER: Final = "writer"
_TELLS: Final = ("slots", b"told")
"""The header of a writer that publishes rows with their slots; those of the release before have none."""
_NAME_BYTES: Final = 8


class Writer(msgspec.Struct, frozen=True):
    """A worker from one restore of a partition until it restores it again or loses it."""

    name: bytes
    """The writer's unique name."""
    began_at: int
    """The offset at which the states ended: the writer has read everything below."""
    tells_slots: bool = True
    """It publishes rows with their slots."""

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """The headers of everything that it writes."""
        name = (_HEADER, self.name + self.began_at.to_bytes(8, "big"))
        return (name, _TELLS) if self.tells_slots else (name,)


def new_writer(began_at: int, *, tells_slots: bool = True) -> Writer:
    """Make a writer with a name of its own."""
    return Writer(os.urandom(_NAME_BYTES), began_at, tells_slots)


class StateLog:
    """The states of one partition, as far as its records were read."""

    def __init__(self) -> None:
        self._states: dict[bytes, list[tuple[bytes, int, bytes]]] = {}
        """Key to (writer, offset, state) in the order of offsets: nearly always one."""
        self.slots_told = True
        """All that was read was written by workers that publish rows with their slots."""
        self.newest_ms = 0
        """The time at which the newest of it was written."""

    def take(self, record: Record) -> None:
        """Read one record; one without a value means that its call is forgotten."""
        if record.key is None:
            return
        self.slots_told &= _TELLS in record.headers
        self.newest_ms = max(self.newest_ms, record.timestamp_ms)
        if record.value is None:
            self._states.pop(record.key, None)
            return
        writer = _writer(record.headers)
        unread = [
            each for each in self._states.get(record.key, ()) if each[0] != writer.name and each[1] >= writer.began_at
        ]
        self._states[record.key] = [*unread, (writer.name, record.offset, record.value)]

    def calls(self) -> Iterator[tuple[str, list[bytes]]]:
        """Yield each call's key with the states that must be merged, the last one last; removes them."""
        while self._states:
            key, states = self._states.popitem()
            yield key.decode("utf-8", "replace"), [state for _, _, state in states]


def _writer(headers: Iterable[tuple[str, bytes]]) -> Writer:
    for name, value in headers:
        if name == _HEADER and len(value) > _NAME_BYTES:
            return Writer(value[:_NAME_BYTES], int.from_bytes(value[_NAME_BYTES:], "big"))
    return Writer(b"", 0)
