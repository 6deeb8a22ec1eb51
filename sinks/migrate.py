"""Versioned migrations of the ClickHouse tables and views: `migrations/NNN_name.sql`, run in order, each once.

A file is a template. `{{database}}`, `{{on_cluster}}` and `{{replacing}}` (the engine of a table of versions) come from
the settings, and `-- each: name=value ...` repeats the statements after it with `{{each}}` and `{{value}}`. On a
cluster with shards `layouts` makes two objects of each table that a template names. The table
`schema_migrations` lists what ran, with its checksum. Every statement can be repeated, so a migration that broke off
runs again as a whole. What depends on the settings is in no file: `retention` has the days for which rows and columns
are kept.
"""

import hashlib
import re
from collections.abc import Iterable
from importlib import resources
from typing import Final

import msgspec
from msgspec.structs import replace

from schemas.config.settings import ClickHouseSettings, Settings
from schemas.errors import SettingsError, SetupError
from sinks.clickhouse import ClickHouse
from sinks.layouts import for_shards
from sinks.moving.row_move import move_rows, patient
from sinks.retention import KPI_TABLE, changes
from sinks.rollups.marks import Marks

_AFTER_THE_MOVE: Final = "020_views_by_slot"
"""The migration before which the rows of older tables are moved: its views show the tables that they are in."""
_FIGURES: Final = "022_kpi"
"""The migration after which the sink computes the figures of all calls that are there already."""
_FILE: Final = re.compile(r"(\d{3})_[a-z0-9_]+\.sql")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EACH: Final = re.compile(r"^-- each: (.+)$", re.MULTILINE)
_COMMENT: Final = re.compile(
    r"(?P<table>ALTER TABLE \S+(?: ON CLUSTER \S+)?)\s+(?P<comment>COMMENT COLUMN .+)", re.DOTALL
)
_LEDGER: Final = """CREATE TABLE IF NOT EXISTS {{database}}.schema_migrations {{on_cluster}}
(
    name String,
    checksum String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3),
    version UInt64 DEFAULT toUnixTimestamp64Milli(now64(3))
)
ENGINE = {{replacing}}
ORDER BY name
COMMENT 'Migrations that ran'"""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file of `migrations`."""

    name: str
    """File name without the ending; the order of names is the order of running."""
    template: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the template, so that it is the same on a cluster and on one server."""
        return hashlib.sha256(self.template.encode()).hexdigest()


def migrations() -> tuple[Migration, ...]:
    """Returns all migrations of this release, in order."""
    files = resources.files("sinks").joinpath("migrations").iterdir()
    found = [
        Migration(name=file.name.removesuffix(".sql"), template=file.read_text("utf-8"))
        for file in files
        if _FILE.fullmatch(file.name)
    ]
    return tuple(sorted(found, key=lambda migration: migration.name))


def statements(template: str, settings: ClickHouseSettings) -> list[str]:
    """Returns the statements of a template for one server or, when a cluster is set, for all of its servers."""
    head, *repeated = _EACH.split(template)
    text = head
    for pairs, body in zip(repeated[::2], repeated[1::2], strict=True):
        for pair in pairs.split():
            name, value = pair.split("=")
            text += body.replace("{{each}}", name).replace("{{value}}", value)
    for macro, value in _macros(settings).items():
        text = text.replace("{{" + macro + "}}", value)
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    found = [part.strip(" ;\n") for part in "\n".join(lines).split(";\n") if part.strip(" ;\n")]
    return for_shards(found, settings) if settings.sharded else found


def comments_together(statements: Iterable[str]) -> list[str]:
    """Returns the statements with those that comment columns of a table, one after the other, as one.

    ClickHouse writes and reads a view's whole definition for each statement, so one by one they take most of the time
    in which an empty database is made.
    """
    found: list[str] = []
    table = ""
    for statement in statements:
        comment = _COMMENT.fullmatch(statement)
        if comment and comment["table"] == table:
            found[-1] += f",\n    {comment['comment']}"
        else:
            found.append(statement)
        table = comment["table"] if comment else ""
    return found


def _macros(settings: ClickHouseSettings) -> dict[str, str]:
    for path, value in (("database", settings.database), ("cluster", settings.cluster or "none")):
        if not _NAME.fullmatch(value):
            raise SettingsError(f"a name of letters, digits and _ is wanted - at `$.clickhouse.{path}`")
    # The path has no {shard}: every server of the cluster holds all rows, and the ledger on shards, too. `for_shards`
    # puts it in for the other tables. {database}, {table} and {replica} are macros of the server.
    replicated = "ReplicatedReplacingMergeTree('/clickhouse/tables/callweave/{database}/{table}', '{replica}', version)"
    return {
        "database": settings.database,
        "on_cluster": f"ON CLUSTER {settings.cluster}" if settings.cluster else "",
        "replacing": replicated if settings.cluster else "ReplacingMergeTree(version)",
    }


def migrator(settings: ClickHouseSettings) -> ClickHouseSettings:
    """Returns the settings with the account that creates and alters tables."""
    if not settings.migrator:
        return settings
    return replace(settings, user=settings.migrator, password=settings.migrator_password)


