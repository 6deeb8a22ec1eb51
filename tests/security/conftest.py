"""The engine of the tests of what no account can do, with and without its sandbox."""

from collections.abc import AsyncIterator

import pytest

from deploy.clickhouse import sandbox
from tests.security.closed_engine import EngineUnderTest, running_engine


@pytest.fixture(scope="session", params=["in the sandbox", "without a sandbox"])
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EngineUnderTest]:
    sandboxed = request.param == "in the sandbox"
    if sandboxed and not sandbox.version():
        pytest.skip("this kernel has no Landlock")
    async with running_engine(tmp_path_factory.mktemp("closed"), sandboxed=sandboxed) as engine:
        yield engine
