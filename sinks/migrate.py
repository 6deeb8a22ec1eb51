"""Versioned migrations of the ClickHouse tables and views: `migrations/NNN_name.sql`, run in order, each once.

A file is a template. `{{database}}`, `{{on_cluster}}` and `{{replacing}}` (the engine of a table of versions) come from
the settings, and `-- each: name=value ...` repeats the statements after it with `{{each}}` and `{{value}}`. The table
`schema_migrations` lists what ran, with its checksum. Every statement can be repeated, so a migration that broke off
runs again as a whole.
"""

import hashlib
import re
from importlib import resources
from typing import Final

import msgspec
from msgspec.structs import replace

from schemas.config.settings import ClickHouseSettings, Settings
from schemas.errors import SettingsError, SetupError
from sinks.clickhouse import ClickHouse

_FILE: Final = re.compile(r"(\d{3})_[a-z0-9_]+\.sql")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EACH: Final = re.compile(r"^-- each: (.+)$", re.MULTILINE)
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
    return [part.strip() for part in "\n".join(lines).split(";\n") if part.strip(" ;\n")]


def _macros(settings: ClickHouseSettings) -> dict[str, str]:
    for path, value in (("database", settings.database), ("cluster", settings.cluster or "none")):
        if not _NAME.fullmatch(value):
            raise SettingsError(f"a name of letters, digits and _ is wanted - at `$.clickhouse.{path}`")
    # Every server of the cluster holds all rows: the path has no {shard}, so no view can miss another shard's rows.
    # {database}, {table} and {replica} are macros of the server.
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

    `client` creates and alters tables; `writer`, by default the same, inserts into `schema_migrations`.
    """
    ours = settings.clickhouse
    await _run(client, "CREATE DATABASE IF NOT EXISTS {{database}} {{on_cluster}}", ours)
    await _run(client, _LEDGER, ours)
    known, applied = migrations(), await _applied(client)
    _check(known, applied)
    ran: list[str] = []
    for migration in known:
        if migration.name in applied:
            continue
        await _run(client, migration.template, ours, migration.name)
        await (writer or client).insert_rows(
            f"{ours.database}.schema_migrations", ("name", "checksum"), [(migration.name, migration.checksum)]
        )
        ran.append(migration.name)
    return ran


async def migrate_tables(settings: Settings) -> list[str]:
    """Runs the missing migrations as the set migrator; returns their names. Raises `Unavailable`, `SetupError`."""
    async with ClickHouse(migrator(settings.clickhouse)) as client, ClickHouse(settings.clickhouse) as writer:
        return await migrate(client, settings, writer=writer)


async def missing(client: ClickHouse, settings: Settings) -> list[str]:
    """Returns the names of the missing migrations; changes nothing. Raises as `migrate` does, and `Unavailable`."""
    where = {"database": settings.clickhouse.database}
    ledger = "SELECT 1 FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'"
    applied = await _applied(client) if await client.query(ledger, where) else {}
    _check(migrations(), applied)
    return [migration.name for migration in migrations() if migration.name not in applied]


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
    for statement in statements(template, settings):
        try:
            await client.command(statement)
        except SetupError as exc:
            raise SetupError(f"migration {name}: {exc}", code="migration") from exc
