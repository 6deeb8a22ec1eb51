"""Marks: which slots have rows that their figures do not count yet.

Each process has a row for each slot that it wrote rows of, and counts its version up by two: an even one says that
figures are to be computed, the odd one after it that they were. A mark that is set while figures are computed is even
and higher, so it stays. It is set after the rows are acknowledged and before their offsets are committed, so rows
without a mark are read and inserted again.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from sinks.clickhouse import ClickHouse
from sinks.columns import Table
from sinks.flush.insert import Insert
from sinks.rows import TIMELINES
from sinks.writing.records import Records

MARKS: Final = "kpi_marks"
_COLUMNS: Final = ("slot_at", "marker", "version")
_TYPES: Final = ("DateTime('UTC')", "UInt64", "UInt64")
_BITS: Final = 63


class Mark(msgspec.Struct, frozen=True):
    """A slot of which figures are to be computed."""

    slot_at: datetime
    marker: int
    """The process that wrote rows of the slot."""
    version: int
    age_s: float
    """Seconds since it was set, by the clock of ClickHouse."""


class Marks:
    """The table of marks, as one process writes it."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._table = f"{clickhouse.database}.{MARKS}"
        self._marker = secrets.randbits(_BITS)
        self._version = 0

    async def set(self, slots: Iterable[datetime]) -> None:
        """Says that rows of these slots were written; as stored as they are. Raises `Unavailable`, `SetupError`."""
        self._version += 2
        rows = [(slot, self._marker, self._version) for slot in sorted(slots)]
        await self._clickhouse.insert_rows(self._table, _COLUMNS, rows, _TYPES, last=False)

    async def set_all(self) -> None:
        """Says that figures of all slots with calls are to be computed. Raises `Unavailable`, `SetupError`."""
        await self.set_where(f"SELECT DISTINCT slot_at FROM {self._clickhouse.database}.{TIMELINES.name}")  # noqa: S608 - our own names

    async def set_where(self, slots: str) -> None:
        """Says that figures of the slots of a query are to be computed. Raises `Unavailable`, `SetupError`."""
        self._version += 2
        await self._clickhouse.command(
            f"INSERT INTO {self._table} ({', '.join(_COLUMNS)}) SELECT slot_at, {self._marker}, {self._version} "  # noqa: S608 - our own names
            f"FROM ({slots})"
        )

    async def found(self) -> list[Mark]:
        """Returns the marks of slots to be computed, the newest slots first. Raises `Unavailable`, `SetupError`."""
        rows = await self._clickhouse.query(
            f"SELECT slot_at, marker, version, (now64(3) - marked_at)::Float64 FROM {self._table} FINAL "  # noqa: S608 - our own names
            "WHERE version % 2 = 0 ORDER BY slot_at DESC"
        )
        return [Mark(*row) for row in rows]

    async def clear(self, marks: Sequence[Mark]) -> None:
        """Says that the figures of these marks were computed. Raises `Unavailable`, `SetupError`."""
        rows = [(mark.slot_at, mark.marker, mark.version + 1) for mark in marks]
        await self._clickhouse.insert_rows(self._table, _COLUMNS, rows, _TYPES)


SetMarks = Callable[[Iterable[datetime]], Awaitable[None]]


def marking(insert: Insert, set_marks: SetMarks) -> Insert:
    """Returns an insert that marks the slots of calls once their rows are acknowledged."""

    async def insert_and_mark(table: Table[Any], records: Sequence[Any]) -> None:
        await insert(table, records)
        if table is TIMELINES:
            await set_marks(Records.of(records).slots())

    return insert_and_mark
