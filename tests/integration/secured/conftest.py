"""One broker with TLS, logins and access control for all tests of this folder, with the topics."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.admin.topic_setup import create_topics
from deploy.kafka.acl_commands import acl_commands
from schemas.config.settings import ClickHouseSettings, Settings
from schemas.kafka.rights import ROLES
from sinks.migrate import migrate_tables
from tests.support.kafka.secured_kafka import SecuredKafka, secured_kafka


@pytest.fixture(scope="session")
async def secured() -> AsyncIterator[SecuredKafka]:
    """Yields a broker on which each user has exactly the rights that `callweave topics acls` prints, and the topics."""
    with tempfile.TemporaryDirectory(prefix="callweave-secured-") as folder:
        async with secured_kafka(Path(folder)) as kafka:
            await kafka.allow(acl_commands(ROLES, {}, bootstrap="kafka:9092", command_config="admin.properties"))
            await create_topics(kafka.settings("callweave-admin"))
            yield kafka


@pytest.fixture
async def tables(clickhouse: ClickHouseSettings) -> ClickHouseSettings:
    """Returns a ClickHouse with tables."""
    await migrate_tables(Settings(clickhouse=clickhouse))
    return clickhouse
