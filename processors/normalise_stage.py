"""The normalising agent: a slice of `calls.raw` in, facts and dead letters out, acknowledged before the slice is.

Stateless: a slice that is done again gives the same facts under the same identities.
"""

import asyncio
from typing import Final

import msgspec

from processors.normalise import Directory, Outcome, dead_letter, normalise
from processors.publish import Message, Outbox
from processors.slices import Record, Slice
from schemas.codec import Codecs
from schemas.deadletter import DeadLetter, without_original
from schemas.metrics import Registry
from schemas.raw import Position, RawCallback, raw_from_kafka
from schemas.topics import DEAD, FACTS, MAX_MESSAGE_BYTES

_BREATHE_EVERY: Final = 50
"""Bodies between two turns of the event loop: heartbeats and the other partitions must not wait for a whole slice."""


class NormaliseStage:
    """The step of the normalising agent."""

    def __init__(
        self, outbox: Outbox, codecs: Codecs, accounts: Directory, inflate_cap_bytes: int, metrics: Registry
    ) -> None:
        self._outbox = outbox
        self._codecs = codecs
        self._accounts = accounts
        self._inflate_cap_bytes = inflate_cap_bytes
        self._metrics = metrics
        self.facts = 0
        self.dead = 0

    async def step(self, slice_: Slice) -> None:
        """Map every body of the slice; returns when all that came of it is durable."""
        messages: list[Message] = []
        for index, record in enumerate(slice_.records):
            raw = raw_from_kafka(record.value, record.headers, record.timestamp_ms)
            outcome = self._normalise(slice_, record, raw)
            self._count(raw, outcome)
            messages += [dead_message(letter, self._codecs) for letter in outcome.dead]
            messages += self._fact_messages(slice_, record, raw, outcome)
            if index % _BREATHE_EVERY == _BREATHE_EVERY - 1:
                await asyncio.sleep(0)
        if messages:
            await self._outbox.publish(messages)

    def _normalise(self, slice_: Slice, record: Record, raw: RawCallback) -> Outcome:
        position = Position(slice_.topic, slice_.partition, record.offset)
        return normalise(raw, position, self._accounts, self._inflate_cap_bytes)

    def _fact_messages(self, slice_: Slice, record: Record, raw: RawCallback, outcome: Outcome) -> list[Message]:
        messages = []
        for fact in outcome.facts:
            message = Message(topic=FACTS.name, key=fact.call_key.encode(), value=self._codecs.fact.encode(fact))
            if message.size_bytes > MAX_MESSAGE_BYTES:
                position = Position(slice_.topic, slice_.partition, record.offset)
                detail = f"the normalised element has {message.size_bytes} bytes, a record takes {MAX_MESSAGE_BYTES}"
                message = dead_message(dead_letter(raw, position, fact.raw_element, "oversize", detail), self._codecs)
            messages.append(message)
        return messages

    def _count(self, raw: RawCallback, outcome: Outcome) -> None:
        # A vendor's name that no file declares came from a header: it must not become a label.
        vendor = "unknown" if any(letter.code == "unknown_vendor" for letter in outcome.dead) else raw.vendor
        for name, number in (
            ("fact", len(outcome.facts)),
            ("dead", len(outcome.dead)),
            ("filtered", len(outcome.filtered)),
        ):
            if number:
                self._metrics.add("callweave_normalise_elements_total", vendor, name, by=number)
        self.facts += len(outcome.facts)
        self.dead += len(outcome.dead)
        for letter in outcome.dead:
            self._metrics.add("callweave_normalise_dead_total", vendor, letter.code)


def dead_message(letter: DeadLetter, codecs: Codecs) -> Message:
    """A dead letter as a record of `calls.dead`, without its bytes where both do not fit."""
    message = Message(topic=DEAD.name, key=letter.vendor.encode(), value=codecs.dead_letter.encode(letter))
    if message.size_bytes <= MAX_MESSAGE_BYTES:
        return message
    bare = codecs.dead_letter.encode(without_original(letter))
    return msgspec.structs.replace(message, value=bare)
