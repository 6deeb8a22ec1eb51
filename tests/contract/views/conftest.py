"""Databases for the tests of the views: a migrated one that they share, and one that a test migrates itself."""

import uuid
from collections.abc import AsyncIterator

import pytest

from schemas.config.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.rows import TABLES
from tests.support.clickhouse_at import settings_at
from tests.support.processes.made_tables import make_in

OTHERS = ("kpi_calls", "kpi_marks", "account_zones", "ledger")


def unmigrated_settings(url: str) -> Settings:
    """Returns the settings of a database that does not exist yet."""
    return Settings(clickhouse=settings_at(url, database=f"calls_{uuid.uuid4().hex[:12]}"))


@pytest.fixture(scope="session")
async def migrated(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    """A migrated database for the tests that only insert rows."""
    settings = unmigrated_settings(clickhouse_url)
    async with ClickHouse(settings.clickhouse) as client:
        await make_in(client, settings)
        yield client
        await client.command(f"DROP DATABASE {client.database}")


@pytest.fixture
async def db(migrated: ClickHouse) -> ClickHouse:
    """The same, with empty tables."""
    for table in (*(table.name for table in TABLES), *OTHERS):
        await migrated.command(f"TRUNCATE TABLE {migrated.database}.{table}")
    return migrated


@pytest.fixture
def settings(clickhouse_url: str) -> Settings:
    """Settings of a database that does not exist yet."""
    return unmigrated_settings(clickhouse_url)


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[ClickHouse]:
    """A client of that database, which is dropped after the test."""
    async with ClickHouse(settings.clickhouse) as client:
        yield client
        await client.command(f"DROP DATABASE IF EXISTS {client.database}")
