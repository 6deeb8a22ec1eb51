"""The statements that read rows of the tables before slots as rows of the tables with slots. Pure.

Rows are read with FINAL: a version that a later one replaced is shown by no view, and stays behind.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from sinks.columns import Table
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, TIMELINES

_PARTS: Final = "splitByChar('|', call_key)"
_PLAIN: Final = f"call_key = concat(vendor, '|', {_PARTS}[2], '|', vendor_call_id)"
_KEY: Final = {"key_account": f"if({_PLAIN}, {_PARTS}[2], '')", "key_other": f"if({_PLAIN}, '', call_key)"}
_PARTY: Final = "multiIf(isNull(number), '', number = from_number, 'from', number = to_number, 'to', '')"
_PARTIES: Final = f"arrayMap(number -> {_PARTY}, `legs.number`)"


def _own(column: str, none: str) -> str:
    return f"arrayMap((own, number) -> if({_PARTY} = '', own, {none}), `{column}`, `legs.number`)"


def _us(name: str) -> str:
    base = f"ifNull({name}_at, toDateTime64(slot_at, 6, 'UTC'))"
    return f"arrayMap(at -> toUnixTimestamp64Micro(at) - toUnixTimestamp64Micro({base}), `legs.{name}_at`)"


_LEGS: Final = {
    "legs.party": _PARTIES,
    "legs.own_number": _own("legs.number", "NULL"),
    "legs.own_token": _own("legs.number_token", "''"),
    "legs.own_masked": _own("legs.number_masked", "''"),
    **{f"legs.{name}_us": _us(name) for name in ("setup", "alerting", "answer", "end")},
}
_STARTED: Final = (
    "coalesce(started_at, setup_at, alerting_at, answer_at, end_at, toDateTime64(first_received_at, 6, 'UTC'))"
)


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A table of before, the one that takes its rows, and what is stored in another way."""

    old: str
    table: Table[Any]
    identity: str
    """Column of the old table that names a row."""
    received: str
    instants: tuple[str, ...] = ()
    """Columns with an instant, or with one of each leg, of which the earliest plausible one gives the slot."""
    other: Mapping[str, str] = {}
    """Column of the new table to the expression of the old one's columns."""

    @property
    def slot(self) -> str:
        """The expression of a row's slot; an implausible instant gives none, as in `schemas.slot_hours`."""
        listed = ", ".join(f"`{name}`" if name.startswith("legs.") else f"[{name}]" for name in self.instants)
        plausible = (
            f"at BETWEEN toDateTime64({self.received}, 6, 'UTC') - INTERVAL 400 DAY "
            f"AND toDateTime64({self.received}, 6, 'UTC') + INTERVAL 1 DAY"
        )
        known = f"arrayFilter(at -> ifNull({plausible}, false), arrayConcat({listed}))"
        first = f"arrayMin(arrayPushBack({known}, if(empty({known}), toDateTime64({self.received}, 6, 'UTC'), NULL)))"
        return f"toStartOfHour(toDateTime(assumeNotNull({first}), 'UTC'))"


_MILESTONES: Final = ("setup_at", "alerting_at", "answer_at", "end_at")
MOVED: Final = (
    Moved(
        old="cdr_versions", table=CDR, identity="record_id", received="received_at",
        instants=(*_MILESTONES, "bound_at", *(f"legs.{name}" for name in _MILESTONES)), other={**_KEY, **_LEGS},
    ),
    Moved(
        old="call_events_versions", table=CALL_EVENTS, identity="record_id", received="received_at",
        instants=("event_at",), other=_KEY,
    ),
    Moved(
        old="timelines_versions", table=TIMELINES, identity="timeline_id", received="first_received_at",
        instants=("started_at", *_MILESTONES),
        other={
            **_KEY, **_LEGS, "started_at": _STARTED, "key_suffix": "substring(timeline_id, length(call_key) + 1)",
        },
    ),
    Moved(
        old="bindings_versions", table=BINDINGS, identity="record_id", received="received_at", instants=("bound_at",),
    ),
)  # fmt: skip

DayCounts = dict[date, tuple[int, int]]
"""The number of rows of each day of slots, and a sum over what identifies each and its version."""


def counted_before(moved: Moved, database: str) -> str:
    """Returns the query of the old table's rows by day."""
    return _counted(moved.slot, f"toString({moved.identity})", f"{database}.{moved.old}")


def counted_after(moved: Moved, database: str) -> str:
    """Returns the query of the new table's rows by day."""
    return _counted("slot_at", f"toString({moved.identity})", f"{database}.{moved.table.name}")


def _counted(slot: str, identity: str, table: str) -> str:
    return (
        f"SELECT toDate({slot}) AS day, count(), sum(cityHash64({identity}, version)) FROM {table} FINAL "  # noqa: S608 - our own names
        "GROUP BY day ORDER BY day"
    )


def copied(moved: Moved, database: str, days: Sequence[date]) -> str:
    """Returns the statement that copies the rows of some days."""
    columns = [*(column.name for column in moved.table.columns), "ingested_at"]
    names = ", ".join(f"`{name}`" for name in columns)
    values = ", ".join(moved.other.get(name, f"`{name}`") for name in columns)
    listed = ", ".join(f"'{day:%Y-%m-%d}'" for day in days)
    return (
        f"INSERT INTO {database}.{moved.table.name} ({names}) SELECT {values} FROM "  # noqa: S608 - our own names
        f"(SELECT *, {moved.slot} AS slot_at FROM {database}.{moved.old} FINAL) WHERE toDate(slot_at) IN ({listed}) "
        "SETTINGS max_partitions_per_insert_block = 0, max_insert_threads = 1, min_insert_block_size_rows = 250000, "
        "min_insert_block_size_bytes = '128M'"
    )


def differing(before: DayCounts, after: DayCounts) -> list[date]:
    """Returns the days whose rows are not those of before."""
    return sorted(day for day in before.keys() | after.keys() if before.get(day) != after.get(day))


def in_chunks(days: Iterable[date], before: DayCounts, most_rows: int) -> list[list[date]]:
    """Returns the days in groups of so many rows that one statement copies them."""
    groups: list[list[date]] = []
    rows = most_rows
    for day in days:
        count = before.get(day, (0, 0))[0]
        if rows + count > most_rows:
            groups.append([])
            rows = 0
        groups[-1].append(day)
        rows += count
    return groups
