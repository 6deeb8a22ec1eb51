"""Collects a batch's entries of the ledger, and builds the values of `calls.ledger`. Pure.

Columns are collected as lists of numbers and packed at the end, which costs a tenth of one object an entry.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final

import msgspec

from processors.join import JoinResult
from processors.normalise import Normalised
from processors.records import Record
from schemas.facts import EPOCH, Fact, FactType
from schemas.ledger.entries import (
    DEAD,
    DEAD_IN_JOIN,
    DUPLICATE,
    DUPLICATE_AGAIN,
    EMPTY,
    ERASED,
    FACT,
    FILTERED,
    JOIN,
    LIVE,
    MOST_SENDERS,
    NEW,
    NEW_AGAIN,
    NORMALISE,
    UNACCOUNTED,
    LedgerEntries,
    Sender,
    dead_instead,
    encode_entries,
    joined_version,
    unjoined_version,
)
from schemas.raw import RawCallback
from schemas.topics import RAW
from schemas.vendor_kit.contract import Vendor
from schemas.vendors import VENDORS

MOST_ENTRIES: Final = 50_000
"""Most entries of one message: under two megabytes."""
_NAME_CHARS: Final = 256
_LATEST_S: Final = (1 << 32) - 1
_MOST_32: Final = (1 << 31) - 1
_MOST_64: Final = (1 << 63) - 1
_BIG_ENDIAN: Final = array("H", [1]).tobytes()[0] == 0
_FOUND: Final = {"fact": NEW, "update": NEW, "conflict": NEW, "duplicate": DUPLICATE}
_HALF_AN_ID: Final = 16
_HOUR_MS: Final = 3_600_000
_senders: Final = attrgetter("vendor", "account", "source")
_receipts: Final = attrgetter("received_at")


class Entries:
    """The entries of one stage's batch, column by column."""

    __slots__ = ("elements", "offsets", "partitions", "received_s", "records", "senders", "stage", "versions")

    stage: int
    senders: list[Sender]
    received_s: list[int]
    partitions: list[int]
    offsets: list[int]
    elements: list[int]
    versions: list[int]
    records: list[int]
    """There are as many as of the others, or none."""

    def __init__(self, stage: int) -> None:
        self.stage = stage
        self.senders, self.received_s, self.partitions, self.offsets = [], [], [], []
        self.elements, self.versions, self.records = [], [], []

    def of(self, those: "Sequence[RawCallback | Fact | FactPlace]") -> None:
        """Take senders and receipts from bodies or facts, one for each entry."""
        self.senders = [*map(_senders, those)]
        self.received_s = [*map(int, map(datetime.timestamp, map(_receipts, those)))]

    def values(self) -> Iterator[bytes]:
        """Yield the values of the messages that hold all entries; one for a batch of usual size."""
        first, count = 0, len(self.senders)
        while first < count:
            numbers, places = _numbered(self.senders[first : first + MOST_ENTRIES])
            after = first + len(places)
            senders = tuple([sender_of(*sender) for sender in numbers])
            yield encode_entries(self._between(first, after, senders, bytes(places)))
            first = after

    def _between(self, first: int, after: int, senders: tuple[Sender, ...], places: bytes) -> LedgerEntries:
        received = self.received_s[first:after]
        newest = max(received)
        if newest > _LATEST_S or min(received) < 0:
            received = [min(max(0, at), _LATEST_S) for at in received]
        records = self.records[first:after]
        return LedgerEntries(
            self.stage,
            senders,
            max(received),
            places,
            _packed("I", received),
            _packed("i", self.partitions[first:after]),
            _packed("q", self.offsets[first:after]),
            _packed("i", self.elements[first:after]),
            _packed("Q", self.versions[first:after]),
            _packed("Q", records) if any(records) else b"",
        )


