"""The statements that compute figures of calls and keep them in `kpi_calls`. Pure.

Five minutes are computed from calls, an hour from its five minutes, a day from its hours. Each statement reads what it
computes from and what is stored, and writes only the rows that differ, with a version of one more than the stored one:
two of them must not run at the same time. The figures of a group whose calls have gone become zero.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from sinks.retention import KPI_TABLE

Grain = Literal["5m", "hour", "day"]
KEY: Final = ("start_at", "slot_at", "vendor", "account", "account_id", "direction")
"""Columns that name a group, beside its grain."""


class Figure(msgspec.Struct, frozen=True):
    """A column of figures: how it is computed from calls, and from the rows of shorter intervals."""

    name: str
    of_calls: str
    of_rows: str


_CONDITIONS: Final = {
    "disputed": "has(c.quality_flags, 'conflict_final') AND NOT has(c.quality_flags, 'conflict_resolved')",
    "counted": "c.is_final AND NOT disputed",
    "open": "NOT c.is_final AND NOT disputed",
    "is_answered": "c.disposition = 'answered'",
    "rang": "c.alerting_at IS NOT NULL OR ifNull(c.ring_ms > 0, false)",
    "given_up": "c.disposition = 'cancelled' AND (c.hangup_party = 'a' OR c.hangup_reason IN ('caller_cancel', 'caller_hangup'))",
    "served": "c.disposition IN ('answered', 'busy', 'no_answer', 'rejected') OR (given_up AND rang)",
}
"""Conditions on a call that figures count, by name; each may use those before it."""


def _count(name: str, condition: str) -> Figure:
    return Figure(name, f"countIf({condition})", f"sum(g.{name})")


def _sum(name: str, amount: str, condition: str) -> Figure:
    return Figure(name, f"sumIf({amount}, {condition})", f"sum(g.{name})")


def _values(name: str) -> Figure:
    known = f"groupArrayIf(assumeNotNull(c.{name}), c.is_final AND c.{name} IS NOT NULL)"
    return Figure(name, f"arraySort({known})", f"arraySort(groupArrayArray(g.{name}))")


_TALK: Final = "ifNull(c.talk_ms, 0)"
_KNOWN_TALK: Final = "counted AND is_answered AND c.talk_ms IS NOT NULL"
FIGURES: Final = (
    Figure("calls", "count()", "sum(g.calls)"),
    _count("attempts", "c.is_final"),
    _count("answered", "c.is_final AND is_answered"),
    _count("network_effective", "c.is_final AND served"),
    _count("provisional", "NOT c.is_final"),
    _count("in_conflict", "disputed"),
    _sum("talk_total_ms", _TALK, "counted AND is_answered"),
    _count("answered_without_talk", "counted AND is_answered AND c.talk_ms IS NULL"),
    _count("answered_with_talk", _KNOWN_TALK),
    _sum("talk_in_conflict_ms", _TALK, "disputed AND is_answered"),
    _count("short_calls", f"{_KNOWN_TALK} AND c.talk_ms < 6000"),
    _values("pdd_ms"),
    _values("ring_ms"),
    _sum("billed_s", "c.billable_s", "counted"),
    _sum("billable_in_conflict_s", "c.billable_s", "disputed"),
    _sum("billable_provisional_s", "c.billable_s", "open"),
    Figure(
        "currencies",
        "arraySort(groupUniqArrayIf(toString(c.currency), c.cost IS NOT NULL))",
        "arraySort(groupUniqArrayArray(g.currencies))",
    ),
    _sum("cost", "c.cost", "counted"),
    _sum("cost_in_conflict", "c.cost", "disputed"),
    _sum("cost_provisional", "c.cost", "open"),
)
"""Every column of figures of `kpi_calls`, in its order."""
_START: Final = {"5m": "toStartOfFiveMinutes", "hour": "toStartOfHour", "day": "toStartOfDay"}
_HOUR: Final = timedelta(hours=1)
_BELOW: Final[dict[Grain, Grain]] = {"hour": "5m", "day": "hour"}


def computing(database: str, grain: Grain, slots: Collection[datetime]) -> str:
    """Returns the statement that computes the rows of these slots; the slots of days are days."""
    listed = _listed(slots)
    source = _of_calls(database, listed) if grain == "5m" else _of_rows(database, grain, slots)
    names = [figure.name for figure in FIGURES]
    key, columns = ", ".join(KEY), ", ".join(names)
    return (
        f"INSERT INTO {database}.{KPI_TABLE} (grain, {key}, {columns}, version)\n"  # noqa: S608 - our own names and instants
        f"WITH found AS ({source}),\n"
        f"stored AS (SELECT {key}, {columns}, version FROM {database}.{KPI_TABLE} FINAL"
        f" WHERE grain = '{grain}' AND slot_at IN ({listed}))\n"
        f"SELECT '{grain}', {key}, {_of('found', names)}, stored.version + 1\n"
        f"FROM found FULL OUTER JOIN stored USING ({key})\n"
        f"WHERE {_digest('found', names)} != {_digest('stored', names)}\n"
        # Starts may be in any number of months, which a sender decides.
        f"SETTINGS join_use_nulls = 0, max_partitions_per_insert_block = 0"
    )


def _of_calls(database: str, listed: str) -> str:
    figures = ", ".join(f"{figure.of_calls} AS {figure.name}" for figure in FIGURES)
    conditions = ", ".join(f"{condition} AS {name}" for name, condition in _CONDITIONS.items())
    return (
        f"WITH {conditions} "  # noqa: S608 - our own names and instants
        f"SELECT {_start('5m', 'c.started_at')} AS start_at, c.slot_at AS slot_at, c.vendor AS vendor, "
        f"c.account AS account, c.account_id AS account_id, c.direction AS direction, {figures} "
        f"FROM {database}.v_timelines AS c WHERE c.slot_at IN ({listed}) AND c.call_type = 'call' "
        f"GROUP BY {', '.join(KEY)}"
    )


def _of_rows(database: str, grain: Grain, slots: Collection[datetime]) -> str:
    figures = ", ".join(f"{figure.of_rows} AS {figure.name}" for figure in FIGURES)
    day = grain == "day"
    slot = "toStartOfDay(g.slot_at, 'UTC')" if day else "g.slot_at"
    read = [slot + hour * _HOUR for slot in slots for hour in range(24)] if day else slots
    return (
        f"SELECT {_start(grain, 'g.start_at')} AS start_at, {slot} AS slot_at, g.vendor AS vendor, "  # noqa: S608 - our own names and instants
        f"g.account AS account, g.account_id AS account_id, g.direction AS direction, {figures} "
        f"FROM {database}.{KPI_TABLE} AS g FINAL "
        f"WHERE g.grain = '{_BELOW[grain]}' AND g.slot_at IN ({_listed(read)}) AND g.calls > 0 "
        f"GROUP BY {', '.join(KEY)}"
    )


def _start(grain: Grain, instant: str) -> str:
    return f"toDateTime({_START[grain]}(toDateTime({instant}, 'UTC')), 'UTC')"


def _of(table: str, names: Iterable[str]) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


def _digest(table: str, names: Sequence[str]) -> str:
    """Returns an expression of all figures of a row; those of a row that is not there are zero, NULL or empty."""
    return f"cityHash64(toString(tuple({_of(table, names)})))"


def _listed(slots: Collection[datetime]) -> str:
    return ", ".join(f"toDateTime({int(slot.timestamp())}, 'UTC')" for slot in sorted(slots))
