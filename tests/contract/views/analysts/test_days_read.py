"""Views on what vendors deliver read the records of the days that are asked for, and few others."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from sinks.clickhouse import ClickHouse
from tests.contract.views.conftest import unmigrated_settings
from tests.contract.views.slots.test_rows_read import GRANULE, read
from tests.support.processes.made_tables import make_in

DAYS: Final = 15
A_DAY: Final = 2_000
ONE_DAY: Final = "day = '2026-06-11'"


@pytest.fixture(scope="module")
async def filled(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    """Yields a database with records and state events of some days; each came ten seconds after the end of its call."""
    settings = unmigrated_settings(clickhouse_url)
    async with ClickHouse(settings.clickhouse) as db:
        await make_in(db, settings)
        for table, instant in (("cdr_by_slot", "end_at"), ("call_events_by_slot", "event_at")):
            await db.command(
                f"INSERT INTO {db.database}.{table} (slot_at, record_id, vendor, vendor_call_id, {instant}, received_at, quality_flags, extras) "
                f"SELECT toStartOfHour(toDateTime(at, 'UTC')), generateUUIDv4(number), 'ytx', toString(number), at, at + INTERVAL 10 SECOND, "
                "['unknown_enum'], map('code', 'x') FROM "
                f"(SELECT number, toDateTime64('2026-06-01 00:00:00', 6, 'UTC') + toIntervalMillisecond(number * {86_400_000 // A_DAY}) AS at "
                f"FROM numbers({DAYS * A_DAY}))"
            )
        yield db
        await db.command(f"DROP DATABASE {db.database}")


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        pytest.param(f"SELECT sum(records + events) FROM v_vendor_quality WHERE {ONE_DAY}", 2 * A_DAY, id="quality"),
        pytest.param(f"SELECT sum(items) FROM v_vendor_flags WHERE {ONE_DAY}", 2 * A_DAY, id="flags"),
        pytest.param(
            f"SELECT sum(items) FROM v_unknown_values WHERE {ONE_DAY} AND field = 'code'",
            2 * A_DAY,
            id="unknown values",
        ),
        pytest.param("SELECT count() FROM v_silent_vendors", 0, id="silence, which looks at the last 30 days"),
    ],
)
async def test_a_day_reads_the_rows_of_its_day(filled: ClickHouse, clickhouse_url: str, sql: str, wanted: int) -> None:
    rows, found = await read(clickhouse_url, filled, sql)
    assert int(found) == wanted
    assert rows <= 1.2 * wanted + 4 * GRANULE
