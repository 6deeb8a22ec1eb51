"""Copies the rows of the tables before slots, compares what was copied with what is there, and says so in a table.

It can be broken off at any time and run again: days whose counts are equal are not copied again. Sinks of the release
before go on writing while most is copied; then their tables are closed, and they wait as for a server that is busy.
"""

import logging
from datetime import date
from typing import Final

from msgspec.structs import replace

from schemas.config.settings import ClickHouseSettings
from schemas.errors import SetupError
from sinks.clickhouse import ClickHouse
from sinks.moving.moved_columns import (
    MOVED,
    DayCounts,
    Moved,
    copied,
    counted_after,
    counted_before,
    differing,
    in_chunks,
)

log: Final = logging.getLogger(__name__)
MOVED_TABLE: Final = "rows_moved"
_CHUNK_ROWS: Final = 1_000_000
_STATEMENT_S: Final = 3600.0


async def move_rows(ddl: ClickHouse, writer: ClickHouse, settings: ClickHouseSettings) -> None:
    """Moves all rows, and writes a row for each table that is done. Raises `SetupError` when a row would be lost.

    `ddl` closes tables and drops partitions, `writer` reads and inserts.
    """
    rows = await writer.query(
        "SELECT name, total_rows FROM system.tables WHERE database = {database:String}", {"database": settings.database}
    )
    there = {str(name).removesuffix("_local") for name, _ in rows}
    done = {str(name) for (name,) in await writer.query(f"SELECT name FROM {settings.database}.{MOVED_TABLE}")}  # noqa: S608 - a checked name
    for moved in MOVED:
        if moved.table.name in done:
            continue
        count = await _move(ddl, writer, moved, settings) if moved.old in there else 0
        await writer.insert_rows(f"{settings.database}.{MOVED_TABLE}", ("name", "rows"), [(moved.table.name, count)])


async def _move(ddl: ClickHouse, writer: ClickHouse, moved: Moved, settings: ClickHouseSettings) -> int:
    """Moves the rows of one table; returns their number."""
    before = await _counts(writer, counted_before(moved, settings.database))
    if before:
        await _copy(ddl, writer, moved, settings, before)
    await _close(ddl, moved, settings)
    before = await _counts(writer, counted_before(moved, settings.database))
    after = await _copy(ddl, writer, moved, settings, before) if before else {}
    wrong = differing(before, after)
    if wrong:
        raise SetupError(
            f"{moved.table.name} has other rows than {moved.old} on {len(wrong)} days, the first is {wrong[0]}",
            code="migration",
            advice="Nothing is lost: the rows are still where they were. Run `callweave migrate` again.",
        )
    return sum(count for count, _ in before.values())


async def _copy(
    ddl: ClickHouse, writer: ClickHouse, moved: Moved, settings: ClickHouseSettings, before: DayCounts
) -> DayCounts:
    """Copies the days that are not yet equal; returns what is there then."""
    after = await _counts(writer, counted_after(moved, settings.database))
    days = differing(before, after)
    for chunk in in_chunks(days, before, _CHUNK_ROWS):
        for day in chunk:
            if day in after:
                await ddl.command(f"ALTER TABLE {_stored(moved.table.name, settings)} DROP PARTITION {day:%Y%m%d}")
        await writer.command(copied(moved, settings.database, chunk))
        log.info("%s: rows of %s to %s are copied", moved.table.name, chunk[0], chunk[-1])
    return await _counts(writer, counted_after(moved, settings.database)) if days else after


async def _close(ddl: ClickHouse, moved: Moved, settings: ClickHouseSettings) -> None:
    """Lets the old table take no more rows: sinks of the release before then wait, as they do for a busy server."""
    await ddl.command(f"ALTER TABLE {_stored(moved.old, settings)} MODIFY SETTING max_parts_in_total = 0")


def _stored(table: str, settings: ClickHouseSettings) -> str:
    """Returns the table that stores rows, with the cluster behind its name."""
    local = "_local" if settings.sharded else ""
    return f"{settings.database}.{table}{local}" + (f" ON CLUSTER {settings.cluster}" if settings.cluster else "")


async def _counts(client: ClickHouse, sql: str) -> DayCounts:
    found: DayCounts = {}
    for day, count, check in await client.query(sql):
        assert isinstance(day, date)
        found[day] = (int(count), int(check))
    return found


def patient(settings: ClickHouseSettings) -> ClickHouseSettings:
    """Returns the settings with time for statements that copy a million rows."""
    return replace(settings, insert_timeout_s=max(settings.insert_timeout_s, _STATEMENT_S))
