"""The ledger as a test sees it: messages as rows, rows as they are merged, and the books that follow from them."""

import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple

from schemas.ledger.entries import DEAD, EMPTY, FACT, FILTERED, JOIN, LIVE, NORMALISE, LedgerEntries, decode_entries
from schemas.topics import LEDGER

Key = tuple[int, int, int, int]
"""Raw partition, offset, element, and stage."""
_JOINED: Final = 3 << 30
_READ: Final = {EMPTY: "empty", FILTERED: "filtered", DEAD: "dead"}


class Row(NamedTuple):
    """One entry."""

    key: Key
    vendor: str
    account: str
    source: str
    received_s: int
    version: int
    record: int


def rows_of(entries: LedgerEntries) -> Iterator[Row]:
    """Iterates over the entries of one message."""
    count = len(entries)
    columns = [
        struct.unpack(f"<{count}{code}", column)
        for code, column in zip("iqiIQ", (entries.partition, entries.offset, entries.element, entries.received_s, entries.version), strict=True)
    ]  # fmt: skip
    records = struct.unpack(f"<{count}Q", entries.record) if entries.record else (0,) * count
    for place, partition, offset, element, received_s, version, record in zip(
        entries.sender, *columns, records, strict=True
    ):
        vendor, account, source = entries.senders[place]
        yield Row((partition, offset, element, entries.stage), vendor, account, source, received_s, version, record)


def ledger_of(messages: Iterable[Any]) -> list[Row]:
    """Returns the entries in the messages of the topic, in order; other messages are left out."""
    return [row for one in messages if one.topic == LEDGER.name for row in rows_of(decode_entries(one.value))]


def merged(rows: Iterable[Row]) -> dict[Key, Row]:
    """Returns the row of each key that counts."""
    kept: dict[Key, Row] = {}
    for row in rows:
        if row.key not in kept or kept[row.key].version <= row.version:
            kept[row.key] = row
    return kept


def outcomes(kept: dict[Key, Row]) -> dict[tuple[int, int, int], str]:
    """Returns what became of each element that normalise read, in the words of `v_ledger_entries`."""
    found = {}
    for (*place, stage), row in kept.items():
        if stage == NORMALISE:
            joined = kept.get((*place, JOIN))  # type: ignore[arg-type]  # three and one
            found[place[0], place[1], place[2]] = _outcome(row.version, joined.version if joined else 0)
    return found


def _outcome(read_as: int, joined_as: int) -> str:
    if joined_as:
        return ("dead", "filtered", "duplicate" if joined_as & 1 else "fact")[(joined_as >> 30) - 1]
    if read_as % LIVE == FACT:
        return "waiting" if read_as >= LIVE else "unseen"
    return _READ.get(read_as % LIVE, "unaccounted")


def books(rows: Iterable[Row]) -> Counter[str]:
    """Returns the number of elements of each outcome."""
    return Counter(outcomes(merged(rows)).values())


def gaps(kept: dict[Key, Row]) -> list[tuple[int, int, int]]:
    """Returns raw partition, first and last offset of what is missing behind a body that was read by a live worker."""
    places = sorted((partition, offset) for partition, offset, element, stage in kept if not element and not stage)
    return [
        (one[0], one[1] + 1, other[1] - 1)
        for one, other in pairwise(places)
        if one[0] == other[0] and other[1] > one[1] + 1 and kept[*one, 0, NORMALISE].version >= LIVE
    ]
