"""Migrations: in order, once, again after a failure, on the filled database of an older release, and on a cluster."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.config.settings import ClickHouseSettings, Settings
from schemas.errors import SetupError
from schemas.facts import (
    FactType,
    Kind,
    Leg,
    Role,
)
from schemas.metrics import Registry
from schemas.privacy.tokens import NumberTokens
from sinks import migrate as migrating
from sinks.clickhouse import ClickHouse
from sinks.columns import Table
from sinks.flush.placing import Places, placing
from sinks.grants import document
from sinks.migrate import migrate, migrations, statements
from sinks.rollups.marks import Marks
from sinks.rollups.roller import Roller
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, DEAD_LETTERS, TABLES, TIMELINES
from tests.contract.views.samples import TWO_PM, ask, call, dead_letter, record, record_content, snapshot
from tests.contract.views.slots.tables_of_before import of_before
from tests.support.processes.made_tables import make_in


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


async def test_tables_that_tests_make_at_once_are_those_of_the_migrations(
    settings: Settings, own: ClickHouse, migrated: ClickHouse
) -> None:
    """`migrated` was made before, so that these are made of what the migrations had made."""
    await make_in(own, settings)
    by_migrations = replace(settings, clickhouse=replace(settings.clickhouse, database=f"{own.database}_m"))
    async with ClickHouse(by_migrations.clickhouse) as other:
        await migrate(other, by_migrations)
        wanted = await definitions(other)
        await other.command(f"DROP DATABASE {other.database}")

    assert len(wanted) > 20
    assert await definitions(own) == wanted
    assert await migrate(own, settings) == []


async def definitions(client: ClickHouse) -> list[tuple[Any, ...]]:
    """Returns the definition of every table and view, with `x` for the database."""
    rows = await client.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = {database:String} ORDER BY name",
        {"database": client.database},
    )
    return [(name, query.replace(f"{client.database}.", "x.")) for name, query in rows]


RELEASED = "008_kpi"
"""The last migration of the release before accounts and conflicts."""


NEW_COLUMNS = {"account", "call_type", "started_at", "origin_hash"}


def _of_before(table: Table[Any]) -> Table[Any]:
    table = of_before(table)
    known = _without_tokens(table)
    old = [column for column in known.columns if column.name.split(".")[0] not in {*NEW_COLUMNS, "contents"}]
    if table.name == DEAD_LETTERS.name:
        old += [column for column in table.columns if column.name == "account"]  # it had one from the start
    return Table(table.name, tuple(old))


def _without_tokens(table: Table[Any]) -> Table[Any]:
    """Returns the table as a release before 016 knew it."""
    known = tuple(column for column in table.columns if not column.name.endswith(("_token", "_masked")))
    return Table(table.name, known)


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
    assert await Roller(own, Marks(own), Registry()).once() > 0
    assert await ask(own, "SELECT slot_at, attempts FROM v_kpi_hour") == [(TWO_PM.replace(hour=13), 399)]
    assert await ask(own, "SELECT DISTINCT account, length(`contents.digest`) FROM cdr") == [("", 0)]
    insert = placing(own.insert, Places(own.query, own.database))
    await insert(CDR, [record(n, vendor=("ytx", "huawei")[n % 2], version=2, custom_ref="new") for n in range(1, 500)])
    await insert(TIMELINES, [call(1, version=2, started_at=TWO_PM, is_final=True)])
    await own.insert(DEAD_LETTERS, [dead_letter(n) for n in range(1, 500)])
    assert {view: (await ask(own, f"SELECT count() FROM {view}"))[0][0] for view in views} == before
    assert await ask(own, "SELECT DISTINCT custom_ref FROM v_cdr") == [("new",)]


async def test_rows_of_before_the_columns_of_tokens_have_empty_ones(
    settings: Settings, own: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each leg and each content has one; a sink of then went on beside one with tokens."""
    ours = migrations()
    monkeypatch.setattr(migrating, "migrations", lambda: tuple(one for one in ours if one.name < "019"))
    number = "+8613900000001"
    legs = (Leg(role=Role.A, number=number), Leg(role=Role.B))
    contents = (record_content("a", from_number=number), record_content("b"))
    await migrate(own, settings)
    await own.insert(_without_tokens(of_before(CDR)), [record(1, from_number=number, legs=legs, contents=contents)])
    async with ClickHouse(settings.clickhouse, NumberTokens("3f6c1a0b9d8e7f5a4c2b1d0e9f8a7b6c")) as sink:
        await sink.insert(of_before(CDR), [record(2, from_number=number, legs=legs, contents=contents)])

    asked = "from_number, from_token != '', from_masked, `legs.number_masked`, `contents.from_masked`"
    stars = "+86139****0001"
    for moved in (False, True):
        if moved:
            monkeypatch.setattr(migrating, "migrations", lambda: ours)
            await migrate(own, settings)
        assert await ask(own, f"SELECT {asked} FROM cdr ORDER BY record_id") == [
            (number, False, "", ["", ""], ["", ""]),
            (number, True, stars, [stars, ""], [stars, ""]),
        ]  # fmt: skip
    assert await ask(own, "SELECT count(), countIf(from_token != '') FROM v_conflicts") == [(4, 1)]


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


