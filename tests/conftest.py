"""The servers that tests share: one broker and one ClickHouse for a whole run, embedded unless an address is given.

A lane of several processes lends them to all of its processes (`tests/support/processes/lent_servers.py`).
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from deploy.clickhouse.launch import ClickHouseServer
from deploy.kafka.broker import KafkaServer
from deploy.process import ports
from schemas.config.settings import ClickHouseSettings
from sinks.migrate import migrator
from tests.lanes import WORKERS, place
from tests.support.clickhouse_at import address_of, settings_at
from tests.support.processes.lent_servers import lent
from tests.support.scale import SCALE

# Each process of a lane has ports of its own: another one must not take that of a server which is being started again.
_share = (ports._HIGHEST - ports._LOWEST) // (WORKERS + 1)
_number = int(os.environ.get("PYTEST_XDIST_WORKER", f"gw{WORKERS}").removeprefix("gw")) % (WORKERS + 1)
ports._LOWEST += _share * _number  # type: ignore[misc]
ports._HIGHEST = ports._LOWEST + _share  # type: ignore[misc]

# No deadline: tests never judge by time, and the machine may be busy.
settings.register_profile("scaled", max_examples=40 * SCALE, deadline=None)
settings.load_profile("scaled")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the project's own options."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="Write the outcomes of the golden cases anew, for a person to review.",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts the files first that take longest, where files are spread over processes."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place(item.path))


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """Yields a directory for the whole run, and removes it at the end."""
    path = Path(tempfile.mkdtemp(prefix="callweave-tests-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
async def kafka(scratch: Path) -> AsyncIterator[str]:
    """Yields the bootstrap address of a broker. CALLWEAVE_TEST_KAFKA names another one; topics need unique names."""
    given, servers = os.environ.get("CALLWEAVE_TEST_KAFKA"), lent()
    if given:
        yield given
        return
    if servers:
        yield servers.kafka
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
    servers = lent()
    if servers:
        yield servers.clickhouse
        return
    async with ClickHouseServer(scratch / "clickhouse") as server:
        yield server.settings()


@pytest.fixture(scope="session")
def clickhouse_url(clickhouse: ClickHouseSettings) -> str:
    """Returns its address, with the name and the password of the account that makes tables."""
    return address_of(migrator(clickhouse))
