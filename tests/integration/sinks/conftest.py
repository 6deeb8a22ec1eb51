"""A broker with the sink's topics for the tests of a file, and a database for each of them."""

import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from schemas.config.settings import ClickHouseSettings, KafkaSettings, Settings, SinkSettings
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrator
from tests.integration.sinks.driving import PARTITIONS, forget
from tests.support.processes.formatted import formatted
from tests.support.processes.made_tables import make_tables


@pytest.fixture(scope="module")
async def broker() -> AsyncIterator[KafkaSettings]:
    """A broker of a file's tests alone, because the sink's topics and its group have fixed names."""
    with tempfile.TemporaryDirectory(prefix="callweave-sink-") as folder:
        async with KafkaServer(formatted(Path(folder))) as server:
            kafka = KafkaSettings(bootstrap=server.bootstrap, partitions=PARTITIONS)
            await create_topics(kafka)
            yield kafka


@pytest.fixture
async def settings(broker: KafkaSettings, clickhouse: ClickHouseSettings) -> Settings:
    """Settings with a database of the test's own, and a group that has read the records of earlier tests."""
    await forget(broker)
    return Settings(
        kafka=broker,
        clickhouse=msgspec.structs.replace(clickhouse, database=f"sink_{uuid.uuid4().hex[:12]}", insert_timeout_s=5),
        sink=SinkSettings(max_rows=2000, max_age_s=0.1, retry_first_s=0.05, retry_cap_s=0.2, session_timeout_s=6),
    )


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[ClickHouse]:
    """A client of the account that creates and alters tables; the sink has another one, which may not."""
    async with ClickHouse(migrator(settings.clickhouse)) as client:
        await make_tables(settings)
        yield client
        await client.command(f"DROP DATABASE {client.database}")
