"""Finds the slots of rows that may be stored already in another slot than the one that they name.

The slot begins the sorting key, so a version of a row in another slot would be a second row. The joiner says which
calls may have been known before (`slot_certain`); rows of before the tables had slots were placed by the migration, by
other means. Those are looked for: first where they most likely are, then everywhere. All others go straight on.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from schemas.errors import SetupError, Unavailable
from schemas.facts import EPOCH, Fact
from schemas.timeline import Timeline
from sinks.columns import Table
from sinks.flush.insert import Insert
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, TIMELINES
from sinks.slots import slot_of
from sinks.writing.records import Records

Query = Callable[[str, Mapping[str, Any]], Awaitable[list[tuple[Any, ...]]]]
_MOVED: Final = "SELECT uniqExact(name), maxIf(moved_at, rows > 0) FROM {database}.rows_moved"
_CLOCKS_DIFFER: Final = timedelta(minutes=10)
"""The most by which the clock of ClickHouse may be behind the one that stamps receipts."""
_TABLES: Final = (CDR, CALL_EVENTS, TIMELINES, BINDINGS)
_DIGITS: Final = 32
"""Those of a UUID."""
_DAY: Final = timedelta(days=1)
_FEW: Final = 100
"""Up to so many rows the indexes are asked where they are; for more it is faster to read one column of all rows."""
_AT_ONCE: Final = 2_000
"""Rows of one statement: a server takes a value of 128 KiB."""
_REMEMBERED: Final = 200_000
"""Rows whose slots are kept in memory; each took part in a look-up."""


class Places:
    """The slots of rows that were looked up or written without being certain."""

    def __init__(self, query: Query, database: str) -> None:
        """Keeps the query, and begins with no slot known."""
        self._ask = query
        self._database = database
        self._moved_until: datetime | None = None
        self._known: dict[tuple[str, Any], datetime] = {}

    async def placed(self, table: Table[Any], records: Sequence[Any]) -> Sequence[Any]:
        """Returns the records with the slots of the rows that are stored. Raises `Unavailable`."""
        moved_until = self._moved_until or await self._require_moved()
        rows = Records.of(records)
        rows = rows.as_objects(_unsure_columns(rows, moved_until))
        unsure = [record for record in rows.objects.values() if _is_unsure(record, moved_until)]
        if not unsure:
            return records
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        named = {identity_of(record): record for record in unsure}
        new = {name: record for name, record in named.items() if (table.name, name) not in self._known}
        if new:
            found = await self._look_up(table, new)
            self._known |= {(table.name, name): slot for name, slot in found.items()}
        rows = rows.as_objects(_columns_of(rows, unsure))
        placed: dict[int, Any] = {}
        for number, record in rows.objects.items():
            name = identity_of(record)
            if name in named:
                # The first of a row that is nowhere yet gives the slot, also where it is certain of its own.
                slot = self._known.setdefault((table.name, name), slot_of(record))
                if _is_unsure(record, moved_until) and record.slot_at != slot:
                    placed[number] = msgspec.structs.replace(record, slot_at=slot)
        return rows.changed(placed)

    async def _require_moved(self) -> datetime:
        """Returns until when rows were placed by the migration. Raises `Unavailable` until it has moved all rows."""
        ((tables, moved_at),) = await self._query(_MOVED.format(database=self._database), {})
        if tables < len(_TABLES):
            raise Unavailable("rows are still to be moved: run `callweave migrate`", code="migration")
        self._moved_until = moved_at + _CLOCKS_DIFFER if moved_at > EPOCH else EPOCH
        return self._moved_until

    async def _query(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Asks ClickHouse; a table or a right that is missing is waited for, as at an insert."""
        try:
            return await self._ask(sql, values)
        except SetupError as exc:
            raise Unavailable(str(exc), code=exc.code) from exc

    async def _look_up(self, table: Table[Any], records: Mapping[Any, Any]) -> dict[Any, datetime]:
        days = sorted({day for record in records.values() for day in days_around(slot_of(record))})
        found = await self._find(table, records, " AND toDate(slot_at) IN {days:Array(Date)}", {"days": days})
        rest = {name: record for name, record in records.items() if name not in found}
        if not rest:
            return found
        # Identities alone, and never the words of a sender: those may be too long for any statement.
        settings = " SETTINGS use_skip_indexes = 0" if len(rest) > _FEW else ""
        return found | await self._find(table, rest, "", {}, settings)

    async def _find(
        self, table: Table[Any], records: Iterable[Any], more: str, values: Mapping[str, Any], settings: str = ""
    ) -> dict[Any, datetime]:
        column, kind = ("row_hash", "UInt64") if table is TIMELINES else ("record_id", "UUID")
        found: dict[Any, datetime] = {}
        names = [*records]
        for first in range(0, len(names), _AT_ONCE):
            rows = await self._query(
                f"SELECT {column}, min(slot_at) FROM {self._database}.{table.name} "  # noqa: S608 - our own names
                f"WHERE {column} IN {{names:Array({kind})}}{more} GROUP BY {column}{settings}",
                {"names": names[first : first + _AT_ONCE], **values},
            )
            found |= dict(rows)
        return found