def _numbered(senders: Sequence[Sender]) -> tuple[dict[Sender, int], list[int]]:
    """Number the senders of as many entries as one byte can tell apart."""
    numbers: dict[Sender, int] = {}
    places = [numbers.setdefault(sender, len(numbers)) for sender in senders]
    if len(numbers) <= MOST_SENDERS:
        return numbers, places
    return _numbered(senders[: places.index(MOST_SENDERS)])


def _packed(code: str, numbers: Sequence[int]) -> bytes:
    packed = array(code, numbers)
    if _BIG_ENDIAN:
        packed.byteswap()
    return packed.tobytes()


def sender_of(vendor: str, account: str, source: str) -> Sender:
    """Return the sender of a body; a vendor that this release does not know is "unknown", as in metrics."""
    return vendor if vendor in VENDORS else "unknown", account[:_NAME_CHARS], source


def made_of(elements: int, facts: Sequence[int], dead: Sequence[int], filtered: int) -> list[int]:
    """Return what was made of each element of a body; those that are in no result are unaccounted.

    `facts` and `dead` are indexes of elements, and `filtered` counts the others that nobody wants. A dead letter of a
    whole body (-1) is its element 0.
    """
    if not elements:
        return [EMPTY]
    found = [UNACCOUNTED] * elements
    for index in dead:
        found[max(0, index)] = DEAD
    for index in facts:
        found[index] = FACT
    rest = [index for index, made in enumerate(found) if made == UNACCOUNTED]
    for index in rest[:filtered]:
        found[index] = FILTERED
    return found


class NormaliseEntries:
    """The entries of the elements of some bodies of one raw partition.

    `live` is false where a record may have been read by a worker without a ledger, or is read again by a command:
    then nothing follows from entries that are missing beside these.
    """

    def __init__(self, partition: int, *, live: bool) -> None:
        self._partition = partition
        self._live = LIVE * live
        self._fact = self._live | FACT
        self._bodies: list[RawCallback] = []
        self._offsets: list[int] = []
        self._elements: list[int] = []
        self._versions: list[int] = []

    def add(self, raw: RawCallback, offset: int, done: Normalised) -> None:
        """Add the elements of one body."""
        facts = done.facts
        if done.elements == 1 == len(facts):
            self._bodies.append(raw)
            self._offsets.append(offset)
            self._elements.append(0)
            self._versions.append(self._fact)
            return
        made = made_of(
            done.elements, [fact.raw_element for fact in facts], [one.element for one in done.dead], len(done.filtered)
        )
        self._bodies += [raw] * len(made)
        self._offsets += [offset] * len(made)
        self._elements += range(len(made))
        self._versions += [self._live | each for each in made]

    def add_dead(self, raw: RawCallback, offset: int) -> None:
        """Add a body that is one dead letter."""
        self._bodies.append(raw)
        self._offsets.append(offset)
        self._elements.append(0)
        self._versions.append(self._live | DEAD)

    def entries(self) -> Entries:
        """Return the entries."""
        made = Entries(NORMALISE)
        made.of(self._bodies)
        made.partitions = [self._partition] * len(self._offsets)
        made.offsets, made.elements, made.versions = self._offsets, self._elements, self._versions
        return made


