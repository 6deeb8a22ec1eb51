"""The embedded ClickHouse's memory: bounded, shared out between readers and writers, and waited for by who asks for it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.clickhouse.accounts import Role
from deploy.clickhouse.launch import ClickHouseServer
from tests.clickhouse_at import address, ask

_MIB = 1 << 20
ALL = 1200
"""For everything; readers have 60 % of it."""
BIG = "SELECT length(groupArray(number)) FROM numbers({rows}) SETTINGS max_threads = 1"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClickHouseServer]:
    async with ClickHouseServer(tmp_path_factory.mktemp("memory") / "clickhouse", memory_mib=ALL) as server:
        await ask(address(server), "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
        yield server


@pytest.mark.parametrize("role", Role)
async def test_a_query_beyond_the_memory_limit_fails_and_the_server_lives(server: ClickHouseServer, role: Role) -> None:
    failed = await ask(address(server, role), BIG.format(rows=400_000_000))
    after = await ask(address(server, role), "SELECT 1")

    assert "(MEMORY_LIMIT_EXCEEDED)" in failed or "MEMORY_RESERVATION" in failed
    assert after == "1"
