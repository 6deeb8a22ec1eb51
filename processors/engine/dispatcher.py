"""The partition dispatcher, the loop of every agent: one batch at a time per partition, several partitions at once.

A batch is acknowledged on the line after its step returned, and nowhere else. A step that raises anything, or that is
cancelled while the worker is not stopping, poisons the offsets and ends the process: errors that a step can handle (bad
data) it must have handled. Several at once, because a step mostly waits for Kafka's acknowledgement of its outputs.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Final, Protocol

import faust

from processors.engine.transport import BatchSchema
from processors.engine.watchdog import Fatal, end_process
from processors.records import Partition, RecordBatch

StageStep = Callable[[RecordBatch], Awaitable[object]]
"""Works on one batch and returns when all its outputs are durable."""


SMALL_RECORDS: Final = 100
SMALL_BYTES: Final = 64 * 1024
"""A batch of no more records and bytes waits for no other partition: so what all of them publish leaves together."""


def is_small(batch: RecordBatch) -> bool:
    """Return whether a batch takes so little time and memory that all partitions may work on such ones at once."""
    return (
        len(batch.records) <= SMALL_RECORDS and sum(len(record.value or b"") for record in batch.records) <= SMALL_BYTES
    )


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
    """A queue of tasks per partition; a semaphore bounds how many partitions work on large batches at once."""

    def __init__(self, step: StageStep, *, consumer: Acknowledger, side_by_side: int, fatal: Fatal) -> None:
        self._step = step
        self._consumer = consumer
        self._fatal = fatal
        self._room = asyncio.Semaphore(side_by_side)
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
        async with contextlib.nullcontext() if is_small(batch) else self._room:
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
) -> None:
    """Await `step` for every batch of the stream, at most `side_by_side` large ones at once, and acknowledge each."""
    dispatcher = PartitionDispatcher(step, consumer=consumer, side_by_side=side_by_side, fatal=fatal)
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
        await run_batches(stream, step, consumer=app.consumer)

    return app.agent(source, name=f"{topic}.batches")(read)