class FactPlace(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The part of a fact that the ledger needs: whoever does not dare to read all of it reads this."""

    fact_id: str = ""
    fact_type: FactType = FactType.RECORD
    vendor: str = ""
    account: str = ""
    source: str = "push"
    received_at: datetime = EPOCH
    raw_topic: str = ""
    raw_partition: int = 0
    raw_offset: int = 0
    raw_element: int = 0


read_place: Final = msgspec.msgpack.Decoder(FactPlace).decode
"""Returns the place of a fact in MessagePack; raises `msgspec.DecodeError` or another `ValueError`."""
_topics: Final = attrgetter("raw_topic")
_partitions: Final = attrgetter("raw_partition")
_offsets: Final = attrgetter("raw_offset")
_elements: Final = attrgetter("raw_element")


def both_ways(vendors: Iterable[Vendor]) -> frozenset[str]:
    """Return the vendors that push as well as they are pulled: the ledger says by which way a record of theirs came."""
    return frozenset(
        vendor.name
        for vendor in vendors
        if vendor.poll and any(callback.name != vendor.poll.callback for callback in vendor.callbacks)
    )


BOTH_WAYS: Final = both_ways(VENDORS.values())


class JoinEntries:
    """The facts of one batch of `calls.facts`, and what they were found to be."""

    def __init__(self, ways: frozenset[str] = BOTH_WAYS) -> None:
        self._ways = ways
        self._facts: list[Fact | FactPlace] = []
        self._versions: list[int] = []
        self._hour = -1
        self._found: dict[str, int] = {}
        """Outcome to version in this hour of appending."""

    def joined(self, fact: Fact, done: JoinResult, record: Record) -> None:
        """Add a fact that is joined."""
        hour = record.timestamp_ms // _HOUR_MS
        if hour != self._hour:
            self._hour = hour
            self._found = {outcome: joined_version(found, record.timestamp_ms) for outcome, found in _FOUND.items()}
        version = self._found.get(done.outcome)
        if version is None:
            version = joined_version(NEW_AGAIN if done.first_place else DUPLICATE_AGAIN, record.timestamp_ms)
        self._facts.append(fact)
        self._versions.append(version)

    def erased(self, fact: Fact, record: Record) -> None:
        """Add a fact of an erased account."""
        self._facts.append(fact)
        self._versions.append(unjoined_version(ERASED, record.timestamp_ms))

    def dead(self, fact: Fact | FactPlace, record: Record) -> None:
        """Add a fact that is a dead letter."""
        self._facts.append(fact)
        self._versions.append(unjoined_version(DEAD_IN_JOIN, record.timestamp_ms))

    def take_back(self, calls: Collection[str]) -> None:
        """Note that the facts of these calls are dead letters after all."""
        self._versions = [
            dead_instead(version) if isinstance(fact, Fact) and fact.call_key in calls else version
            for fact, version in zip(self._facts, self._versions, strict=True)
        ]

    def entries(self) -> Entries:
        """Return the entries, but of facts whose places are none on `calls.raw`: nobody read those there."""
        facts, versions = self._facts, self._versions
        places = [[*map(get, facts)] for get in (_partitions, _offsets, _elements)]
        if facts and not _are_ours(places, set(map(_topics, facts))):
            kept = [number for number, fact in enumerate(facts) if _are_ours(_places(fact), {fact.raw_topic})]
            facts, versions = [facts[number] for number in kept], [versions[number] for number in kept]
            places = [[*map(get, facts)] for get in (_partitions, _offsets, _elements)]
        made = Entries(JOIN)
        made.of(facts)
        made.partitions, made.offsets, made.elements = places
        made.versions = versions
        if self._ways:
            made.records = [_half_of_id(fact) if fact.vendor in self._ways else 0 for fact in facts]
        return made


def _places(fact: Fact | FactPlace) -> list[list[int]]:
    return [[fact.raw_partition], [fact.raw_offset], [fact.raw_element]]


def _are_ours(places: Sequence[Sequence[int]], topics: set[str]) -> bool:
    """True for places that records of `calls.raw` can have: those of a fact are what its producer wrote."""
    partitions, offsets, elements = places
    return (
        topics == {RAW.name}
        and min(map(min, places)) >= 0
        and max(partitions) <= _MOST_32
        and max(elements) <= _MOST_32
        and max(offsets) <= _MOST_64
    )


def _half_of_id(fact: Fact | FactPlace) -> int:
    """Return half of a record's id as a number; 0 for what is no record."""
    if fact.fact_type is not FactType.RECORD:
        return 0
    try:
        return int(fact.fact_id.replace("-", "")[:_HALF_AN_ID], 16)
    except ValueError:
        return 0
