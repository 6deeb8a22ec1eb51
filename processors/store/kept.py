"""A partition's calls at rest: an entry for each, its mark and then its state as bytes, and when it is due. Pure.

A mark is what must be known of a call without reading its state, packed, as there are millions: its tally, and the time
at which it is next examined. That is its deadline, or earlier where the deadline moved away since. One that moves away,
as nearly all do, is set again when the old one comes, so that a call waits once and not once for each fact. An entry as
a restore read it has no mark yet, as that follows from its state.
"""

import heapq
import struct
from collections import Counter
from collections.abc import Container, Iterator
from typing import Final

from processors.call.state import CallState
from processors.store.calls import Calls
from processors.store.state_codec import StateHead, peek_state

_PHASES: Final = ("open", "provisional", "final", "reopened")
"""Names of the phases 0 to 3 of a call."""
_MINUTE_MS: Final = 60_000
_PHASE_BITS: Final = 2
_MOST_PHASE: Final = (1 << _PHASE_BITS) - 1
_FACTS_BITS: Final = 40
_MOST_FACTS: Final = (1 << _FACTS_BITS) - 1
_DUE_BITS: Final = 48
NEVER_MS: Final = (1 << _DUE_BITS) - 1
"""The time of what is not waited for, thousands of years from now."""
_MARK_BYTES: Final = 16
_AS_READ: Final = 0xFF
"""The first byte of an entry that a restore wrote; no mark begins with it."""
_ORIGIN: Final = struct.Struct(">B3xIQ")
"""In the place of its mark: the number of the state's writer and its offset, until the call changes."""


