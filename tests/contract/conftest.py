"""The HTTP session that the tests of ClickHouse's protocols share."""

from collections.abc import AsyncIterator

import aiohttp
import pytest


@pytest.fixture(scope="session")
async def http(clickhouse_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Yields a session with the name and password of the address, which does not decompress answers."""
    plain = {"Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(clickhouse_url, auto_decompress=False, headers=plain) as session:
        yield session
