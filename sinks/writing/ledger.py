"""The table of the ledger, and its entries as blocks of rows in ClickHouse's Native format. Pure.

A message has its columns as the bytes that ClickHouse reads, so a block takes a few steps a message and none a row.
Only the numbers of the senders change, from those of the message to those of the block, by one translation of bytes.
"""

import struct
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

from schemas.ledger.entries import LedgerEntries, Sender
from sinks.columns import WORD, Column, Table
from sinks.error_classes import unfit
from sinks.writing.column_writers import column_writer, head, length

MOST_WORDS: Final = 255
"""Most different senders of one block, as one byte names each."""
_NEW_WORDS: Final = 1 << 9 | 1 << 10
"""The words come with the column, and are all that it has; their numbers have one byte."""
_EIGHT: Final = 8


def _packed(name: str, kind: str, value: Callable[[LedgerEntries], bytes]) -> Column[LedgerEntries]:
    return Column(name, kind, value)


def _words(name: str, place: int) -> Column[LedgerEntries]:
    return Column(name, WORD, lambda entries: [sender[place] for sender in entries.senders])


def ledger_blocks(table: Table[LedgerEntries], records: Sequence[LedgerEntries]) -> bytes:
    """Returns the blocks of all entries, mostly one; raises `RowsRefused` for a message that makes none."""
    try:
        return b"".join(_block(table, part) for part in _parts(records))
    except Exception as exc:  # no record may end the process: it becomes a dead letter
        raise unfit("of the ledger", exc) from exc


def _parts(records: Sequence[LedgerEntries]) -> Sequence[Sequence[LedgerEntries]]:
    """Cuts the messages into such as have few enough senders together."""
    if len(set[Sender]().union(*[record.senders for record in records])) <= MOST_WORDS:
        return [records]
    parts: list[list[LedgerEntries]] = []
    senders: set[Sender] = set()
    for record in records:
        together = senders.union(record.senders)
        if parts and len(together) <= MOST_WORDS:
            parts[-1].append(record)
            senders = together
        else:
            parts.append([record])
            senders = set(record.senders)
    return parts


def _block(table: Table[LedgerEntries], records: Sequence[LedgerEntries]) -> bytes:
    count = sum(map(len, records))
    parts = [length(len(table.columns)), length(count)]
    for column in table.columns:
        parts.append(head(column.name, column.type))
        parts += _named(column, records, count) if column.type == WORD else map(column.value, records)
    return b"".join(parts)


def _named(column: Column[LedgerEntries], records: Sequence[LedgerEntries], count: int) -> list[bytes]:
    numbers: dict[str, int] = {}
    found: list[bytes] = []
    for record in records:
        own = bytes([numbers.setdefault(word, len(numbers)) for word in column.value(record)])
        found.append(record.sender.translate(own.ljust(256, b"\0")))
    words = column_writer("String")([*numbers])
    return [struct.pack("<QQ", _NEW_WORDS, len(numbers)), words, struct.pack("<Q", count), *found]


LEDGER: Final[Table[LedgerEntries]] = Table(
    "ledger",
    (
        _packed("received_at", "DateTime('UTC')", attrgetter("received_s")),
        _packed("raw_partition", "Int32", attrgetter("partition")),
        _packed("raw_offset", "Int64", attrgetter("offset")),
        _packed("raw_element", "Int32", attrgetter("element")),
        _packed("stage", "Enum8('normalise' = 0, 'join' = 1)", lambda entries: bytes((entries.stage,)) * len(entries)),
        _words("vendor", 0),
        _words("account", 1),
        _words("source", 2),
        _packed("record_hash", "UInt64", lambda entries: entries.record or bytes(_EIGHT * len(entries))),
        _packed("version", "UInt64", attrgetter("version")),
    ),
    rows_of=len,
    written=ledger_blocks,
)
"""The value of a column is the packed bytes of a message's entries, or the words of its senders."""
