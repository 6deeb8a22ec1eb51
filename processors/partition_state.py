"""All calls of one partition of `calls.facts`: their states, deadlines and the record clock. Pure: no Kafka, no wall clock.

States are kept as bytes: most calls only wait for their horizon. The clock is the highest append time that the log showed,
so the same log always times out at the same records, however often it is read.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from processors.join import CallState, Step, reunite, step, timeout
from processors.state_codec import Head, decode_state, encode_state, peek_state
from schemas.facts import Fact
from schemas.settings import JoinSettings

_PHASES: Final = ("open", "provisional", "final", "reopened")
"""Names of a call's phases 0 to 3."""
_NEVER_MS: Final = 1 << 63


class PartitionState:
    """What the joiner holds of one partition; calls touched since the last `take_changed` are held decoded as well."""

    def __init__(self, settings: JoinSettings) -> None:
        self._settings = settings
        self._calls: dict[str, bytes] = {}
        self._touched: dict[str, CallState | None] = {}
        self._taken: dict[str, bytes | None] = {}
        """What stood in the place of that which `take_changed` gave last."""
        self._due: dict[str, int] = {}
        """When each call is looked at next: at its deadline, or before it where that moved away since."""
        self._deadlines: list[tuple[int, str]] = []
        self._tallies: dict[str, tuple[int, int, int]] = {}
        self._clock_ms = 0
        self.items: Counter[tuple[str, str]] = Counter()
        """(vendor, "fact" | "duplicate") to how many the states hold."""
        self.phases: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._calls)

    def load(self, key: str, states: Sequence[bytes]) -> None:
        """Take what the state topic says of a call (see `StateLog.calls`); raises `Undecodable` (`schema`)."""
        *others, last = states
        if not others:
            self._calls[key] = last
            self._index(key, peek_state(last))
            return
        state = decode_state(last)
        for other in others:
            state = reunite(decode_state(other), state, self._settings)
        self._calls[key] = encode_state(state)
        self._index(key, state)
        if self._calls[key] != last:
            self._touched[key] = state  # to be written: compaction could leave only the record that says less

    def advance(self, now_ms: int) -> Iterator[tuple[str, Step]]:
        """Move the record clock on and yield what is due by then with its key, in the order of the deadlines."""
        self._clock_ms = max(self._clock_ms, now_ms)
        while self._deadlines and self._deadlines[0][0] <= self._clock_ms:
            due_ms, key = heapq.heappop(self._deadlines)
            state = self._state(key) if self._due.get(key) == due_ms else None
            if state is None:
                continue  # the call is looked at earlier, or is forgotten
            del self._due[key]
            if state.deadline_ms > due_ms:
                self._wait(key, state.deadline_ms)
                continue
            done = timeout(state, self._clock_ms, self._settings)
            self._keep(key, done.state)
            yield key, done

    def apply(self, fact: Fact) -> Step:
        """Join one fact at the present record clock."""
        known = self._state(fact.call_key)
        done = step(known, fact, self._clock_ms, self._settings)
        if done.state is not known:
            self._keep(fact.call_key, done.state)
        return done

    def take_changed(self) -> dict[str, bytes | None]:
        """The states that changed since the last call; None where a call is forgotten."""
        changed: dict[str, bytes | None] = {}
        self._taken = {key: self._calls.get(key) for key in self._touched}
        for key, state in self._touched.items():
            value = encode_state(state) if state else None
            if value is None:
                self._calls.pop(key, None)
            else:
                self._calls[key] = value
            changed[key] = value
        self._touched.clear()
        return changed

    def take_back(self, keys: Iterable[str]) -> None:
        """Know of these calls what was known before the last `take_changed`: what that gave cannot be written."""
        for key in self._taken.keys() & keys:
            before = self._taken[key]
            if before is None:
                self._calls.pop(key, None)
            else:
                self._calls[key] = before
            self._index(key, decode_state(before) if before else None)

    def _state(self, key: str) -> CallState | None:
        if key in self._touched:
            return self._touched[key]
        known = self._calls.get(key)
        return decode_state(known) if known else None

    def _keep(self, key: str, state: CallState | None) -> None:
        self._touched[key] = state
        self._index(key, state)

    def _index(self, key: str, state: CallState | Head | None) -> None:
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
        # One that moves away, as nearly all do, is set again when its time comes: a call has one entry, not one a fact.
        if state.deadline_ms < self._due.get(key, _NEVER_MS):
            self._wait(key, state.deadline_ms)

    def _wait(self, key: str, due_ms: int) -> None:
        self._due[key] = due_ms
        heapq.heappush(self._deadlines, (due_ms, key))
