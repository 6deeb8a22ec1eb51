"""ClickHouse's native format: compressed over HTTP (JDBC, Go), by version of the protocol, and over TCP."""

import asyncio
import contextlib
import io
import uuid
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from tests.contract import native_protocol as native
from tests.support.clickhouse_at import ask

ROWS = "SELECT number AS id, concat('name ', toString(number)) AS name FROM numbers(200000)"


async def compressed(http: aiohttp.ClientSession, sql: str, **params: str) -> tuple[int, bytes]:
    async with http.post("/", params={"compress": "1", **params}, data=sql) as response:
        return response.status, await response.read()


@pytest.mark.parametrize("name", ["TabSeparated", "Native", "RowBinaryWithNamesAndTypes", "JSON"])
async def test_an_answer_in_frames_is_the_plain_answer(http: aiohttp.ClientSession, name: str) -> None:
    """Answers are compressed with LZ4, the only method that the JDBC driver reads."""
    sql = f"{ROWS} FORMAT {name} SETTINGS output_format_write_statistics = 0, max_threads = 1"
    _, stream = await compressed(http, sql)
    async with http.post("/", data=sql) as response:
        plain = await response.read()
    found = native.frames(stream)

    assert len(found) > 1
    assert {frame.method for frame in found} == {native.LZ4}
    assert b"".join(frame.data for frame in found) == plain


async def test_an_error_of_a_query_with_a_framed_answer_is_framed_too(http: aiohttp.ClientSession) -> None:
    status, stream = await compressed(http, "SELECT * FROM no_such_table")

    assert status == 404
    assert native.frames(stream)[0].data.startswith(b"Code: 60. DB::Exception: ")


@pytest.fixture
async def table(clickhouse_url: str) -> str:
    name = f"n_{uuid.uuid4().hex}"
    await ask(clickhouse_url, f"CREATE TABLE {name} (id UInt64, name String) ENGINE = MergeTree ORDER BY id")
    return name


@pytest.mark.parametrize("name", ["TabSeparated", "Native", "RowBinary"])
async def test_a_body_in_frames_is_inserted(
    http: aiohttp.ClientSession, clickhouse_url: str, table: str, name: str
) -> None:
    """The frames are the engine's own, so that their hashes are right."""
    _, stream = await compressed(http, f"{ROWS} FORMAT {name}")
    async with http.post(
        "/", params={"query": f"INSERT INTO {table} FORMAT {name}", "decompress": "1"}, data=io.BytesIO(stream)
    ) as done:
        assert done.status == 200, await done.text()

    found = await ask(
        clickhouse_url, f"SELECT count(), sum(id), countIf(name = concat('name ', toString(id))) FROM {table}"
    )
    assert found == f"200000\t{sum(range(200_000))}\t200000"


async def test_both_ways_in_one_request(http: aiohttp.ClientSession) -> None:
    """The Go driver sends its inserts so, and JDBC compressed queries."""
    _, stream = await compressed(http, "SELECT 'SELECT 40 + 2' FORMAT TabSeparatedRaw")
    async with http.post("/", params={"decompress": "1", "compress": "1"}, data=stream) as response:
        body = await response.read()

    assert [frame.data for frame in native.frames(body)] == [b"42\n"]


@pytest.mark.parametrize(("byte", "code"), [(0, "271"), (16, "432")], ids=["hash", "method"])
async def test_a_damaged_frame_is_an_error_and_stores_nothing(
    http: aiohttp.ClientSession, clickhouse_url: str, table: str, byte: int, code: str
) -> None:
    _, stream = await compressed(http, "SELECT 1, 'one' FORMAT TabSeparated")
    damaged = bytearray(stream)
    damaged[byte] ^= 0xFF
    async with http.post(
        "/", params={"query": f"INSERT INTO {table} FORMAT TabSeparated", "decompress": "1"}, data=bytes(damaged)
    ) as response:
        await response.read()

    assert response.headers["X-ClickHouse-Exception-Code"] == code
    assert await ask(clickhouse_url, f"SELECT count() FROM {table}") == "0"


# clickhouse-connect asks for 54405, clickhouse-go for 54460; from 54454 on a column has a serialization kind.
VERSIONS = [
    pytest.param("", b"\x01\x01\x05check\x05UInt8\x01", id="none"),
    pytest.param("54405", native.EMPTY_BLOCK[:8] + b"\x01\x01\x05check\x05UInt8\x01", id="clickhouse-connect"),
    pytest.param("54460", native.EMPTY_BLOCK[:8] + b"\x01\x01\x05check\x05UInt8\x00\x01", id="clickhouse-go"),
]


@pytest.mark.parametrize(("version", "expected"), VERSIONS)
async def test_a_native_answer_is_written_for_the_clients_version(
    http: aiohttp.ClientSession, version: str, expected: bytes
) -> None:
    params = {"client_protocol_version": version} if version else {}
    async with http.post("/", params=params, data="SELECT 1 AS check FORMAT Native") as response:
        assert await response.read() == expected


