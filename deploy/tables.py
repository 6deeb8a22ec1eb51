"""Bring ClickHouse's tables and views up to date, for `callweave migrate` and `callweave up`."""

from schemas.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrate


async def migrate_tables(settings: Settings) -> list[str]:
    """Run the migrations that are missing; returns their names. Raises `Unavailable`, `SetupError`."""
    async with ClickHouse(settings.clickhouse) as client:
        return await migrate(client, settings)
