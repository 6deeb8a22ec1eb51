"""The trace of a step: notes in the breadcrumb which records the step computes, and nothing while it waits.

A step's coroutine is driven by hand: each stretch between two of its waits is marked, so that concurrent partitions do
not mix, and killing a worker that waits for Kafka accuses no record. The step says which run of its records it works
on: a note for each record would cost a microsecond an event, and one record is found by as many deaths, as a run's
records are done alone after the first.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from processors.outbox import Message, Outbox, Oversize
from processors.poison.breadcrumb import Breadcrumb
from processors.records import Record, RecordBatch
from schemas.errors import Unavailable

_NONE_AT: Final = 0
T = TypeVar("T")


class Trace:
    """The place of one step."""

    def __init__(self, breadcrumb: Breadcrumb, batch: RecordBatch) -> None:
        self._breadcrumb = breadcrumb
        self._topic = batch.topic.encode()
        self._partition = batch.partition
        stamp = batch.records[0].timestamp_ms if batch.records else _NONE_AT
        self._at = (batch.first_offset, batch.next_offset, stamp)
        self.waits = False
        """True while the work is not for any record: publishing, or restoring states."""

    def move(self, records: Sequence[Record]) -> None:
        """Go to these records."""
        self._at = (records[0].offset, records[-1].offset + 1, records[0].timestamp_ms)
        if not self.waits:
            self._breadcrumb.move(*self._at)

    def resume(self) -> None:
        """Note that the step computes from now on."""
        if not self.waits:
            self._breadcrumb.mark(self._topic, self._partition, *self._at)

    def begin_thread(self) -> None:
        """Note that a thread computes the current records."""
        self._breadcrumb.mark_thread(self._topic, self._partition, *self._at)

    def end_thread(self) -> None:
        """Note that the thread is done."""
        self._breadcrumb.clear_thread()

    def suspend(self) -> None:
        """Note that the step computes nothing."""
        self._breadcrumb.clear()

    def accuse(self, error: Exception) -> None:
        """Freeze the note: the process ends because of the computation at this place."""
        if not self.waits and not isinstance(error, (Unavailable, OSError)):
            self._breadcrumb.hold(type(error).__name__)


_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


def note_records(records: Sequence[Record]) -> None:
    """Note that the step computes these records from now on, and no others of its batch."""
    if (trace := _trace.get()) is not None:
        trace.move(records)


THREAD_S: Final = 20.0
"""Longest time in a thread: many times that of the largest body on a busy machine, so a longer one hangs."""


async def in_thread(work: Callable[[], T], turn: asyncio.Lock) -> T:
    """Compute the current records in a thread, one call at a time by `turn`; raises `Hangs` when it does not end."""
    trace = _trace.get()
    async with turn:
        if trace is not None:
            trace.begin_thread()
        try:
            done, _ = await asyncio.wait({thread := asyncio.create_task(asyncio.to_thread(work))}, timeout=THREAD_S)
            if not done:
                raise Hangs(f"a record was not read within {THREAD_S:g} s")
            return thread.result()
        finally:
            if trace is not None:
                trace.end_thread()


class Hangs(RuntimeError):
    """Raised for work in a thread that does not end: only the end of the process stops it."""


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Accuse no record while the block runs, nor of an exception that leaves it."""
    trace = _trace.get()
    if trace is None or trace.waits:
        yield
        return
    trace.waits = True
    trace.suspend()
    yield
    trace.waits = False
    trace.resume()


class PatientOutbox(Outbox):
    """An outbox whose publishing counts as waiting, whatever it costs."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish all messages, as an outbox does."""
        try:
            with waiting():
                await super().publish(messages)
        except Oversize:
            # Nothing was sent: a message that is too large is the fault of its record.
            if (trace := _trace.get()) is not None:
                trace.waits = False
                trace.resume()
            raise


class _Driven:
    """A step's coroutine, driven from one wait to the next."""

    def __init__(self, step: Coroutine[Any, Any, object], trace: Trace) -> None:
        self._step = step
        self._trace = trace

    def __await__(self) -> Generator[Any, Any, None]:
        step, trace = self._step, self._trace
        value: Any = None
        thrown: BaseException | None = None
        while True:
            trace.resume()
            try:
                waits = step.send(value) if thrown is None else step.throw(thrown)
            except StopIteration:
                trace.suspend()
                return
            except Exception as error:
                trace.accuse(error)
                trace.suspend()
                raise
            except BaseException:
                trace.suspend()  # it was cancelled
                raise
            trace.suspend()
            value = thrown = None
            try:
                value = yield waits
            except GeneratorExit:
                step.close()
                raise
            except BaseException as error:  # noqa: BLE001  # the step's to handle
                thrown = error


async def traced(step: Any, batch: RecordBatch, breadcrumb: Breadcrumb) -> None:
    """Await `step(batch)` while the breadcrumb notes which records are computed: all, where the step says nothing."""
    trace = Trace(breadcrumb, batch)
    token = _trace.set(trace)
    try:
        await _Driven(step(batch), trace)
    finally:
        _trace.reset(token)


class StepTurns:
    """A lock under which steps run together, or one step alone."""

    def __init__(self) -> None:
        self._together = 0
        self._nobody_alone = asyncio.Event()
        self._nobody_alone.set()
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._next = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def together(self) -> Any:
        """Run together with others."""
        while not self._nobody_alone.is_set():
            await self._nobody_alone.wait()
        self._together += 1
        self._nobody.clear()
        try:
            yield
        finally:
            self._together -= 1
            if not self._together:
                self._nobody.set()

    @contextlib.asynccontextmanager
    async def alone(self) -> Any:
        """Run alone: after all running steps have finished, and before any other begins."""
        async with self._next:
            self._nobody_alone.clear()
            try:
                await self._nobody.wait()
                yield
            finally:
                self._nobody_alone.set()
