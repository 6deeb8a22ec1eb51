"""Which records are suspected of ending workers, and which of them is taken out of the way.

A worker that dies while it computes leaves behind where it was: at one record, or somewhere in a slice. What it was at is
suspected, and goes on one record at a time. A record at which two workers died, and one of them at nothing else, is poison.
Pure: where this is kept, and how a death is noticed, is the business of `processors.poison.crashes`.
"""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from processors.records import Record, RecordBatch
from schemas.dead_letter import hash_of

Verdict = Literal["clear", "suspect", "poison", "copy"]
"""A copy has the bytes of a record that is put aside: a vendor sends it again, or a worker wrote it again before it died."""

DEATHS: Final = 2
"""At one record: then it is poison."""
REPLAY_OF: Final = "replay_of"
"""The header of a record that was a dead letter and is sent again."""
KEPT_MS: Final = 86_400_000
"""After a day nothing is held against a record any more; its offset is committed, or somebody has reset the group."""
_MOST_ENDS: Final = 100


class RecordPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Records of one partition, from offset `first` to before `next`."""

    topic: str
    partition: int
    first: int
    next: int
    timestamp_ms: int = 0
    """Of the record at `first`, where known: a topic that was made anew has other records at the same offsets."""

    @property
    def single(self) -> bool:
        """Whether it is one record."""
        return self.next == self.first + 1

    def holds(self, slice_: RecordBatch, record: Record) -> bool:
        """Whether the record of this slice is one of these."""
        if (self.topic, self.partition) != (slice_.topic, slice_.partition):
            return False
        if record.offset == self.first and self.timestamp_ms:
            return record.timestamp_ms == self.timestamp_ms
        return self.first <= record.offset < self.next

    def __str__(self) -> str:
        last = "" if self.single else f" to {self.next - 1}"
        return f"{self.topic}/{self.partition}/{self.first}{last}"


class WorkerEnd(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that did not stop by itself."""

    worker: str
    at_ms: int
    place: RecordPlace | None = None
    """What it was computing; None when it only waited, as for Kafka: then no record is accused."""
    aside: RecordPlace | None = None
    """What a thread of it was computing: which of both it was, shows when each is done alone."""
    cause: str = ""
    """The exception that ended it, where it was one."""


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """What stood in hand when workers died."""

    place: RecordPlace
    deaths: int
    at_ms: int
    """Of the last of them."""
    cause: str = ""
    size: int = -1
    """Bytes of the record's value, once it was put aside."""
    digest: str = ""
    """Their hash."""


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of the deaths of the workers that share it."""

    suspects: tuple[Suspect, ...] = ()
    poison: tuple[Suspect, ...] = ()
    """Single records; kept for as long as they may come up again."""
    ends: tuple[WorkerEnd, ...] = ()
    """The latest, oldest first."""

    def __bool__(self) -> bool:
        return bool(self.suspects or self.poison)

    def died(self, end: WorkerEnd) -> "Book":
        """Add a death."""
        book = msgspec.structs.replace(self, ends=(*self.ends, end)[-_MOST_ENDS:])
        for place in (end.place, end.aside):
            if place is not None:
                book = _accused(book, place, end)
        return book

    def passed(self, topic: str, partition: int, below: int) -> "Book":
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
        """Without what is too old to be held against anybody."""
        return Book(
            suspects=tuple(one for one in self.suspects if now_ms - one.at_ms < KEPT_MS),
            poison=tuple(one for one in self.poison if now_ms - one.at_ms < KEPT_MS),
            ends=tuple(one for one in self.ends if now_ms - one.at_ms < KEPT_MS),
        )

    def ends_since(self, at_ms: int) -> tuple[WorkerEnd, ...]:
        """The deaths from then on."""
        return tuple(end for end in self.ends if end.at_ms >= at_ms)

    def put_aside(self, place: RecordPlace, value: bytes) -> "Book":
        """Know poison by its bytes, too."""
        known = msgspec.structs.replace
        poison = tuple(
            known(one, size=len(value), digest=hash_of(value)) if one.place == place else one for one in self.poison
        )
        return known(self, poison=poison)

    def against(self, slice_: RecordBatch) -> "Book":
        """What there is against records of this slice; nothing, nearly always."""
        poison = _within(self.poison, slice_)
        if named := [
            one for one in self.poison if one.digest and one.place.topic == slice_.topic and one not in poison
        ]:
            sizes = {len(record.value or b"") for record in slice_.records}
            poison += tuple(one for one in named if one.size in sizes)
        return Book(suspects=_within(self.suspects, slice_), poison=poison)

    def portions(self, slice_: RecordBatch) -> Iterator[tuple[RecordBatch, Verdict, Suspect | None]]:
        """The slice in order, cut so that each portion is all clear, or one suspect, or one record that is poison."""
        against, clear = self.against(slice_), list[Record]()
        for record in slice_.records:
            verdict, found = _verdict(against, slice_, record)
            if verdict == "clear":
                clear.append(record)
                continue
            if clear:
                yield _portion(slice_, clear), "clear", None
                clear = []
            yield _portion(slice_, [record]), verdict, found
        if clear:
            yield _portion(slice_, clear), "clear", None


def after(slice_: RecordBatch, portion: RecordBatch) -> RecordBatch | None:
    """What comes behind its first portion; None when that was the last."""
    records = slice_.records[len(portion.records) :]
    return _portion(slice_, list(records)) if records else None


def _accused(book: Book, place: RecordPlace, end: WorkerEnd) -> Book:
    before = sum(one.deaths for one in book.suspects if _counts(one.place, place))
    suspect = Suspect(place=place, deaths=before + 1, at_ms=end.at_ms, cause=end.cause)
    others = tuple(one for one in book.suspects if not _same(one.place, place))
    if place.single and suspect.deaths >= DEATHS:
        return msgspec.structs.replace(book, suspects=others, poison=(*book.poison, suspect))
    return msgspec.structs.replace(book, suspects=(*others, suspect))


def _verdict(against: Book, slice_: RecordBatch, record: Record) -> tuple[Verdict, Suspect | None]:
    for one in against.poison:
        if one.place.holds(slice_, record):
            return "poison", one
    value = record.value or b""
    for one in against.poison:
        # Not what a person sends again: after a fix it is to go through, and else it is found anew.
        if one.size == len(value) and one.digest == hash_of(value) and REPLAY_OF not in dict(record.headers):
            return "copy", one
    for one in against.suspects:
        if one.place.holds(slice_, record):
            return "suspect", one
    return "clear", None


def _within(those: tuple[Suspect, ...], slice_: RecordBatch) -> tuple[Suspect, ...]:
    return tuple(
        one
        for one in those
        if (one.place.topic, one.place.partition) == (slice_.topic, slice_.partition)
        and one.place.first < slice_.next_offset
        and slice_.first_offset < one.place.next
    )


def _same(one: RecordPlace, other: RecordPlace) -> bool:
    return (one.topic, one.partition, one.first, one.next) == (other.topic, other.partition, other.first, other.next)


def _counts(earlier: RecordPlace, now: RecordPlace) -> bool:
    """Whether a death at `earlier` counts against `now`: it is the same, or was in it."""
    if (earlier.topic, earlier.partition) != (now.topic, now.partition):
        return False
    if _same(earlier, now) and 0 not in (earlier.timestamp_ms, now.timestamp_ms):
        return earlier.timestamp_ms == now.timestamp_ms
    return earlier.first <= now.first and now.next <= earlier.next


def _portion(slice_: RecordBatch, records: list[Record]) -> RecordBatch:
    first, after = records[0].offset, records[-1].offset + 1
    return msgspec.structs.replace(slice_, records=tuple(records), first_offset=first, next_offset=after)