async def test_a_type_keeps_its_time_zone_in_a_newer_version(http: aiohttp.ClientSession) -> None:
    sql = "SELECT toDateTime(0, 'Asia/Shanghai') AS at FORMAT Native"
    async with http.post("/", params={"client_protocol_version": "54405"}, data=sql) as response:
        assert b"DateTime('Asia/Shanghai')" in await response.read()


@contextlib.asynccontextmanager
async def connected(clickhouse_url: str) -> AsyncIterator[tuple[native.Answer, asyncio.StreamWriter]]:
    port = int(await ask(clickhouse_url, "SELECT tcpPort()"))
    reader, writer = await asyncio.open_connection(URL(clickhouse_url).host, port)
    async with asyncio.timeout(60):
        yield native.Answer(reader), writer
    writer.close()


async def greeted(clickhouse_url: str, answer: native.Answer, writer: asyncio.StreamWriter) -> None:
    """Logs in as a client of revision `OLD`, and reads the server's hello."""
    writer.write(login(clickhouse_url, revision=native.OLD))
    assert await answer.number() == native.IS_HELLO
    await answer.text()
    for _ in range(3):
        await answer.number()


def login(clickhouse_url: str, *, revision: int = native.WITH_NAME) -> bytes:
    url = URL(clickhouse_url)
    return native.hello(url.user or "", url.password or "", revision=revision)


async def test_a_right_hello_is_answered_with_the_servers_version(clickhouse_url: str) -> None:
    async with connected(clickhouse_url) as (answer, writer):
        writer.write(login(clickhouse_url))
        kind = await answer.number()
        name = await answer.text()
        major, minor, revision = [await answer.number() for _ in range(3)]
        zone = await answer.text()
        await answer.text()
        writer.write(native.number(native.PING))
        pong = await answer.number()
    version = await ask(clickhouse_url, "SELECT version()")

    assert (kind, name, zone, pong) == (native.IS_HELLO, "ClickHouse", "UTC", native.IS_PONG)
    assert version.startswith(f"{major}.{minor}.")
    assert revision >= 54460


WRONG = [
    pytest.param(native.hello("nobody", "no"), id="an unknown name"),
    pytest.param(native.hello("default", ""), id="the engine's own name without a password"),
    pytest.param(native.hello("", ""), id="nothing"),
]


@pytest.mark.parametrize("packet", WRONG)
async def test_a_wrong_hello_is_answered_with_an_exception(clickhouse_url: str, packet: bytes) -> None:
    async with connected(clickhouse_url) as (answer, writer):
        writer.write(packet)
        kind = await answer.number()
        code, message = await answer.exception()

    assert (kind, code) == (native.IS_EXCEPTION, 516)
    assert "Authentication failed" in message


async def test_the_right_name_with_a_wrong_password_is_refused(clickhouse_url: str) -> None:
    async with connected(clickhouse_url) as (answer, writer):
        writer.write(native.hello(URL(clickhouse_url).user or "", "wrong"))
        kind = await answer.number()
        code, _ = await answer.exception()

    assert (kind, code) == (native.IS_EXCEPTION, 516)


async def test_a_query_over_tcp_is_answered_block_by_block(clickhouse_url: str) -> None:
    async with connected(clickhouse_url) as (answer, writer):
        await greeted(clickhouse_url, answer, writer)
        writer.write(native.query("SELECT toUInt8(42) AS n"))
        blocks = []
        while (kind := await answer.number()) != native.IS_END:
            if kind == native.IS_DATA:
                assert await answer.text() == ""
                assert await answer.exactly(8) == native.EMPTY_BLOCK[:8]
                columns, rows = await answer.number(), await answer.number()
                for _ in range(columns):
                    names = await answer.text(), await answer.text()
                    blocks.append((*names, await answer.exactly(rows)))
            elif kind == native.IS_PROGRESS:
                for _ in range(3):
                    await answer.number()
            elif kind == native.IS_PROFILE:
                for _ in range(3):
                    await answer.number()
                await answer.exactly(1)
                await answer.number()
                await answer.exactly(1)
            else:
                raise AssertionError(kind)

    assert ("n", "UInt8", b"*") in blocks


async def test_a_query_that_fails_over_tcp_is_an_exception_and_the_connection_goes_on(clickhouse_url: str) -> None:
    async with connected(clickhouse_url) as (answer, writer):
        await greeted(clickhouse_url, answer, writer)
        writer.write(native.query("SELECT * FROM no_such_table"))
        kind = await answer.number()
        code, _ = await answer.exception()
        writer.write(native.number(native.PING))
        pong = await answer.number()

    assert (kind, code, pong) == (native.IS_EXCEPTION, 60, native.IS_PONG)
