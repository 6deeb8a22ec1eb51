"""The calls of one partition of `calls.facts`: states, deadlines and the record clock. Pure: no Kafka, no wall clock.

States are kept as bytes (`kept`), as most calls only wait for their horizon, in memory or on disk (`calls`).
The clock is the highest append time read so far, so the same log always times out at the same records, however often it
is read. A call that cannot be read or carried on is set aside (`take_stuck`), and the others go on. Large calls are
written in `segments` and told as `telling` says. Those that were touched last are held decoded as well (`held`).
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

import msgspec

from processors.call.slots import NEVER_SURE, sure_since
from processors.join import CallState, JoinResult, merge_stored, step, timeout
from processors.poison.suspects import describe_error
from processors.store.calls import Calls, MemoryCalls
from processors.store.held import HeldCalls
from processors.store.kept import NEVER_MS, KeptCalls
from processors.store.segments import NO_SEGMENTS, Segments, by_itself, is_large, segment_name, with_segment
from processors.store.state_codec import StateTooLarge, decode_state, encode_state, peek_state
from processors.store.telling import Untold
from schemas.config.settings import JoinSettings
from schemas.errors import DeadCode, Undecodable
from schemas.facts import Fact

_NO_RECORDS: Final[Mapping[str, bytes]] = {}


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """A call's state that cannot be read, or that our own code cannot carry on."""

    key: str
    state: bytes
    code: DeadCode
    detail: str