def _is_unsure(record: Any, moved_until: datetime) -> bool:
    """True for a row that may be stored already in another slot."""
    if type(record) is Fact:
        received_at = record.received_at
    elif type(record) is Timeline:
        received_at = record.first_received_at
    else:  # dead letters, and entries of the ledger, have no slots
        return False
    if record.slot_certain and record.slot_at is not None and received_at >= moved_until:
        return False
    return identity_of(record) is not None


def _unsure_columns(rows: Records, moved_until: datetime) -> Sequence[int]:
    """Returns the numbers of the columns' records that are unsure, or of which that takes an object to say."""
    numbers, scanned = rows.columns
    if scanned is None:
        return ()
    receipts = scanned.longs("first_received_at" if scanned.has("first_received_at") else "received_at").values
    until_us = (moved_until - EPOCH) // timedelta(microseconds=1)
    unsure = (scanned.longs("slot_certain").values == 0) | (receipts < until_us)
    return numbers[unsure].tolist()  # type: ignore[no-any-return]  # numbers


def _columns_of(rows: Records, unsure: Iterable[Any]) -> Sequence[int]:
    """Returns the numbers of the columns' records that may be of the same rows as some others."""
    numbers, scanned = rows.columns
    if scanned is None:
        return ()
    if scanned.has("timeline_id"):
        named = {record.timeline_id.encode() for record in unsure}
        same = [call in named for call in scanned.values("timeline_id")]
    else:
        named = {UUID(record.fact_id).hex.encode() for record in unsure}
        ids = [fact.replace(b"-", b"").lower() for fact in scanned.values("fact_id")]
        same = [fact in named or len(fact) != _DIGITS for fact in ids]
    return numbers[same].tolist()  # type: ignore[no-any-return]  # numbers


def identity_of(record: Any) -> Any:
    """Returns what identifies a row within its table; None for a fact whose id is none, which the insert refuses."""
    if isinstance(record, Timeline):
        return row_hash(record.timeline_id)
    try:
        return UUID(record.fact_id)
    except ValueError:
        return None


def row_hash(timeline_id: str) -> int:
    """Returns what the table computes for a call: eight bytes of SHA-256, so that nobody can make an equal one."""
    return int.from_bytes(hashlib.sha256(timeline_id.encode()).digest()[:8], "little")


def days_around(slot: datetime) -> tuple[date, ...]:
    """Returns the day of a slot, the one before and the one after it."""
    return tuple((slot + each * _DAY).date() for each in (-1, 0, 1))


def placing(insert: Insert, places: Places) -> Insert:
    """Returns an insert that puts each row where its earlier versions are."""

    async def insert_placed(table: Table[Any], records: Sequence[Any]) -> None:
        await insert(table, await places.placed(table, records))

    return insert_placed
