"""The statements that compute figures of calls and keep them in `kpi_calls`. Pure.

Five minutes are computed from calls, an hour from its five minutes, a day from its hours. Each statement reads what it
computes from and what is stored, and writes only the rows that differ, with a version of one more than the stored one:
two of them must not run at the same time. The figures of a group whose calls have gone become zero.

The statement of hours also makes the hours of local time that are none of UTC, that of days the local days: so a call
is at any time in one row of each grain, whatever zone that row was computed for.
"""

import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final, Literal

from sinks.retention import KPI_TABLE
from sinks.rollups.figures import COLUMNS, CONDITIONS, FIGURES, REVISION
from sinks.rollups.zones import LOCAL, UTC_ALONE, Zones
from sinks.rows import TIMELINES

Grain = Literal["5m", "hour", "day"]
Source = Literal["calls", "rows"]
"""The rows that five minutes are computed from: calls, or, where these have expired, the rows of five minutes."""
KEY: Final = ("start_at", "slot_at", "vendor", "account", "account_id", "direction")
"""Columns that name a group, beside its grain."""
_GROUP: Final = KEY[2:]
_FIVE_MINUTES: Final = "toDateTime(toStartOfFiveMinutes(toDateTime(c.started_at, 'UTC')), 'UTC')"
_HOUR: Final = timedelta(hours=1)
_PLACES: Final = {
    part: (place, number)
    for place, figure in enumerate(FIGURES, 1)
    for number, part in enumerate(figure.parts or (figure.name,), 1 if figure.parts else 0)
}
"""The place of a column in the tuple of all figures, and in that of those computed together with it, from 1 on or 0."""
_BESIDE: Final = (*LOCAL, "revision")
"""Columns beside the key and the figures."""


def _figure(table: str, name: str) -> str:
    place, number = _PLACES[name]
    found = f"tupleElement({table}.figures, {place})"
    return f"tupleElement({found}, {number})" if number else found


# One tuple of all figures goes through the levels of a query: planning takes time for each column of each level.
_OF_CALLS: Final = f"tuple({', '.join(figure.of_calls for figure in FIGURES)}) AS figures"
_OF_STORED: Final = "tuple({}) AS figures".format(
    ", ".join(
        f"tuple({', '.join(f'`{part}`' for part in figure.parts)})" if figure.parts else figure.name
        for figure in FIGURES
    )
)
_FOUND: Final = ", ".join(_figure("found", name) for name in COLUMNS)
_OF_ROWS: Final = re.sub(
    r"g\.`?([\w.]+)`?",
    lambda name: _figure("g", name[1]),
    f"tuple({', '.join(figure.of_rows for figure in FIGURES)}) AS figures",
)


def computing(
    database: str, grain: Grain, slots: Collection[datetime], zones: Zones = UTC_ALONE, source: Source = "calls"
) -> str:
    """Returns the statement that computes the rows of these slots; the slots of days are days."""
    listed = _listed(slots)
    if grain == "5m":
        found = _five_minutes(
            _of_calls(database, listed) if source == "calls" else _stored_rows(database, listed), zones
        )
    else:
        found = _hours(database, listed, zones) if grain == "hour" else _days(database, slots, zones)
    key, beside, columns = ", ".join(("grain", *KEY)), ", ".join(_BESIDE), ", ".join(f"`{name}`" for name in COLUMNS)
    return (
        f"INSERT INTO {database}.{KPI_TABLE} ({key}, {beside}, {columns}, version)\n"  # noqa: S608 - our own names, instants and checked names of zones
        f"WITH found AS ({found}),\n"
        f"stored AS (SELECT {key}, {beside}, {_OF_STORED}, version FROM {database}.{KPI_TABLE} FINAL"
        f" WHERE grain IN ('{grain}', 'local_{grain}') AND slot_at IN ({listed}))\n"
        f"SELECT {key}, {_of('found', _BESIDE)}, {_FOUND}, stored.version + 1\n"
        f"FROM found FULL OUTER JOIN stored USING ({key})\n"
        f"WHERE {_digest('found')} != {_digest('stored')}\n"
        # Starts may be in any number of months, which a sender decides.
        f"SETTINGS join_use_nulls = 0, max_partitions_per_insert_block = 0, do_not_merge_across_partitions_select_final = 1"
    )


