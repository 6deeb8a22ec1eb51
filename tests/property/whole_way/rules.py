"""The right way of working, and the naive ones that a world must be able to catch.

A rule names the classes that a world's processes are made of: the real ones, or one with a single fault.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition

from ingress.durable.drainer import Drainer
from ingress.spool.store import SpooledEntry
from processors.join import JoinResult
from processors.outbox import Message
from processors.records import RecordBatch
from processors.stages.join_stage import JoinStage
from processors.store.calls import MemoryCalls, NewCalls
from processors.store.changelog import StateLog
from processors.store.partition import PartitionState
from schemas.config.settings import JoinSettings
from schemas.facts import Fact
from schemas.topics import LEDGER, STATE
from sinks.worker import Sink
from tests.property.whole_way.broker import Outbox
from tests.property.whole_way.disk import HastyWriter, Writer

SETTINGS: Final = JoinSettings()


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The classes that a world's parts are made of."""

    writer: type[Writer] = Writer
    drain: type[Drainer] = Drainer
    outbox: type[Outbox] = Outbox
    """The options of the joining stage."""
    join: type[JoinStage] = JoinStage
    new_calls: NewCalls = MemoryCalls
    """It makes the stores of the workers' calls."""
    sink: type[Sink] = Sink
    time_passes: bool = True
    """True when calls time out and facts come late."""
    states_last: bool = True
    """True when the ledger is written before the states: then it says which place of a content was joined first."""


RIGHT: Final = Rules()


class HastyDrain(Drainer):
    """Deletes bodies before Kafka has acknowledged them."""

    async def _slice(self, entries: Sequence[SpooledEntry], blocked: set[tuple[str, bytes]]) -> int:
        await self._spool.delete([entry.id for entry in entries])
        return await super()._slice(entries, blocked)


class UnwaitedOutputs(Outbox):
    """Waits for no acknowledgement, so that the offset may come before outputs and states."""

    async def publish(self, messages: Sequence[Message]) -> None:
        self.hand_over(messages)


class UnwaitedStates(Outbox):
    """Waits for the outputs' acknowledgement alone."""

    async def publish(self, messages: Sequence[Message]) -> None:
        if messages[0].topic == STATE.name:
            self.hand_over(messages)
        else:
            await super().publish(messages)


class UnwaitedLedger(Outbox):
    """Waits for everything but entries of the ledger."""

    async def publish(self, messages: Sequence[Message]) -> None:
        self.hand_over([message for message in messages if message.topic == LEDGER.name])
        await super().publish([message for message in messages if message.topic != LEDGER.name])


class _Held(Outbox, ABC):
    """Keeps the outputs back until the states are there as well."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._held: dict[asyncio.Task[Any] | None, list[Message]] = {}

    async def publish(self, messages: Sequence[Message]) -> None:
        task = asyncio.current_task()
        held = self._held.pop(task, [])
        if messages and messages[0].topic != STATE.name:
            self._held[task] = list(messages)
        else:
            await self._write(list(messages), held)

    @abstractmethod
    async def _write(self, states: list[Message], outputs: list[Message]) -> None:
        """Publish both, in whatever order."""


class StatesFirst(_Held):
    """Writes the states and then the outputs."""

    async def _write(self, states: list[Message], outputs: list[Message]) -> None:
        await Outbox.publish(self, states)
        await Outbox.publish(self, outputs)


class Mixed(_Held):
    """Writes states and outputs in no order."""

    async def _write(self, states: list[Message], outputs: list[Message]) -> None:
        both = [*states, *outputs]
        self._broker.weather.dice.shuffle(both)
        for message in both:
            await Outbox.publish(self, [message])


class HoldingJoin(JoinStage):
    """Publishes something with every batch, for outboxes that hold messages back."""

    async def step(self, batch: RecordBatch) -> None:
        await super().step(batch)
        await self._outbox.publish([])


class _SeenDropped(PartitionState):
    """The naive rule: a known content is counted and publishes nothing, wherever it comes from."""

    def apply(self, fact: Fact, *, slots_told: bool = True) -> JoinResult:
        done = super().apply(fact, slots_told=slots_told)
        return JoinResult(state=done.state, outcome=done.outcome) if done.outcome in ("replayed", "duplicate") else done


class _LastRecordWins(PartitionState):
    """Restores only the last record of a key, though a zombie may have written it."""

    def load(self, key: str, states: Sequence[bytes], *_: object) -> None:
        super().load(key, states[-1:])


class _OtherStates(HoldingJoin):
    states: type[PartitionState]

    async def _restore(self, topic: str, partition: int) -> PartitionState:
        await super()._restore(topic, partition)
        log, held = StateLog(), self.states(self._settings)
        async for batch in self._read_back(STATE.name, partition, self._ends[partition]):
            for record in batch.records:
                log.take(record)
        for call in log.calls():
            held.load(*call)
        return held


class SeenDropped(_OtherStates):
    """Joins by the naive rule."""

    states = _SeenDropped


class LastRecordWins(_OtherStates):
    """Restores by the naive rule."""

    states = _LastRecordWins


class TrustfulJoin(JoinStage):
    """Never checks for states that somebody else wrote behind its own."""

    async def _others_wrote(self, partition: int) -> bool:
        return False


class HastySink(Sink):
    """Commits a batch before it is flushed."""

    async def _flush(self, stop: asyncio.Event) -> None:
        offsets = self._batch.offsets()
        if offsets:
            await self._commit({TopicPartition(*place): offset for place, offset in offsets.items()})
        await super()._flush(stop)


ANY_ORDER: Final = {
    "states before outputs": Rules(outbox=StatesFirst, join=HoldingJoin, time_passes=False, states_last=False),
    "outputs and states mixed": Rules(outbox=Mixed, join=HoldingJoin, time_passes=False, states_last=False),
}
"""Right ways as well: facts are safe by the position rule; only timeouts need the order of writes."""

NAIVE: Final = {
    "acknowledged before it is durable": Rules(writer=HastyWriter),
    "deleted from the spool before Kafka acknowledged": Rules(drain=HastyDrain),
    "seen, so drop; states before outputs": Rules(outbox=StatesFirst, join=SeenDropped),
    "seen, so drop; outputs and states mixed": Rules(outbox=Mixed, join=SeenDropped),
    "the offset before the outputs": Rules(outbox=UnwaitedOutputs),
    "the offset before the states": Rules(outbox=UnwaitedStates),
    "the offset before the ledger": Rules(outbox=UnwaitedLedger),
    "states before outputs, with timeouts": Rules(outbox=StatesFirst, join=HoldingJoin),
    "the last state wins over a zombie's": Rules(join=LastRecordWins),
    "a zombie's state is left for compaction to keep": Rules(join=TrustfulJoin),
    "the sink commits before its insert is acknowledged": Rules(sink=HastySink),
}
