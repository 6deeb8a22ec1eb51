"""What the tests of the ingress as a process stand on: a place on disk, a broker of a file's own, a client."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from schemas.config.settings import KafkaSettings
from tests.support.ingress_process import PARTITIONS


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that goes with its test: bodies and spools by the thousand are not kept as pytest's own are."""
    with tempfile.TemporaryDirectory(prefix="callweave-ingress-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
async def broker() -> AsyncIterator[KafkaServer]:
    """A broker of this file's own, which its tests may stop and start again."""
    with tempfile.TemporaryDirectory(prefix="callweave-ingress-test-") as folder:
        async with KafkaServer(Path(folder), port=free_port(), heap="256m") as server:
            await create_topics(KafkaSettings(bootstrap=server.bootstrap, partitions=PARTITIONS))
            yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with any number of connections."""
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=30), connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        yield session
