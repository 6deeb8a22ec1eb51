"""The rows that queries read: those of the time or the call that they ask for, and few others.

Rows read are counted by the server, so no load of the machine changes them. `CALLWEAVE_TEST_SCALE` makes more calls:
with 7 there are a million.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from schemas.config.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrate
from tests.bench.support.made_calls import CALLS_AN_HOUR, START, make_calls
from tests.contract.views.conftest import unmigrated_settings
from tests.support.scale import SCALE

CALLS: Final = min(1_000_000, 150_000 * SCALE)
FIRST: Final = datetime.fromisoformat(START)
HOURS: Final = CALLS // CALLS_AN_HOUR
MIDDLE: Final = FIRST + timedelta(hours=HOURS // 2)
GRANULE: Final = 512


@pytest.fixture(scope="module")
async def filled(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    """A database with the calls, as an inserting sink leaves it and the engine merges it."""
    settings: Settings = unmigrated_settings(clickhouse_url)
    async with ClickHouse(settings.clickhouse) as db:
        await migrate(db, settings)
        await make_calls(db, CALLS, block=50_000)
        await db.command(f"OPTIMIZE TABLE {db.database}.timelines_by_slot FINAL")
        yield db
        await db.command(f"DROP DATABASE {db.database}")


async def read(url: str, db: ClickHouse, sql: str) -> tuple[int, Any]:
    """Returns the rows that the server read for a query, and the first value of its answer."""
    named = sql.replace("FROM ", f"FROM {db.database}.")
    params = {"wait_end_of_query": "1", "default_format": "JSONCompact"}
    async with aiohttp.ClientSession() as session, session.post(url, params=params, data=named) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        rows = msgspec.json.decode(body)["data"]
        return int(msgspec.json.decode(answer.headers["X-ClickHouse-Summary"])["read_rows"]), rows[0][0]


RANGES: Final = {
    "an hour": (MIDDLE, timedelta(hours=1)),
    "the last hour": (FIRST + timedelta(hours=HOURS - 1), timedelta(hours=1)),
    "from half past to half past": (MIDDLE + timedelta(minutes=30), timedelta(hours=2)),
    "half a day": (MIDDLE - timedelta(hours=6), timedelta(hours=12)),
}


@pytest.mark.parametrize("view", ["v_timelines", "masked_timelines", "timelines"])
@pytest.mark.parametrize("column", ["slot_at", "started_at", "setup_at"])
@pytest.mark.parametrize(("start", "length"), RANGES.values(), ids=RANGES)
async def test_a_time_range_reads_the_rows_of_its_slots(
    filled: ClickHouse, clickhouse_url: str, view: str, column: str, start: datetime, length: timedelta
) -> None:
    end = start + length
    rows, found = await read(
        clickhouse_url, filled,
        f"SELECT count() FROM {view} WHERE {column} >= '{start}' AND {column} < '{end}' AND account_id != ''",
    )  # fmt: skip
    slots = -(-(end - FIRST) // timedelta(hours=1)) - (start - FIRST) // timedelta(hours=1)
    assert int(found) > 0.4 * slots * CALLS_AN_HOUR
    assert rows <= 1.2 * slots * CALLS_AN_HOUR + GRANULE


async def test_a_lookup_reads_few_granules(filled: ClickHouse, clickhouse_url: str) -> None:
    """It may be by id, by number and by reference, and each part that there is counts."""
    ((call_id, number, ref),) = await filled.query(
        f"SELECT vendor_call_id, to_number, custom_ref FROM {filled.database}.timelines "
        f"WHERE custom_ref LIKE 'order-%' AND started_at >= '{MIDDLE}' ORDER BY started_at LIMIT 1"
    )
    ((parts,),) = await filled.query(
        f"SELECT count() FROM system.parts WHERE database = '{filled.database}' AND table = 'timelines_by_slot' AND active"
    )
    for condition in (f"vendor_call_id = '{call_id}'", f"to_number = '{number}'", f"custom_ref = '{ref}'"):
        rows, found = await read(clickhouse_url, filled, f"SELECT count() FROM v_timelines WHERE {condition}")
        assert int(found) >= 1
        assert rows <= 8 * GRANULE * int(parts), condition
