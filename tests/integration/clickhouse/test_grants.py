"""The rights that `callweave migrate --grants` prints: enough for every account, and each of them needed."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from deploy.clickhouse.launch import ClickHouseServer
from schemas.config.privacy import PrivacySettings
from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings, Settings
from schemas.errors import CallweaveError
from schemas.facts import FactType
from sinks import migrate as migrating
from sinks.clickhouse import ClickHouse
from sinks.grants import ROLES, Role, account, rights
from sinks.migrate import migrate, migrate_tables, missing
from sinks.queries.conflict_store import ConflictFilter, find_conflicts
from sinks.queries.dead_letter_store import DeadFilter, list_dead, mark_resolved
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, DEAD_LETTERS, TIMELINES
from tests.contract.views.samples import call, dead_letter, record, snapshot
from tests.oracle.figures import rolled
from tests.oracle.views import named
from tests.support.clickhouse_node import User, node

ROWS: Final[tuple[tuple[Any, Any], ...]] = (
    (CDR, record()),
    (CALL_EVENTS, record(fact_type=FactType.STATE)),
    (TIMELINES, call()),
    (BINDINGS, snapshot(1, "bound", 1, binding_id="b1")),
    (DEAD_LETTERS, dead_letter()),
)


def accounts(number: int | str = "") -> ClickHouseSettings:
    """Returns the settings with accounts of their own; with a number, also with a database of their own."""
    return ClickHouseSettings(
        user=f"parts{number}",
        migrator=f"maker{number}",
        reader=f"people{number}",
        database=f"calls{number}",
        min_free_mb=1,
    )


def atoms(role: Role, settings: ClickHouseSettings) -> list[str]:
    """Returns the rights of an account, one by one."""
    names = {"database": settings.database, "migrator": account("migrator", settings)}
    return [
        f"{what} ON {right.on.format(**names)}"
        for right in rights(settings)
        if right.role == role
        for what in right.what.split(", ")
    ]


def without(role: Role, lacking: str, settings: ClickHouseSettings) -> User:
    """Returns an account that has all of its rights but one."""
    had = tuple(one for one in atoms(role, settings) if one != lacking)
    assert len(had) == len(atoms(role, settings)) - bool(lacking)
    return User(name=account(role, settings), grants=had)


MAKERS: Final = dict(enumerate(atoms("migrator", accounts())))
WRITERS: Final = {number: one for number, one in enumerate(atoms("writer", accounts())) if not one.startswith("SHOW")}
READERS: Final = {number: one for number, one in enumerate(atoms("reader", accounts())) if "SHOW" not in one}


def lacking_users() -> list[User]:
    """Returns an account for each right that it lacks; migrators have databases of their own."""
    makers = [without("migrator", atoms("migrator", accounts(number))[number], accounts(number)) for number in MAKERS]
    writers = [
        without("writer", lacks, replace(accounts(), user=f"parts{number}")) for number, lacks in WRITERS.items()
    ]
    readers = [
        without("reader", lacks, replace(accounts(), reader=f"people{number}")) for number, lacks in READERS.items()
    ]
    return [*makers, *writers, *readers]


def at(server: ClickHouseServer, settings: ClickHouseSettings) -> ClickHouseSettings:
    """Returns the settings with the server's address, and the passwords, which are the accounts' names."""
    return replace(
        settings,
        url=server.url,
        password=Secret(settings.user),
        migrator_password=Secret(settings.migrator),
    )


def reading(settings: ClickHouseSettings) -> ClickHouseSettings:
    """Returns the settings with which the reader logs in."""
    return replace(settings, user=settings.reader, password=Secret(settings.reader))


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[ClickHouseServer]:
    """A server with all accounts, which checks grants on table engines and on system tables."""
    full = [without(role, "", accounts()) for role in ROLES]
    with tempfile.TemporaryDirectory(prefix="callweave-grants-") as folder:
        async with node(Path(folder) / "engine", users=[*full, *lacking_users()]) as running:
            yield running


@pytest.fixture(scope="module")
async def migrated(server: ClickHouseServer) -> Settings:
    """Settings of a database that the migrator made and the writer filled, each with its own rights alone."""
    settings = Settings(clickhouse=at(server, accounts()))
    assert len(await migrate_tables(settings)) == len(migrating.migrations())
    async with ClickHouse(settings.clickhouse) as writer:
        for table, row in ROWS:
            await writer.insert(table, [row])
        assert await rolled(writer) == 1
    return settings


async def test_the_parts_and_their_commands_work_with_the_writers_rights(migrated: Settings) -> None:
    async with ClickHouse(migrated.clickhouse) as writer:
        assert await missing(writer, migrated) == []
        (found,) = await list_dead(writer, DeadFilter())
        await mark_resolved(writer, [found.dead_letter])
        assert await list_dead(writer, DeadFilter()) == []
        assert await find_conflicts(writer, ConflictFilter()) == []
    assert await migrate_tables(migrated) == []


WITHOUT_ROWS: Final = {
    *("v_conferences", "v_causes", "v_concurrency", "v_vendor_flags", "v_silent_vendors"),
    *(f"v_kpi_{grain}_cost{local}" for grain in ("5m", "hour", "day") for local in ("", "_local")),
    *("v_kpi_redials", "v_reconciliations", "v_reconciled_records", "v_account_zones"),
    *("v_ledger", "v_ledger_open", "v_ledger_entries", "v_ledger_ways", "v_push_pull", "v_unknown_values"),
}
"""Views that show none of `ROWS`: no conference, no final call, nothing that lasted, no flag, no silence, no cost."""


async def asked_views(client: ClickHouse) -> dict[str, str]:
    """Returns the views that an account sees, by name, as a query names them."""
    rows = await client.query("SELECT name, create_table_query FROM system.tables WHERE database = 'calls'")
    return {str(name): named(str(name), str(definition)) for name, definition in rows}


async def test_a_reader_sees_every_view_and_nothing_behind_them(migrated: Settings) -> None:
    async with ClickHouse(reading(migrated.clickhouse)) as reader:
        views = await asked_views(reader)
        assert {"v_cdr", "v_timelines", "v_kpi_day", "v_charges_day", "v_conferences", "v_bindings"} <= views.keys()
        assert all(name.startswith("v_") for name in views)
        for asked in views.values():
            await reader.query(f"DESCRIBE TABLE calls.{asked}")
            await reader.query(f"SELECT * FROM calls.{asked}")
        assert await reader.query("SELECT count() FROM calls.v_timelines") == [(1,)]
        for hidden in ("cdr", "cdr_by_slot", "dead_letters"):
            with pytest.raises(CallweaveError) as refused:
                await reader.query(f"SELECT count() FROM calls.{hidden}")
            assert refused.value.code == "rights"


async def test_an_analyst_sees_masked_views_and_figures_and_nothing_behind_them(migrated: Settings) -> None:
    ours = replace(migrated.clickhouse, user=migrated.clickhouse.analyst, password=Secret(migrated.clickhouse.analyst))
    async with ClickHouse(ours) as analyst:
        views = await asked_views(analyst)
        assert {"masked_cdr", "masked_timelines", "masked_call_events", "masked_bindings", "v_kpi_day"} <= views.keys()
        for name, asked in views.items():
            assert await analyst.query(f"SELECT 1 FROM calls.{asked} LIMIT 1") == [(1,)] or name in WITHOUT_ROWS
            await analyst.query(f"SELECT * FROM calls.{asked}")
        for hidden in ("v_cdr", "v_timelines", "v_bindings", "v_conflicts", "v_dead_letters", "cdr", "cdr_by_slot"):
            assert hidden not in views
            with pytest.raises(CallweaveError) as refused:
                await analyst.query(f"SELECT count() FROM calls.{hidden}")
            assert refused.value.code == "rights"


async def test_the_migrators_rights_are_enough_for_retention(migrated: Settings) -> None:
    days = PrivacySettings(clear_number_days=400, address_days=300, body_days=200)
    changed = [f"retention of {table.name}" for table, _ in ROWS]
    async with ClickHouse(migrated.clickhouse) as writer:  # as the doctor asks
        assert sorted(await missing(writer, replace(migrated, privacy=days))) == sorted(changed)
    assert sorted(await migrate_tables(replace(migrated, privacy=days))) == sorted(changed)
    assert await migrate_tables(replace(migrated, privacy=days)) == []
    assert sorted(await migrate_tables(migrated)) == sorted(changed)
    assert await migrate_tables(migrated) == []


def said(refused: CallweaveError, user: str) -> str:
    """Returns the sentence of a refusal, which is one line with its code and its advice."""
    sentence = str(refused)
    assert refused.code == "rights"
    assert f"gives {user} too few rights (code " in sentence
    assert "`callweave migrate --grants` prints what each account needs" in sentence
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("number", MAKERS, ids=MAKERS.values())
async def test_without_one_of_its_rights_the_migrator_is_refused(
    server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """With every statement on dead letters, of which there is each kind, but not with all others."""
    settings = Settings(clickhouse=at(server, accounts(number)))
    everything = migrating.statements
    monkeypatch.setattr(
        migrating,
        "statements",
        lambda template, where: [
            one for one in everything(template, where) if one.startswith("CREATE DATABASE") or _on_dead_letters(one)
        ],
    )
    maker = replace(settings.clickhouse, user=account("migrator", settings.clickhouse), min_free_mb=0)
    async with ClickHouse(replace(maker, password=Secret(maker.user))) as client:
        with pytest.raises(CallweaveError) as refused:
            await _migrated_and_looked_at(client, settings)
    said(refused.value, maker.user)


async def _migrated_and_looked_at(client: ClickHouse, settings: Settings) -> None:
    await migrate(client, settings)
    await missing(client, settings)


def _on_dead_letters(statement: str) -> bool:
    head = statement.partition("\n")[0]
    return "dead_letters" in head or "schema_migrations" in head


@pytest.mark.parametrize("number", WRITERS, ids=WRITERS.values())
async def test_without_one_of_its_rights_the_writer_is_refused(
    server: ClickHouseServer, migrated: Settings, number: int
) -> None:
    ours = replace(migrated.clickhouse, user=f"parts{number}", password=Secret(f"parts{number}"))
    async with ClickHouse(ours) as writer:
        with pytest.raises(CallweaveError) as refused:
            await _inserted_and_listed(writer)
    said(refused.value, ours.user)


async def _inserted_and_listed(writer: ClickHouse) -> None:
    await writer.insert(CDR, [record()])
    await writer.require_room()
    await list_dead(writer, DeadFilter())


@pytest.mark.parametrize("number", READERS, ids=READERS.values())
async def test_without_one_of_its_rights_the_reader_is_refused(migrated: Settings, number: int) -> None:
    ours = reading(replace(migrated.clickhouse, reader=f"people{number}"))
    async with ClickHouse(ours) as reader:
        with pytest.raises(CallweaveError) as refused:
            await reader.query("SELECT count() FROM calls.v_cdr")
    said(refused.value, ours.user)
