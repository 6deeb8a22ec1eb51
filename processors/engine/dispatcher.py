"""The partition dispatcher, the loop of every agent: one batch at a time per partition, several partitions at once.

A batch is acknowledged on the line after its step returned, and nowhere else. A step that raises anything, or that is
cancelled while the worker is not stopping, poisons the offsets and ends the process: errors that a step can handle (bad
data) it must have handled. Several at once, because a step mostly waits for Kafka's acknowledgement of its outputs.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Protocol

import faust

from processors.engine.fetcher import ReaderSettings
from processors.engine.room import FULL, Room, share_of
from processors.engine.transport import BatchSchema
from processors.engine.watchdog import Fatal, end_process
from processors.records import Partition, RecordBatch

StageStep = Callable[[RecordBatch], Awaitable[object]]
"""Works on one batch and returns when all its outputs are durable."""


class Acknowledger(Protocol):
    """Keeper of the offsets; `BatchConsumer` is one."""

    def begin(self, batch: RecordBatch) -> bool:
        """Begin work on a batch; False when it must be left alone."""
        ...

    def finish(self, batch: RecordBatch) -> None:
        """Acknowledge a batch."""
        ...

    def poison(self) -> None:
        """Commit nothing from now on."""
        ...


class PartitionDispatcher:
    """A queue of tasks per partition; a room bounds how much is worked on at once."""

    def __init__(
        self,
        step: StageStep,
        *,
        consumer: Acknowledger,
        side_by_side: int,
        fatal: Fatal,
        full: ReaderSettings | None = None,
    ) -> None:
        """`full` says how large a batch gets, and there is room for `side_by_side` of those."""
        self._step = step
        self._consumer = consumer
        self._fatal = fatal
        self._room = Room(side_by_side * FULL)
        self._full = full or ReaderSettings()
        self._last: dict[Partition, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def put(self, batch: RecordBatch) -> None:
        """Queue a batch behind the others of its partition; the consumer bounds how many there are."""
        partition = (batch.topic, batch.partition)
        task = asyncio.create_task(self._work(batch, self._last.get(partition)))
        self._last[partition] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, batch: RecordBatch, ahead: asyncio.Task[None] | None) -> None:
        if ahead is not None and not ahead.done():
            await asyncio.wait([ahead])
        async with self._room.taken(
            share_of(batch, full_records=self._full.batch_records, full_bytes=self._full.partition_fetch_bytes)
        ):
            try:
                if self._consumer.begin(batch):
                    await self._step(batch)
                    self._consumer.finish(batch)
            except asyncio.CancelledError as error:
                if not self._closing:
                    self._fail(batch, error)
                raise
            except BaseException as error:  # noqa: BLE001  # after any error nothing may be committed past this batch
                self._fail(batch, error)

    def _fail(self, batch: RecordBatch, error: BaseException) -> None:
        where = f"{batch.topic}[{batch.partition}] offsets {batch.first_offset} to {batch.next_offset - 1}"
        self.fail(f"the step failed on {where}", error)

    def fail(self, reason: str, error: BaseException) -> None:
        """Commit nothing from now on and end the process."""
        self._consumer.poison()
        self._fatal(reason, error)

    async def drain(self) -> None:
        """Wait until every queue is empty."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def close(self) -> None:
        """Cancel whatever is unfinished; it is not acknowledged."""
        self._closing = True
        for task in self._tasks:
            task.cancel()


async def run_batches(
    stream: AsyncIterable[RecordBatch],
    step: StageStep,
    *,
    consumer: Acknowledger,
    side_by_side: int = 4,
    fatal: Fatal = end_process,
    full: ReaderSettings | None = None,
) -> None:
    """Await `step` for every batch of the stream and acknowledge each.

    At once it works on `side_by_side` batches as large as `full` lets them be, or on as much in smaller ones.
    """
    dispatcher = PartitionDispatcher(step, consumer=consumer, side_by_side=side_by_side, fatal=fatal, full=full)
    try:
        async for batch in stream:
            dispatcher.put(batch)
        await dispatcher.drain()
    except Exception as error:  # noqa: BLE001  # Faust would start the agent again, past what is in flight
        dispatcher.fail("the stream of record batches failed", error)
    finally:
        dispatcher.close()


def attach(app: faust.App, topic: str, step: StageStep) -> Any:
    """Declare the agent that runs `step` over the record batches of `topic`; one agent per topic."""
    # Without Faust's acknowledgements: they would count batches whose step failed.
    source = app.topic(topic, schema=BatchSchema(), acks=False, internal=False)

    async def read(stream: AsyncIterable[RecordBatch]) -> None:
        await run_batches(stream, step, consumer=app.consumer, full=app.transport.settings)

    return app.agent(source, name=f"{topic}.batches")(read)
