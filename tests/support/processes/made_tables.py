"""The tables and views as the migrations leave them, made at once: running all migrations takes 1.4 s of CPU each time.

The first call of a process runs the migrations and looks at what they made; each later one makes the same. Tests of the
migrations themselves, and the parts under test, run them. `tests/contract/views/test_migrations.py` compares both.
"""

import functools
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.config.keep import KeepSettings
from schemas.config.privacy import PrivacySettings
from schemas.config.settings import Settings
from schemas.errors import SetupError
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrate, migrator

_LEDGERS: Final = {"schema_migrations": ("name", "checksum"), "rows_moved": ("name", "rows")}
"""Tables of which the migrations write rows, and the columns that they give."""


class _Made(msgspec.Struct, frozen=True, kw_only=True):
    """All that the migrations made in a database."""

    database: str
    statements: tuple[str, ...]
    """Each makes a table or a view; none comes before those that it reads."""
    ledgers: Mapping[str, tuple[tuple[str, ...], list[tuple[Any, ...]]]]
    """Columns and rows of each table of which the migrations write rows."""


@functools.cache
def _known() -> dict[tuple[PrivacySettings, KeepSettings], _Made]:
    return {}


async def make_tables(settings: Settings) -> None:
    """Does what `migrate_tables` does in an empty database; not on a cluster."""
    async with ClickHouse(migrator(settings.clickhouse)) as client, ClickHouse(settings.clickhouse) as writer:
        await make_in(client, settings, writer=writer)


async def make_in(client: ClickHouse, settings: Settings, *, writer: ClickHouse | None = None) -> None:
    """Does what `migrate` does in an empty database; not on a cluster."""
    assert not settings.clickhouse.cluster
    ages = (settings.privacy, settings.keep)
    made = _known().get(ages)
    if made is None:
        await migrate(client, settings, writer=writer)
        _known()[ages] = await _look(client)
        return
    await client.command(f"CREATE DATABASE IF NOT EXISTS {client.database}")
    for statement in made.statements:
        await client.command(_of(statement, made.database, client.database))
    for ledger, (columns, rows) in made.ledgers.items():
        await (writer or client).insert_rows(f"{client.database}.{ledger}", columns, rows)


def _of(statement: str, before: str, now: str) -> str:
    """Returns a statement for another database; in what ClickHouse says, a database's name stands before a point."""
    return statement.replace(f" {before}.", f" {now}.").replace(f"({before}.", f"({now}.")


async def _look(client: ClickHouse) -> _Made:
    database = {"database": client.database}
    rows = await client.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = {database:String} ORDER BY name", database
    )
    waiting = {str(name): str(query) for name, query in rows}
    ordered: list[str] = []
    while waiting:
        free = [one for one, query in waiting.items() if not _reads(query, client.database, waiting.keys() - {one})]
        if not free:
            raise SetupError(f"tables that read each other: {sorted(waiting)}", code="migration")
        ordered += [waiting.pop(one) for one in free]
    ledgers = {
        ledger: (columns, await client.query(f"SELECT {', '.join(columns)} FROM {client.database}.{ledger} FINAL"))
        for ledger, columns in _LEDGERS.items()
    }
    return _Made(database=client.database, statements=tuple(ordered), ledgers=ledgers)


def _reads(query: str, database: str, names: set[str]) -> bool:
    """Returns True when a statement names one of these tables."""
    words = set(query.replace("(", " ").replace(")", " ").replace(",", " ").split())
    return any(f"{database}.{name}" in words for name in names)
