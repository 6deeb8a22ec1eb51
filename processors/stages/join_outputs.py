"""Outputs of one record batch of facts: only the last version of each record and of each call.

An output that our own code cannot encode is reported under its call, and the other calls go on.
"""

from collections import Counter

from processors.call.state import CallState
from processors.join import JoinResult
from processors.outbox import Message
from processors.poison.suspects import describe_error
from processors.timeline.build import timelines_of
from schemas.codec import Codecs
from schemas.dead_letter import DeadLetter
from schemas.errors import DeadCode
from schemas.facts import Fact
from schemas.topics import NORMALIZED, TIMELINES


class Outputs:
    """The outputs of one record batch; a later version of a record or call replaces an earlier one."""

    def __init__(self) -> None:
        self.dead: list[DeadLetter] = []
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self._facts: dict[str, tuple[Fact, bytes | None]] = {}
        self._calls: dict[str, CallState] = {}

    def take(self, done: JoinResult, key: str, as_sent: bytes | None = None) -> None:
        """Add one result; `as_sent`: the encoded `done.normalized`, where it is known."""
        if done.normalized is not None:
            self._facts[done.normalized.fact_id] = done.normalized, as_sent
        if done.shown is not None:
            self._calls[key] = done.shown
        self.outcomes[key.split("|", 1)[0], done.outcome] += 1

    def messages(
        self, codecs: Codecs, partition: int
    ) -> tuple[list[tuple[str, Message]], dict[str, tuple[DeadCode, str]]]:
        """Encode all outputs, each with its call's key; returns also the calls that cannot be encoded, and why."""
        messages: list[tuple[str, Message]] = []
        failed: dict[str, tuple[DeadCode, str]] = {}
        for fact, as_sent in self._facts.values():
            try:
                value = as_sent or codecs.fact.encode(fact)
            except Exception as exc:  # noqa: BLE001 - one call's record must not stop the others
                failed[fact.call_key] = ("internal", describe_error(exc))
                continue
            messages.append((fact.call_key, message_of(NORMALIZED.name, fact.call_key, value, partition)))
        for key, shown in self._calls.items():
            try:
                encoded = [(timeline.timeline_id, codecs.timeline.encode(timeline)) for timeline in timelines_of(shown)]
            except Exception as exc:  # noqa: BLE001 - one call's timeline must not stop the others
                failed[key] = ("internal", describe_error(exc))
                continue
            messages += [(key, message_of(TIMELINES.name, name, value, partition)) for name, value in encoded]
        return messages, failed


def message_of(
    topic: str, key: str, value: bytes | None, partition: int, headers: tuple[tuple[str, bytes], ...] = ()
) -> Message:
    """Build a message for the partition that the facts came from."""
    return Message(topic=topic, key=key.encode(), value=value, headers=headers, partition=partition)
