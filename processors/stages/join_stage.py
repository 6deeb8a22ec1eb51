"""The joining stage: a record batch of `calls.facts` in; canonical records, timelines and the calls' states out.

The order of writes is fixed: outputs acknowledged, then the states, then (by the caller) the offset. A crash in between
repeats work, and the merge makes the repetition a no-op. A fact or call that cannot be joined, built or written because
of its contents becomes a dead letter; only failures of Kafka, of memory or of the process itself end the process.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final

from processors.engine.assignments import PartitionStates
from processors.engine.transport import Record
from processors.outbox import Message, Outbox
from processors.poison.suspects import describe_error
from processors.poison.trace import note_records
from processors.records import Partition, RecordBatch
from processors.stages.join_dead_letters import fact_dead_letter, state_dead_letter, vendor_of
from processors.stages.join_outputs import Outputs, message_of
from processors.stages.ledger_entries import JoinEntries
from processors.stages.normalise_stage import dead_letter_message, ledger_messages
from processors.store.calls import MemoryCalls, NewCalls
from processors.store.changelog import StateLog, Writer, new_writer
from processors.store.partition import PartitionState
from processors.store.segments import call_of
from schemas.codec import Codecs
from schemas.config.settings import JoinSettings
from schemas.dead_letter import DeadLetter
from schemas.errors import DeadCode, Unavailable, Undecodable
from schemas.facts import Fact
from schemas.metrics import Registry
from schemas.privacy.erasures import NO_ERASURES, Erasures
from schemas.topics import FACTS, MAX_MESSAGE_BYTES, STATE

_log: Final = logging.getLogger(__name__)
_BREATHE_EVERY: Final = 50
_OVERSIZE: Final[tuple[DeadCode, str]] = ("oversize", "what is known of this call is larger than a message")
RESTORE_WITHIN_S: Final = 30.0
"""Longest time that a restore waits for Kafka: as long as publishing does."""
RESTORE_EVERY_S: Final = 0.5

RestoreStates = Callable[[str, int, int], AsyncGenerator[RecordBatch, None]]
"""`restore(topic, partition, end)` yields every record of a compacted partition below the offset `end`."""
EndOffset = Callable[[str, int], Awaitable[int]]
"""`end(topic, partition)` returns the offset that the partition's next record gets; raises `Unavailable`."""


