"""The days for which ClickHouse keeps rows, and in them clear numbers, addresses and bodies, as TTLs. Pure.

All rows of a day expire at one instant, so that its part is dropped as it is and nothing is written anew. A row
outlives its expired columns, which are then empty. The days depend on the settings, so they are in no numbered
migration: `callweave migrate` compares what the tables have with what the settings say, and changes the difference.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from schemas.config.keep import KeepSettings
from schemas.config.privacy import PrivacySettings
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, DEAD_LETTERS, TABLES, TIMELINES
from sinks.writing.ledger import LEDGER

_LITERAL: Final = re.compile(r"'(?:[^'\\]|\\.)*'")
_ARRAY: Final = "Array("
_SIBLINGS: Final = {"legs": "legs.role", "contents": "contents.digest"}
"""The array of each group of arrays whose length the others must have, also when they are emptied."""


class Expiring(msgspec.Struct, frozen=True):
    """Columns of one table that expire together, counted from one clock of the row."""

    table: str
    clock: str
    settings: tuple[str, ...]
    """Settings with days; the shortest of those that are set counts."""
    columns: tuple[str, ...]


_NUMBERS: Final = ("clear_number_days",)
# The numbers as they were sent, and the fields without a column, must not outlive the clear numbers that they contain.
_AS_SENT: Final = ("clear_number_days", "address_days")
_ADDRESSES: Final = ("address_days",)
_BODIES: Final = ("body_days",)


def _expiring(table: str, clock: str, settings: tuple[str, ...], columns: str) -> Expiring:
    return Expiring(table, clock, settings, tuple(columns.split()))


_RECEIVED: Final = "received_at"
_LAST: Final = "last_received_at"
EXPIRING: Final = (
    _expiring(
        CDR.name, _RECEIVED, _NUMBERS,
        "from_number to_number display_number privacy_number legs.own_number contents.from_number contents.to_number",
    ),
    _expiring(CDR.name, _RECEIVED, _AS_SENT, "from_raw to_raw display_raw privacy_raw legs.number_raw extras"),
    _expiring(CDR.name, _RECEIVED, _ADDRESSES, "recording_url"),
    _expiring(CALL_EVENTS.name, _RECEIVED, _NUMBERS, "from_number to_number display_number leg_number"),
    _expiring(CALL_EVENTS.name, _RECEIVED, _AS_SENT, "leg from_raw to_raw display_raw extras"),
    _expiring(BINDINGS.name, _RECEIVED, _NUMBERS, "from_number to_number display_number privacy_number"),
    _expiring(BINDINGS.name, _RECEIVED, _AS_SENT, "from_raw to_raw display_raw privacy_raw extras"),
    _expiring(TIMELINES.name, _LAST, _NUMBERS, "from_number to_number display_number privacy_number legs.own_number"),
    _expiring(TIMELINES.name, _LAST, _AS_SENT, "legs.number_raw"),
    _expiring(TIMELINES.name, _LAST, _ADDRESSES, "recording_url"),
    _expiring(DEAD_LETTERS.name, "occurred_at", _BODIES, "original headers"),
)  # fmt: skip
"""Every column with clear numbers, numbers as sent, addresses, undocumented fields or bodies."""
ROW_CLOCKS: Final[Mapping[str, str]] = {table.name: "slot_at" for table in TABLES} | {
    DEAD_LETTERS.name: "occurred_at",
    LEDGER.name: "received_at",
}
"""The column of each table by which its rows age."""
_LABELS: Final[Mapping[str, str]] = {table.name: table.label for table in (*TABLES, LEDGER)}
_ROW_TTL: Final = r"\sTTL toStartOfDay\({clock}\) \+ toIntervalDay\({days}\)"
_FOR_EVER: Final = KeepSettings()
KPI_TABLE: Final = "kpi_calls"
_KPI_DAY: Final = "toStartOfDay(start_at) + toIntervalDay"
_KPI_GRAINS: Final = (("kpi_5m_days", " WHERE grain = '5m'"), ("kpi_days", ""))
"""Settings with the days of figures, and the rows that each is for."""
_TYPES: Final[Mapping[tuple[str, str], str]] = {
    (table.name, column.name): column.type for table in TABLES for column in table.columns
}


def days_found(create_query: str, expiring: Expiring) -> dict[str, int]:
    """Returns the days of each column that has a TTL of ours in a table's CREATE statement; another TTL is not ours."""
    text = _LITERAL.sub("''", create_query)
    found = {}
    for column in expiring.columns:
        ttl = rf" TTL toDateTime\({expiring.clock}\) \+ toIntervalDay\((\d+)\)"
        match = re.search(rf"`{re.escape(column)}` (?:(?!,\s+`)[\s\S])*?{ttl}", text)
        if match:
            found[column] = int(match[1])
    return found