SINGLE = ClickHouseSettings(database="calls")
REPLICATED = ClickHouseSettings(database="calls", cluster="main")
SHARDED = ClickHouseSettings(database="calls", cluster="main", sharded=True)


def rendered(where: ClickHouseSettings) -> list[str]:
    """Returns the statements of all migrations, the ledger's among them."""
    templates = [migrating._LEDGER, *(migration.template for migration in migrations())]
    return [statement for template in templates for statement in statements(template, where)]


@pytest.mark.parametrize(
    "where", [SINGLE, REPLICATED, SHARDED], ids=["one server, or Cloud", "a replicated cluster", "shards"]
)
async def test_every_form_is_sql_that_clickhouse_parses(db: ClickHouse, where: ClickHouseSettings) -> None:
    found = rendered(where)
    parsed = [row for one in found for row in await db.query("SELECT formatQuery({sql:String})", {"sql": one})]
    assert len(parsed) == len(found) > 200
    assert all(("ON CLUSTER main" in one) == bool(where.cluster) for (one,) in parsed)
    assert not any("{{" in one for one in found)


async def test_the_rights_are_sql_that_clickhouse_parses(db: ClickHouse) -> None:
    for where in (SINGLE, REPLICATED, SHARDED):
        lines = [line.partition("  --")[0] for line in document(where).splitlines()]
        sql = [line.removeprefix("-- ").removesuffix(";") for line in lines if line]
        assert len(await db.query("SELECT formatQuery(arrayJoin({sql:Array(String)}))", {"sql": sql})) == len(sql) > 10


def test_on_a_cluster_every_server_holds_all_rows() -> None:
    tables = [one for one in rendered(REPLICATED) if one.startswith("CREATE TABLE")]
    ledgers, figures, prefixes, before_slots = 2, 2, 1, 4
    assert len(tables) == len(TABLES) + figures + prefixes + before_slots + ledgers
    path = (
        "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/callweave/{database}/{table}', '{replica}', version)"
    )
    assert all(path in one for one in tables)


def test_cloud_gets_nothing_that_it_refuses_or_does_by_itself() -> None:
    """It replicates by itself, and makes a SharedReplacingMergeTree of this engine; other engines may be refused."""
    found = rendered(SINGLE)
    engines = {engine for one in found for engine in re.findall(r"^ENGINE = (.*)$", one, re.MULTILINE)}
    assert engines == {"ReplacingMergeTree(version)"}
    kinds = {" ".join(re.findall(r"[A-Z]+", one.partition("calls.")[0])) for one in found}
    assert kinds == {"CREATE TABLE IF NOT EXISTS", "CREATE OR REPLACE VIEW", "ALTER TABLE", "DROP TABLE IF EXISTS"}
    settings = {name for one in found for name in re.findall(r"^SETTINGS (\w+)", one, re.MULTILINE)}
    assert settings == {"do_not_merge_across_partitions_select_final", "index_granularity"}


async def test_with_another_form_than_its_tables_have_a_database_is_left_alone(
    settings: Settings, own: ClickHouse
) -> None:
    await migrate(own, settings)
    wanted = replace(settings, clickhouse=replace(settings.clickhouse, cluster="default", sharded=True))
    with pytest.raises(SetupError, match=r"made without shards.*clickhouse\.sharded"):
        await migrate(own, wanted)
