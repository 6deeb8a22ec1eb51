"""The joining agent: a slice of `calls.facts` in; canonical records, timelines and the calls' states out.

The order of writes is the law: outputs acknowledged, then the states, then (by the caller) the offset. A crash in between
repeats work, and the merge makes the repetition a no-op. What cannot be joined, built or written for what it says is a dead
letter of its call; only Kafka, memory and what is wrong with the process end it.
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
from processors.poison.raised import raised
from processors.records import Partition, RecordBatch
from processors.stages.join_dead_letters import fact_letter, state_letter, vendor_of
from processors.stages.join_outputs import Outputs, message_of
from processors.stages.normalise_stage import dead_message
from processors.store.changelog import StateLog, Writer, new_writer
from processors.store.partition import PartitionState
from schemas.codec import Codecs
from schemas.config.settings import JoinSettings
from schemas.dead_letter import DeadLetter
from schemas.errors import DeadCode, Unavailable, Undecodable
from schemas.metrics import Registry
from schemas.topics import MAX_MESSAGE_BYTES, STATE

_log: Final = logging.getLogger(__name__)
_BREATHE_EVERY: Final = 50
_OVERSIZE: Final[tuple[DeadCode, str]] = ("oversize", "what is known of this call is larger than a message")
RESTORE_WITHIN_S: Final = 30.0
"""As long as publishing waits for Kafka."""
RESTORE_EVERY_S: Final = 0.5

RestoreStates = Callable[[str, int, int], AsyncGenerator[RecordBatch, None]]
"""`restore(topic, partition, end)`: every record of a compacted partition below the offset `end`."""
EndOffset = Callable[[str, int], Awaitable[int]]
"""`end(topic, partition)`: the offset that the partition's next record gets; raises `Unavailable`."""