class JoinStage:
    """The joining stage of one worker."""

    def __init__(
        self,
        outbox: Outbox,
        codecs: Codecs,
        settings: JoinSettings,
        restore: RestoreStates,
        metrics: Registry,
        *,
        end: EndOffset,
        erasures: Erasures = NO_ERASURES,
        new_calls: NewCalls = MemoryCalls,
    ) -> None:
        self._outbox = outbox
        self._erasures = erasures
        self._codecs = codecs
        self._settings = settings
        self._read_back = restore
        self._new_calls = new_calls
        self._end = end
        self._ends: dict[int, int] = {}
        """Partition number to the end offset of its states, as far as they were read or are our own."""
        self._tells_slots = codecs.fact.writes_field("slot_at")
        self._untold: dict[int, int] = {}
        """Partition number to the offset of facts below which rows may have been published without their slots."""
        self._writers: dict[int, Writer] = {}
        self._metrics = metrics
        self._partitions: PartitionStates[PartitionState] = PartitionStates(self._restore)
        self._shown_items: set[tuple[str, str]] = set()
        self._shown_phases: set[str] = set()
        metrics.before_read(self._gauges)

    async def step(self, batch: RecordBatch) -> None:
        """Join every fact of the batch; returns when outputs and then states are durable."""
        held = await self._partitions.of(batch)
        if _has_tick(batch) and await self._others_wrote(batch.partition):
            self.drop([(batch.topic, batch.partition)])
            held = await self._partitions.of(batch)
        out, entries = Outputs(self._erasures), JoinEntries()
        clock_ms: int | None = None
        for start in range(0, len(batch.records), _BREATHE_EVERY):
            records = batch.records[start : start + _BREATHE_EVERY]
            note_records(records)
            # All are read before the first is joined: step by step the code stays in the processor's caches.
            facts = [self._fact(record) for record in records]
            for record, fact in zip(records, facts, strict=True):
                if record.timestamp_ms != clock_ms:  # else nothing more is due: whatever waits does so for a second
                    clock_ms = record.timestamp_ms
                    for key, done in held.advance(clock_ms):
                        out.take(done, key)
                if fact is not None:
                    self._join(batch, record, fact, held, out, entries)
            note_records(batch.records)
            if len(records) == _BREATHE_EVERY:
                await asyncio.sleep(0)
        messages, failed = out.messages(self._codecs, batch.partition)
        states = self._states(held, batch.partition)
        failed |= held.unwritten
        failed |= {key: _OVERSIZE for key, each in (*messages, *states) if each.size_bytes > MAX_MESSAGE_BYTES}
        if failed:
            self._take_back(batch, held, failed, out)
            entries.take_back(failed)
        stuck = held.take_stuck()
        for each in stuck:
            _log.error("partition %d: the state of a call of %s: %s", batch.partition, vendor_of(each.key), each.detail)
        dead_letters = [*out.dead, *(state_dead_letter(each, batch.partition, _began_ms(batch)) for each in stuck)]
        self._count(out, dead_letters)
        await self._publish(
            [message for call, message in messages if call not in failed]
            + [dead_letter_message(dead_letter, self._codecs) for dead_letter in dead_letters]
            # Before the states: a fact that these know is in the ledger, so a replay need not say it again.
            + ledger_messages(entries.entries(), f"join/{batch.partition}")
        )
        await self._write(self._removals(held.ended, batch.partition, failed), batch.partition)
        await self._write([message for call, message in states if call not in failed], batch.partition)
        await self._write(self._removals(held.contained, batch.partition, failed), batch.partition)

    async def _write(self, states: list[Message], partition: int) -> None:
        await self._publish(states)
        self._ends[partition] += len(states)

    def _removals(self, segments: Mapping[str, list[str]], partition: int, failed: Collection[str]) -> list[Message]:
        """Return the deletions of segments, but of calls that are not written."""
        headers = self._writers[partition].headers
        return [
            message_of(STATE.name, name, None, partition, headers)
            for call, names in segments.items()
            if call not in failed
            for name in names
        ]

    def _states(self, held: PartitionState, partition: int) -> list[tuple[str, Message]]:
        """Encode the changed states and segments, each with the key of its call."""
        headers = self._writers[partition].headers
        return [
            (call_of(name), message_of(STATE.name, name, value, partition, headers))
            for name, value in held.take_changed().items()
        ]

    def _take_back(
        self, batch: RecordBatch, held: PartitionState, failed: Mapping[str, tuple[DeadCode, str]], out: Outputs
    ) -> None:
        """Return these calls to their states before the batch, and make dead letters of its facts about them.

        A call with a megabyte of changes again and again, or with contents that our own code cannot handle, must not
        stop all calls behind it.
        """
        for key, (code, detail) in failed.items():
            _log.error("a call of %s cannot be joined: %s: %s", vendor_of(key), code, detail)
        held.take_back(failed)
        reported = {dead_letter.offset for dead_letter in out.dead}
        without_fact = dict(failed)
        for record in batch.records:
            with contextlib.suppress(Undecodable):  # a tick, or a record that has its own dead letter
                key = self._codecs.stage_fact.decode(record.value).call_key
                if key in failed:
                    without_fact.pop(key, None)
                    if record.offset not in reported:
                        out.dead.append(fact_dead_letter(batch, record, *failed[key], key))
        for key, (code, detail) in without_fact.items():
            held.set_aside(key, code, detail)  # no fact of the batch is about it: its timeout was due

    def _count(self, out: Outputs, dead_letters: Iterable[DeadLetter]) -> None:
        out.outcomes.update((dead_letter.vendor or "unknown", "dead") for dead_letter in dead_letters)
        for (vendor, outcome), number in out.outcomes.items():
            self._metrics.add("callweave_join_outcomes_total", vendor, outcome, by=number)

    async def _publish(self, messages: list[Message]) -> None:
        if messages:
            await self._outbox.publish(messages)

    async def _others_wrote(self, partition: int) -> bool:
        """True when a worker that lost the partition without knowing it wrote states behind ours.

        Compaction would keep its records, which know less, and remove ours: so they are read and the merged state is
        written before that.
        """
        try:
            end = await self._end(STATE.name, partition)
        except Unavailable:
            return False  # the next tick asks again
        if end <= self._ends[partition]:
            return False  # lower: a new leader that does not know yet what all replicas have
        _log.warning("partition %d: states that are not ours, all are read again", partition)
        return True

    def drop(self, partitions: Collection[Partition]) -> None:
        """Forget partitions that are now another worker's."""
        self._partitions.drop(partitions)

    def _fact(self, record: Record) -> Fact | Undecodable | None:
        """Read a fact; returns the error where there is none to read, and None for a tick."""
        if record.value is None:
            return None
        try:
            return self._codecs.stage_fact.decode(record.value)
        except Undecodable as exc:
            return exc.with_traceback(None)

    def _join(
        self,
        batch: RecordBatch,
        record: Record,
        fact: Fact | Undecodable,
        held: PartitionState,
        out: Outputs,
        entries: JoinEntries,
    ) -> None:
        if isinstance(fact, Undecodable):
            out.dead.append(fact_dead_letter(batch, record, fact.dead_code, str(fact)))
            return
        if self._erasures.concern(fact.received_at) and self._erasures.has_account(fact.account, fact.received_at):
            out.outcomes[fact.vendor, "erased"] += 1
            entries.erased(fact, record)
            return
        try:
            told = self._tells_slots and record.offset >= self._untold[batch.partition]
            done = held.apply(fact, slots_told=told)
        except Exception as exc:  # noqa: BLE001 - the contents of one fact must not stop the facts behind it
            detail = describe_error(exc)
            _log.error("join bug vendor=%s error=%s", fact.vendor, detail)
            out.dead.append(fact_dead_letter(batch, record, "internal", detail, fact.call_key))
            entries.dead(fact, record)
            return
        out.take(done, fact.call_key)
        entries.joined(fact, done, record)

    async def _restore(self, _topic: str, partition: int) -> PartitionState:
        """Restore the partition's calls, retrying while Kafka finds a new leader: a restart would take longer."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + RESTORE_WITHIN_S
        while True:
            try:
                held = await self._read_states(partition)
            except Unavailable as exc:
                if loop.time() >= deadline:
                    raise
                _log.warning("partition %d: the states cannot be read now: %s", partition, exc)
            else:
                _log.info("partition %d: %d calls restored", partition, len(held))
                return held
            await asyncio.sleep(RESTORE_EVERY_S)

    async def _read_states(self, partition: int) -> PartitionState:
        end = await self._end(STATE.name, partition)
        self._ends[partition], self._writers[partition] = end, new_writer(end, tells_slots=self._tells_slots)
        # Whoever reads what the release before can read may have such a worker as its successor.
        writer = self._writers[partition].name if self._tells_slots else b""
        calls = self._new_calls()
        log, held = StateLog(calls), PartitionState(self._settings, writer, calls)
        async with contextlib.aclosing(self._read_back(STATE.name, partition, end)) as batches:
            async for batch in batches:
                for record in batch.records:
                    log.take(record)
                await asyncio.sleep(0)
        held.forgotten_ms = log.newest_ms
        # A worker of the release before may have died behind facts whose rows it published, or may still be at them.
        self._untold[partition] = 0 if log.slots_told else await self._end(FACTS.name, partition)
        for number, call in enumerate(log.calls()):
            held.load(*call)
            if number % _BREATHE_EVERY == 0:
                await asyncio.sleep(0)
        return held

    def _gauges(self) -> None:
        items: Counter[tuple[str, str]] = Counter()
        phases: Counter[str] = Counter()
        for _, held in self._partitions.items():  # noqa: PERF102 - not a dict
            items.update(held.items)
            phases.update(held.phases)
        # Labels that were shown before and are no longer held are another worker's to count: they go back to 0.
        self._shown_items |= items.keys()
        self._shown_phases |= phases.keys()
        for vendor, outcome in self._shown_items:
            self._metrics.put("callweave_join_items", vendor, outcome, value=items[vendor, outcome])
        for phase in self._shown_phases:
            self._metrics.put("callweave_join_calls", phase, value=phases[phase])


def _has_tick(batch: RecordBatch) -> bool:
    return any(record.value is None for record in batch.records)


def _began_ms(batch: RecordBatch) -> int:
    return batch.records[0].timestamp_ms if batch.records else 0