def changes(
    create_queries: Mapping[str, str], privacy: PrivacySettings, keep: KeepSettings = _FOR_EVER
) -> dict[str, str]:
    """Returns for each table whose retention is not that of the settings the template of the statement that sets it.

    `create_queries` are the CREATE statements by the name of the table; a table that is not among them stays as it is.
    """
    wanted: dict[str, list[str]] = {}
    for expiring in EXPIRING:
        if expiring.table not in create_queries:
            continue
        days = _days(expiring.settings, privacy)
        found = days_found(create_queries[expiring.table], expiring)
        for column in expiring.columns:
            if days and found.get(column) != days:
                wanted.setdefault(expiring.table, []).append(_setting(expiring, column, days))
            elif not days and column in found:
                wanted.setdefault(expiring.table, []).append(f"MODIFY COLUMN `{column}` REMOVE TTL")
    for table in create_queries.keys() & ROW_CLOCKS.keys():
        days = _row_days(table, keep)
        if days != row_days_found(create_queries[table], table):
            # The last of the statement: everything behind it would belong to its expression.
            wanted.setdefault(table, []).append(f"MODIFY TTL {_row_ttl(table, days)}" if days else "REMOVE TTL")
    if KPI_TABLE in create_queries and (ttl := _kpi_ttl(keep)) != _kpi_ttl_found(create_queries[KPI_TABLE]):
        wanted[KPI_TABLE] = [f"MODIFY TTL {ttl}" if ttl else "REMOVE TTL"]
    return {table: _alter(table, parts) for table, parts in wanted.items()}


def _kpi_ttl(keep: KeepSettings) -> str:
    """Returns the expression of the age of figures, "" where they are kept for ever."""
    given = [(getattr(keep, setting), rows) for setting, rows in _KPI_GRAINS]
    return ", ".join(f"{_KPI_DAY}({days + 1}){rows}" for days, rows in given if days)


def _kpi_ttl_found(create_query: str) -> str:
    """Returns the expression that the table of figures has, "" without one of ours."""
    one = rf"{re.escape(_KPI_DAY)}\(\d+\)(?: WHERE grain = '5m')?"
    found = re.search(rf"\sTTL ({one}(?:, {one})*)", create_query.replace("DELETE ", ""))
    return found[1] if found else ""


def row_days_found(create_query: str, table: str) -> int:
    """Returns the days for which a table keeps its rows, by its CREATE statement; 0 without a TTL of ours."""
    ttl = re.search(_ROW_TTL.format(clock=ROW_CLOCKS[table], days=r"(\d+)"), _LITERAL.sub("''", create_query))
    return int(ttl[1]) - 1 if ttl else 0


def _row_days(table: str, keep: KeepSettings) -> int:
    return int(getattr(keep, f"{_LABELS[table]}_days"))


def _row_ttl(table: str, days: int) -> str:
    return f"toStartOfDay({ROW_CLOCKS[table]}) + toIntervalDay({days + 1})"


def _days(settings: tuple[str, ...], privacy: PrivacySettings) -> int:
    given = [getattr(privacy, name) for name in settings]
    return min((days for days in given if days), default=0)


def _setting(expiring: Expiring, column: str, days: int) -> str:
    kind = _TYPES[expiring.table, column]
    default = ""
    if kind.startswith(_ARRAY):
        sibling = _SIBLINGS[column.partition(".")[0]]
        default = f" DEFAULT arrayResize(CAST([], '{kind}'), length(`{sibling}`))"
    return f"MODIFY COLUMN `{column}`{default} TTL toDateTime({expiring.clock}) + toIntervalDay({days})"


def _alter(table: str, parts: Sequence[str]) -> str:
    return f"ALTER TABLE {{{{database}}}}.{table} {{{{on_cluster}}}}\n    " + ",\n    ".join(parts)
