"""The servers that tests share: one broker and one ClickHouse for a whole run, embedded unless an address is given."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.clickhouse.launch import ClickHouseServer
from deploy.kafka.broker import KafkaServer
from schemas.config.settings import ClickHouseSettings
from sinks.migrate import migrator
from tests.support.clickhouse_at import address_of, settings_at


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the project's own options."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="Write the outcomes of the golden cases anew, for a person to review.",
    )


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """Yields a directory for the whole run, and removes it at the end."""
    path = Path(tempfile.mkdtemp(prefix="callweave-tests-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
async def kafka(scratch: Path) -> AsyncIterator[str]:
    """Yields the bootstrap address of a broker. CALLWEAVE_TEST_KAFKA names another one; topics need unique names."""
    given = os.environ.get("CALLWEAVE_TEST_KAFKA")
    if given:
        yield given
        return
    async with KafkaServer(scratch / "kafka") as server:
        yield server.bootstrap


@pytest.fixture(scope="session")
async def clickhouse(scratch: Path) -> AsyncIterator[ClickHouseSettings]:
    """Yields the settings that reach a ClickHouse; tests make their databases' names unique.

    CALLWEAVE_TEST_CLICKHOUSE_URL names another one, with one account for everything: `http://name:password@host:8123`.
    """
    given = os.environ.get("CALLWEAVE_TEST_CLICKHOUSE_URL")
    if given:
        yield settings_at(given)
        return
    async with ClickHouseServer(scratch / "clickhouse") as server:
        yield server.settings()


@pytest.fixture(scope="session")
def clickhouse_url(clickhouse: ClickHouseSettings) -> str:
    """Returns its address, with the name and the password of the account that makes tables."""
    return address_of(migrator(clickhouse))
