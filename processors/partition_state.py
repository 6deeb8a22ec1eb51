"""All calls of one partition of `calls.facts`: their states, deadlines and the record clock. Pure: no Kafka, no wall clock.

States are kept as bytes: most calls only wait for their horizon. The clock is the highest append time that the log showed,
so the same log always times out at the same records, however often it is read.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Final

from processors.join import CallState, Step, step, timeout
from processors.state_codec import decode_state, encode_state
from schemas.facts import Fact
from schemas.settings import JoinSettings

_CLOSED: Final = ("open", "provisional", "final", "reopened")
"""Names of a call's phases 0 to 3."""


class PartitionState:
    """What the joiner holds of one partition."""

    def __init__(self, settings: JoinSettings) -> None:
        self._settings = settings
        self._calls: dict[str, bytes] = {}
        self._due: dict[str, int] = {}
        self._deadlines: list[tuple[int, str]] = []
        self._tallies: dict[str, tuple[int, int, int]] = {}
        self._changed: dict[str, bytes | None] = {}
        self._clock_ms = 0
        self.items: Counter[tuple[str, str]] = Counter()
        """(vendor, "fact" | "duplicate") to how many the states hold."""
        self.phases: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._calls)

    def load(self, key: str, value: bytes | None) -> None:
        """Take one record of the state topic, the later one of a key wins; raises `Undecodable` (`schema`)."""
        self._put(key, decode_state(value) if value else None, value)

    def advance(self, now_ms: int) -> Iterator[Step]:
        """Move the record clock on and yield what is due by then, in the order of the deadlines."""
        self._clock_ms = max(self._clock_ms, now_ms)
        while self._deadlines and self._deadlines[0][0] <= self._clock_ms:
            due_ms, key = heapq.heappop(self._deadlines)
            if self._due.get(key) != due_ms:
                continue  # the deadline moved since
            done = timeout(decode_state(self._calls[key]), self._clock_ms, self._settings)
            self._keep(key, done.state)
            yield done

    def apply(self, fact: Fact) -> Step:
        """Join one fact at the present record clock."""
        known = self._calls.get(fact.call_key)
        done = step(decode_state(known) if known else None, fact, self._clock_ms, self._settings)
        self._keep(fact.call_key, done.state)
        return done

    def take_changed(self) -> dict[str, bytes | None]:
        """The states that changed since the last call; None where a call is forgotten."""
        changed, self._changed = self._changed, {}
        return changed

    def _keep(self, key: str, state: CallState | None) -> None:
        value = encode_state(state) if state else None
        if value != self._calls.get(key):
            self._changed[key] = value
        self._put(key, state, value)

    def _put(self, key: str, state: CallState | None, value: bytes | None) -> None:
        vendor = key.split("|", 1)[0]
        facts, duplicates, phase = self._tallies.pop(key, (0, 0, -1))
        self.items[vendor, "fact"] -= facts
        self.items[vendor, "duplicate"] -= duplicates
        if phase >= 0:
            self.phases[_CLOSED[phase]] -= 1
        if state is None or value is None:
            self._calls.pop(key, None)
            self._due.pop(key, None)
            return
        facts, duplicates = state.counts()
        self._tallies[key] = (facts, duplicates, state.phase)
        self.items[vendor, "fact"] += facts
        self.items[vendor, "duplicate"] += duplicates
        self.phases[_CLOSED[state.phase]] += 1
        self._calls[key] = value
        if self._due.get(key) != state.deadline_ms:
            self._due[key] = state.deadline_ms
            heapq.heappush(self._deadlines, (state.deadline_ms, key))
