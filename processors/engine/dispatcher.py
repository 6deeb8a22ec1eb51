"""The loop of every agent: one slice at a time per partition, several partitions side by side.

A slice is acknowledged on the line after its step returned, and nowhere else. A step that raises anything, or that is
cancelled while the worker is not stopping, poisons the offsets and ends the process: what a step can handle (bad data)
it must have handled. Side by side, because a step mostly waits for Kafka's acknowledgement of its outputs.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Protocol

import faust

from processors.engine.fatal import Fatal, end_process
from processors.engine.transport import BatchSchema
from processors.records import Partition, RecordBatch

StageStep = Callable[[RecordBatch], Awaitable[object]]
"""Works on one slice and returns when all it caused is durable."""


class Acknowledger(Protocol):
    """Who keeps the offsets; `SliceConsumer` does."""

    def begin(self, slice_: RecordBatch) -> bool:
        """Begin work on a slice; False when it must be left alone."""
        ...

    def finish(self, slice_: RecordBatch) -> None:
        """Acknowledge a slice."""
        ...

    def poison(self) -> None:
        """Commit nothing from now on."""
        ...


class PartitionDispatcher:
    """A queue of tasks per partition; `room` bounds how many of them work at once."""

    def __init__(self, step: StageStep, *, consumer: Acknowledger, side_by_side: int, fatal: Fatal) -> None:
        self._step = step
        self._consumer = consumer
        self._fatal = fatal
        self._room = asyncio.Semaphore(side_by_side)
        self._last: dict[Partition, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def put(self, slice_: RecordBatch) -> None:
        """Queue a slice behind the others of its partition; the consumer bounds how many there are."""
        partition = (slice_.topic, slice_.partition)
        task = asyncio.create_task(self._work(slice_, self._last.get(partition)))
        self._last[partition] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, slice_: RecordBatch, ahead: asyncio.Task[None] | None) -> None:
        if ahead is not None and not ahead.done():
            await asyncio.wait([ahead])
        async with self._room:
            try:
                if self._consumer.begin(slice_):
                    await self._step(slice_)
                    self._consumer.finish(slice_)
            except asyncio.CancelledError as error:
                if not self._closing:
                    self._fail(slice_, error)
                raise
            except BaseException as error:  # noqa: BLE001  # whatever it was, nothing may be committed past it
                self._fail(slice_, error)

    def _fail(self, slice_: RecordBatch, error: BaseException) -> None:
        where = f"{slice_.topic}[{slice_.partition}] offsets {slice_.first_offset} to {slice_.next_offset - 1}"
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


async def run_slices(
    stream: AsyncIterable[RecordBatch],
    step: StageStep,
    *,
    consumer: Acknowledger,
    side_by_side: int = 4,
    fatal: Fatal = end_process,
) -> None:
    """Await `step` for every slice of the stream, at most `side_by_side` partitions at once, and acknowledge each."""
    lanes = PartitionDispatcher(step, consumer=consumer, side_by_side=side_by_side, fatal=fatal)
    try:
        async for slice_ in stream:
            lanes.put(slice_)
        await lanes.drain()
    except Exception as error:  # noqa: BLE001  # Faust would start the agent again, past what is in flight
        lanes.fail("the stream of slices failed", error)
    finally:
        lanes.close()


def attach(app: faust.App, topic: str, step: StageStep, *, side_by_side: int = 4, fatal: Fatal = end_process) -> Any:
    """Declare the agent that runs `step` over the slices of `topic`; one agent per topic."""
    # Without Faust's acknowledgements: they would count slices whose step failed.
    source = app.topic(topic, schema=BatchSchema(), acks=False, internal=False)

    async def read(stream: AsyncIterable[RecordBatch]) -> None:
        await run_slices(stream, step, consumer=app.consumer, side_by_side=side_by_side, fatal=fatal)

    return app.agent(source, name=f"{topic}.slices")(read)
