"""The batch transport: Faust delivers many records of a partition as one event, and commits only acknowledged batches.

`app.transport = BatchTransport(app.conf.broker_consumer, app)` is Faust's own extension point;
`processors.engine.faust_app` sets it. Faust's acknowledging (in a `finally`, so also after an exception) is not used:
topics are declared with `acks=False`, and an offset moves only through `finish()`, called by
`processors.engine.dispatcher` after the step returned. This module must not know the contents of a record.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

import faust
import msgspec
from faust.transport import base
from faust.transport.consumer import Fetcher
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from processors.engine.assignments import AssignmentEpochs
from processors.engine.fetcher import FetcherThread, ReaderSettings
from processors.engine.offsets import CommitTracker
from processors.records import Partition, Record, RecordBatch, cut, interleave
from schemas.config.settings import KafkaSettings

__all__ = ["BatchConsumer", "BatchSchema", "BatchTransport", "Record", "RecordBatch", "cut"]

log = logging.getLogger(__name__)

FETCH_S = 0.25
"""Longest time that a fetch waits for records; a seek waits for the fetch."""
BUSY_FETCH_S = 0.02
"""The same while a partition is left out because its batches are unfinished: it must not wait for the idle ones."""


class BatchSchema(faust.Schema):  # type: ignore[misc]  # faust has no usable types
    """Hands the batch to the stream unchanged: decoding the records is the step's business."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:
        """Return no key: a batch has many."""

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002  # Faust's signature
        """Return the batch."""
        return message.value


