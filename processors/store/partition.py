"""The calls of one partition of `calls.facts`: states, deadlines and the record clock. Pure: no Kafka, no wall clock.

States are kept as bytes, as most calls only wait for their horizon. The clock is the highest append time read so far,
so the same log always times out at the same records, however often it is read. A call that cannot be read or carried on
is set aside (`take_stuck`), and the others go on. Large calls are written in `segments`, told as `telling` says, and
held decoded as well, as far as there is room.
"""

import contextlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

import msgspec

from processors.call.slots import NEVER_SURE, sure_since
from processors.join import CallState, JoinResult, merge_stored, step, timeout
from processors.poison.suspects import describe_error
from processors.store.segments import NO_SEGMENTS, Segments, by_itself, is_large, segment_name, with_segment
from processors.store.state_codec import StateHead, StateTooLarge, decode_state, encode_state, peek_state
from processors.store.telling import Untold
from schemas.config.settings import JoinSettings
from schemas.errors import DeadCode, Undecodable
from schemas.facts import Fact

_PHASES: Final = ("open", "provisional", "final", "reopened")
"""Names of the phases 0 to 3 of a call."""
_MINUTE_MS: Final = 60_000
_PHASE_BITS: Final = 2
_MOST_PHASE: Final = (1 << _PHASE_BITS) - 1
_FACTS_BITS: Final = 40
_MOST_FACTS: Final = (1 << _FACTS_BITS) - 1
_DUE_BITS: Final = 48
_NEVER_MS: Final = (1 << _DUE_BITS) - 1
"""The time of what is not waited for, thousands of years from now."""
HELD_ITEMS: Final = 2048
"""Most items of large calls that are held decoded beside their bytes: a few megabytes."""
_NO_RECORDS: Final[Mapping[str, bytes]] = {}


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """A call's state that cannot be read, or that our own code cannot carry on."""

    key: str
    state: bytes
    code: DeadCode
    detail: str


class _News(msgspec.Struct):
    """The changes of one call since the last `take_changed`."""

    items: set[str] = msgspec.field(default_factory=set)
    whole: bool = False
    """More than these items may have changed."""
    began: bool = False
    """The call was forgotten, and may have begun anew: nothing that is stored of it counts any more."""


