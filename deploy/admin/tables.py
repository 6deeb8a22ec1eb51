"""Bring ClickHouse's tables and views up to date, for `callweave migrate` and `callweave up`."""

from schemas.config.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrate, migrator


async def migrate_tables(settings: Settings) -> list[str]:
    """Run the migrations that are missing; returns their names. Raises `Unavailable`, `SetupError`."""
    async with ClickHouse(migrator(settings.clickhouse)) as client, ClickHouse(settings.clickhouse) as writer:
        return await migrate(client, settings, writer=writer)
