"""A quarantine whose publisher and guard a test can look at."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from processors.outbox import Message
from processors.poison.breadcrumb import Breadcrumb
from processors.poison.crashes import Crashes
from processors.poison.suspects import RecordPlace, WorkerEnd
from processors.records import Record, RecordBatch
from processors.stages.quarantine import Quarantine, StageName
from schemas.codec import Codecs
from schemas.metrics import Registry
from schemas.topics import LEDGER, RAW

CODECS = Codecs()
STAMP = 1_700_000_000_000


class Sent:
    """An outbox without Kafka."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.ledger: list[Message] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        await asyncio.sleep(0)
        self.messages += [message for message in messages if message.topic != LEDGER.name]
        self.ledger += [message for message in messages if message.topic == LEDGER.name]


class Guard:
    """A quarantine with a breadcrumb in memory and a book that the test writes."""

    def __init__(self, *deaths: RecordPlace | None) -> None:
        self.crashes = Crashes(None, "w")
        for place in deaths:
            self.crashes.book = self.crashes.book.died(WorkerEnd(worker="w", at_ms=10**13, place=place))
        self.sent = Sent()
        self.metrics = Registry()
        self.quarantine = Quarantine(self.crashes, self.sent, CODECS, self.metrics)  # type: ignore[arg-type]

    @property
    def at(self) -> tuple[int, int] | None:
        place = self.crashes.breadcrumb.note.place
        return (place.first, place.next) if place else None

    def guarding(self, step: Callable[[RecordBatch], Awaitable[object]]) -> Callable[[RecordBatch], Awaitable[object]]:
        return self.quarantine.guarding("normalise", step)

    async def deaths(
        self, stage: StageName, step: Callable[[], Callable[[RecordBatch], Awaitable[object]]], batch: RecordBatch
    ) -> list[tuple[int, int]]:
        """Have one worker after the other do the batch until one survives it; return where the others died."""
        places: list[tuple[int, int]] = []
        while True:
            try:
                await self.quarantine.guarding(stage, step())(batch)
            except MemoryError:
                note, self.crashes.breadcrumb = self.crashes.breadcrumb.note, Breadcrumb()
                assert note.place is not None
                end = WorkerEnd(worker="w", at_ms=10**13, place=note.place, cause=note.cause)
                self.crashes.book = self.crashes.book.died(end)
                places.append((note.place.first, note.place.next))
            else:
                return places


def batch_of(
    first: int, after: int, *, topic: str = RAW.name, partition: int = 0, key: bytes | None = None
) -> RecordBatch:
    headers = (("vendor", b"nxcloud"), ("callback", b"cdr"), ("received_at", b"1700000000000"))
    return RecordBatch(
        topic=topic,
        partition=partition,
        records=tuple(
            Record(offset=n, timestamp_ms=STAMP + n, key=key, value=b"%d" % n, headers=headers)
            for n in range(first, after)
        ),
        first_offset=first,
        next_offset=after,
        ticket=7,
        epoch=9,
    )


def place(first: int, after: int, *, topic: str = RAW.name, partition: int = 0) -> RecordPlace:
    return RecordPlace(topic=topic, partition=partition, first=first, next=after, timestamp_ms=STAMP + first)
