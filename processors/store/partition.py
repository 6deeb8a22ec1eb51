"""The calls of one partition of `calls.facts`: states, deadlines and the record clock. Pure: no Kafka, no wall clock.

States are kept as bytes, as most calls only wait for their horizon. The clock is the highest append time read so far,
so the same log always times out at the same records, however often it is read. A call that cannot be read or carried on
is set aside (`take_stuck`), and the others go on.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import Final

import msgspec

from processors.call.slots import NEVER_SURE, sure_since
from processors.join import CallState, JoinResult, merge_stored, step, timeout
from processors.poison.suspects import describe_error
from processors.store.state_codec import StateHead, StateTooLarge, decode_state, encode_state, peek_state
from schemas.config.settings import JoinSettings
from schemas.errors import DeadCode, Undecodable
from schemas.facts import Fact

_PHASES: Final = ("open", "provisional", "final", "reopened")
"""Names of the phases 0 to 3 of a call."""
_NEVER_MS: Final = 1 << 63


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """A call's state that cannot be read, or that our own code cannot carry on."""

    key: str
    state: bytes
    code: DeadCode
    detail: str


class PartitionState:
    """The calls of one partition; those touched since the last `take_changed` are held decoded as well."""

    def __init__(self, settings: JoinSettings) -> None:
        self._settings = settings
        self._calls: dict[str, bytes] = {}
        self._touched: dict[str, CallState | None] = {}
        self._taken: dict[str, bytes | None] = {}
        """The stored states that the last `take_changed` replaced."""
        self._due: dict[str, int] = {}
        """The time at which each call is next examined: its deadline, or earlier where the deadline moved away
        since."""
        self._deadlines: list[tuple[int, str]] = []
        self._tallies: dict[str, tuple[int, int, int]] = {}
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

    def load(self, key: str, states: Sequence[bytes]) -> None:
        """Load a call from the states of its changelog (see `StateLog.calls`); unreadable ones are set aside."""
        if len(states) == 1:
            self._load_one(key, states[0])
            return
        known = [state for each in states if (state := self._readable(key, each))]
        if not known:
            return
        try:
            state = reduce(lambda one, other: merge_stored(one, other, self._settings), known)
            written = encode_state(state)
        except Exception as exc:  # noqa: BLE001 - one call's states must not stop the partition
            self._stuck += [
                Stuck(key=key, state=each, code="internal", detail=describe_error(exc)) for each in states[:-1]
            ]
            self._load_one(key, states[-1])
            return
        self._calls[key] = written
        self._index(key, state)
        if written != states[-1]:
            self._touched[key] = state  # to be written: compaction could keep only the record that knows less

    def _load_one(self, key: str, stored: bytes) -> None:
        try:
            head = peek_state(stored)
        except Undecodable as exc:
            self._stuck.append(Stuck(key=key, state=stored, code=exc.dead_code, detail=str(exc)))
            return
        self._calls[key] = stored
        self._index(key, head)

    def advance(self, now_ms: int) -> Iterator[tuple[str, JoinResult]]:
        """Move the record clock on and yield what is due by then with its key, in the order of the deadlines."""
        self._clock_ms = max(self._clock_ms, now_ms)
        while self._deadlines and self._deadlines[0][0] <= self._clock_ms:
            due_ms, key = heapq.heappop(self._deadlines)
            state = self._state(key) if self._due.get(key) == due_ms else None
            if state is None:
                continue  # the call is examined earlier, or is forgotten
            del self._due[key]
            if state.deadline_ms > due_ms:
                self._wait(key, state.deadline_ms)
                continue
            try:
                done = timeout(state, self._clock_ms, self._settings)
            except Exception as exc:  # noqa: BLE001 - as above: it would be due again at once, for ever
                self._put_off(key, state, "internal", describe_error(exc))
                continue
            self._keep(key, done.state)
            yield key, done

    def apply(self, fact: Fact, *, slots_told: bool = True) -> JoinResult:
        """Join one fact at the present record clock; `slots_told`: all its rows are published with their slots."""
        known = self._state(fact.call_key)
        since_s = sure_since(max(self._clock_ms, self.forgotten_ms), self._settings.horizon_s)
        done = step(known, fact, self._clock_ms, self._settings, since_s if slots_told else NEVER_SURE)
        if done.state is not known:
            self._keep(fact.call_key, done.state)
        return done

    def take_changed(self) -> dict[str, bytes | None]:
        """Return the states that changed since the last call of this method; None where a call is forgotten."""
        changed: dict[str, bytes | None] = {}
        self._taken = {key: self._calls.get(key) for key in self._touched}
        self.unwritten = {}
        for key, state in self._touched.items():
            try:
                value = encode_state(state) if state else None
            except StateTooLarge as exc:
                self.unwritten[key] = ("oversize", str(exc))
                continue
            except Exception as exc:  # noqa: BLE001 - as above; the caller takes it back
                self.unwritten[key] = ("internal", describe_error(exc))
                continue
            if value is None:
                self._calls.pop(key, None)
            else:
                self._calls[key] = value
            changed[key] = value
        self._touched.clear()
        return changed

    def take_back(self, keys: Iterable[str]) -> None:
        """Return these calls to their states before the last `take_changed`, whose result cannot be written."""
        for key in self._taken.keys() & keys:
            before = self._taken[key]
            if before is None:
                self._calls.pop(key, None)
            else:
                self._calls[key] = before
            self._index(key, peek_state(before) if before else None)

    def set_aside(self, key: str, code: DeadCode, detail: str) -> None:
        """Set a call aside whose timeout cannot be published, until a fact of it comes or its horizon ends."""
        state = self._state(key)
        if state is not None:
            self._put_off(key, state, code, detail)

    def _put_off(self, key: str, state: CallState, code: DeadCode, detail: str) -> None:
        self._stuck.append(Stuck(key=key, state=self._calls.get(key, b""), code=code, detail=detail))
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
        known = self._calls.get(key)
        state = self._readable(key, known) if known else None
        if known and state is None:
            self._calls.pop(key)
            self._index(key, None)
        return state

    def _readable(self, key: str, stored: bytes) -> CallState | None:
        try:
            return decode_state(stored)
        except Undecodable as exc:
            self._stuck.append(Stuck(key=key, state=stored, code=exc.dead_code, detail=str(exc)))
            return None

    def _keep(self, key: str, state: CallState | None) -> None:
        self._touched[key] = state
        self._index(key, state)

    def _index(self, key: str, state: CallState | StateHead | None) -> None:
        vendor = key.split("|", 1)[0]
        facts, duplicates, phase = self._tallies.pop(key, (0, 0, -1))
        self.items[vendor, "fact"] -= facts
        self.items[vendor, "duplicate"] -= duplicates
        if phase >= 0:
            self.phases[_PHASES[phase]] -= 1
        if state is None:
            self._due.pop(key, None)
            return
        facts, duplicates = state.counts()
        self._tallies[key] = (facts, duplicates, state.phase)
        self.items[vendor, "fact"] += facts
        self.items[vendor, "duplicate"] += duplicates
        self.phases[_PHASES[state.phase]] += 1
        # A deadline that moves away, as nearly all do, is set again when the old one comes: a call has one entry, not
        # one a fact.
        if state.deadline_ms < self._due.get(key, _NEVER_MS):
            self._wait(key, state.deadline_ms)

    def _wait(self, key: str, due_ms: int) -> None:
        self._due[key] = due_ms
        heapq.heappush(self._deadlines, (due_ms, key))
