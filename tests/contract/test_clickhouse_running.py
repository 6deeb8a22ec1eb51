"""Queries while they run: listed, ended, observed and streamed; and their entries in the engine's own logs."""

import asyncio
import contextlib
import json
import re
import uuid
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.clickhouse_at import ask, until_it_says

LIMIT_S = 60.0
ENDLESS = "SELECT count() FROM system.numbers WHERE sipHash64(number) = 0"
MILLIONS = 5_000_000


async def until_it_runs(url: str, query_id: str) -> None:
    await until_it_says(url, f"SELECT count() FROM system.processes WHERE query_id = '{query_id}'", "1")


async def until_it_is_gone(url: str, query_id: str) -> None:
    await until_it_says(url, f"SELECT count() FROM system.processes WHERE query_id = '{query_id}'", "0")


@contextlib.asynccontextmanager
async def running(url: str, *, session_id: str = "") -> AsyncIterator[tuple[str, "asyncio.Task[str]"]]:
    """Yields a running query, as its id and the task that waits for its answer, and ends it."""
    query_id = uuid.uuid4().hex
    there = f"{url}/?session_id={session_id}" if session_id else url
    task = asyncio.create_task(ask(there, ENDLESS, query_id=query_id))
    try:
        await until_it_runs(url, query_id)
        yield query_id, task
    finally:
        await ask(url, f"KILL QUERY WHERE query_id = '{query_id}' SYNC")
        await asyncio.gather(task, return_exceptions=True)


async def test_a_query_is_ended_by_its_id(clickhouse_url: str) -> None:
    async with running(clickhouse_url) as (query_id, task):
        ended = await ask(clickhouse_url, f"KILL QUERY WHERE query_id = '{query_id}' SYNC")
        answer = await task

    assert "finished" in ended
    assert answer.startswith("Code: 394. ")
    assert "(QUERY_WAS_CANCELLED)" in answer


async def test_the_id_of_a_running_query_is_not_given_twice(clickhouse_url: str) -> None:
    async with running(clickhouse_url) as (query_id, _):
        answer = await ask(clickhouse_url, "SELECT 1", query_id=query_id)

    assert answer.startswith("Code: 216. ")


async def test_a_session_that_is_in_use_is_not_lent(clickhouse_url: str) -> None:
    session = uuid.uuid4().hex
    async with running(clickhouse_url, session_id=session):
        answer = await ask(clickhouse_url, "SELECT 1", session_id=session)
    after = await ask(clickhouse_url, "SELECT 1", session_id=session)

    assert answer.startswith("Code: 373. ")
    assert after == "1"


GOES_WITH_ITS_CLIENT = [
    pytest.param("GET", {}, id="in the address"),
    pytest.param("POST", {"readonly": "2"}, id="by a reader"),
    pytest.param("POST", {"send_progress_in_http_headers": "1"}, id="with progress"),
]


@pytest.mark.parametrize(("method", "params"), GOES_WITH_ITS_CLIENT)
async def test_a_query_whose_client_closed_the_connection_ends(
    clickhouse_url: str, method: str, params: dict[str, str]
) -> None:
    query_id = uuid.uuid4().hex
    async with aiohttp.ClientSession() as session:
        params = {"query": ENDLESS, "query_id": query_id, **params}
        task = asyncio.create_task(_whole(session, method, clickhouse_url, params))
        await until_it_runs(clickhouse_url, query_id)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await until_it_is_gone(clickhouse_url, query_id)


async def _whole(session: aiohttp.ClientSession, method: str, url: str, params: dict[str, str]) -> bytes:
    async with session.request(method, url, params=params) as response:
        return await response.read()


async def test_an_insert_goes_on_though_its_client_closed_the_connection(clickhouse_url: str) -> None:
    """An insert whose answer is lost goes on and is complete."""
    table = f"r_{uuid.uuid4().hex}"
    await ask(clickhouse_url, f"CREATE TABLE {table} (n UInt64) ENGINE = MergeTree ORDER BY n")
    query_id = uuid.uuid4().hex
    slow = f"INSERT INTO {table} SELECT number + sleepEachRow(0.1) FROM numbers(20) SETTINGS max_block_size = 1"
    async with aiohttp.ClientSession() as session:
        task = asyncio.create_task(_whole(session, "POST", clickhouse_url, {"query": slow, "query_id": query_id}))
        await until_it_runs(clickhouse_url, query_id)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await until_it_is_gone(clickhouse_url, query_id)

    assert await ask(clickhouse_url, f"SELECT count() FROM {table}") == "20"


async def test_progress_is_reported_while_a_query_runs(http: aiohttp.ClientSession) -> None:
    params = {
        "query": "SELECT sum(sleepEachRow(0.05)) FROM numbers(20) SETTINGS max_block_size = 1",
        "send_progress_in_http_headers": "1",
        "http_headers_progress_interval_ms": "100",
    }
    async with http.get("/", params=params) as response:
        reports = [json.loads(line) for line in response.headers.getall("X-ClickHouse-Progress")]
        assert await response.text() == "0\n"
    rows = [int(one["read_rows"]) for one in reports]

    assert len(rows) > 1
    assert rows == sorted(rows)
    assert {one["total_rows_to_read"] for one in reports} == {"20"}


STREAMED = [
    "TabSeparated",
    "CSVWithNames",
    "JSONEachRow",
    "JSON",
    "Native",
    "RowBinaryWithNamesAndTypes",
    "ArrowStream",
]


