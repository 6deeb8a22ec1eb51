"""Suspects: the records suspected of ending workers, and the poison among them, which is put aside.

A worker that dies while it computes leaves its place behind: one record, or somewhere in a batch. These records are
suspected and processed one at a time. A record at which two workers died, one of them at nothing else, is poison.
Pure: `processors.poison.crashes` notices deaths and stores the book.
"""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from processors.records import Record, RecordBatch
from schemas.dead_letter import hash_of
from schemas.errors import raised_at

Verdict = Literal["clear", "suspect", "poison", "copy"]
"""A copy has the bytes of a record that was put aside: a vendor sent it again, or a worker wrote it again before it
died."""

DEATHS: Final = 2
"""Number of deaths at one record that makes it poison."""
REPLAY_OF: Final = "replay_of"
"""The header of a record that was a dead letter and is sent again."""
KEPT_MS: Final = 86_400_000
"""Time after which a suspicion is dropped: the offset is committed by then, or somebody has reset the group."""
_MOST_ENDS: Final = 100


class RecordPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Records of one partition, from offset `first` to before `next`."""

    topic: str
    partition: int
    first: int
    next: int
    timestamp_ms: int = 0
    """Timestamp of the record at `first`, where known: a recreated topic has other records at the same offsets."""

    @property
    def single(self) -> bool:
        """True for exactly one record."""
        return self.next == self.first + 1

    def holds(self, batch: RecordBatch, record: Record) -> bool:
        """True when the record of this batch is one of these."""
        if (self.topic, self.partition) != (batch.topic, batch.partition):
            return False
        if record.offset == self.first and self.timestamp_ms:
            return record.timestamp_ms == self.timestamp_ms
        return self.first <= record.offset < self.next

    def __str__(self) -> str:
        last = "" if self.single else f" to {self.next - 1}"
        return f"{self.topic}/{self.partition}/{self.first}{last}"


class WorkerEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a worker that was not asked to stop."""

    worker: str
    at_ms: int
    place: RecordPlace | None = None
    """The records it was computing; None when it only waited, as for Kafka: then no record is accused."""
    thread_place: RecordPlace | None = msgspec.field(name="aside", default=None)
    """The records that its thread was computing; which of both places caused the end shows when each is done alone."""
    cause: str = ""
    """The type of the exception that ended it, if any."""


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """Records that were being computed when workers died."""

    place: RecordPlace
    deaths: int
    at_ms: int
    """Time of the last death."""
    cause: str = ""
    size: int = -1
    """Size of the record's value in bytes, once it was put aside."""
    digest: str = ""
    """Hash of the record's value, once it was put aside."""


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The deaths of the workers that share the book, and the records accused."""

    suspects: tuple[Suspect, ...] = ()
    poison: tuple[Suspect, ...] = ()
    """Single records that are put aside; kept for as long as they may come again."""
    ends: tuple[WorkerEnd, ...] = ()
    """The latest ends of workers, oldest first."""

    def __bool__(self) -> bool:
        return bool(self.suspects or self.poison)

    def died(self, end: WorkerEnd) -> "Book":
        """Add a death."""
        book = msgspec.structs.replace(self, ends=(*self.ends, end)[-_MOST_ENDS:])
        for place in (end.place, end.thread_place):
            if place is not None:
                book = _accused(book, place, end)
        return book

    def clear_below(self, topic: str, partition: int, below: int) -> "Book":
        """Drop the suspicion against all records of a partition before the offset `below`: they are done."""
        left: list[Suspect] = []
        for one in self.suspects:
            place = one.place
            if (place.topic, place.partition) != (topic, partition) or place.first >= below:
                left.append(one)
            elif place.next > below:
                rest = msgspec.structs.replace(place, first=below, timestamp_ms=0)
                left.append(msgspec.structs.replace(one, place=rest))
        return msgspec.structs.replace(self, suspects=tuple(left))

    def at(self, now_ms: int) -> "Book":
        """Drop everything that is older than `KEPT_MS`."""
        return Book(
            suspects=tuple(one for one in self.suspects if now_ms - one.at_ms < KEPT_MS),
            poison=tuple(one for one in self.poison if now_ms - one.at_ms < KEPT_MS),
            ends=tuple(one for one in self.ends if now_ms - one.at_ms < KEPT_MS),
        )

    def ends_since(self, at_ms: int) -> tuple[WorkerEnd, ...]:
        """Return the ends from then on."""
        return tuple(end for end in self.ends if end.at_ms >= at_ms)

    def put_aside(self, place: RecordPlace, value: bytes) -> "Book":
        """Remember the bytes of a record that was put aside, to recognise its copies."""
        known = msgspec.structs.replace
        poison = tuple(
            known(one, size=len(value), digest=hash_of(value)) if one.place == place else one for one in self.poison
        )
        return known(self, poison=poison)

    def against(self, batch: RecordBatch) -> "Book":
        """Return the part of the book that concerns records of this batch; nearly always empty."""
        poison = _within(self.poison, batch)
        if named := [one for one in self.poison if one.digest and one.place.topic == batch.topic and one not in poison]:
            sizes = {len(record.value or b"") for record in batch.records}
            poison += tuple(one for one in named if one.size in sizes)
        return Book(suspects=_within(self.suspects, batch), poison=poison)

    def portions(self, batch: RecordBatch) -> Iterator[tuple[RecordBatch, Verdict, Suspect | None]]:
        """Cut the batch, in order, into portions that are all clear, or one suspect, or one record that is poison."""
        against, clear = self.against(batch), list[Record]()
        for record in batch.records:
            verdict, found = _verdict(against, batch, record)
            if verdict == "clear":
                clear.append(record)
                continue
            if clear:
                yield _portion(batch, clear), "clear", None
                clear = []
            yield _portion(batch, [record]), verdict, found
        if clear:
            yield _portion(batch, clear), "clear", None


def describe_error(exc: Exception) -> str:
    """Describe an exception that one record caused, without the values that its message may quote.

    The result is the type and the place of origin: `TypeError at legs.py:123`. MemoryError is raised again: no record
    in particular causes it, and there is no state to go on in.
    """
    if isinstance(exc, MemoryError):
        raise exc
    return raised_at(exc)


def after(batch: RecordBatch, portion: RecordBatch) -> RecordBatch | None:
    """Return the rest of the batch after its first portion; None when that was the last."""
    records = batch.records[len(portion.records) :]
    return _portion(batch, list(records)) if records else None


def _accused(book: Book, place: RecordPlace, end: WorkerEnd) -> Book:
    before = sum(one.deaths for one in book.suspects if _counts(one.place, place))
    suspect = Suspect(place=place, deaths=before + 1, at_ms=end.at_ms, cause=end.cause)
    others = tuple(one for one in book.suspects if not _same(one.place, place))
    if place.single and suspect.deaths >= DEATHS:
        return msgspec.structs.replace(book, suspects=others, poison=(*book.poison, suspect))
    return msgspec.structs.replace(book, suspects=(*others, suspect))


def _verdict(against: Book, batch: RecordBatch, record: Record) -> tuple[Verdict, Suspect | None]:
    for one in against.poison:
        if one.place.holds(batch, record):
            return "poison", one
    value = record.value or b""
    for one in against.poison:
        # Not a dead letter that is replayed: after a fix it must go through, and otherwise it is found again.
        if one.size == len(value) and one.digest == hash_of(value) and REPLAY_OF not in dict(record.headers):
            return "copy", one
    for one in against.suspects:
        if one.place.holds(batch, record):
            return "suspect", one
    return "clear", None


def _within(those: tuple[Suspect, ...], batch: RecordBatch) -> tuple[Suspect, ...]:
    return tuple(
        one
        for one in those
        if (one.place.topic, one.place.partition) == (batch.topic, batch.partition)
        and one.place.first < batch.next_offset
        and batch.first_offset < one.place.next
    )


def _same(one: RecordPlace, other: RecordPlace) -> bool:
    return (one.topic, one.partition, one.first, one.next) == (other.topic, other.partition, other.first, other.next)


def _counts(earlier: RecordPlace, now: RecordPlace) -> bool:
    """True when a death at `earlier` counts against `now`: the same place, or one that contains it."""
    if (earlier.topic, earlier.partition) != (now.topic, now.partition):
        return False
    if _same(earlier, now) and 0 not in (earlier.timestamp_ms, now.timestamp_ms):
        return earlier.timestamp_ms == now.timestamp_ms
    return earlier.first <= now.first and now.next <= earlier.next


def _portion(batch: RecordBatch, records: list[Record]) -> RecordBatch:
    first, after = records[0].offset, records[-1].offset + 1
    return msgspec.structs.replace(batch, records=tuple(records), first_offset=first, next_offset=after)
