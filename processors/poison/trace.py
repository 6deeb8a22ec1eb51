"""Where a step is while it computes, told to the crumb; and nowhere while it waits.

A step is driven by hand: each stretch between two of its waits is marked, so that side by side lanes are told apart and whoever
kills a worker that waits for Kafka accuses no record. The slice's own records tell which of them is in hand.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import msgspec

from processors.outbox import Message, Outbox, Oversize
from processors.poison.breadcrumb import Crumb
from processors.records import Record, RecordBatch
from schemas.errors import Unavailable

_NONE_AT: Final = 0
T = TypeVar("T")


class Trace:
    """One step's place."""

    def __init__(self, crumb: Crumb, slice_: RecordBatch) -> None:
        self._crumb = crumb
        self._topic = slice_.topic.encode()
        self._partition = slice_.partition
        stamp = slice_.records[0].timestamp_ms if slice_.records else _NONE_AT
        self._whole = (slice_.first_offset, slice_.next_offset, stamp)
        self._at = self._whole
        self.waits = False
        """Whether what goes on is not for any record: it publishes, or reads states back."""

    def move(self, record: Record) -> None:
        """Go to one record."""
        self._at = (record.offset, record.offset + 1, record.timestamp_ms)
        if not self.waits:
            self._crumb.move(*self._at)

    def leave(self) -> None:
        """Go back to what is for the slice as a whole."""
        self._at = self._whole
        if not self.waits:
            self._crumb.move(*self._at)

    def resume(self) -> None:
        """Compute from now on."""
        if not self.waits:
            self._crumb.mark(self._topic, self._partition, *self._at)

    def begin_aside(self) -> None:
        """Compute what is in hand in a thread."""
        self._crumb.mark_aside(self._topic, self._partition, *self._at)

    def end_aside(self) -> None:
        """Have it back."""
        self._crumb.clear_aside()

    def suspend(self) -> None:
        """Compute nothing."""
        self._crumb.clear()

    def accuse(self, error: Exception) -> None:
        """Leave the place for good: the process ends by what was computed there."""
        if not self.waits and not isinstance(error, (Unavailable, OSError)):
            self._crumb.hold(type(error).__name__)


_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


ASIDE_S: Final = 20.0
"""A body that takes longer in a thread hangs: many times what the largest one takes on a busy machine."""


async def aside(work: Callable[[], T], turn: asyncio.Lock) -> T:
    """Do the record in hand in a thread, one at a `turn`, and accuse it meanwhile; raises `Hangs` when it does not end."""
    trace = _trace.get()
    async with turn:
        if trace is not None:
            trace.begin_aside()
        try:
            done, _ = await asyncio.wait({thread := asyncio.create_task(asyncio.to_thread(work))}, timeout=ASIDE_S)
            if not done:
                raise Hangs(f"a record was not read within {ASIDE_S:g} s")
            return thread.result()
        finally:
            if trace is not None:
                trace.end_aside()


class Hangs(RuntimeError):
    """Work in a thread that does not end: only the end of the process ends it."""


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Accuse no record of what happens in here, nor of an exception that comes out of it."""
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
    """An outbox whose publishing is waiting, whatever it costs."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish all messages, as an outbox does."""
        try:
            with waiting():
                await super().publish(messages)
        except Oversize:
            # Nothing was sent: a message that is too large is its record's own.
            if (trace := _trace.get()) is not None:
                trace.waits = False
                trace.resume()
            raise


class _Records(tuple[Record, ...]):  # noqa: SLOT001  # a tuple's subclass can have no slots of its own
    """Records that tell the trace which of them is in hand."""

    trace: Trace

    def __iter__(self) -> Iterator[Record]:
        trace = self.trace
        for record in super().__iter__():
            trace.move(record)
            yield record
        trace.leave()  # and not where the loop is left by an exception: that is the record's


class _Driven:
    """A step's coroutine, awaited stretch by stretch."""

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


async def traced(step: Any, slice_: RecordBatch, crumb: Crumb) -> None:
    """Await `step(slice_)`, with the crumb saying what is computed for it, and when nothing is."""
    trace = Trace(crumb, slice_)
    records = _Records(slice_.records)
    records.trace = trace
    token = _trace.set(trace)
    try:
        await _Driven(step(msgspec.structs.replace(slice_, records=records)), trace)
    finally:
        _trace.reset(token)


class ThreadTurns:
    """Steps side by side, or one alone."""

    def __init__(self) -> None:
        self._together = 0
        self._nobody_alone = asyncio.Event()
        self._nobody_alone.set()
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._next = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def together(self) -> Any:
        """With others."""
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
        """When those who are at it have finished, and before anybody else begins."""
        async with self._next:
            self._nobody_alone.clear()
            try:
                await self._nobody.wait()
                yield
            finally:
                self._nobody_alone.set()
