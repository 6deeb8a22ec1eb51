"""What the tests of ClickHouse's protocols share: a plain HTTP session, and a question with its answer."""

from collections.abc import AsyncIterator

import aiohttp
import pytest


@pytest.fixture(scope="session")
async def http(clickhouse_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with the name and password of the address, which takes answers as they come."""
    plain = {"Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(clickhouse_url, auto_decompress=False, headers=plain) as session:
        yield session
