"""Collects a batch's entries of the ledger, and builds the messages of `calls.ledger`. Pure.

Columns are collected as lists of numbers and packed at the end, which costs a tenth of one object an entry.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final

import msgspec

from processors.join import JoinResult
from processors.normalise import Normalised
from processors.outbox import Message
from processors.records import Record
from schemas.dead_letter import DeadLetter
from schemas.facts import EPOCH, Fact, FactType
from schemas.ledger import (
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
    encode_entries,
    joined_version,
    unjoined_version,
)
from schemas.raw import RawCallback
from schemas.topics import LEDGER, RAW
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


class Entries:
    """The entries of one stage's batch, column by column."""

    __slots__ = ("elements", "offsets", "partitions", "received_s", "records", "senders", "stage", "versions")

    def __init__(self, stage: int) -> None:
        self.stage = stage
        self.senders: list[Sender] = []
        self.received_s: list[int] = []
        self.partitions: list[int] = []
        self.offsets: list[int] = []
        self.elements: list[int] = []
        self.versions: list[int] = []
        self.records: list[int] = []
        """As many as the others, or none."""

    def messages(self, key: str) -> Iterator[Message]:
        """Yield the messages that hold all entries; one for a batch of usual size."""
        first, count = 0, len(self.senders)
        while first < count:
            numbers, places = _numbered(self.senders[first : first + MOST_ENTRIES])
            after = first + len(places)
            value = encode_entries(self._between(first, after, tuple(numbers), bytes(places)))
            yield Message(topic=LEDGER.name, key=key.encode(), value=value)
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


class NormaliseEntries(Entries):
    """The entries of the elements of some bodies of one raw partition.

    `live` is false where a record may have been read by a worker without a ledger, or is read again by a command:
    then nothing follows from entries that are missing beside these.
    """

    __slots__ = ("_live", "_partition")

    def __init__(self, partition: int, *, live: bool) -> None:
        super().__init__(NORMALISE)
        self._partition = partition
        self._live = LIVE * live

    def add(self, raw: RawCallback, offset: int, done: Normalised) -> None:
        """Add the elements of one body."""
        facts = done.facts
        if done.elements == 1 == len(facts):
            self._add_one(raw, offset, 0, FACT)
            return
        made = made_of(
            done.elements, [fact.raw_element for fact in facts], [one.element for one in done.dead], len(done.filtered)
        )
        for index, each in enumerate(made):
            self._add_one(raw, offset, index, each)

    def _add_one(self, raw: RawCallback, offset: int, element: int, made: int) -> None:
        self.senders.append(sender_of(raw.vendor, raw.account, raw.source))
        self.received_s.append(int(raw.received_at.timestamp()))
        self.partitions.append(self._partition)
        self.offsets.append(offset)
        self.elements.append(element)
        self.versions.append(self._live | made)

    def add_letter(self, letter: DeadLetter) -> None:
        """Add a body of which nothing is known but its dead letter."""
        self.senders.append(sender_of(letter.vendor, letter.account, letter.headers.get("source", "push")))
        self.received_s.append(int(letter.occurred_at.timestamp()))
        self.partitions.append(self._partition)
        self.offsets.append(letter.offset)
        self.elements.append(0)
        self.versions.append(self._live | DEAD)


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
_senders: Final = attrgetter("vendor", "account", "source")
_partitions: Final = attrgetter("raw_partition")
_offsets: Final = attrgetter("raw_offset")
_elements: Final = attrgetter("raw_element")


def both_ways(vendors: Iterable[Vendor]) -> frozenset[str]:
    """Return the vendors that push as well as they are pulled: of theirs the ledger knows by which way a record came."""
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

    def joined(self, fact: Fact, done: JoinResult, record: Record) -> None:
        """Add a fact that is joined."""
        found = _FOUND.get(done.outcome)
        if found is None:
            found = NEW_AGAIN if done.first_place else DUPLICATE_AGAIN
        self._facts.append(fact)
        self._versions.append(joined_version(found, record.timestamp_ms))

    def erased(self, fact: Fact, record: Record) -> None:
        """Add a fact of an erased account."""
        self._facts.append(fact)
        self._versions.append(unjoined_version(ERASED, record.timestamp_ms))

    def dead(self, fact: Fact | FactPlace, record: Record) -> None:
        """Add a fact that is a dead letter."""
        self._facts.append(fact)
        self._versions.append(unjoined_version(DEAD_IN_JOIN, record.timestamp_ms))

    def take_back(self, calls: Iterable[str]) -> None:
        """Note that the facts of these calls are dead letters after all."""
        gone = set(calls)
        for index, fact in enumerate(self._facts):
            if isinstance(fact, Fact) and fact.call_key in gone and self._versions[index] >> 30 > DEAD_IN_JOIN:
                self._versions[index] = self._versions[index] & (1 << 30) - 4 | DEAD_IN_JOIN << 30

    def entries(self) -> Entries:
        """Return the entries, but of facts whose places are none on `calls.raw`: nobody read those there."""
        facts, made = self._facts, Entries(JOIN)
        versions = self._versions
        if not all(map(_is_ours, facts)):
            ours = [*map(_is_ours, facts)]
            versions = [version for version, own in zip(versions, ours, strict=True) if own]
            facts = [fact for fact, own in zip(facts, ours, strict=True) if own]
        made.senders = [sender_of(*named) for named in map(_senders, facts)]
        made.received_s = [int(fact.received_at.timestamp()) for fact in facts]
        made.partitions = [*map(_partitions, facts)]
        made.offsets = [*map(_offsets, facts)]
        made.elements = [*map(_elements, facts)]
        made.versions = versions
        if self._ways:
            made.records = [_half_of_id(fact) if fact.vendor in self._ways else 0 for fact in facts]
        return made


def _is_ours(fact: Fact | FactPlace) -> bool:
    """True for a fact that names a place that a record of `calls.raw` can have."""
    return (
        0 <= fact.raw_offset <= _MOST_64
        and 0 <= fact.raw_partition <= _MOST_32
        and 0 <= fact.raw_element <= _MOST_32
        and fact.raw_topic == RAW.name
    )


def _half_of_id(fact: Fact | FactPlace) -> int:
    """Return half of a record's id as a number; 0 for what is no record."""
    if fact.fact_type is not FactType.RECORD:
        return 0
    try:
        return int(fact.fact_id.replace("-", "")[:_HALF_AN_ID], 16)
    except ValueError:
        return 0
