"""The engine of the tests of what no account can do, with and without its sandbox."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from deploy.clickhouse import sandbox
from tests.security.closed_engine import EngineUnderTest, running_engine

WITHOUT: Final = "without a sandbox"
OF_ACCOUNTS: Final = {"test_closed_columns", "test_closed_logins", "test_masked_views"}
"""Files on what the engine's own accounts may do, of which a sandbox changes nothing."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves these without a sandbox to the long lane, where there is one."""
    for item in items:
        if item.path.stem in OF_ACCOUNTS and f"[{WITHOUT}" in item.name and sandbox.version():
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="module", params=["in the sandbox", WITHOUT])
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EngineUnderTest]:
    sandboxed = request.param == "in the sandbox"
    if sandboxed and not sandbox.version():
        pytest.skip("this kernel has no Landlock")
    async with running_engine(tmp_path_factory.mktemp("closed"), sandboxed=sandboxed) as engine:
        yield engine