def elsewhere(database: str, zones: Zones, oldest: datetime) -> str:
    """Returns the query of slots, of `oldest` or later, with figures of another zone or revision than now."""
    return (
        f"SELECT DISTINCT slot_at FROM {database}.{KPI_TABLE} AS g FINAL "  # noqa: S608 - as above
        f"WHERE g.grain = 'hour' AND g.calls > 0 AND g.slot_at >= toDateTime({max(0, int(oldest.timestamp()))}, 'UTC') "
        f"AND (g.revision != {REVISION} OR g.time_zone != {zones.zone('g.vendor', 'g.account')})"
    )


def _of_calls(database: str, listed: str) -> str:
    conditions = ", ".join(f"{condition} AS {name}" for name, condition in CONDITIONS.items())
    # From the table: the view has columns that no figure needs, and takes as long to plan as all figures.
    return (
        f"WITH {conditions} "  # noqa: S608 - our own names and instants
        f"SELECT {_FIVE_MINUTES} AS start_at, c.slot_at AS slot_at, c.vendor AS vendor, "
        f"c.account AS account, c.account_id AS account_id, c.direction AS direction, {_OF_CALLS} "
        f"FROM {database}.{TIMELINES.name} AS c FINAL WHERE c.slot_at IN ({listed}) AND c.call_type = 'call' "
        f"GROUP BY {', '.join(KEY)}"
    )


def _stored_rows(database: str, listed: str) -> str:
    return (
        f"SELECT {', '.join((*KEY, _OF_STORED))} FROM {database}.{KPI_TABLE} FINAL "  # noqa: S608 - our own names and instants
        f"WHERE grain = '5m' AND slot_at IN ({listed}) AND calls > 0"
    )


def _five_minutes(rows: str, zones: Zones) -> str:
    """Returns the query of rows of five minutes with their local time: an interval of UTC is one of every zone."""
    made = _with(
        f"({rows})",
        {"time_zone": zones.zone("g.vendor", "g.account")},
        {"utc_offset_s": f"toInt32({zones.offset('g.time_zone', 'g.start_at')})"},
    )
    return (
        f"SELECT '5m' AS grain, g.*, g.start_at + g.utc_offset_s AS local_start_at, "  # noqa: S608 - as above
        f"toUInt32(300) AS length_s, true AS is_local, {REVISION} AS revision FROM {made} AS g"
    )


def _hours(database: str, listed: str, zones: Zones) -> str:
    """Returns the query of hours, and of those of local time that are none of UTC.

    An hour is one of both when the offset is of whole hours from its beginning to its end. One that is not begins in
    the middle of UTC's, and has the five minutes of its wall clock's hour that have the same offset.
    """
    rows = _with(
        _stored(database, f"grain = '5m' AND slot_at IN ({listed})"),
        {"zone": zones.zone("g.vendor", "g.account"), "hour": "toStartOfHour(g.start_at)"},
        {
            "hour_offset": zones.offset("g.zone", "g.hour"),
            "last_offset": zones.offset("g.zone", f"g.hour + {3600 - 300}"),
            "own_offset": zones.offset("g.zone", "g.start_at"),
        },
        {
            "whole": "g.hour_offset % 3600 = 0 AND g.hour_offset = g.last_offset",
            "wall_hour": "toStartOfHour(g.start_at + g.own_offset)",
        },
        {"offsets": f"if(g.whole, [], {zones.offsets_in_hour('g.zone', '(g.wall_hour - g.own_offset)')})"},
    )
    of_utc = _interval("'hour'", "g.hour", "g.hour_offset", "g.hour + g.hour_offset", "3600", "g.whole")
    local = _interval(
        "'local_hour'",
        "g.wall_hour - g.own_offset + 300 * (indexOf(g.offsets, g.own_offset) - 1)",
        "g.own_offset",
        "g.wall_hour",
        "300 * countEqual(g.offsets, g.own_offset)",
        "true",
    )
    return _of_rows(rows, f"if(g.whole, [{of_utc}], [{of_utc}, {local}])", "g.slot_at")