@pytest.mark.parametrize("name", STREAMED)
async def test_the_first_bytes_come_before_the_last_row_is_read(
    http: aiohttp.ClientSession, clickhouse_url: str, name: str
) -> None:
    """The first rows of a query that never ends arrive."""
    query_id = uuid.uuid4().hex
    sql = f"SELECT number, toString(number) FROM system.numbers FORMAT {name}"
    async with asyncio.timeout(LIMIT_S), http.get("/", params={"query": sql, "query_id": query_id}) as response:
        first = await response.content.readexactly(100_000)
        still = await ask(clickhouse_url, f"SELECT count() FROM system.processes WHERE query_id = '{query_id}'")
        response.close()
    await until_it_is_gone(clickhouse_url, query_id)

    assert len(first) == 100_000
    assert still == "1"


@pytest.mark.parametrize("name", ["TabSeparated", "Native", "RowBinaryWithNamesAndTypes", "JSONEachRow"])
async def test_an_answer_of_many_millions_of_bytes_takes_little_memory(
    http: aiohttp.ClientSession, clickhouse_url: str, name: str
) -> None:
    query_id = uuid.uuid4().hex
    sql = f"SELECT number, toString(number) FROM numbers({MILLIONS}) FORMAT {name}"
    size = 0
    async with http.get("/", params={"query": sql, "query_id": query_id}) as response:
        async for piece in response.content.iter_chunked(1 << 20):
            size += len(piece)
    await ask(clickhouse_url, "SYSTEM FLUSH LOGS query_log")
    rows, taken = (
        await ask(
            clickhouse_url,
            f"SELECT result_rows, memory_usage FROM system.query_log WHERE query_id = '{query_id}' AND type = 'QueryFinish'",
        )
    ).split()

    assert int(rows) == MILLIONS
    assert size > MILLIONS * 14
    assert int(taken) < size / 2


EXCEPTION = re.compile(rb"\r\n__exception__\r\n(\w{16})\r\n(.*?)(\d+) (\w{16})\r\n__exception__\r\n$", re.DOTALL)


@pytest.mark.parametrize("name", ["TabSeparated", "JSONEachRow", "RowBinary", "Native"])
async def test_a_failure_in_mid_stream_is_a_block_that_its_header_announced(
    http: aiohttp.ClientSession, name: str
) -> None:
    sql = f"SELECT throwIf(number = 3000000, 'it breaks here') FROM numbers(10000000) FORMAT {name}"
    end = b""
    async with http.get("/", params={"query": sql}) as response:
        assert response.status == 200
        with contextlib.suppress(
            aiohttp.ClientPayloadError
        ):  # the stream is cut, so that no client takes it for complete
            async for piece in response.content.iter_any():
                end = (end + piece)[-4096:]
    found = EXCEPTION.search(end)

    assert found
    assert found[1] == found[4] == response.headers["X-ClickHouse-Exception-Tag"].encode()
    assert int(found[3]) == len(found[2])
    assert b"Code: 395. DB::Exception: it breaks here" in found[2]


async def test_a_stream_that_failed_is_not_taken_for_whole(http: aiohttp.ClientSession) -> None:
    sql = "SELECT throwIf(number = 3000000) FROM numbers(10000000)"
    async with http.get("/", params={"query": sql}) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


LOGS = ["query_log", "session_log", "part_log"]


@pytest.mark.parametrize("name", LOGS)
async def test_a_log_of_the_engine_keeps_three_days(clickhouse_url: str, name: str) -> None:
    await ask(clickhouse_url, f"SYSTEM FLUSH LOGS {name}")
    engine = await ask(
        clickhouse_url, f"SELECT engine_full FROM system.tables WHERE database = 'system' AND name = '{name}'"
    )

    assert "TTL event_date + toIntervalDay(3)" in engine


async def test_queries_logins_and_parts_are_logged(clickhouse_url: str) -> None:
    table, query_id = f"r_{uuid.uuid4().hex}", uuid.uuid4().hex
    await ask(clickhouse_url, f"CREATE TABLE {table} (n UInt64) ENGINE = MergeTree ORDER BY n")
    await ask(clickhouse_url, f"INSERT INTO {table} VALUES (1)", query_id=query_id)
    await ask(clickhouse_url, "SYSTEM FLUSH LOGS")
    queries = await ask(
        clickhouse_url, f"SELECT type, written_rows FROM system.query_log WHERE query_id = '{query_id}' ORDER BY type"
    )
    parts = await ask(clickhouse_url, f"SELECT event_type, rows FROM system.part_log WHERE query_id = '{query_id}'")
    logins = await ask(clickhouse_url, "SELECT count() > 0 FROM system.session_log WHERE type = 'LoginSuccess'")

    assert queries == "QueryStart\t0\nQueryFinish\t1"
    assert parts == "NewPart\t1"
    assert logins == "1"


VALUES = [
    pytest.param("SELECT timezone()", "UTC", id="time zone"),
    pytest.param("SELECT getSetting('network_compression_method')", "LZ4", id="compression of frames"),
    pytest.param("SELECT getSetting('implicit_select')", "false", id="SQL as a server reads it"),
    pytest.param("SELECT DISTINCT cluster FROM system.clusters", "default", id="a cluster"),
]


@pytest.mark.parametrize(("sql", "expected"), VALUES)
async def test_the_engine_is_set_up_as_clients_expect(clickhouse_url: str, sql: str, expected: str) -> None:
    assert await ask(clickhouse_url, sql) == expected
