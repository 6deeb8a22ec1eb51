"""The normalising stage: a record batch of `calls.raw` in; facts and dead letters out, acknowledged before it is.

Stateless: a batch that is done again gives the same facts under the same identities.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec

from processors.engine.transport import Record
from processors.normalise import Directory, Normalised, Reading, make_dead_letter, normalise
from processors.outbox import OVERHEAD_BYTES, Message, Outbox
from processors.poison.trace import in_thread, note_records
from processors.records import RecordBatch
from processors.stages.ledger_entries import Entries, NormaliseEntries
from schemas.body.inflate import encoding_of
from schemas.body.wire import BEGIN_JSON
from schemas.codec import Codecs
from schemas.config.limits import Limits
from schemas.dead_letter import DeadLetter, without_original
from schemas.erasing.erased_letters import kept_letter
from schemas.metrics import Registry
from schemas.privacy.erasures import NO_ERASURES, Erasures
from schemas.raw import Position, RawCallback, raw_from_kafka
from schemas.topics import DEAD, FACTS, LEDGER, MAX_MESSAGE_BYTES

_BREATHE_S: Final = 0.01
"""Longest work between two turns of the event loop: heartbeats and other partitions must not wait for a whole batch."""
_THREAD_BYTES: Final = 8 * 1024
"""Largest body that is read in the event loop: a larger or compressed one may take too long and is read in a thread."""


_RUN_BODIES: Final = 128
"""Most bodies that are read step by step together: more would save no more."""
_RUN_BYTES: Final = 32 * 1024
"""Most bytes of them, as the event loop does not turn before they are read."""
_FACTS: Final = FACTS.name
_Result = tuple[Normalised, list[Message]]


class Rules(NamedTuple):
    """The settings by which a batch is read."""

    accounts: Directory
    limits: Limits


class NormaliseStage:
    """The normalising stage of one worker."""

    def __init__(
        self,
        outbox: Outbox,
        codecs: Codecs,
        accounts: Directory,
        limits: Limits,
        metrics: Registry,
        *,
        erasures: Erasures = NO_ERASURES,
        again: bool = False,
    ) -> None:
        """`again` says that a command reads stretches of the topic once more, beside the workers."""
        self._outbox = outbox
        self._erasures = erasures
        # While older workers may run, who keep no ledger, nothing follows from what is not in it.
        self._live = not again and not codecs.stage_fact.writes_avro
        self._codecs = codecs
        self._rules = Rules(accounts, limits)
        self._metrics = metrics
        self._turn = asyncio.Lock()
        """One body in a thread at a time: the interpreter runs no two at once, and a death must accuse one body."""
        self.facts = 0
        self.dead = 0

    def use(self, accounts: Directory, limits: Limits) -> None:
        """Use other accounts and limits from the next batch on: one batch must not be read by two rules."""
        self._rules = Rules(accounts, limits)

    async def step(self, batch: RecordBatch) -> None:
        """Map every body of the batch; returns when all results are durable."""
        rules = self._rules
        messages: list[Message] = []
        clock = asyncio.get_running_loop().time
        breathed = clock()
        counts: Counter[tuple[str, str]] = Counter()
        entries = NormaliseEntries(batch.partition, live=self._live)
        for records, raws in _runs(batch.records):
            note_records(records)
            if len(raws) == 1 and _takes_long(raws[0]):
                position = Position(batch.topic, batch.partition, records[0].offset)
                work = partial(self._read, position, raws[0], rules)
                results = [await in_thread(work, self._turn)]
                breathed = clock()
            else:
                results = self._read_together(batch, records, raws, rules)
            for record, raw, (outcome, made) in zip(records, raws, results, strict=True):
                self._count(raw, outcome, counts)
                entries.add(raw, record.offset, outcome)
                messages += made
            note_records(batch.records)  # the next run is not read yet, and none of them is it alone
            if clock() - breathed > _BREATHE_S:
                await asyncio.sleep(0)
                breathed = clock()
        for labels, number in counts.items():
            self._metrics.add("callweave_normalise_elements_total", *labels, by=number)
        messages += ledger_messages(entries.entries(), f"normalise/{batch.partition}")
        if messages:
            await self._outbox.publish(messages)

    def _read(self, position: Position, raw: RawCallback, rules: Rules) -> _Result:
        """Normalise one body and encode the results. Changes nothing, as it runs in a thread."""
        return self._encoded(raw, position, normalise(raw, position, rules.accounts, rules.limits))

    def _read_together(
        self, batch: RecordBatch, records: Sequence[Record], raws: list[RawCallback], rules: Rules
    ) -> list[_Result]:
        """Normalise some bodies step by step."""
        topic, partition, accounts, limits = batch.topic, batch.partition, rules.accounts, rules.limits
        readings: list[Reading] = []
        for record, raw in zip(records, raws, strict=True):
            readings.append(reading := Reading(raw, Position(topic, partition, record.offset), accounts, limits))
            reading.decode()
        for reading in readings:
            reading.map()
        return [self._encoded(reading.raw, reading.position, reading.finish()) for reading in readings]

    def _encoded(self, raw: RawCallback, position: Position, outcome: Normalised) -> _Result:
        if self._erasures.concern(raw.received_at):
            outcome = without_erased(outcome, raw, self._erasures)
        messages: list[Message] = []
        encode = self._codecs.stage_fact.encode
        too_large: dict[int, DeadLetter] = {}
        for fact in outcome.facts:
            key, value = fact.call_key.encode(), encode(fact)
            message = Message(topic=_FACTS, key=key, value=value)
            if len(key) + len(value) > MAX_MESSAGE_BYTES - OVERHEAD_BYTES:
                detail = f"the normalised element has {message.size_bytes} bytes, a record takes {MAX_MESSAGE_BYTES}"
                letter = make_dead_letter(raw, position, fact.raw_element, "oversize", detail)
                too_large[fact.raw_element] = letter
                continue
            messages.append(message)
        if too_large:
            facts = tuple(fact for fact in outcome.facts if fact.raw_element not in too_large)
            outcome = msgspec.structs.replace(outcome, facts=facts, dead=(*outcome.dead, *too_large.values()))
        if outcome.dead:
            messages = [dead_letter_message(dead_letter, self._codecs) for dead_letter in outcome.dead] + messages
        return outcome, messages

    def _count(self, raw: RawCallback, outcome: Normalised, counts: Counter[tuple[str, str]]) -> None:
        """Count a body's elements, those that are no dead letters for all the batch."""
        if number := len(outcome.facts):
            counts[raw.vendor, "fact"] += number
            self.facts += number
        if outcome.filtered:
            counts[raw.vendor, "filtered"] += len(outcome.filtered)
        if not outcome.dead:
            return
        # An unknown vendor's name came from a header: it must not become a label. Such a body is one dead letter.
        vendor = "unknown" if any(dead_letter.code == "unknown_vendor" for dead_letter in outcome.dead) else raw.vendor
        counts[vendor, "dead"] += len(outcome.dead)
        self.dead += len(outcome.dead)
        for dead_letter in outcome.dead:
            self._metrics.add("callweave_normalise_dead_total", vendor, dead_letter.code)