def _days(database: str, days: Collection[datetime], zones: Zones) -> str:
    """Returns the query of days, and of those of local time that are none of UTC, from the hours of each kind."""
    listed = _listed([day + hour * _HOUR for day in days for hour in range(24)])
    rows = _with(
        _stored(database, f"grain IN ('hour', 'local_hour') AND slot_at IN ({listed})"),
        {"zone": zones.zone("g.vendor", "g.account"), "day": "toStartOfDay(g.start_at, 'UTC')"},
        {
            "day_offset": zones.offset("g.zone", "g.day"),
            "last_offset": zones.offset("g.zone", f"g.day + {86_400 - 300}"),
            "own_offset": zones.offset("g.zone", "g.start_at"),
            "local_day": zones.day("g.zone", "g.start_at"),
        },
        {
            "whole": "g.day_offset = 0 AND g.last_offset = 0",
            "local_date": "toDate(g.start_at + g.own_offset)",
            "local_offset": zones.offset("g.zone", "g.local_day"),
        },
        {"local_length": zones.day_length("g.zone", "g.local_day", "g.local_date")},
    )
    of_utc = _interval("'day'", "g.day", "g.day_offset", "g.day + g.day_offset", "86400", "g.whole")
    local = _interval(
        "'local_day'", "g.local_day", "g.local_offset", "toDateTime(g.local_date, 'UTC')", "g.local_length", "true"
    )
    intervals = f"arrayConcat(if(g.grain = 'hour', [{of_utc}], []), if(g.is_local AND NOT g.whole, [{local}], []))"
    return _of_rows(rows, intervals, "toStartOfDay(g.slot_at, 'UTC')")


def _interval(grain: str, start: str, offset: str, local: str, length: str, is_local: str) -> str:
    """Returns the expression of an interval: its grain, start, offset, local start, length and whether it is local."""
    return (
        f"tuple({grain}, toDateTime({start}, 'UTC'), toInt32({offset}), toDateTime({local}, 'UTC'), "
        f"toUInt32({length}), toBool({is_local}))"
    )


def _stored(database: str, where: str) -> str:
    columns = ", ".join(("grain", *KEY, "is_local", _OF_STORED))
    return f"(SELECT {columns} FROM {database}.{KPI_TABLE} FINAL WHERE {where} AND calls > 0)"  # noqa: S608 - as above


def _with(rows: str, *steps: dict[str, str]) -> str:
    """Returns the query of rows with further columns; those of a step are made of those before it.

    Not by names within one query: each use of a name is a copy of its expression, with a branch for each zone.
    """
    for step in steps:
        made = ", ".join(f"{expression} AS {name}" for name, expression in step.items())
        rows = f"(SELECT g.*, {made} FROM {rows} AS g)"  # noqa: S608 - as above
    return rows


def _of_rows(rows: str, intervals: str, slot: str) -> str:
    """Returns the query of longer intervals from rows of shorter ones, of which each counts in one or two."""
    names = ("grain", "start_at", "utc_offset_s", "local_start_at", "length_s", "is_local")
    one = ", ".join(f"one.{number} AS {name}" for number, name in enumerate(names, 1))
    group = ", ".join(f"g.{name} AS {name}" for name in _GROUP)
    return (
        f"SELECT {one}, {slot} AS slot_at, {group}, g.zone AS time_zone, {_OF_ROWS}, {REVISION} AS revision "  # noqa: S608 - as above
        f"FROM {rows} AS g ARRAY JOIN {intervals} AS one "
        f"GROUP BY one, slot_at, {', '.join(f'g.{name}' for name in _GROUP)}, g.zone"
    )


def _of(table: str, names: Iterable[str]) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


def _digest(table: str) -> str:
    """Returns an expression of all figures of a row; those of a row that is not there are zero, NULL or empty."""
    return f"cityHash64(toString(tuple({table}.figures, {_of(table, _BESIDE)})))"


def _listed(slots: Collection[datetime]) -> str:
    return ", ".join(f"toDateTime({int(slot.timestamp())}, 'UTC')" for slot in sorted(slots))
