"""Takes what was erased out of rows at the last moment before each insert.

Rows may have waited for ClickHouse longer than an erasure took; so it is the insert that asks, not the reading.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from schemas.dead_letter import DeadLetter
from schemas.erasing.erased_letters import kept_letter
from schemas.facts import Fact
from schemas.ledger.entries import LedgerEntries
from schemas.privacy.erasures import Erasures
from schemas.timeline import Timeline
from sinks.columns import Table
from sinks.flush.insert import Insert
from sinks.writing.records import Records, instant

_KEPT: Final[Mapping[type, Callable[[Any, Erasures], Any]]] = {
    Fact: lambda fact, erasures: erasures.fact(fact),
    Timeline: lambda timeline, erasures: erasures.timeline(timeline),
    DeadLetter: kept_letter,
    LedgerEntries: lambda entries, _erasures: entries,
}


def kept(records: Sequence[Any], erasures: Erasures) -> Sequence[Any]:
    """Returns the records as they may be stored; those of erased accounts are left out."""
    if not erasures:
        return records
    rows = Records.of(records)
    rows = rows.as_objects(_concerned(rows, erasures))
    found = {number: _KEPT[type(record)](record, erasures) for number, record in rows.objects.items()}
    return rows.changed({number: one for number, one in found.items() if one is not rows.objects[number]})


def _concerned(rows: Records, erasures: Erasures) -> Sequence[int]:
    """Returns the numbers of the columns' records of which something may have to be erased."""
    numbers, scanned = rows.columns
    if scanned is None:
        return ()
    receipts = scanned.longs("first_received_at" if scanned.has("first_received_at") else "received_at").values
    concerned = np.zeros(len(receipts), np.bool_)
    if erasures.concern(instant(receipts.min())):
        concerned[:] = [erasures.concern(instant(at)) for at in receipts]
    if scanned.has("contents"):
        concerned |= scanned.lists("contents").counts > 0
    return numbers[concerned].tolist()  # type: ignore[no-any-return]  # numbers


def erasing(insert: Insert, erasures: Erasures) -> Insert:
    """Returns an insert that goes by the list of erasures at each attempt."""

    async def insert_kept(table: Table[Any], records: Sequence[Any]) -> None:
        rows = kept(records, erasures)
        if rows:
            await insert(table, rows)

    return insert_kept
