"""The embedded ClickHouse's memory: bounded, shared by readers and writers, and reserved by queries that ask for it."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from deploy.clickhouse.accounts import EngineRole
from deploy.clickhouse.launch import ClickHouseServer
from tests.support.clickhouse_at import address, ask

_MIB = 1 << 20
ALL = 1200
"""The memory for everything; readers have 60 % of it."""
BIG = "SELECT length(groupArray(number)) FROM numbers({rows}) SETTINGS max_threads = 1"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClickHouseServer]:
    async with ClickHouseServer(tmp_path_factory.mktemp("memory") / "clickhouse", memory_mib=ALL) as server:
        await ask(address(server), "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
        yield server


@pytest.mark.parametrize("role", EngineRole)
async def test_a_query_beyond_the_memory_limit_fails_and_the_server_lives(
    server: ClickHouseServer, role: EngineRole
) -> None:
    failed = await ask(address(server, role), BIG.format(rows=400_000_000))
    after = await ask(address(server, role), "SELECT 1")

    assert "(MEMORY_LIMIT_EXCEEDED)" in failed or "MEMORY_RESERVATION" in failed
    assert after == "1"


async def test_readers_beyond_their_part_are_ended_while_inserts_go_on(server: ClickHouseServer) -> None:
    """Ended by the engine's scheduler or, where the query grows faster, by the limit of the reader's account."""
    grows = "SELECT sum(length(a)) FROM (SELECT number % 4096 AS k, groupArray(number) AS a FROM numbers(120000000) GROUP BY k) SETTINGS max_threads = 1"
    inserted = 0

    async def insert_beside(reader: "asyncio.Task[str]") -> list[str]:
        nonlocal inserted
        answers = []
        while not reader.done():
            answers.append(
                await ask(address(server, EngineRole.WRITER), "INSERT INTO t SELECT number FROM numbers(1000)")
            )
            inserted += 1
        return answers

    reader = asyncio.create_task(ask(address(server, EngineRole.READER), grows))
    answers = await insert_beside(reader)
    ended = await reader

    assert "Workload 'reading' limit is hit" in ended or "User memory limit exceeded" in ended
    assert set(answers) == {""}
    assert await ask(address(server), "SELECT count() FROM t") == str(1000 * inserted)


async def test_inserts_go_on_while_many_readers_take_all_they_can(server: ClickHouseServer) -> None:
    await ask(address(server), "TRUNCATE TABLE t")
    readers = asyncio.gather(*(ask(address(server, EngineRole.READER), BIG.format(rows=40_000_000)) for _ in range(12)))
    inserts = []
    while not readers.done():
        inserts.append(await ask(address(server, EngineRole.WRITER), "INSERT INTO t SELECT number FROM numbers(1000)"))
    answers = await readers

    assert any("Code: " in answer for answer in answers), "they had enough memory: nothing was shown"
    assert set(inserts) == {""}
    assert await ask(address(server), "SELECT count() FROM t") == str(1000 * len(inserts))


async def test_queries_that_reserve_their_memory_wait_for_their_turn(server: ClickHouseServer) -> None:
    """Eight queries that need four times the readers' memory: each gets it, one after the other."""
    sql = f"{BIG.format(rows=20_000_000)}, reserve_memory = '{400 * _MIB}'"
    answers = await asyncio.gather(*(ask(address(server, EngineRole.READER), sql) for _ in range(8)))

    assert answers == ["20000000"] * 8


async def test_a_light_query_does_not_wait_for_a_hundred_that_sleep(server: ClickHouseServer) -> None:
    url = address(server, EngineRole.READER)
    sleeps = "SELECT sleepEachRow(3) FROM numbers(1000) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def sleep(number: int) -> None:
            async with session.post(url, params={"query_id": f"sleeps {number}"}, data=sleeps) as response:
                await response.read()

        tasks = [asyncio.create_task(sleep(number)) for number in range(100)]
        running = "SELECT count() FROM system.processes WHERE query_id LIKE 'sleeps %'"
        async with asyncio.timeout(60):
            while await ask(address(server), running) != "100":  # noqa: ASYNC110 - another process's state has no event to wait for
                await asyncio.sleep(0.1)
        answers = [await ask(url, "SELECT 1") for _ in range(20)]
        still = await ask(address(server), running)
        await ask(address(server), "KILL QUERY WHERE query_id LIKE 'sleeps %' SYNC")
        await asyncio.gather(*tasks, return_exceptions=True)

    assert answers == ["1"] * 20
    assert still == "100"