class BatchConsumer(driver.Consumer):  # type: ignore[misc]  # faust has no usable types
    """Faust's consumer, with record batches for messages and a tracker for offsets."""

    _thread: FetcherThread

    def __init__(self, transport: "BatchTransport", *args: Any, **kwargs: Any) -> None:
        self.kafka = transport.kafka
        self.settings = transport.settings
        self.tracker = CommitTracker()
        self.epochs = AssignmentEpochs()
        self.on_lost: list[Callable[[Collection[Partition]], None]] = []
        """Callbacks with the partitions whose state in memory is no longer valid."""
        self._abandoned: set[Partition] = set()
        self._left_at: dict[Partition, int | None] = {}
        """The committed offsets when partitions were last taken away."""
        self._progress = asyncio.Event()
        self._committing = asyncio.Lock()
        super().__init__(transport, *args, **kwargs)

    def _new_consumer_thread(self) -> FetcherThread:
        return FetcherThread(self, kafka=self.kafka, settings=self.settings, loop=self.loop, beacon=self.beacon)

    # Called by the dispatcher.

    def begin(self, batch: RecordBatch) -> bool:
        """Begin work on a batch; False when it is no longer ours and must be left alone."""
        return self.flow_active and self.tracker.start(batch.ticket)

    def finish(self, batch: RecordBatch) -> None:
        """Acknowledge a batch: its outputs are durable, its offset may be committed."""
        if not self.tracker.finish(batch.ticket):
            log.info("%s[%d]: finished up to %d too late", batch.topic, batch.partition, batch.next_offset)
        self._progress.set()

    def poison(self) -> None:
        """Commit nothing from now on."""
        self.tracker.poison()

    # Called by Faust.

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109  # Faust's signature
        """Fetch once and yield the batches."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = self._get_active_partitions()
        ready = {tp for tp in active if self.tracker.in_flight(tp) < self.settings.batches_ahead}
        if not ready or self.should_stop:
            await self._wait_for_progress(timeout)
            return
        seeks, fetched = await self._thread.fetch(ready, timeout if len(ready) == len(active) else BUSY_FETCH_S)
        for batch in interleave(fetched, self.settings.batch_records):
            # Undelivered batches are read again: the flow never resumes without a seek.
            if self.should_stop or not self.flow_active or seeks != self._thread.seeks:
                return
            yield self._to_batch_message(batch)

    def _to_batch_message(self, batch: RecordBatch) -> tuple[TP, ConsumerMessage]:
        tp = TP(batch.topic, batch.partition)
        ticket = self.tracker.hand_out(tp, batch.first_offset, batch.next_offset)
        value = msgspec.structs.replace(batch, ticket=ticket, epoch=self.epochs.of(tp))
        first = batch.records[0]
        return tp, ConsumerMessage(
            tp.topic,
            tp.partition,
            batch.first_offset,
            first.timestamp_ms / 1000,
            0,
            None,
            None,
            value,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _drain_messages(self, fetcher: Fetcher) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                async for _, message in self.getmany(timeout=FETCH_S):
                    await self.callback(message)
                await asyncio.sleep(0)
        except (asyncio.CancelledError, *self.consumer_stopped_errors):
            if not self.app.should_stop:
                raise

    async def perform_seek(self) -> None:
        """Go back to the committed offsets; batches in flight are read again."""
        committed = await self._thread.seek_to_committed()
        # An assignment can reach a process that was frozen during it: it misses no generation, and yet others went on.
        self.epochs.renew(tp for tp, offset in committed.items() if self._left_at.pop(tp, offset) != offset)
        self.tracker.seek(committed)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish and commit the batches being processed, then let go of everything."""
        if self.app.should_stop:
            await self.wait_empty()
        else:
            await super().on_partitions_revoked(revoked)
        self._abandoned |= self.tracker.running()
        self._left_at = {tp: self.tracker.position(tp) for tp in revoked}
        self.tracker.forget(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Renew the epochs of the assignment; reading goes on after Faust's seek."""
        if self.app.should_stop:
            return
        self.stop_flow()
        lost = self.epochs.assign(assigned, generation=generation_id, abandoned=self._abandoned)
        self._abandoned.clear()
        log.info("generation %d: %d partitions, %d states to drop", generation_id, len(assigned), len(lost))
        for drop in self.on_lost:
            drop(lost)
        await super().on_partitions_assigned(assigned, generation_id)

    async def wait_empty(self) -> None:
        """Wait for the batches being processed, at most `drain_s`, and commit."""
        deadline = self.loop.time() + self.settings.drain_s
        while self.tracker.running() and not self.tracker.poisoned and (left := deadline - self.loop.time()) > 0:
            await self._wait_for_progress(left)
        if unfinished := self.tracker.running():
            log.warning("abandoning the batches in work of %s: they will be read again", sorted(unfinished))
        await self.commit()

    async def _wait_for_progress(self, timeout_s: float) -> None:
        self._progress.clear()
        try:
            await asyncio.wait_for(self._progress.wait(), timeout_s)
        except TimeoutError:
            return

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002  # Faust's signature
        """Commit the finished prefix of every partition."""
        async with self._committing:
            offsets = {TP(*tp): offset for tp, offset in self.tracker.committable().items() if tp in self.assignment()}
            if not offsets or not await self._commit(offsets):
                return False
            self.tracker.committed(offsets)
            return True

    async def lag(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Ask the broker for the number of unread offsets of each partition."""
        return await self._thread.lag([TP(*tp) for tp in partitions])

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: `processors.engine.watchdog` looks for stalls, and acts on them."""


class IdleProducer(base.Producer):  # type: ignore[misc]  # faust has no usable types
    """Faust's producer left unconnected: its `flush` returns early and its failed sends are only logged."""

    async def send(self, topic: str, *_: Any, **__: Any) -> Any:
        """Refuse: outputs go through `processors.outbox`, which knows when they are durable."""
        raise NotImplementedError(f"{topic}: publish through processors.outbox")


class BatchTransport(driver.Transport):  # type: ignore[misc]  # faust has no usable types
    """Faust's aiokafka transport with record batches; assign it before agents are declared."""

    Consumer = BatchConsumer
    Producer = IdleProducer

    def __init__(
        self, url: Any, app: faust.App, *, kafka: KafkaSettings, settings: ReaderSettings | None = None, **kwargs: Any
    ) -> None:
        self.kafka = kafka
        self.settings = settings or ReaderSettings()
        super().__init__(url, app, **kwargs)
