"""The normalising agent: a slice of `calls.raw` in, facts and dead letters out, acknowledged before the slice is.

Stateless: a slice that is done again gives the same facts under the same identities.
"""

import asyncio
from functools import partial
from typing import Final

import msgspec

from processors.engine.transport import Record
from processors.normalise import Directory, Normalised, dead_letter, normalise
from processors.outbox import Message, Outbox
from processors.poison.trace import aside
from processors.records import RecordBatch
from schemas.body.inflate import encoding_of
from schemas.codec import Codecs
from schemas.config.limits import Limits
from schemas.dead_letter import DeadLetter, without_original
from schemas.metrics import Registry
from schemas.raw import Position, RawCallback, raw_from_kafka
from schemas.topics import DEAD, FACTS, MAX_MESSAGE_BYTES

_BREATHE_S: Final = 0.01
"""Work between two turns of the event loop: heartbeats and the other partitions must not wait for a whole slice."""
_ASIDE_BYTES: Final = 8 * 1024
"""A larger body, or a compressed one, is read in a thread: at the worst it takes longer than a turn of the loop may."""


class NormaliseStage:
    """The step of the normalising agent."""

    def __init__(self, outbox: Outbox, codecs: Codecs, accounts: Directory, limits: Limits, metrics: Registry) -> None:
        self._outbox = outbox
        self._codecs = codecs
        self._accounts = accounts
        self._limits = limits
        self._metrics = metrics
        self._turn = asyncio.Lock()
        """One body in a thread at a time: the interpreter would not do two at once, and a death is about one of them."""
        self.facts = 0
        self.dead = 0

    async def step(self, slice_: RecordBatch) -> None:
        """Map every body of the slice; returns when all that came of it is durable."""
        messages: list[Message] = []
        clock = asyncio.get_running_loop().time
        breathed = clock()
        for record in slice_.records:
            raw = raw_from_kafka(record.value, record.headers, record.timestamp_ms)
            if _takes_long(raw):
                outcome, made = await aside(partial(self._read, slice_, record, raw), self._turn)
                breathed = clock()
            else:
                outcome, made = self._read(slice_, record, raw)
            self._count(raw, outcome)
            messages += made
            if clock() - breathed > _BREATHE_S:
                await asyncio.sleep(0)
                breathed = clock()
        if messages:
            await self._outbox.publish(messages)

    def _read(self, slice_: RecordBatch, record: Record, raw: RawCallback) -> tuple[Normalised, list[Message]]:
        """One body, and all that comes of it written out. Changes nothing: it may run in a thread."""
        outcome = self._normalise(slice_, record, raw)
        dead = [dead_message(letter, self._codecs) for letter in outcome.dead]
        return outcome, dead + self._fact_messages(slice_, record, raw, outcome)

    def _normalise(self, slice_: RecordBatch, record: Record, raw: RawCallback) -> Normalised:
        position = Position(slice_.topic, slice_.partition, record.offset)
        return normalise(raw, position, self._accounts, self._limits)

    def _fact_messages(
        self, slice_: RecordBatch, record: Record, raw: RawCallback, outcome: Normalised
    ) -> list[Message]:
        messages = []
        for fact in outcome.facts:
            message = Message(topic=FACTS.name, key=fact.call_key.encode(), value=self._codecs.fact.encode(fact))
            if message.size_bytes > MAX_MESSAGE_BYTES:
                position = Position(slice_.topic, slice_.partition, record.offset)
                detail = f"the normalised element has {message.size_bytes} bytes, a record takes {MAX_MESSAGE_BYTES}"
                message = dead_message(dead_letter(raw, position, fact.raw_element, "oversize", detail), self._codecs)
            messages.append(message)
        return messages

    def _count(self, raw: RawCallback, outcome: Normalised) -> None:
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


def _takes_long(raw: RawCallback) -> bool:
    return len(raw.body) > _ASIDE_BYTES or raw.content_encoding != "" or encoding_of(raw.body) != ""


def dead_message(letter: DeadLetter, codecs: Codecs) -> Message:
    """A dead letter as a record of `calls.dead`, without its bytes where both do not fit."""
    message = Message(topic=DEAD.name, key=letter.vendor.encode(), value=codecs.dead_letter.encode(letter))
    if message.size_bytes <= MAX_MESSAGE_BYTES:
        return message
    bare = codecs.dead_letter.encode(without_original(letter))
    return msgspec.structs.replace(message, value=bare)
