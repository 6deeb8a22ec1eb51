"""A worker as `processors.main` makes one, on the world's network: real stages, dispatchers, commits and epochs.

`Reader` does what `processors.engine.transport.BatchConsumer` does on Faust: batches with tickets, commits of the
finished prefix, letting go at a rebalance.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

from processors.engine.assignments import AssignmentEpochs
from processors.engine.dispatcher import PartitionDispatcher
from processors.engine.offsets import CommitTracker
from processors.normalise import Directory
from processors.records import Partition, Record, RecordBatch
from processors.stages.join_stage import JoinStage
from schemas.config.limits import DEFAULT
from schemas.metrics import Registry
from schemas.topics import FACTS, RAW
from tests.property.whole_way.broker import Broker, Outbox, restorer
from tests.property.whole_way.groups import Group
from tests.property.whole_way.loop import Process
from tests.property.whole_way.quick import CODECS, Normalising
from tests.property.whole_way.rules import SETTINGS, Rules

_AHEAD: Final = 2
_BATCH: Final = 5
_COMMIT_S: Final = 0.1
_DRAIN_S: Final = 0.1
_IDLE_S: Final = 0.5
_TOPICS: Final = (RAW.name, FACTS.name)


class Reader:
    """One worker in the group, and the acknowledgements of its dispatchers."""

    def __init__(self, name: str, process: Process, broker: Broker, group: Group) -> None:
        self.name = name
        self.process = process
        self.tracker = CommitTracker()
        self.epochs = AssignmentEpochs()
        self.dispatchers: dict[str, PartitionDispatcher] = {}
        self.joining: JoinStage | None = None
        self._broker = broker
        self._group = group
        self._positions: dict[Partition, int] = {}
        self._generation = -1
        self._flow = asyncio.Event()
        self._progress = asyncio.Event()
        self._committing = asyncio.Lock()
        self._abandoned: set[Partition] = set()
        self._left_at: dict[Partition, int | None] = {}
        self._changing = asyncio.Lock()

    # Called by the dispatchers.

    def begin(self, batch: RecordBatch) -> bool:
        """True when the batch is to be worked on."""
        return self._flow.is_set() and self.tracker.start(batch.ticket)

    def finish(self, batch: RecordBatch) -> None:
        """Acknowledge a batch: its outputs are durable."""
        self.tracker.finish(batch.ticket)
        self._progress.set()

    def poison(self) -> None:
        """Commit nothing from now on."""
        self.tracker.poison()

    def fatal(self, _reason: str, _error: BaseException | None) -> None:
        """End the process, as `os._exit`."""
        self.process.exit_soon()

    # Called by the group.

    def revoke(self, turn: int) -> None:
        """Finish the batches at work, commit, release."""
        self.process.spawn(self._let_go(turn))

    def assign(self, partitions: Sequence[Partition], generation: int) -> None:
        """Go on from the committed offsets; states held without a break stay."""
        self.process.spawn(self._take(partitions, generation))

    async def _let_go(self, turn: int) -> None:
        loop = self._broker.weather.loop
        async with self._changing:
            if not self._group.is_member(self) or turn != self._group.turn:
                return  # frozen at that moment: a member that was left out learns of it at its next commit
            deadline_s = loop.time() + _DRAIN_S
            while self.tracker.running() and not self.tracker.poisoned and (left_s := deadline_s - loop.time()) > 0:
                await self._wait_for_progress(left_s)
            await self.commit()
            self._forget()
            self._group.ready(self, turn)

    async def _take(self, partitions: Sequence[Partition], generation: int) -> None:
        async with self._changing:
            if self._positions:
                self._forget()
            self._generation = generation
            lost = self.epochs.assign(partitions, generation=generation, abandoned=self._abandoned)
            self._abandoned.clear()
            self._drop(lost)
            committed = await self._group.fetch(partitions)
            self.epochs.renew(place for place, at in committed.items() if self._left_at.pop(place, at) != at)
            self.tracker.seek(committed)
            self._positions = {partition: offset or 0 for partition, offset in committed.items()}
            self._flow.set()

    def _forget(self) -> None:
        self._flow.clear()
        self._abandoned |= self.tracker.running()
        self._left_at = {place: self.tracker.position(place) for place in self._positions}
        self.tracker.forget(list(self._positions))
        self._positions = {}

    def _drop(self, lost: Collection[Partition]) -> None:
        assert self.joining is not None
        self.joining.drop(lost)

    async def _wait_for_progress(self, within_s: float) -> None:
        self._progress.clear()
        try:
            await asyncio.wait_for(self._progress.wait(), within_s)
        except TimeoutError:
            return

    # The worker's own tasks.

    async def read(self) -> None:
        """Fetch batches and put them into their topics' dispatchers."""
        dice = self._broker.weather.dice
        while True:
            await self._flow.wait()
            found = False
            for partition, position in list(self._positions.items()):
                some = self._broker.logs[partition][position : position + 1 + int(dice.random() * _BATCH)]
                if some and self.tracker.in_flight(partition) < _AHEAD:
                    found = True
                    self._positions[partition] = position + len(some)
                    self.dispatchers[partition[0]].put(self._batch(partition, tuple(some)))
            if found:
                await self._broker.weather.hop()
            else:
                await self._broker.news(_TOPICS, _IDLE_S)

    def _batch(self, partition: Partition, records: tuple[Record, ...]) -> RecordBatch:
        first, following = records[0].offset, records[-1].offset + 1
        return RecordBatch(
            topic=partition[0],
            partition=partition[1],
            records=records,
            first_offset=first,
            next_offset=following,
            epoch=self.epochs.of(partition),
            ticket=self.tracker.hand_out(partition, first, following),
        )

    async def commit_often(self) -> None:
        """Commit and send heartbeats as Faust does; after being left out, end or join again."""
        dice = self._broker.weather.dice
        while True:
            await asyncio.sleep(_COMMIT_S)
            await self.commit()
            if not self._group.is_member(self) and dice.random() < 0.5:
                if self._group.has(self.name) or dice.random() < 0.5:
                    self.fatal("left out of the group", None)
                else:
                    self._group.join(self)

    async def commit(self) -> None:
        """Commit the finished prefix of every partition."""
        async with self._committing:
            offsets = {place: at for place, at in self.tracker.committable().items() if place in self._positions}
            if offsets and await self._group.commit(self, self._generation, offsets):
                self.tracker.committed(offsets)


def start_worker(name: str, process: Process, broker: Broker, group: Group, rules: Rules) -> None:
    """Start one worker."""
    metrics = Registry()
    reader = Reader(name, process, broker, group)
    normalising = Normalising(Outbox(broker, process), CODECS, Directory(), DEFAULT, metrics)  # type: ignore[arg-type]  # as much of an outbox as it uses
    joining = rules.join(
        rules.outbox(broker, process),  # type: ignore[arg-type]  # as above
        CODECS,
        SETTINGS,
        restorer(broker, process),
        metrics,
        end=broker.end,
        new_calls=rules.new_calls,
    )
    reader.joining = joining
    for topic, step in ((RAW.name, normalising.step), (FACTS.name, joining.step)):
        reader.dispatchers[topic] = PartitionDispatcher(step, consumer=reader, side_by_side=4, fatal=reader.fatal)
    process.spawn(reader.read())
    process.spawn(reader.commit_often())
    group.join(reader)
