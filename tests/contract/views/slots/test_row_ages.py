"""Rows beyond the days of their table: days go as a whole, and nothing of the others changes."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec.structs import replace

from schemas.config.keep import KeepSettings
from schemas.config.privacy import PrivacySettings
from schemas.config.settings import Settings
from schemas.facts import FactType
from sinks.clickhouse import ClickHouse
from sinks.columns import Table
from sinks.migrate import migrate
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, DEAD_LETTERS, TABLES, TIMELINES
from tests.contract.views.samples import ask, call, dead_letter, record
from tests.integration.sinks.driving import until
from tests.oracle.figures import rolled

DAYS: Final = 90
NOW: Final = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
LAST_DAY: Final = NOW - timedelta(days=DAYS)
"""An hour that is kept, although its day began more than the days ago."""


def rows(number: int, at: datetime) -> list[tuple[Table[Any], Any]]:
    return [
        (CDR, record(number, received_at=at, slot_at=at)),
        (CALL_EVENTS, record(number, received_at=at, slot_at=at, fact_type=FactType.STATE)),
        (BINDINGS, record(number, received_at=at, slot_at=at, fact_type=FactType.BINDING)),
        (TIMELINES, call(number, first_received_at=at, last_received_at=at, slot_at=at)),
        (DEAD_LETTERS, dead_letter(number, occurred_at=at)),
    ]


async def counts(own: ClickHouse) -> dict[str, int]:
    return {table.label: (await ask(own, f"SELECT count() FROM {table.name}"))[0][0] for table in TABLES}


async def test_a_day_goes_when_all_of_it_is_beyond_the_days(settings: Settings, own: ClickHouse) -> None:
    keeping = replace(
        settings, keep=KeepSettings(**{f"{table.label}_days": DAYS for table in TABLES}),
        privacy=PrivacySettings(clear_number_days=400),
    )  # fmt: skip
    await migrate(own, settings)
    midnight = NOW.replace(hour=0) - timedelta(days=DAYS + 1)
    for number, at in enumerate((midnight, midnight + timedelta(hours=23), LAST_DAY, NOW)):
        for table, one in rows(number, at):
            await own.insert(table, [one])
    assert set((await counts(own)).values()) == {4}

    changed = await migrate(own, keeping)
    assert sorted(changed) == sorted(f"retention of {table.name}" for table in TABLES)

    async def are_gone() -> bool:
        return set((await counts(own)).values()) == {2}

    await until(are_gone, "the old days to go")
    assert await migrate(own, keeping) == []
    assert set((await counts(own)).values()) == {2}


async def test_the_days_change_with_the_settings_and_none_keep_for_ever(settings: Settings, own: ClickHouse) -> None:
    await migrate(own, replace(settings, keep=KeepSettings(cdr_days=10)))
    created = f"SHOW CREATE TABLE {own.database}.cdr_by_slot"
    assert "TTL toStartOfDay(slot_at) + toIntervalDay(11)" in (await own.query(created))[0][0]
    assert await migrate(own, replace(settings, keep=KeepSettings(cdr_days=20))) == ["retention of cdr_by_slot"]
    assert "toIntervalDay(21)" in (await own.query(created))[0][0]
    assert await migrate(own, settings) == ["retention of cdr_by_slot"]
    assert " TTL " not in (await own.query(created))[0][0]
    assert await migrate(own, settings) == []


async def test_figures_of_five_minutes_go_before_those_of_hours_and_days(settings: Settings, own: ClickHouse) -> None:
    await migrate(own, settings)
    old = NOW - timedelta(days=DAYS + 2)
    for number, at in enumerate((old, NOW)):
        await own.insert(TIMELINES, [call(number, slot_at=at, started_at=at)])
    await rolled(own)
    grains = "SELECT grain, count() FROM kpi_calls GROUP BY grain ORDER BY grain"
    assert await ask(own, grains) == [("5m", 2), ("day", 2), ("hour", 2)]
    keep = replace(settings, keep=KeepSettings(kpi_5m_days=DAYS))
    assert await migrate(own, keep) == ["retention of kpi_calls"]
    assert await migrate(own, keep) == []

    async def are_gone() -> bool:
        return await ask(own, grains) == [("5m", 1), ("day", 2), ("hour", 2)]

    await until(are_gone, "old figures of five minutes to go")


async def test_the_days_of_figures_change_with_the_settings(settings: Settings, own: ClickHouse) -> None:
    await migrate(own, replace(settings, keep=KeepSettings(kpi_5m_days=10, kpi_days=20)))
    created = f"SHOW CREATE TABLE {own.database}.kpi_calls"
    both = (await own.query(created))[0][0]
    assert "toIntervalDay(11) WHERE grain = " in both
    assert "toIntervalDay(21)" in both
    for keep, changed in (
        (KeepSettings(kpi_days=20), 1),
        (KeepSettings(kpi_days=20), 0),
        (KeepSettings(), 1),
        (KeepSettings(), 0),
    ):
        assert await migrate(own, replace(settings, keep=keep)) == ["retention of kpi_calls"] * changed
    assert " TTL " not in (await own.query(created))[0][0]