class JoinStage:
    """The step of the joining agent."""

    def __init__(
        self,
        outbox: Outbox,
        codecs: Codecs,
        settings: JoinSettings,
        restore: RestoreStates,
        metrics: Registry,
        *,
        end: EndOffset,
    ) -> None:
        self._outbox = outbox
        self._codecs = codecs
        self._settings = settings
        self._read_back = restore
        self._end = end
        self._ends: dict[int, int] = {}
        """Partition to where its states end, as far as they were read or are our own."""
        self._writers: dict[int, Writer] = {}
        self._metrics = metrics
        self._partitions: PartitionStates[PartitionState] = PartitionStates(self._restore)
        self._shown_items: set[tuple[str, str]] = set()
        self._shown_phases: set[str] = set()
        metrics.before_read(self._gauges)

    async def step(self, slice_: RecordBatch) -> None:
        """Join every fact of the slice; returns when outputs and then states are durable."""
        held = await self._partitions.of(slice_)
        if _ticks(slice_) and await self._others_wrote(slice_.partition):
            self.drop([(slice_.topic, slice_.partition)])
            held = await self._partitions.of(slice_)
        out = Outputs()
        for index, record in enumerate(slice_.records):
            for key, done in held.advance(record.timestamp_ms):
                out.take(done, key)
            if record.value is not None:
                self._join(slice_, record, held, out)
            if index % _BREATHE_EVERY == _BREATHE_EVERY - 1:
                await asyncio.sleep(0)
        messages, failed = out.messages(self._codecs, slice_.partition)
        states = self._states(held, slice_.partition)
        failed |= {key: ("internal", detail) for key, detail in held.unwritten.items()}
        failed |= {key: _OVERSIZE for key, each in (*messages, *states) if each.size_bytes > MAX_MESSAGE_BYTES}
        if failed:
            self._take_back(slice_, held, failed, out)
        stuck = held.take_stuck()
        for each in stuck:
            _log.error(
                "partition %d: the state of a call of %s: %s", slice_.partition, vendor_of(each.key), each.detail
            )
        letters = [*out.dead, *(state_letter(each, slice_.partition, _began_ms(slice_)) for each in stuck)]
        self._count(out, letters)
        await self._publish(
            [message for call, message in messages if call not in failed]
            + [dead_message(letter, self._codecs) for letter in letters]
        )
        written = [message for call, message in states if call not in failed]
        await self._publish(written)
        self._ends[slice_.partition] += len(written)

    def _states(self, held: PartitionState, partition: int) -> list[tuple[str, Message]]:
        """Each with the key of its call."""
        headers = self._writers[partition].headers
        return [
            (key, message_of(STATE.name, key, value, partition, headers)) for key, value in held.take_changed().items()
        ]

    def _take_back(
        self, slice_: RecordBatch, held: PartitionState, failed: Mapping[str, tuple[DeadCode, str]], out: Outputs
    ) -> None:
        """Know of these calls what was known before the slice, and tell what it said of them in letters.

        A vendor that has a megabyte of news of one call again and again, or news that our own code cannot bear, must not stop
        all calls behind it.
        """
        for key, (code, detail) in failed.items():
            _log.error("a call of %s cannot be joined: %s: %s", vendor_of(key), code, detail)
        held.take_back(failed)
        told = {letter.offset for letter in out.dead}
        silent = dict(failed)
        for record in slice_.records:
            with contextlib.suppress(Undecodable):  # a tick, or what has a letter of its own
                key = self._codecs.fact.decode(record.value).call_key
                if key in failed:
                    silent.pop(key, None)
                    if record.offset not in told:
                        out.dead.append(fact_letter(slice_, record, *failed[key], key))
        for key, (code, detail) in silent.items():
            held.set_aside(key, code, detail)  # nothing was said of it: its time was up

    def _count(self, out: Outputs, letters: Iterable[DeadLetter]) -> None:
        out.outcomes.update((letter.vendor or "unknown", "dead") for letter in letters)
        for (vendor, outcome), number in out.outcomes.items():
            self._metrics.add("callweave_join_outcomes_total", vendor, outcome, by=number)

    async def _publish(self, messages: list[Message]) -> None:
        if messages:
            await self._outbox.publish(messages)

    async def _others_wrote(self, partition: int) -> bool:
        """Whether a worker that lost the partition without knowing it wrote states behind ours.

        Compaction would leave its records alone, which say less: within that time they are read, and the whole is written.
        """
        try:
            end = await self._end(STATE.name, partition)
        except Unavailable:
            return False  # the next tick asks again
        if end <= self._ends[partition]:
            return False  # below: a leader so new that it does not know yet what all replicas have
        _log.warning("partition %d: states that are not ours, all are read again", partition)
        return True

    def drop(self, partitions: Collection[Partition]) -> None:
        """Forget partitions that are another worker's now."""
        self._partitions.drop(partitions)

    def _join(self, slice_: RecordBatch, record: Record, held: PartitionState, out: Outputs) -> None:
        try:
            fact = self._codecs.fact.decode(record.value)
        except Undecodable as exc:
            out.dead.append(fact_letter(slice_, record, exc.dead_code, str(exc)))
            return
        try:
            done = held.apply(fact)
        except Exception as exc:  # noqa: BLE001 - what one fact says must not stop the facts behind it
            detail = raised(exc)
            _log.error("join bug vendor=%s error=%s", fact.vendor, detail)
            out.dead.append(fact_letter(slice_, record, "internal", detail, fact.call_key))
            return
        # Nearly always the fact goes on as it came: then so do its bytes, and a tenth of a worker's time is saved.
        as_sent = record.value if done.normalized is fact and self._codecs.fact.writes(record.value) else None
        out.take(done, fact.call_key, as_sent)

    async def _restore(self, _topic: str, partition: int) -> PartitionState:
        """The partition's calls, read again while Kafka finds a new leader: a process that ends for that comes back later."""
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
        self._ends[partition], self._writers[partition] = end, new_writer(end)
        log, held = StateLog(), PartitionState(self._settings)
        async with contextlib.aclosing(self._read_back(STATE.name, partition, end)) as slices:
            async for slice_ in slices:
                for record in slice_.records:
                    log.take(record)
                await asyncio.sleep(0)
        for number, (key, states) in enumerate(log.calls()):
            held.load(key, states)
            if number % _BREATHE_EVERY == 0:
                await asyncio.sleep(0)
        return held

    def _gauges(self) -> None:
        items: Counter[tuple[str, str]] = Counter()
        phases: Counter[str] = Counter()
        for _, held in self._partitions.items():  # noqa: PERF102 - not a dict
            items.update(held.items)
            phases.update(held.phases)
        # What was shown before and is not held any more is another worker's to count: it goes back to nothing.
        self._shown_items |= items.keys()
        self._shown_phases |= phases.keys()
        for vendor, outcome in self._shown_items:
            self._metrics.put("callweave_join_items", vendor, outcome, value=items[vendor, outcome])
        for phase in self._shown_phases:
            self._metrics.put("callweave_join_calls", phase, value=phases[phase])


def _ticks(slice_: RecordBatch) -> bool:
    return any(record.value is None for record in slice_.records)


def _began_ms(slice_: RecordBatch) -> int:
    return slice_.records[0].timestamp_ms if slice_.records else 0
