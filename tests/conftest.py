"""The two servers that tests share: one broker and one ClickHouse for a whole run, embedded unless an address is given."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.clickhouse.launch import ClickHouseServer
from deploy.kafka import KafkaServer


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory that outlives every test of the run and goes with it."""
    path = Path(tempfile.mkdtemp(prefix="callweave-tests-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
async def kafka(scratch: Path) -> AsyncIterator[str]:
    """The bootstrap address of a broker; tests make their topics' names unique. CALLWEAVE_TEST_KAFKA names another one."""
    given = os.environ.get("CALLWEAVE_TEST_KAFKA")
    if given:
        yield given
        return
    async with KafkaServer(scratch / "kafka") as server:
        yield server.bootstrap


@pytest.fixture(scope="session")
async def clickhouse_url(scratch: Path) -> AsyncIterator[str]:
    """The address of a ClickHouse; tests make their databases' names unique. CALLWEAVE_TEST_CLICKHOUSE_URL names another one."""
    given = os.environ.get("CALLWEAVE_TEST_CLICKHOUSE_URL")
    if given:
        yield given
        return
    async with ClickHouseServer(scratch / "clickhouse") as server:
        yield server.url
