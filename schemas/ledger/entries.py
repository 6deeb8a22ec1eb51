"""The ledger of elements: what became of every element of every raw record, by its coordinates on `calls.raw`.

Each stage writes entries before it commits an offset (guarantee 5): normalise one for each element of a body, join one
for each fact. An entry's key is (raw partition, offset, element, stage), and of two with one key the higher version
counts. Versions follow from records and never from batches, so repetitions and other cuts change nothing.

On `calls.ledger` a message has many entries as packed columns, which the sink passes on as they are.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.errors import Undecodable

NORMALISE, JOIN = range(2)
"""The stages, as the table numbers them."""

EMPTY, UNACCOUNTED, FILTERED, DEAD, FACT = range(1, 6)
"""The results of normalise; `EMPTY` is a body without elements, `UNACCOUNTED` an element that was lost."""
LIVE: Final = 8
"""Added where a worker wrote the entry that had only workers with a ledger beside it; not by replays."""

ERASED, DEAD_IN_JOIN = 2, 1
NEW, DUPLICATE, NEW_AGAIN, DUPLICATE_AGAIN = 2, 3, 0, 1
"""The results of join. The last two are for a place that is known: they count where nothing else was said."""
_JOINED: Final = 3
_RANK_BIT: Final = 30
_HOUR_BIT: Final = 2
_HOURS: Final = (1 << _RANK_BIT - _HOUR_BIT) - 1
_HOUR_MS: Final = 3_600_000

MOST_SENDERS: Final = 255
"""Most senders of one message, as one byte names each."""
Sender = tuple[str, str, str]
"""Vendor, configured account and source ("push", "poll" or "backfill") of a body."""


def joined_version(found: int, appended_ms: int) -> int:
    """Returns the version of a fact that was joined when its record was appended: the earliest decision counts.

    Later ones are of a joiner that may have forgotten the call. Within an hour a duplicate stays one.
    """
    return _JOINED << _RANK_BIT | _hours_left(appended_ms) << _HOUR_BIT | found


def unjoined_version(why: int, appended_ms: int) -> int:
    """Returns the version of a fact that was erased or is a dead letter: below that of every joined one."""
    return why << _RANK_BIT | _hours_left(appended_ms) << _HOUR_BIT


def dead_instead(version: int) -> int:
    """Returns the version of a dead letter in the place of that of a joined fact."""
    hours = version & (1 << _RANK_BIT) - (1 << _HOUR_BIT)
    return DEAD_IN_JOIN << _RANK_BIT | hours


def _hours_left(appended_ms: int) -> int:
    return min(max(0, _HOURS - appended_ms // _HOUR_MS), _HOURS)


class LedgerEntries(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Entries of one stage, column by column: numbers packed in little-endian order."""

    stage: int
    senders: tuple[Sender, ...]
    newest_s: int
    """The latest receipt, in epoch seconds."""
    sender: bytes
    """One byte an entry: the place of its sender in `senders`."""
    received_s: bytes
    """UInt32: the receipt of the body."""
    partition: bytes
    """Int32."""
    offset: bytes
    """Int64."""
    element: bytes
    """Int32: the index in the body; 0 for a body that is one dead letter, or has no elements."""
    version: bytes
    """UInt64."""
    record: bytes = b""
    """UInt64: half of the record's id, of vendors that both push and are pulled; nothing where all are 0."""

    def __len__(self) -> int:
        return len(self.sender)


_WIDTHS: Final[Mapping[str, int]] = {"received_s": 4, "partition": 4, "offset": 8, "element": 4, "version": 8}
encode_entries: Final = msgspec.msgpack.Encoder().encode
"""Returns the value of a record of `calls.ledger`."""
_decode: Final = msgspec.msgpack.Decoder(LedgerEntries).decode


def decode_entries(data: bytes | None) -> LedgerEntries:
    """Returns the entries in a record of `calls.ledger`; raises `Undecodable` (code `schema`) when it has none."""
    try:
        entries = _decode(data or b"")
    except Exception as exc:
        raise Undecodable(f"no ledger entries: {type(exc).__name__}", code="schema") from exc
    count = len(entries)
    if entries.stage not in (NORMALISE, JOIN) or not 0 < len(entries.senders) <= MOST_SENDERS or not count:
        raise Undecodable("no ledger entries: a stage or senders that are none", code="schema")
    if any(len(getattr(entries, name)) != width * count for name, width in _WIDTHS.items()):
        raise Undecodable("no ledger entries: columns of different lengths", code="schema")
    if len(entries.record) not in (0, 8 * count) or max(entries.sender) >= len(entries.senders):
        raise Undecodable("no ledger entries: a column that does not fit", code="schema")
    return entries