class PartitionState:
    """The calls of one partition; those touched since the last `take_changed` are held decoded as well.

    `writer` is the name of whoever writes the states. Without one, as beside workers of the release before, which know
    no segments, every state is written whole and told at once. `calls` is an empty store for them; unset: in memory.
    """

    def __init__(self, settings: JoinSettings, writer: bytes = b"", calls: Calls | None = None) -> None:
        self._settings = settings
        self._writer = writer
        self._kept = KeptCalls(MemoryCalls() if calls is None else calls)
        self._segments: dict[str, Segments] = {}
        self._segments_written = 0
        self._held = HeldCalls()
        self._untold = Untold()
        self._touched: dict[str, CallState | None] = {}
        """The states that changed since the last `take_changed`; None for a call that is forgotten."""
        self._news: dict[str, set[str]] = {}
        """The items of each of them that changed."""
        self._whole: set[str] = set()
        """The calls of which more than these items may have changed."""
        self._began: set[str] = set()
        """The calls that were forgotten, and may have begun anew: nothing that is stored of them counts any more."""
        self._taken: dict[str, tuple[bytes | None, Segments | None]] = {}
        """The stored states that the last `take_changed` replaced."""
        self.ended: dict[str, list[str]] = {}
        """Key to segments of a call that the last `take_changed` forgot: removed before its states are written."""
        self.contained: dict[str, list[str]] = {}
        """Key to segments that its states contain: removed once these are acknowledged."""
        self._contained: dict[str, list[str]] = {}
        """The same, for the next."""
        self.forgotten_ms = 0
        """The time up to which calls may have been forgotten already, though the records that are read are older."""
        self._stuck: list[Stuck] = []
        self.unwritten: dict[str, tuple[DeadCode, str]] = {}
        """The calls whose states the last `take_changed` could not encode, with the reason."""
        self._unmarked: dict[str, None] = {}
        """The touched calls whose marks are those before: they are set once for all facts of a call together."""
        self._unmarked_due_ms = NEVER_MS
        """The earliest deadline of them, which is waited for when the clock comes there."""

    def __len__(self) -> int:
        self._mark_all()
        return len(self._kept)

    @property
    def items(self) -> Counter[tuple[str, str]]:
        """(vendor, "fact" | "duplicate") to the number that the states hold."""
        self._mark_all()
        return self._kept.items

    @property
    def phases(self) -> Counter[str]:
        """Names of phases to the number of calls that are in them."""
        self._mark_all()
        return self._kept.phases

    def load(
        self,
        key: str,
        states: Sequence[bytes],
        segments: Mapping[str, bytes] = _NO_RECORDS,
        newest: bytes | None = None,
        kept_in: Calls | None = None,
    ) -> None:
        """Load a call from the records of its changelog (see `StoredCall`); unreadable ones are set aside."""
        if newest is not None and newest == states[-1]:
            self._contained[key] = list(segments)  # a crash kept them from being removed
            segments = _NO_RECORDS
        if len(states) == 1 and not segments:
            self._load_one(key, states[0], kept_in)
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
            written = encode_state(state, short=bool(self._writer))
        except Exception as exc:  # noqa: BLE001 - one call's states must not stop the partition
            self._stuck += [
                Stuck(key=name, state=each, code="internal", detail=describe_error(exc))
                for name, each in (*((key, each) for each in states), *segments.items())
                if each is not last
            ]
            self._load_one(key, last)
            return
        self._kept.add(key, state, written)
        if segments or written != states[-1]:
            self._keep(key, state, whole=True)  # to be written: compaction could keep only the record that knows less
            self._kept.index(key, state)
            if is_large(state):
                self._untold.restored(key, 1)  # nobody may have told all of it

    def _load_one(self, key: str, stored: bytes, kept_in: Calls | None = None) -> None:
        try:
            self._load_head(key, stored, stored, kept_in)
        except Undecodable as exc:
            self._kept.disown(key, kept_in)
            self._stuck.append(Stuck(key=key, state=stored, code=exc.dead_code, detail=str(exc)))

    def _load_head(self, key: str, stored: bytes, newest: bytes, kept_in: Calls | None = None) -> None:
        """Load a call without its items; the newest record says what all hold. Raises `Undecodable`."""
        head = peek_state(newest)
        self._kept.adopt(key, head, stored, kept_in)
        if head.told and head.told < head.merge_count:
            self._untold.restored(key, head.told)

    def advance(self, now_ms: int) -> Iterator[tuple[str, JoinResult]]:
        """Move the record clock on and yield what is due by then with its key, in the order of the deadlines."""
        if now_ms >= self._unmarked_due_ms:
            self._mark_all()
        self._kept.clock_ms = max(self._kept.clock_ms, now_ms)
        for key in self._untold.take_due(self._kept.clock_ms):
            state = self._state(key)
            if state is not None:
                self._keep(key, state)
                self._kept.index(key, state)
                yield key, JoinResult(state=state, outcome="told", shown=state)
        for key, due_ms in self._kept.take_due():
            state = self._state(key)
            if state is None:
                continue
            if state.deadline_ms > due_ms:
                self._kept.wait(key, state.deadline_ms)
                continue
            try:
                done = timeout(state, self._kept.clock_ms, self._settings)
            except Exception as exc:  # noqa: BLE001 - as above: it would be due again at once, for ever
                self._put_off(key, state, "internal", describe_error(exc))
                continue
            self._keep(key, done.state)
            self._kept.index(key, done.state)
            if done.shown is not None:
                self._untold.forget(key)
            yield key, done

    def apply(self, fact: Fact, *, slots_told: bool = True) -> JoinResult:
        """Join one fact at the present record clock; `slots_told`: all its rows are published with their slots."""
        key = fact.call_key
        known = self._state(key)
        since_s = sure_since(max(self._kept.clock_ms, self.forgotten_ms), self._settings.horizon_s)
        done = step(known, fact, self._kept.clock_ms, self._settings, since_s if slots_told else NEVER_SURE)
        state, shown = done.state, done.shown
        if state is not known:
            self._keep(key, state)
            self._news[key].add(fact.fact_id)
            self._unmarked[key] = None
            if state is not None and state.contents == 1 and done.outcome == "fact":
                self._began.add(key)
            if state is not None and state.deadline_ms < self._unmarked_due_ms:
                self._unmarked_due_ms = state.deadline_ms
        if shown is None or known is None:
            return done
        if self._writer and is_large(shown) and self._untold.waits(key, known, shown, self._kept.clock_ms):
            return msgspec.structs.replace(done, shown=None)
        self._untold.forget(key)
        return done

    def take_changed(self) -> dict[str, bytes | None]:
        """Return the states that changed since the last call of this method; None where a call is forgotten."""
        self._mark_all()
        changed: dict[str, bytes | None] = {}
        self._taken = {key: (self._kept.get(key), self._segments.get(key)) for key in self._touched}
        self.unwritten, self.ended, self.contained, self._contained = {}, {}, self._contained, {}
        for key, state in self._touched.items():
            try:
                name, value = self._written(key, state, self._news[key])
                changed[name] = value
            except StateTooLarge as exc:
                self.unwritten[key] = ("oversize", str(exc))
            except Exception as exc:  # noqa: BLE001 - as above; the caller takes it back
                self.unwritten[key] = ("internal", describe_error(exc))
        self._touched.clear()
        self._news.clear()
        self._whole.clear()
        self._began.clear()
        self._kept.settle(self._segments)
        return changed

    def _written(self, key: str, state: CallState | None, news: set[str]) -> tuple[str, bytes | None]:
        """Return name and value of the record of a changed call: a segment, or all of it."""
        large = bool(self._writer) and state is not None and is_large(state)
        packed = self._held.packed(key)
        stored, segments, told = self._taken[key][0], self._segments.get(key, NO_SEGMENTS), self._untold.told(key)
        began = key in self._began
        if state is not None and large and stored is not None and not began and key not in self._whole:
            self._segments_written += 1
            name = segment_name(self._writer, self._segments_written, key)
            more = with_segment(segments, name, state, news, stored, told or state.merge_count)
            if more is not None:
                self._segments[key] = more
                self._held.put(key, state, packed)
                return name, more.states[name]
        value = encode_state(state, told or 0, short=bool(self._writer), packed=packed) if state else None
        names = [*self.contained.pop(key, ()), *segments.states]
        self._segments.pop(key, None)
        if names:
            (self.ended if began else self.contained)[key] = names
        if state is None or value is None:
            self._held.drop(key)
            self._kept.remove(key)
        else:
            self._kept.put(key, value)
            self._held.put(key, state, packed)
        return key, value

    def take_back(self, keys: Iterable[str]) -> None:
        """Return these calls to their states before the last `take_changed`, whose result cannot be written."""
        for key in self._taken.keys() & keys:
            before, segments = self._taken[key]
            self._held.drop(key)
            self._segments.pop(key, None)
            if before is None:
                self._kept.remove(key)
                continue
            self._kept.replace(key, peek_state(before), before)
            if segments is not None:
                self._segments[key] = segments
                self._kept.index(key, self._state(key))

    def set_aside(self, key: str, code: DeadCode, detail: str) -> None:
        """Set a call aside whose timeout cannot be published, until a fact of it comes or its horizon ends."""
        state = self._state(key)
        if state is not None:
            self._put_off(key, state, code, detail)

    def _put_off(self, key: str, state: CallState, code: DeadCode, detail: str) -> None:
        stored = self._kept.get(key) or b""
        if key in self._segments:
            with contextlib.suppress(Exception):  # what cannot be written is told by the record that was
                stored = encode_state(state)
        self._stuck.append(Stuck(key=key, state=stored, code=code, detail=detail))
        forget_ms = state.touched_ms + self._settings.horizon_s * 1000
        if forget_ms > self._kept.clock_ms:
            self._kept.wait(key, forget_ms)
        else:
            self._keep(key, None)
            self._kept.index(key, None)

    def take_stuck(self) -> list[Stuck]:
        """Return the states set aside since the last call of this method: each becomes one dead letter."""
        stuck, self._stuck = self._stuck, []
        return stuck

    def _state(self, key: str) -> CallState | None:
        if key in self._touched:
            return self._touched[key]
        held = self._held.state(key)
        if held is not None:
            return held
        known = self._kept.get(key)
        if known is None:
            return None
        if key in self._segments:
            parts = self._parts(key, [known], self._segments[key].states)
            state = _merged(parts, self._settings) if parts else None
            if state is not None and len(parts) <= len(self._segments[key].states):
                self._keep(key, state, whole=True)  # some cannot be read: what is left is written
                self._kept.index(key, state)
        else:
            state = self._readable(key, known)
        if state is None:
            self._kept.remove(key)
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

    def _keep(self, key: str, state: CallState | None, *, whole: bool = False) -> None:
        """Note a changed state; whoever calls this has its call marked."""
        self._touched[key] = state
        if key not in self._news:
            self._news[key] = set()
        if whole:
            self._whole.add(key)
        if state is None:
            self._began.add(key)

    def _mark_all(self) -> None:
        """Mark the calls with what is now known of them."""
        for key in self._unmarked:
            self._kept.index(key, self._touched[key])
        self._unmarked.clear()
        self._unmarked_due_ms = NEVER_MS


def _merged(states: Sequence[CallState], settings: JoinSettings) -> CallState:
    """Merge what several records of one call know, each with about as many as it has."""
    while len(states) > 1:
        pairs = zip_longest(states[::2], states[1::2])
        states = [merge_stored(one, other, settings) if other else one for one, other in pairs]
    return states[0]