class KeptCalls:
    """The calls of one partition at rest, and the marks of those that are not."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._read: dict[str, bytes | None] = {}
        """The entries that were read or written since the last `settle`."""
        self._marks: dict[str, int | None] = {}
        """The marks that are newer than those in the entries; None for a call that is forgotten."""
        self._moved: set[str] = set()
        """The calls whose marks changed since the last `settle`."""
        self._minutes: list[int] = []
        """A heap of the minutes for which calls wait."""
        self._awaited: set[int] = set()
        """The minutes of that heap, in which one is found at once."""
        self._deadlines: list[tuple[int, str]] = []
        """A heap of the calls of the minutes that began."""
        self.clock_ms = 0
        self.items: Counter[tuple[str, str]] = Counter()
        """(vendor, "fact" | "duplicate") to the number that the states hold."""
        self.phases: Counter[str] = Counter()

    def __len__(self) -> int:
        return self.phases.total()

    def add(self, key: str, head: CallState | StateHead, stored: bytes) -> None:
        """Take a call over that is not known yet."""
        self._calls.put(key, _entry(self._begin(key, head, NEVER_MS), stored))

    def adopt(self, key: str, head: CallState | StateHead, stored: bytes, kept_in: Calls | None) -> None:
        """Take a call over that is not known yet, and whose entry as read may stand in our store already."""
        if kept_in is self._calls:
            self._begin(key, head, NEVER_MS)
        else:
            self.add(key, head, stored)

    def disown(self, key: str, kept_in: Calls | None) -> None:
        """Remove the entry of a call that cannot be taken over."""
        if kept_in is self._calls:
            self._calls.remove(key)

    def get(self, key: str) -> bytes | None:
        """Return a call's state as it was last put."""
        entry = self._entry(key)
        return entry[_MARK_BYTES:] if entry is not None else None

    def put(self, key: str, stored: bytes) -> None:
        """Put a call's state; its mark must be known."""
        mark = self._mark(key)
        assert mark is not None
        self._put(key, _entry(mark, stored))
        self._marks.pop(key, None)

    def replace(self, key: str, head: CallState | StateHead, stored: bytes) -> None:
        """Put a call's state, of which this is known now."""
        self.index(key, head)
        self.put(key, stored)

    def remove(self, key: str) -> None:
        """Remove a call with all that is known of it."""
        self.index(key, None)
        del self._marks[key]
        self._calls.remove(key)
        self._read[key] = None

    def settle(self, unsettled: Container[str]) -> None:
        """Put the marks that changed into the entries, but for these calls, whose states are not in theirs alone."""
        for key in self._moved:
            mark = self._marks.get(key)
            entry = self._entry(key) if mark is not None and key not in unsettled else None
            if mark is not None and entry is not None:
                self._put(key, _entry(mark, entry[_MARK_BYTES:]))
                del self._marks[key]
        self._moved.clear()
        self._read.clear()

    def index(self, key: str, head: CallState | StateHead | None) -> None:
        """Note what is now known of a call; None: it is forgotten."""
        mark = self._mark(key)
        if mark is None or head is None:
            if mark is not None:
                self._count(key.split("|", 1)[0], mark >> _DUE_BITS, -1)
            self._move(key, None if head is None else self._begin(key, head, NEVER_MS))
            return
        tally, due_ms = _tally(head), mark & NEVER_MS
        if head.deadline_ms < due_ms:
            due_ms = head.deadline_ms
            self._wait_until(key, due_ms)
        self._recount(key.split("|", 1)[0], mark >> _DUE_BITS, tally)
        self._move(key, tally << _DUE_BITS | due_ms)

    def wait(self, key: str, due_ms: int) -> None:
        """Have a call examined at this time; its mark must be known."""
        mark = self._mark(key)
        assert mark is not None
        self._move(key, mark & ~NEVER_MS | due_ms)
        self._wait_until(key, due_ms)

    def take_due(self) -> Iterator[tuple[str, int]]:
        """Yield each call that is due by the clock, and since when; it waits for nothing more."""
        while self._minutes and self._minutes[0] * _MINUTE_MS <= self.clock_ms:
            self._begin_minute(heapq.heappop(self._minutes))
        while self._deadlines and self._deadlines[0][0] <= self.clock_ms:
            due_ms, key = heapq.heappop(self._deadlines)
            mark = self._mark(key)
            if mark is not None and mark & NEVER_MS == due_ms:  # else it is examined earlier, or is forgotten
                self._move(key, mark | NEVER_MS)
                yield key, due_ms

    def _begin_minute(self, minute: int) -> None:
        """Sort the calls of a minute that has begun: one that waits for days costs an entry of a list until then."""
        self._awaited.remove(minute)
        for key in self._calls.take_waiting(minute):
            mark = self._marks[key] if key in self._marks else _mark_of(self._calls.get(key))
            due_ms = NEVER_MS if mark is None else mark & NEVER_MS
            if due_ms // _MINUTE_MS == minute:
                heapq.heappush(self._deadlines, (due_ms, key))

    def _begin(self, key: str, head: CallState | StateHead, due_ms: int) -> int:
        """Count a call and have it examined in time; returns its mark."""
        tally = _tally(head)
        self._count(key.split("|", 1)[0], tally, 1)
        if head.deadline_ms < due_ms:
            due_ms = head.deadline_ms
            self._wait_until(key, due_ms)
        return tally << _DUE_BITS | due_ms

    def _count(self, vendor: str, tally: int, sign: int) -> None:
        facts, duplicates = tally >> _PHASE_BITS & _MOST_FACTS, tally >> _PHASE_BITS + _FACTS_BITS
        self.items[vendor, "fact"] += sign * facts
        if duplicates:
            self.items[vendor, "duplicate"] += sign * duplicates
        self.phases[_PHASES[tally & _MOST_PHASE]] += sign

    def _recount(self, vendor: str, before: int, after: int) -> None:
        """Count a call that is known already: mostly it has a fact more and is in the same phase."""
        facts = (after >> _PHASE_BITS & _MOST_FACTS) - (before >> _PHASE_BITS & _MOST_FACTS)
        duplicates = (after >> _PHASE_BITS + _FACTS_BITS) - (before >> _PHASE_BITS + _FACTS_BITS)
        if facts:
            self.items[vendor, "fact"] += facts
        if duplicates:
            self.items[vendor, "duplicate"] += duplicates
        if (before ^ after) & _MOST_PHASE:
            self.phases[_PHASES[before & _MOST_PHASE]] -= 1
            self.phases[_PHASES[after & _MOST_PHASE]] += 1

    def _wait_until(self, key: str, due_ms: int) -> None:
        minute = due_ms // _MINUTE_MS
        if minute * _MINUTE_MS <= self.clock_ms:
            heapq.heappush(self._deadlines, (due_ms, key))
            return
        if minute not in self._awaited:
            self._awaited.add(minute)
            heapq.heappush(self._minutes, minute)
        self._calls.wait(minute, key)

    def _entry(self, key: str) -> bytes | None:
        if key in self._read:
            return self._read[key]
        entry = self._read[key] = self._calls.get(key)
        return entry

    def _put(self, key: str, entry: bytes) -> None:
        self._calls.put(key, entry)
        self._read[key] = entry

    def _mark(self, key: str) -> int | None:
        return self._marks[key] if key in self._marks else _mark_of(self._entry(key))

    def _move(self, key: str, mark: int | None) -> None:
        self._marks[key] = mark
        self._moved.add(key)


def _entry(mark: int, stored: bytes) -> bytes:
    return mark.to_bytes(_MARK_BYTES, "big") + stored


def _mark_of(entry: bytes | None) -> int | None:
    if entry is None:
        return None
    if entry[0] != _AS_READ:
        return int.from_bytes(entry[:_MARK_BYTES], "big")
    head = peek_state(entry[_MARK_BYTES:])
    return _tally(head) << _DUE_BITS | min(head.deadline_ms, NEVER_MS)


def _tally(head: CallState | StateHead) -> int:
    return (head.duplicates << _FACTS_BITS | head.contents) << _PHASE_BITS | head.phase


def as_read(writer: int, offset: int, state: bytes) -> bytes:
    """Make an entry of a state that a restore reads, with the number of its writer."""
    return _ORIGIN.pack(_AS_READ, writer, offset) + state


def origin_of(entry: bytes) -> tuple[int, int, bytes]:
    """Return writer, offset and state of such an entry."""
    first, writer, offset = _ORIGIN.unpack_from(entry)
    assert first == _AS_READ
    return writer, offset, entry[_MARK_BYTES:]