async def migrate(client: ClickHouse, settings: Settings, *, writer: ClickHouse | None = None) -> list[str]:
    """Runs the missing migrations; returns their names. Raises `SetupError` on a changed or unknown migration.

    Then it sets the retention of columns as `settings.privacy` says; changed tables are named, too.
    `client` creates and alters tables; `writer`, by default the same, inserts into `schema_migrations`.
    """
    ours = settings.clickhouse
    await _check_form(client, ours)
    await _run(client, "CREATE DATABASE IF NOT EXISTS {{database}} {{on_cluster}}", ours)
    await _run(client, _LEDGER, ours)
    known, applied = migrations(), await _applied(client)
    _check(known, applied)
    ran: list[str] = []
    for migration in known:
        if migration.name in applied:
            continue
        if migration.name == _AFTER_THE_MOVE:
            await _move(client, writer or client, ours)
        await _run(client, migration.template, ours, migration.name)
        if migration.name == _FIGURES:
            await _mark(writer or client)
        await (writer or client).insert_rows(
            f"{ours.database}.schema_migrations", ("name", "checksum"), [(migration.name, migration.checksum)]
        )
        ran.append(migration.name)
    return [*ran, *await _keep(client, settings)]


async def _move(client: ClickHouse, writer: ClickHouse, settings: ClickHouseSettings) -> None:
    """Moves the rows of the tables before slots; patiently, as there may be many."""
    async with ClickHouse(patient(client.settings)) as ddl, ClickHouse(patient(writer.settings)) as copying:
        await move_rows(ddl, copying, settings)


async def _mark(writer: ClickHouse) -> None:
    async with ClickHouse(patient(writer.settings)) as marking:
        await Marks(marking).set_all()


async def _keep(client: ClickHouse, settings: Settings) -> list[str]:
    """Sets the days for which the tables keep rows and columns; returns a line for each table that changed."""
    changed = await _retention_changes(client, settings)
    for what, template in changed.items():
        await _run(client, template, settings.clickhouse, what)
    return list(changed)


async def _retention_changes(client: ClickHouse, settings: Settings) -> dict[str, str]:
    """Returns by a line for people the statement for each table whose retention is not that of the settings."""
    local = "_local" if settings.clickhouse.sharded else ""
    rows = await client.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = {database:String}",
        {"database": settings.clickhouse.database},
    )
    tables = {
        str(name).removesuffix(local): str(query)
        for name, query in rows
        if str(name).endswith(local) or name == KPI_TABLE  # which is on no shard
    }
    return {f"retention of {table}": sql for table, sql in changes(tables, settings.privacy, settings.keep).items()}


async def migrate_tables(settings: Settings) -> list[str]:
    """Runs the missing migrations as the set migrator; returns their names. Raises `Unavailable`, `SetupError`."""
    async with ClickHouse(migrator(settings.clickhouse)) as client, ClickHouse(settings.clickhouse) as writer:
        return await migrate(client, settings, writer=writer)


async def missing(client: ClickHouse, settings: Settings) -> list[str]:
    """Returns what `migrate` would do, by the names that it returns; changes nothing.

    Raises as `migrate` does, and `Unavailable`.
    """
    await _check_form(client, settings.clickhouse)
    where = {"database": settings.clickhouse.database}
    ledger = "SELECT 1 FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'"
    applied = await _applied(client) if await client.query(ledger, where) else {}
    _check(migrations(), applied)
    names = [migration.name for migration in migrations() if migration.name not in applied]
    return [*names, *await _retention_changes(client, settings)]


async def _check_form(client: ClickHouse, settings: ClickHouseSettings) -> None:
    """Raises `SetupError` when the tables were made without shards and there are to be some, or the reverse."""
    rows = await client.query(
        "SELECT name FROM system.tables WHERE database = {database:String} AND match(name, '^cdr_(versions|by_slot)(_local)?$')",
        {"database": settings.database},
    )
    names = [str(name) for (name,) in rows]
    if names and any(name.endswith("_local") for name in names) != settings.sharded:
        made, wanted = ("without shards", "is set") if settings.sharded else ("on shards", "is not set")
        raise SetupError(
            f"the tables of {settings.database} were made {made}, and clickhouse.sharded {wanted}",
            code="migration",
            advice="Set it as it was, or name another database: the rows come again from Kafka as long as it has them.",
        )


async def _applied(client: ClickHouse) -> dict[str, str]:
    """Returns the checksum of each migration that ran."""
    # FINAL: a name is there twice after two processes migrated at once.
    rows = await client.query(f"SELECT name, checksum FROM {client.database}.schema_migrations FINAL")  # noqa: S608 - a checked name
    return {str(name): str(checksum) for name, checksum in rows}


def _check(known: tuple[Migration, ...], applied: dict[str, str]) -> None:
    for migration in known:
        was = applied.get(migration.name)
        if was is not None and was != migration.checksum:
            raise SetupError(
                f"migration {migration.name} ran in another form than this release has it",
                code="migration",
                advice="Never change a migration that was released: add a new one. Or run the release that made this database.",
            )
    newer = sorted(set(applied) - {migration.name for migration in known})
    if newer:
        raise SetupError(
            f"the database has migrations that this release does not know: {', '.join(newer)}",
            code="migration",
            advice="A newer release made this database: run that one.",
        )


async def _run(client: ClickHouse, template: str, settings: ClickHouseSettings, name: str = "set-up") -> None:
    for statement in comments_together(statements(template, settings)):
        try:
            await client.command(statement)
        except SetupError as exc:
            what = statement.partition("\n")[0]
            raise SetupError(
                f"migration {name}, {what}: {exc}", code="rights" if exc.code == "rights" else "migration"
            ) from exc
