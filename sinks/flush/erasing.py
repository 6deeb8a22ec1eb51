"""Takes what was erased out of rows at the last moment before each insert.

Rows may have waited for ClickHouse longer than an erasure took; so it is the insert that asks, not the reading.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from schemas.dead_letter import DeadLetter
from schemas.erasing.erased_letters import kept_letter
from schemas.facts import Fact
from schemas.ledger.entries import LedgerEntries
from schemas.privacy.erasures import Erasures
from schemas.timeline import Timeline
from sinks.columns import Table
from sinks.flush.insert import Insert

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
    found = (_KEPT[type(record)](record, erasures) for record in records)
    return [record for record in found if record is not None]


def erasing(insert: Insert, erasures: Erasures) -> Insert:
    """Returns an insert that goes by the list of erasures at each attempt."""

    async def insert_kept(table: Table[Any], records: Sequence[Any]) -> None:
        rows = kept(records, erasures)
        if rows:
            await insert(table, rows)

    return insert_kept
