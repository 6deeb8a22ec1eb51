"""The rows that queries read: those of the time or the call that they ask for, and few others.

Rows read are counted by the server, so no load of the machine changes them. `CALLWEAVE_TEST_SCALE` makes more calls:
with 7 there are a million.
"""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from deploy.analysis.asking import all_questions
from deploy.analysis.questions import Question, within
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


async def read(url: str, db: ClickHouse, sql: str, *, are_named: bool = False) -> tuple[int, Any]:
    """Returns the rows that the server read for a query, and the first value of its answer.

    Views get the name of the database unless they have it (`are_named`).
    """
    named = sql if are_named else sql.replace("FROM ", f"FROM {db.database}.")
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


OF_THE_TIME: Final = {
    "causes": "SELECT sum(calls) FROM v_causes WHERE slot_at >= '{start}' AND slot_at < '{end}'",
    "other parties": "SELECT countIf(country = 'CN') FROM v_other_parties WHERE started_at >= '{start}' AND started_at < '{end}'",
    "masked other parties": "SELECT countIf(country = 'CN') FROM masked_other_parties WHERE started_at >= '{start}' AND started_at < '{end}'",
    "flags and quality of what came": "SELECT sum(calls) FROM v_vendor_quality WHERE day = toDate('{start}')",
}
"""Queries of views that compute at reading, by what they ask."""
PREFIXES: Final = 4_000
"""Rows of calling codes and their beginnings, which a match reads several times."""


@pytest.mark.parametrize("sql", OF_THE_TIME.values(), ids=OF_THE_TIME)
async def test_a_view_that_computes_at_reading_reads_the_rows_of_its_time(
    filled: ClickHouse, clickhouse_url: str, sql: str
) -> None:
    hours = 1 if "started_at" in sql or "v_causes" in sql else (24 if HOURS > 48 else HOURS)
    start = MIDDLE if hours == 1 else FIRST
    rows, found = await read(clickhouse_url, filled, sql.format(start=start, end=start + timedelta(hours=hours)))
    assert int(found) > 0.3 * CALLS_AN_HOUR
    assert rows <= 1.2 * hours * CALLS_AN_HOUR + PREFIXES + GRANULE


async def test_calls_at_once_are_found_without_reading_those_that_had_ended(
    filled: ClickHouse, clickhouse_url: str
) -> None:
    """The longest call lasts 12 minutes, so hardly more than the hour and the end of the one before is read."""
    times = f"from = '{MIDDLE:%F %T}', to = '{MIDDLE + timedelta(hours=1):%F %T}'"
    rows, found = await read(
        clickhouse_url, filled, f"SELECT max(running) FROM v_concurrency({times}) WHERE minute_at = '{MIDDLE:%F %T}'"
    )
    assert int(found) > 0
    assert rows <= 2.6 * CALLS_AN_HOUR + GRANULE


ASKED: Final = all_questions()
OF_RECORDS: Final = ("v_cdr", "v_conflicts", "v_dead_letters", "v_vendor", "v_kpi", "v_call_events")
HOURS_READ: Final = {
    "accounts_against_before": 2,
    "first_seen_countries": HOURS,
    "cause_spikes": HOURS,
    "missed_not_called_back": 2,
}
"""Hours that a question about one hour reads, where it compares it with others or reads it twice."""
BY_INDEX: Final = {"why_calls_to_number_fail"}
"""Questions that read nothing where an index finds nothing."""
PARAMETER: Final = re.compile(r"\{(\w+):([^}]+)\}")


def with_values(question: Question, hour: datetime) -> str:
    """Returns the query about an hour, with the examples of the file as its other values."""
    times = {"from": f"{hour:%F %T}", "to": f"{hour + timedelta(hours=1):%F %T}"}
    values = {**question.examples, **times}
    return PARAMETER.sub(lambda found: f"CAST('{values[found[1]]}' AS {found[2]})", question.sql)


@pytest.mark.parametrize(
    "question",
    [one for one in ASKED.values() if "from" in one.types and not any(name in one.sql for name in OF_RECORDS)],
    ids=lambda one: one.name,
)
async def test_a_question_about_an_hour_reads_its_rows(
    filled: ClickHouse, clickhouse_url: str, question: Question
) -> None:
    sql = within(with_values(question, MIDDLE), filled.database)
    rows, _ = await read(clickhouse_url, filled, f"SELECT count() FROM ({sql})", are_named=True)
    before = CALLS_AN_HOUR if "v_concurrency" in sql else 0
    hours = HOURS_READ.get(question.name, 1)
    assert rows > 0.4 * CALLS_AN_HOUR or question.name in BY_INDEX
    assert rows <= 1.3 * hours * CALLS_AN_HOUR + 1.3 * before + PREFIXES + 2 * GRANULE


async def test_a_lookup_reads_few_granules(filled: ClickHouse, clickhouse_url: str) -> None:
    await lookups_read_few_granules(filled, clickhouse_url)


async def lookups_read_few_granules(filled: ClickHouse, clickhouse_url: str) -> None:
    """Looks one call up by id, by number and by reference; each part that there is counts."""
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


@pytest.mark.parametrize(
    ("column", "absent"),
    [
        ("vendor_call_id", "lower(hex(MD5(toString(1000000000 + number))))"),
        ("to_number", "concat('+8613000009', leftPad(toString(number), 4, '0'), '0')"),
        ("custom_ref", "concat('order-absent-', toString(number))"),
    ],
    ids=["by id", "by number", "by reference"],
)
async def test_a_lookup_of_what_is_not_there_reads_nothing_of_nearly_all_parts(
    filled: ClickHouse, clickhouse_url: str, column: str, absent: str
) -> None:
    """Each granule that an index names wrongly costs as much as the call itself: all columns' files of its part."""
    values = [value for (value,) in await filled.query(f"SELECT {absent} FROM numbers(50)")]
    wrong = 0
    for value in values:
        rows, found = await read(clickhouse_url, filled, f"SELECT count() FROM v_timelines WHERE {column} = '{value}'")
        assert int(found) == 0
        wrong += rows > 0
    assert wrong <= CALLS // 150_000


async def test_a_part_of_few_rows_an_hour_leaves_lookups_in_the_other_parts_exact(
    filled: ClickHouse, clickhouse_url: str
) -> None:
    """Late versions are such a part: in memory `slot_at` alone would tell its granules apart, for each part then."""
    table = f"{filled.database}.timelines_by_slot"
    await filled.command(f"SYSTEM STOP MERGES {table}")
    await filled.command(
        f"INSERT INTO {table} SELECT * FROM {table} "
        f"WHERE slot_at < '{FIRST + timedelta(days=1)}' AND cityHash64(vendor_call_id) % 13 = 0"
    )
    try:
        await lookups_read_few_granules(filled, clickhouse_url)
    finally:
        await filled.command(f"SYSTEM START MERGES {table}")
        await filled.command(f"OPTIMIZE TABLE {table} FINAL")


@pytest.mark.parametrize(
    "view", ["v_timelines", "masked_timelines", "v_cdr", "masked_cdr", "v_call_events", "masked_call_events"]
)
async def test_a_view_of_calls_reads_its_table_and_no_other_view(filled: ClickHouse, view: str) -> None:
    """Each view between them makes the plan of a query of all columns longer by as much as reading a call takes."""
    ((query,),) = await filled.query(
        f"SELECT create_table_query FROM system.tables WHERE database = '{filled.database}' AND name = '{view}'"
    )
    assert re.findall(rf"FROM {filled.database}\.(\w+)", query) == [view.split("_", 1)[1] + "_by_slot"]
