"""The quarantine makes a dead letter of a record at which workers die, so that its partition goes on.

A guarded step notes at each moment which records it computes (`processors.poison.trace`). The records of a dead
worker's note are then done one at a time, with nothing else running; a record at which two workers died becomes a dead
letter (`poison`), and comes again by `callweave dead replay`.
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

from processors.normalise import WHOLE_BODY, make_dead_letter
from processors.outbox import Outbox
from processors.poison.crashes import Crashes
from processors.poison.suspects import Suspect, Verdict, after
from processors.poison.trace import StepTurns, traced
from processors.records import Record, RecordBatch
from processors.stages.ledger_entries import Entries, JoinEntries, NormaliseEntries, read_place
from processors.stages.normalise_stage import dead_letter_message, ledger_messages
from schemas.codec import Codecs
from schemas.dead_letter import DeadLetter, hash_of
from schemas.metrics import Registry
from schemas.raw import Position, RawCallback, raw_from_kafka
from schemas.topics import RAW
from schemas.vendors import VENDORS

log: Final = logging.getLogger(__name__)

GuardedStep = Callable[[RecordBatch], Awaitable[object]]
StageName = Literal["normalise", "join"]


class Quarantine:
    """Guards the steps of one worker."""

    def __init__(self, crashes: Crashes, outbox: Outbox, codecs: Codecs, metrics: Registry) -> None:
        self._crashes = crashes
        self._outbox = outbox
        self._codecs = codecs
        self._metrics = metrics
        self._turns = StepTurns()
        for stage in ("normalise", "join"):
            metrics.add("callweave_process_quarantined_total", stage, by=0)
        metrics.before_read(self._gauges)

    def guarding(self, stage: StageName, step: GuardedStep) -> GuardedStep:
        """Wrap a step so that workers die at no record more than twice."""

        async def guarded(batch: RecordBatch) -> None:
            against = self._crashes.book.against(batch)
            if not against:
                async with self._turns.together():
                    await traced(step, batch, self._crashes.breadcrumb)
                return
            rest: RecordBatch | None = batch
            while rest is not None:
                # Asked each time: a record that was just put aside may have copies right behind it.
                portion, verdict, suspect = next(self._crashes.book.portions(rest))
                if suspect is None:
                    async with self._turns.together():
                        await traced(step, portion, self._crashes.breadcrumb)
                elif verdict == "suspect":
                    log.warning("alone: %s/%d/%d", portion.topic, portion.partition, portion.first_offset)
                    async with self._turns.alone():
                        await traced(step, portion, self._crashes.breadcrumb)
                else:
                    await self._put_aside(stage, verdict, portion, suspect)
                rest = after(rest, portion)
            if against.suspects:
                self._crashes.clear_below(batch.topic, batch.partition, batch.next_offset)

        return guarded

    def _entries(self, stage: StageName, dead_letter: DeadLetter, record: Record) -> Entries:
        """Return the ledger's entry of a record that is put aside; none for a fact whose place cannot be read."""
        if stage == "normalise":
            bodies = NormaliseEntries(dead_letter.partition, live=not self._codecs.stage_fact.writes_avro)
            bodies.add_dead(body_of(dead_letter), dead_letter.offset)
            return bodies.entries()
        facts = JoinEntries()
        with contextlib.suppress(Exception):  # the sender of a fact in Avro is an older worker, without a ledger
            facts.dead(read_place(record.value or b""), record)
        return facts.entries()

    def _gauges(self) -> None:
        self._metrics.put("callweave_process_suspects", value=len(self._crashes.book.suspects))
        self._metrics.put("callweave_process_deaths", value=self._crashes.lately)

    async def _put_aside(self, stage: StageName, verdict: Verdict, batch: RecordBatch, suspect: Suspect) -> None:
        (record,) = batch.records
        where = f"{batch.topic}/{batch.partition}/{record.offset}"
        if verdict == "copy" and stage == "join":
            # A fact names the position of its body: equal bytes are this very fact, written again. It has its dead
            # letter.
            log.warning("%s: the same as %s, which is put aside", where, suspect.place)
            return
        dead_letter = poison_dead_letter(stage, batch, record, suspect)
        await self._outbox.publish([dead_letter_message(dead_letter, self._codecs)])
        if verdict == "poison":
            self._crashes.put_aside(suspect.place, record.value or b"")
        # Last of all: should a look at the record end the worker again, its dead letter is out.
        if entries := ledger_messages(self._entries(stage, dead_letter, record), f"{stage}/{batch.partition}"):
            await self._outbox.publish(entries)
        log.error("%s: %s", where, dead_letter.detail)
        self._metrics.add("callweave_process_quarantined_total", stage)
        if stage == "normalise":
            vendor = dead_letter.vendor if dead_letter.vendor in VENDORS else "unknown"
            self._metrics.add("callweave_normalise_elements_total", vendor, "dead")
            self._metrics.add("callweave_normalise_dead_total", vendor, dead_letter.code)


def body_of(dead_letter: DeadLetter) -> RawCallback:
    """Build what the ledger needs to know of a body that nobody dares to read."""
    source = dead_letter.headers.get("source", "push")
    return RawCallback(
        vendor=dead_letter.vendor,
        callback=dead_letter.callback,
        account=dead_letter.account,
        received_at=dead_letter.occurred_at,
        request_id="",
        source="backfill" if source == "backfill" else "poll" if source == "poll" else "push",
        body=b"",
    )


def poison_dead_letter(stage: StageName, batch: RecordBatch, record: Record, suspect: Suspect) -> DeadLetter:
    """Build the dead letter of a record that is not tried again by itself."""
    cause = suspect.cause or "killed or blocked"
    detail = f"workers died at this record {suspect.deaths} times ({cause}): replay it after a fix"
    position = Position(batch.topic, batch.partition, record.offset)
    if batch.topic == RAW.name:
        with contextlib.suppress(
            Exception
        ):  # falls back to the plain form: its headers may be what the workers died at
            raw = raw_from_kafka(record.value, record.headers, record.timestamp_ms)
            return make_dead_letter(raw, position, WHOLE_BODY, "poison", detail)
    at = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    headers: Mapping[str, str] = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    vendor = (record.key or b"").split(b"|", 1)[0].decode("utf-8", "replace")
    return DeadLetter(
        stage=stage,
        code="poison",
        detail=detail,
        vendor=vendor if vendor in VENDORS else "",
        topic=position.topic,
        partition=position.partition,
        offset=position.offset,
        original=record.value or b"",
        headers=dict(headers),
        occurred_at=at,
        origin_hash=hash_of(record.value or b"", at),
    )