class PartitionState:
    """The calls of one partition; those touched since the last `take_changed` are held decoded as well.

    `writer` is the name of whoever writes the states. Without one, as beside workers of the release before, which know
    no segments, every state is written whole and told at once.
    """

    def __init__(self, settings: JoinSettings, writer: bytes = b"") -> None:
        self._settings = settings
        self._writer = writer
        self._calls: dict[str, bytes] = {}
        self._segments: dict[str, Segments] = {}
        self._segments_written = 0
        self._held: dict[str, CallState] = {}
        """Large calls, the one that was touched last at the end."""
        self._untold = Untold()
        self._touched: dict[str, CallState | None] = {}
        self._news: dict[str, _News] = {}
        self._taken: dict[str, tuple[bytes | None, Segments | None]] = {}
        """The stored states that the last `take_changed` replaced."""
        self.ended: dict[str, list[str]] = {}
        """Key to segments of a call that the last `take_changed` forgot: removed before its states are written."""
        self.contained: dict[str, list[str]] = {}
        """Key to segments that its states contain: removed once these are acknowledged."""
        self._contained: dict[str, list[str]] = {}
        """The same, for the next."""
        self._marks: dict[str, int] = {}
        """Packed for each call, as there are millions: its tally, and the time at which it is next examined, which is
        its deadline, or earlier where the deadline moved away since."""
        self._waiting: dict[int, list[str]] = {}
        """Minute to the calls that are to be examined in it, some of them no longer."""
        self._minutes: list[int] = []
        """The keys of `_waiting`, as a heap."""
        self._deadlines: list[tuple[int, str]] = []
        """A heap of the calls of the minutes that began."""
        self._clock_ms = 0
        self.forgotten_ms = 0
        """The time up to which calls may have been forgotten already, though the records that are read are older."""
        self._stuck: list[Stuck] = []
        self.unwritten: dict[str, tuple[DeadCode, str]] = {}
        """The calls whose states the last `take_changed` could not encode, with the reason."""
        self.items: Counter[tuple[str, str]] = Counter()
        """(vendor, "fact" | "duplicate") to the number that the states hold."""
        self.phases: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._calls)

    def load(
        self,
        key: str,
        states: Sequence[bytes],
        segments: Mapping[str, bytes] = _NO_RECORDS,
        newest: bytes | None = None,
    ) -> None:
        """Load a call from the records of its changelog (see `StoredCall`); unreadable ones are set aside."""
        if newest is not None and newest == states[-1]:
            self._contained[key] = list(segments)  # a crash kept them from being removed
            segments = _NO_RECORDS
        if len(states) == 1 and not segments:
            self._load_one(key, states[0])
            return
        if segments:
            self._segments[key] = Segments(segments, 2 * len(segments))
        if newest is not None:
            with contextlib.suppress(Undecodable):  # then the others are read
                self._load_head(key, states[0], newest)
                return
        known = self._parts(key, states, segments)
        if not known:
            return
        last = states[-1] if states else [*segments.values()][-1]
        try:
            state = _merged(known, self._settings)
            written = encode_state(state)
        except Exception as exc:  # noqa: BLE001 - one call's states must not stop the partition
            self._stuck += [
                Stuck(key=name, state=each, code="internal", detail=describe_error(exc))
                for name, each in (*((key, each) for each in states), *segments.items())
                if each is not last
            ]
            self._load_one(key, last)
            return
        self._calls[key] = written
        if segments or written != states[-1]:
            self._keep(key, state, whole=True)  # to be written: compaction could keep only the record that knows less
            if is_large(state):
                self._untold.restored(key, 1)  # nobody may have told all of it
        else:
            self._index(key, state)

    def _load_one(self, key: str, stored: bytes) -> None:
        try:
            self._load_head(key, stored, stored)
        except Undecodable as exc:
            self._stuck.append(Stuck(key=key, state=stored, code=exc.dead_code, detail=str(exc)))

    def _load_head(self, key: str, stored: bytes, newest: bytes) -> None:
        """Load a call without its items; the newest record says what all hold. Raises `Undecodable`."""
        head = peek_state(newest)
        self._calls[key] = stored
        self._index(key, head)
        if head.told and head.told < head.merge_count:
            self._untold.restored(key, head.told)

    def advance(self, now_ms: int) -> Iterator[tuple[str, JoinResult]]:
        """Move the record clock on and yield what is due by then with its key, in the order of the deadlines."""
        self._clock_ms = max(self._clock_ms, now_ms)
        for key in self._untold.take_due(self._clock_ms):
            state = self._state(key)
            if state is not None:
                self._keep(key, state)
                yield key, JoinResult(state=state, outcome="told", shown=state)
        self._begin_minutes()
        while self._deadlines and self._deadlines[0][0] <= self._clock_ms:
            due_ms, key = heapq.heappop(self._deadlines)
            state = self._state(key) if self._marks.get(key, 0) & _NEVER_MS == due_ms else None
            if state is None:
                continue  # the call is examined earlier, or is forgotten
            self._marks[key] |= _NEVER_MS
            if state.deadline_ms > due_ms:
                self._wait(key, state.deadline_ms)
                continue
            try:
                done = timeout(state, self._clock_ms, self._settings)
            except Exception as exc:  # noqa: BLE001 - as above: it would be due again at once, for ever
                self._put_off(key, state, "internal", describe_error(exc))
                continue
            self._keep(key, done.state)
            if done.shown is not None:
                self._untold.forget(key)
            yield key, done

    def apply(self, fact: Fact, *, slots_told: bool = True) -> JoinResult:
        """Join one fact at the present record clock; `slots_told`: all its rows are published with their slots."""
        known = self._state(fact.call_key)
        since_s = sure_since(max(self._clock_ms, self.forgotten_ms), self._settings.horizon_s)
        done = step(known, fact, self._clock_ms, self._settings, since_s if slots_told else NEVER_SURE)
        if done.state is not known:
            began = done.outcome == "fact" and done.state is not None and done.state.contents == 1
            self._keep(fact.call_key, done.state, fact.fact_id, began=began)
        if done.shown is None or known is None:
            return done
        if (
            self._writer
            and is_large(done.shown)
            and self._untold.waits(fact.call_key, known, done.shown, self._clock_ms)
        ):
            return msgspec.structs.replace(done, shown=None)
        self._untold.forget(fact.call_key)
        return done

    def take_changed(self) -> dict[str, bytes | None]:
        """Return the states that changed since the last call of this method; None where a call is forgotten."""
        changed: dict[str, bytes | None] = {}
        self._taken = {key: (self._calls.get(key), self._segments.get(key)) for key in self._touched}
        self.unwritten, self.ended, self.contained, self._contained = {}, {}, self._contained, {}
        for key, state in self._touched.items():
            try:
                changed |= self._written(key, state, self._news[key])
            except StateTooLarge as exc:
                self.unwritten[key] = ("oversize", str(exc))
                continue
            except Exception as exc:  # noqa: BLE001 - as above; the caller takes it back
                self.unwritten[key] = ("internal", describe_error(exc))
                continue
        self._touched.clear()
        self._news.clear()
        return changed

    def _written(self, key: str, state: CallState | None, news: _News) -> dict[str, bytes | None]:
        """Return the record of a changed call: a segment, or all of it."""
        large = bool(self._writer) and state is not None and is_large(state)
        stored, segments, told = self._calls.get(key), self._segments.get(key, NO_SEGMENTS), self._untold.told(key)
        if state is not None and large and stored is not None and not news.whole and not news.began:
            self._segments_written += 1
            name = segment_name(self._writer, self._segments_written, key)
            more = with_segment(segments, name, state, news.items, stored, told or state.merge_count)
            if more is not None:
                self._segments[key] = more
                self._hold(key, state)
                return {name: more.states[name]}
        value = encode_state(state, told or 0) if state else None
        names = [*self.contained.pop(key, ()), *segments.states]
        self._segments.pop(key, None)
        if names:
            (self.ended if news.began else self.contained)[key] = names
        if state is None or value is None:
            self._calls.pop(key, None)
        else:
            self._calls[key] = value
            if large:
                self._hold(key, state)
        return {key: value}

    def take_back(self, keys: Iterable[str]) -> None:
        """Return these calls to their states before the last `take_changed`, whose result cannot be written."""
        for key in self._taken.keys() & keys:
            before, segments = self._taken[key]
            self._held.pop(key, None)
            if before is None:
                self._calls.pop(key, None)
            else:
                self._calls[key] = before
            if segments is None:
                self._segments.pop(key, None)
                self._index(key, peek_state(before) if before else None)
            else:
                self._segments[key] = segments
                self._index(key, self._state(key))

    def set_aside(self, key: str, code: DeadCode, detail: str) -> None:
        """Set a call aside whose timeout cannot be published, until a fact of it comes or its horizon ends."""
        state = self._state(key)
        if state is not None:
            self._put_off(key, state, code, detail)

    def _put_off(self, key: str, state: CallState, code: DeadCode, detail: str) -> None:
        stored = self._calls.get(key, b"")
        if key in self._segments:
            with contextlib.suppress(Exception):  # what cannot be written is told by the record that was
                stored = encode_state(state)
        self._stuck.append(Stuck(key=key, state=stored, code=code, detail=detail))
        forget_ms = state.touched_ms + self._settings.horizon_s * 1000
        if forget_ms > self._clock_ms:
            self._wait(key, forget_ms)
        else:
            self._keep(key, None)

    def take_stuck(self) -> list[Stuck]:
        """Return the states set aside since the last call of this method: each becomes one dead letter."""
        stuck, self._stuck = self._stuck, []
        return stuck

    def _state(self, key: str) -> CallState | None:
        if key in self._touched:
            return self._touched[key]
        if key in self._held:
            return self._held[key]
        known = self._calls.get(key)
        if not known:
            return None
        if key in self._segments:
            parts = self._parts(key, [known], self._segments[key].states)
            state = _merged(parts, self._settings) if parts else None
            if state is not None and len(parts) <= len(self._segments[key].states):
                self._keep(key, state, whole=True)  # some cannot be read: what is left is written
        else:
            state = self._readable(key, known)
        if state is None:
            self._calls.pop(key)
            self._index(key, None)
        return state

    def _parts(self, key: str, states: Iterable[bytes], segments: Mapping[str, bytes]) -> list[CallState]:
        """Read a call's records, those that can be read."""
        whole = [state for each in states if (state := self._readable(key, each))]
        return whole + [by_itself(part) for name, each in segments.items() if (part := self._readable(name, each))]

    def _readable(self, key: str, stored: bytes) -> CallState | None:
        try:
            return decode_state(stored)
        except Undecodable as exc:
            self._stuck.append(Stuck(key=key, state=stored, code=exc.dead_code, detail=str(exc)))
            return None

    def _hold(self, key: str, state: CallState) -> None:
        self._held.pop(key, None)
        self._held[key] = state
        while len(self._held) > 1 and sum(len(held.items) for held in self._held.values()) > HELD_ITEMS:
            del self._held[next(iter(self._held))]

    def _keep(
        self, key: str, state: CallState | None, item: str = "", *, whole: bool = False, began: bool = False
    ) -> None:
        self._held.pop(key, None)
        self._touched[key] = state
        news = self._news.setdefault(key, _News())
        if item:
            news.items.add(item)
        news.whole |= whole
        news.began |= began or state is None
        self._index(key, state)

    def _index(self, key: str, state: CallState | StateHead | None) -> None:
        vendor = key.split("|", 1)[0]
        mark = self._marks.pop(key, None)
        if mark is not None:
            self._count(vendor, mark >> _DUE_BITS, -1)
        if state is None:
            return
        facts, duplicates = state.counts()
        tally = (duplicates << _FACTS_BITS | facts) << _PHASE_BITS | state.phase
        self._count(vendor, tally, 1)
        due_ms = _NEVER_MS if mark is None else mark & _NEVER_MS
        # A deadline that moves away, as nearly all do, is set again when the old one comes: a call has one entry, not
        # one a fact.
        if state.deadline_ms < due_ms:
            due_ms = state.deadline_ms
            self._wait_until(key, due_ms)
        self._marks[key] = tally << _DUE_BITS | due_ms

    def _count(self, vendor: str, tally: int, sign: int) -> None:
        facts, duplicates = tally >> _PHASE_BITS & _MOST_FACTS, tally >> _PHASE_BITS + _FACTS_BITS
        self.items[vendor, "fact"] += sign * facts
        if duplicates:
            self.items[vendor, "duplicate"] += sign * duplicates
        self.phases[_PHASES[tally & _MOST_PHASE]] += sign

    def _wait(self, key: str, due_ms: int) -> None:
        self._marks[key] = self._marks[key] & ~_NEVER_MS | due_ms
        self._wait_until(key, due_ms)

    def _wait_until(self, key: str, due_ms: int) -> None:
        minute = due_ms // _MINUTE_MS
        if minute * _MINUTE_MS <= self._clock_ms:
            heapq.heappush(self._deadlines, (due_ms, key))
        elif minute in self._waiting:
            self._waiting[minute].append(key)
        else:
            self._waiting[minute] = [key]
            heapq.heappush(self._minutes, minute)

    def _begin_minutes(self) -> None:
        """Sort the calls of the minutes that have begun: one that waits for days costs a place in a list until then."""
        while self._minutes and self._minutes[0] * _MINUTE_MS <= self._clock_ms:
            minute = heapq.heappop(self._minutes)
            for key in self._waiting.pop(minute):
                due_ms = self._marks.get(key, _NEVER_MS) & _NEVER_MS
                if due_ms // _MINUTE_MS == minute:
                    heapq.heappush(self._deadlines, (due_ms, key))


def _merged(states: Sequence[CallState], settings: JoinSettings) -> CallState:
    """Merge what several records of one call know, each with about as many as it has."""
    while len(states) > 1:
        pairs = zip_longest(states[::2], states[1::2])
        states = [merge_stored(one, other, settings) if other else one for one, other in pairs]
    return states[0]