def without_erased(outcome: Normalised, raw: RawCallback, erasures: Erasures) -> Normalised:
    """Take out of a body's results what was erased since the body was received; an erased account's are filtered.

    Identities and digests are those of what was received, so that the joiner knows a replay as one.
    """
    if erasures.has_account(raw.account, raw.received_at):
        gone = ("erased",) * (len(outcome.facts) + len(outcome.dead))
        return Normalised(elements=outcome.elements, filtered=outcome.filtered + gone)
    return msgspec.structs.replace(
        outcome,
        facts=tuple(filter(None, map(erasures.fact, outcome.facts))),
        dead=tuple(filter(None, (kept_letter(letter, erasures) for letter in outcome.dead))),
    )


def _runs(records: tuple[Record, ...]) -> Iterator[tuple[tuple[Record, ...], list[RawCallback]]]:
    """Cut records into runs that are read together, and those alone that may take long."""
    start, size, raws = 0, 0, list[RawCallback]()
    for index, record in enumerate(records):
        raw = raw_from_kafka(record.value, record.headers, record.timestamp_ms)
        takes_long, length = _takes_long(raw), len(raw.body)
        if raws and (takes_long or len(raws) >= _RUN_BODIES or size + length > _RUN_BYTES):
            yield records[start:index], raws
            start, size, raws = index, 0, []
        raws.append(raw)
        size += length
        if takes_long:
            yield records[start : index + 1], raws
            start, size, raws = index + 1, 0, []
    if raws:
        yield records[start:], raws


def _takes_long(raw: RawCallback) -> bool:
    body = raw.body
    return (
        len(body) > _THREAD_BYTES
        or raw.content_encoding != ""
        or (body[:1] not in BEGIN_JSON and encoding_of(body) != "")
    )


def dead_letter_message(dead_letter: DeadLetter, codecs: Codecs) -> Message:
    """Encode a dead letter as a message of `calls.dead`, without the original bytes where both do not fit."""
    message = Message(topic=DEAD.name, key=dead_letter.vendor.encode(), value=codecs.dead_letter.encode(dead_letter))
    if message.size_bytes <= MAX_MESSAGE_BYTES:
        return message
    bare = codecs.dead_letter.encode(without_original(dead_letter))
    return msgspec.structs.replace(message, value=bare)


def ledger_messages(entries: Entries, key: str) -> list[Message]:
    """Build the messages of `calls.ledger` that hold these entries."""
    return [Message(topic=LEDGER.name, key=key.encode(), value=value) for value in entries.values()]
