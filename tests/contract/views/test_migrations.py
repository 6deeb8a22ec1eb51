"""Migrations: in order, once, again after a failure, on the filled database of an older release, and on a cluster."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from schemas.config.settings import ClickHouseSettings, Settings
from schemas.errors import SetupError
from schemas.facts import (
    FactType,
    Kind,
    Leg,
    Role,
)
from sinks import migrate as migrating
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrate, migrations, statements
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, DEAD_LETTERS, TIMELINES, Table
from tests.contract.views.samples import TWO_PM, ask, call, dead_letter, record, snapshot


async def test_migrations_run_in_order_and_once_and_again_when_one_broke_off(
    settings: Settings, own: ClickHouse
) -> None:
    names = [migration.name for migration in migrations()]
    assert await migrate(own, settings) == names
    assert await ask(own, "SELECT name FROM schema_migrations ORDER BY applied_at, name") == [(name,) for name in names]
    assert await migrate(own, settings) == []

    await own.insert(CDR, [record()])
    await own.command(f"TRUNCATE TABLE {own.database}.schema_migrations")
    assert await migrate(own, settings) == names
    assert await ask(own, "SELECT count() FROM v_cdr") == [(1,)]


RELEASED = "008_kpi"
"""The last migration of the release before accounts and conflicts."""


NEW_COLUMNS = {"account", "call_type", "started_at", "origin_hash"}


def _of_before(table: Table[Any]) -> Table[Any]:
    old = [column for column in table.columns if column.name.split(".")[0] not in {*NEW_COLUMNS, "contents"}]
    if table is DEAD_LETTERS:
        old += [column for column in table.columns if column.name == "account"]  # it had one from the start
    return Table(table.name, tuple(old))


async def test_a_filled_database_of_an_older_release_is_migrated(
    settings: Settings, own: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older rows get the defaults, count where they counted or better, and can be replaced by newer versions."""
    ours = migrations()
    monkeypatch.setattr(migrating, "migrations", lambda: tuple(one for one in ours if one.name <= RELEASED))
    await migrate(own, settings)
    legs = (Leg(role=Role.A, answer_at=TWO_PM - timedelta(seconds=20)), Leg(role=Role.B))
    rows: list[tuple[Table[Any], list[Any]]] = [
        (CDR, [record(n, vendor=("ytx", "huawei")[n % 2]) for n in range(1, 500)]),
        (CALL_EVENTS, [record(n, fact_type=FactType.STATE) for n in range(1, 500)]),
        (BINDINGS, [snapshot(n, "bound", n, binding_id=f"b{n}") for n in range(1, 500)]),
        (TIMELINES, [
            *(call(n, kind=Kind.CALLBACK_CDR, legs=legs, end_at=TWO_PM, is_final=True) for n in range(1, 400)),
            *(call(n, kind=Kind.CONFERENCE_LEG, is_final=True) for n in range(400, 450)),
            *(call(n, kind=Kind.VOICE_OTP, is_final=True) for n in range(450, 500)),
        ]),
        (DEAD_LETTERS, [dead_letter(n) for n in range(1, 500)]),
    ]  # fmt: skip
    async with ClickHouse(settings.clickhouse) as sink_of_before:  # a client keeps what it knows of a table
        for table, records in [*rows, *((table, records[:100]) for table, records in rows)]:
            await sink_of_before.insert(_of_before(table), records)
    views = ("cdr", "call_events", "bindings", "timelines", "dead_letters", "v_cdr", "v_bindings", "v_timelines")
    before = {view: (await ask(own, f"SELECT count() FROM {view}"))[0][0] for view in views}
    assert set(before.values()) == {499}

    monkeypatch.setattr(migrating, "migrations", lambda: ours)
    assert await migrate(own, settings) == [one.name for one in ours if one.name > RELEASED]

    assert {view: (await ask(own, f"SELECT count() FROM {view}"))[0][0] for view in views} == before
    assert await ask(own, "SELECT call_type, count() FROM v_timelines GROUP BY 1 ORDER BY 1") == [
        ("call", 399), ("conference", 50), ("voice_code", 50),
    ]  # fmt: skip
    assert await ask(own, "SELECT slot_at, attempts FROM v_kpi_hour") == [(TWO_PM.replace(hour=13), 399)]
    assert await ask(own, "SELECT DISTINCT account, length(`contents.digest`) FROM cdr") == [("", 0)]
    await own.insert(
        CDR, [record(n, vendor=("ytx", "huawei")[n % 2], version=2, custom_ref="new") for n in range(1, 500)]
    )
    await own.insert(TIMELINES, [call(1, version=2, started_at=TWO_PM, is_final=True)])
    await own.insert(DEAD_LETTERS, [dead_letter(n) for n in range(1, 500)])
    assert {view: (await ask(own, f"SELECT count() FROM {view}"))[0][0] for view in views} == before
    assert await ask(own, "SELECT DISTINCT custom_ref FROM v_cdr") == [("new",)]


@pytest.fixture
def one_migration(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a release whose only migration has this template."""

    def release(template: str, name: str = "001_a") -> None:
        only = (migrating.Migration(name=name, template=template),)
        monkeypatch.setattr(migrating, "migrations", lambda: only)

    return release


async def test_a_changed_migration_is_an_error(
    settings: Settings, own: ClickHouse, one_migration: Callable[[str], None]
) -> None:
    one_migration("SELECT 1;\n")
    await migrate(own, settings)
    one_migration("SELECT 2;\n")
    with pytest.raises(SetupError, match="001_a ran in another form"):
        await migrate(own, settings)


async def test_a_database_of_a_newer_release_is_an_error(
    settings: Settings, own: ClickHouse, one_migration: Callable[..., None]
) -> None:
    one_migration("SELECT 1;\n", "002_b")
    await migrate(own, settings)
    one_migration("SELECT 1;\n", "001_a")
    with pytest.raises(SetupError, match="does not know: 002_b"):
        await migrate(own, settings)


async def test_a_failing_migration_names_itself_and_does_not_count_as_applied(
    settings: Settings, own: ClickHouse, one_migration: Callable[[str], None]
) -> None:
    one_migration("SELECT nothing_of_this_name;\n")
    with pytest.raises(SetupError, match="migration 001_a"):
        await migrate(own, settings)
    assert await ask(own, "SELECT count() FROM schema_migrations") == [(0,)]


async def test_the_clustered_form_is_sql_that_clickhouse_parses(db: ClickHouse) -> None:
    clustered = ClickHouseSettings(database="calls", cluster="main")
    for migration in migrations():
        for statement in statements(migration.template, clustered):
            ((parsed,),) = await db.query("SELECT formatQuery({sql:String})", {"sql": statement})
            assert "ON CLUSTER main" in parsed
            if parsed.startswith("CREATE TABLE"):
                assert "ReplicatedReplacingMergeTree('/clickhouse/tables/callweave/{database}/{table}'" in parsed
            assert "{{" not in statement
