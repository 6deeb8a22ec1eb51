"""Fixtures for tests of the ingress as a process: a folder, a broker for a file, an HTTP client."""

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
from tests.support.processes.formatted import formatted


@pytest.fixture
def place() -> Iterator[Path]:
    """Yields a folder that is removed after the test: pytest would keep spools with thousands of bodies."""
    with tempfile.TemporaryDirectory(prefix="callweave-ingress-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
async def broker() -> AsyncIterator[KafkaServer]:
    """Yields a broker for the tests of one file, which may stop and start it."""
    with tempfile.TemporaryDirectory(prefix="callweave-ingress-test-") as folder:
        async with KafkaServer(formatted(Path(folder)), port=free_port(), heap="256m") as server:
            await create_topics(KafkaSettings(bootstrap=server.bootstrap, partitions=PARTITIONS))
            yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Yields a client without a limit of connections."""
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=30), connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        yield session
