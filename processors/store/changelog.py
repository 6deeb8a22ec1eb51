"""The changelog `calls.join-state`: the writer of each state, and which states count when a partition is restored.

A writer's own records of a call only grow, and it has read everything before its beginning. So the last record of a
call contains all others, except those that a worker wrote after it had lost the partition without knowing it (a
zombie): only these must be merged, and records that compaction has not removed yet cost nothing but their reading. The
same holds of a large call's segments, each under a name of its own (`segments`). Pure.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from processors.records import Record
from processors.store.calls import Calls, MemoryCalls
from processors.store.kept import as_read, origin_of
from processors.store.segments import MARK, call_of

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


class StoredCall(NamedTuple):
    """The records of one call that count."""

    key: str
    states: list[bytes]
    """The whole states, the last one last: nearly always one."""
    segments: Mapping[str, bytes] = MappingProxyType({})
    """The segments by name, in the order of their writing: nearly always none."""
    newest: bytes | None = None
    """The newest of all of them where there are segments, if its writer knew all others: it says what all hold."""
    kept_in: Calls | None = None
    """The store in which the call stands already, where that is its only record."""


class _Stored(NamedTuple):
    writer: Writer
    offset: int
    state: bytes

    def knows(self, other: "_Stored") -> bool:
        """True when the writer of this had read the other, or had written it before this."""
        return other.offset <= self.offset and (
            other.writer.name == self.writer.name or other.offset < self.writer.began_at
        )


_NONE: Final[list[_Stored]] = []


class StateLog:
    """The states of one partition, as far as its records were read.

    `calls` is an empty store for them, best the one that they are loaded into then: most stay in it as they are.
    """

    def __init__(self, calls: Calls | None = None) -> None:
        self._states: Calls = MemoryCalls() if calls is None else calls
        """The whole states of the calls that have one, which are nearly all."""
        self._several: dict[str, list[_Stored]] = {}
        """Key to the whole states of the others, in the order of offsets."""
        self._segments: dict[str, dict[str, _Stored]] = {}
        """Key to the segments of a large call, by their names."""
        self._numbers: dict[tuple[tuple[str, bytes], ...], int] = {}
        """Headers to the number of the writer whose they are: few writers wrote all of a partition."""
        self._writers: list[Writer] = []
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
        key = record.key.decode("utf-8", "replace")
        if record.key.startswith(MARK):
            self._take_segment(record, key)
        elif record.value is None:
            self._several.pop(key, None)
            self._states.remove(key)
        else:
            self._take_state(key, record, record.value)

    def _take_state(self, key: str, record: Record, state: bytes) -> None:
        number = self._number_of(record.headers)
        known = self._several.pop(key, None) or self._one(self._states.get(key))
        if known:  # nearly all calls have one record
            stored = _Stored(self._writers[number], record.offset, state)
            others = [each for each in known if not stored.knows(each)]
            if others:
                self._several[key] = [*others, stored]
                self._states.remove(key)
                return
        self._states.put(key, as_read(number, record.offset, state))

    def _one(self, entry: bytes | None) -> list[_Stored]:
        if entry is None:
            return _NONE
        number, offset, state = origin_of(entry)
        return [_Stored(self._writers[number], offset, state)]

    def _number_of(self, headers: tuple[tuple[str, bytes], ...]) -> int:
        number = self._numbers.get(headers)
        if number is None:
            number = self._numbers[headers] = len(self._writers)
            self._writers.append(_writer(headers))
        return number

    def _take_segment(self, record: Record, name: str) -> None:
        """Read a segment; one without a value is contained in a whole state, or its call is forgotten."""
        segments = self._segments.setdefault(call_of(name), {})
        segments.pop(name, None)
        if record.value is not None:
            segments[name] = _Stored(self._writers[self._number_of(record.headers)], record.offset, record.value)
        elif not segments:
            del self._segments[call_of(name)]

    def calls(self) -> Iterator[StoredCall]:
        """Yield each call with the records that must be put together, once."""
        for key, entry in self._states.items():
            segments = self._segments.pop(key, None) if self._segments else None
            if segments:
                self._states.remove(key)
                yield _stored_call(key, self._one(entry), segments)
            else:
                yield StoredCall(key, [origin_of(entry)[2]], kept_in=self._states)
        while self._several:
            key, several = self._several.popitem()
            yield _stored_call(key, several, self._segments.pop(key, None))
        while self._segments:  # what a crash left of a call that was being forgotten
            name, segments = self._segments.popitem()
            yield _stored_call(name, [], segments)


def _stored_call(key: str, states: list[_Stored], segments: dict[str, _Stored] | None) -> StoredCall:
    if not segments:
        return StoredCall(key, [each.state for each in states])
    whole = [stored.state for stored in states]
    records = [*states, *segments.values()]
    newest = max(records, key=lambda stored: stored.offset)
    known = len(states) == 1 and all(map(newest.knows, records))
    return StoredCall(
        key, whole, {name: stored.state for name, stored in segments.items()}, newest.state if known else None
    )


def _writer(headers: Iterable[tuple[str, bytes]]) -> Writer:
    for name, value in headers:
        if name == _HEADER and len(value) > _NAME_BYTES:
            return Writer(value[:_NAME_BYTES], int.from_bytes(value[_NAME_BYTES:], "big"))
    return Writer(b"", 0)
