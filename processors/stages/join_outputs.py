"""Outputs of one record batch of facts: only the last version of each record and of each call.

An output that our own code cannot encode is reported under its call, and the other calls go on. What was erased leaves
the outputs alone: in the state it stays until the horizon, as the legs of a call are found by their numbers.
"""

from collections import Counter
from datetime import datetime

from processors.call.state import CallState
from processors.join import JoinResult
from processors.outbox import Message
from processors.poison.suspects import describe_error
from processors.timeline.build import timelines_of
from schemas.codec import Codecs
from schemas.dead_letter import DeadLetter
from schemas.errors import DeadCode
from schemas.facts import Fact
from schemas.privacy.erasures import NO_ERASURES, Erasures
from schemas.timeline import Timeline
from schemas.topics import NORMALIZED, TIMELINES


class Outputs:
    """The outputs of one record batch; a later version of a record or call replaces an earlier one."""

    def __init__(self, erasures: Erasures = NO_ERASURES) -> None:
        self._erasures = erasures
        self.dead: list[DeadLetter] = []
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self._facts: dict[str, tuple[Fact, CallState | None]] = {}
        self._calls: dict[str, CallState] = {}

    def take(self, done: JoinResult, key: str) -> None:
        """Add one result."""
        if done.normalized is not None:
            self._facts[done.normalized.fact_id] = done.normalized, done.state
        if done.shown is not None:
            self._calls[key] = done.shown
        if done.outcome != "told":  # its facts were counted when they came
            self.outcomes[key.split("|", 1)[0], done.outcome] += 1

    def messages(
        self, codecs: Codecs, partition: int
    ) -> tuple[list[tuple[str, Message]], dict[str, tuple[DeadCode, str]]]:
        """Encode all outputs, each with its call's key; returns also the calls that cannot be encoded, and why."""
        messages: list[tuple[str, Message]] = []
        failed: dict[str, tuple[DeadCode, str]] = {}
        erases = bool(self._erasures)
        topic, encode = NORMALIZED.name, codecs.fact.encode
        for fact, state in self._facts.values():
            key = fact.call_key
            try:
                kept = self._erasures.fact(fact, _first_receipt(state)) if erases else fact
                if kept is None:
                    continue
                value = encode(kept)
            except Exception as exc:  # noqa: BLE001 - one call's record must not stop the others
                failed[key] = ("internal", describe_error(exc))
                continue
            messages.append((key, Message(topic=topic, key=key.encode(), value=value, partition=partition)))
        built: list[tuple[str, tuple[Timeline, ...]]] = []
        for key, shown in self._calls.items():
            try:
                built.append((key, timelines_of(shown)))
            except Exception as exc:  # noqa: BLE001 - one call's timeline must not stop the others
                failed[key] = ("internal", describe_error(exc))
        for key, timelines in built:
            try:
                encoded = [(timeline.timeline_id, self._encoded(timeline, codecs)) for timeline in timelines]
            except Exception as exc:  # noqa: BLE001 - as above
                failed[key] = ("internal", describe_error(exc))
                continue
            messages += [(key, message_of(TIMELINES.name, name, value, partition)) for name, value in encoded]
        return messages, failed

    def _encoded(self, timeline: Timeline, codecs: Codecs) -> bytes | None:
        """Encode a timeline; None, a tombstone, for a call of an erased account."""
        kept = self._erasures.timeline(timeline) if self._erasures else timeline
        return codecs.timeline.encode(kept) if kept is not None else None


def _first_receipt(state: CallState | None) -> datetime | None:
    """Return when the first fact of a call was received: a correction that comes later is no new call."""
    if state is None:
        return None
    return min(content.fact.received_at for item in state.items.values() for content in item.every)


def message_of(
    topic: str, key: str, value: bytes | None, partition: int, headers: tuple[tuple[str, bytes], ...] = ()
) -> Message:
    """Build a message for the partition that the facts came from."""
    return Message(topic=topic, key=key.encode(), value=value, headers=headers, partition=partition)
