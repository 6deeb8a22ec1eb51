"""The embedded ClickHouse as a process: keeps what it acknowledged, locks its directory, ends with its parent."""

import asyncio
import contextlib
import os
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from deploy.clickhouse.accounts import EngineRole
from deploy.clickhouse.launch import ClickHouseServer
from deploy.process.child import Child, spawn
from deploy.process.ports import free_port
from schemas.errors import SetupError
from tests.contract import native_protocol as native
from tests.embedded.kill_clickhouse import kill_series
from tests.support.children import alive, ends_with_its_parent
from tests.support.clickhouse_at import address, ask, until_it_says
from tests.support.scale import SCALE

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ClickHouseServer]:
    async with ClickHouseServer(tmp_path / "clickhouse") as server:
        yield server


@pytest.fixture
def url(server: ClickHouseServer) -> str:
    return address(server)


async def test_every_answered_insert_is_there_after_a_kill(tmp_path: Path) -> None:
    """Runs six kills, in the long lane twelve; `python -m tests.embedded.kill_clickhouse` runs more."""
    kills = 6 * min(SCALE, 2)
    found = await kill_series(tmp_path / "clickhouse", kills=kills)

    assert found.answered > kills
    assert found.in_hand > kills
    assert (found.missing, found.twice, found.torn) == ((), (), ())


NOT_STORED = [
    pytest.param("min_free_disk_bytes_to_perform_insert = 1000000000000000", "NOT_ENOUGH_SPACE", id="disk full"),
    pytest.param(
        "parts_to_throw_insert = 1, inactive_parts_to_throw_insert = 1", "TOO_MANY_PARTS", id="too many parts"
    ),
]


@pytest.mark.parametrize(("setting", "code"), NOT_STORED)
async def test_an_insert_that_is_not_stored_is_not_answered_with_success(url: str, setting: str, code: str) -> None:
    """A failure after the rows were read must reach the client: a client that gets a success forgets the rows."""
    await ask(url, "CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")
    await ask(url, "INSERT INTO t VALUES (1)")
    await ask(url, f"ALTER TABLE t MODIFY SETTING {setting}")
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data="INSERT INTO t FORMAT CSV\n2\n3\n") as response,
    ):
        status, text = response.status, await response.text()
    stored = await ask(url, "SELECT count() FROM t")

    assert (status, stored) == (500, "1")
    assert code in text


async def test_an_insert_with_a_refused_row_stores_nothing(url: str) -> None:
    await ask(url, "CREATE TABLE t (n UInt32, CONSTRAINT low CHECK n < 5) ENGINE = MergeTree ORDER BY n")

    answer = await ask(url, "INSERT INTO t SETTINGS max_insert_block_size = 10 FORMAT CSV\n1\n7\n")

    assert "VIOLATED_CONSTRAINT" in answer
    assert await ask(url, "SELECT count() FROM t") == "0"


async def test_a_stop_and_a_start_keep_the_data(tmp_path: Path) -> None:
    async with ClickHouseServer(tmp_path / "clickhouse") as server:
        await ask(address(server), "CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n")
        pid = server.pid
    async with ClickHouseServer(tmp_path / "clickhouse") as server:
        found = await ask(address(server), "SELECT n FROM t")

    assert found == "7"
    assert not alive(pid)


# As earlier releases did: the same package's other engine, on the same directory, by a relative address.
_BEFORE = """\
import importlib, os, signal, sys
from pathlib import Path

os.chdir(sys.argv[1])
Path("config.xml").write_text("<clickhouse><mark_cache_size>67108864</mark_cache_size></clickhouse>")
engine = importlib.import_module("chdb._chdb").connect("file:store?config-file=config.xml")
for sql in (
    "CREATE DATABASE calls",
    "CREATE TABLE calls.cdr (id UInt64, name String) ENGINE = ReplacingMergeTree ORDER BY id",
    "CREATE VIEW calls.v_cdr AS SELECT name FROM calls.cdr",
    "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n",
    "INSERT INTO t VALUES (7)",
):
    engine.query(sql, "TSV")
for number in range(20):
    engine.query(f"INSERT INTO calls.cdr SELECT number, concat('name ', toString(number)) FROM numbers({number * 100}, 100)", "TSV")
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_a_store_of_the_releases_before_is_opened_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "clickhouse"
    folder.mkdir()
    before = await asyncio.create_subprocess_exec(sys.executable, "-c", _BEFORE, str(folder))
    assert await before.wait() == -signal.SIGKILL
    async with ClickHouseServer(folder) as server:
        url = address(server)
        rows = await ask(url, "SELECT count(), sum(id) FROM calls.cdr FINAL")
        names = await ask(url, "SELECT uniqExact(name) FROM calls.v_cdr")
        there = await ask(url, "SELECT n FROM t")
        await ask(url, "INSERT INTO calls.cdr VALUES (2000, 'name 2000')")
        after = await ask(url, "SELECT count() FROM calls.cdr FINAL")

    assert rows == f"2000\t{sum(range(2000))}"
    assert (names, there, after) == ("2000", "7", "2001")


ODD = [
    "a folder? 100% & more",
    "it's",
    'a "quoted" <tag>',
    "back\\slash",
    "%20 + # ; $HOME",
    "文件夹",
]


@pytest.mark.parametrize("name", ODD)
async def test_a_directory_with_an_odd_name_holds_the_data(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    async with ClickHouseServer(folder) as server:
        await ask(address(server), "CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n")
        sql = "SELECT timezone(), value FROM system.server_settings WHERE name = 'mark_cache_size'"
        configured = await ask(address(server), sql)
        path = await ask(address(server), "SELECT path FROM system.parts WHERE table = 't' FORMAT TabSeparatedRaw")
    async with ClickHouseServer(folder) as server:
        found = await ask(address(server), "SELECT n FROM t")

    assert configured == f"UTC\t{64 << 20}", "its configuration was not read"
    assert path.startswith(f"{folder}/store/")
    assert found == "7"


async def test_it_ends_cleanly_when_asked(server: ClickHouseServer) -> None:
    os.kill(server.pid, signal.SIGTERM)
    fault = await server.wait()

    assert "exit code 0" in str(fault)


BUSY = {
    "asleep": "SELECT sleepEachRow(1) FROM numbers(1000) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0",
    "reckoning": "SELECT count() FROM system.numbers WHERE sipHash64(number) = 0",
    "inserting": "INSERT INTO t SELECT sipHash64(number) FROM system.numbers",
}


@pytest.mark.parametrize("sql", BUSY.values(), ids=BUSY.keys())
async def test_it_ends_in_time_though_a_query_runs_on(
    server: ClickHouseServer, url: str, tmp_path: Path, sql: str
) -> None:
    await ask(url, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
    query = asyncio.create_task(ask(url, sql, query_id="busy"))
    await until_it_says(url, "SELECT count() FROM system.processes WHERE query_id = 'busy'", "1")
    os.kill(server.pid, signal.SIGTERM)
    fault = await server.wait()
    [outcome] = await asyncio.gather(query, return_exceptions=True)

    assert "exit code 0" in str(fault)
    assert "did not end" not in (tmp_path / "clickhouse" / "console.log").read_text()
    assert isinstance(outcome, aiohttp.ClientError) or "QUERY_WAS_CANCELLED" in str(outcome)


async def test_a_second_process_on_the_same_directory_is_refused_and_the_first_goes_on(
    server: ClickHouseServer, url: str, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="another ClickHouse already runs on") as caught:
        await ClickHouseServer(tmp_path / "clickhouse").start()

    assert caught.value.code == "locked"
    assert await ask(url, "SELECT 1") == "1", "its passwords are those of before"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", free_port()))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.mark.parametrize(("argument", "what"), [("port", "ClickHouse"), ("tcp_port", "ClickHouse's native protocol")])
async def test_a_port_in_use_is_refused(tmp_path: Path, taken: int, argument: str, what: str) -> None:
    ports = {argument: taken}
    with pytest.raises(SetupError, match=f"{what} needs port {taken}, which .* already uses") as caught:
        await ClickHouseServer(tmp_path / "clickhouse", **ports).start()  # type: ignore[arg-type] # only ports

    assert caught.value.code == "port_in_use"


@pytest.mark.parametrize("option", ["--port", "--tcp-port"])
async def test_the_process_itself_says_that_a_port_is_in_use(tmp_path: Path, taken: int, option: str) -> None:
    """The port may have been taken between the launcher's check and the process's start."""
    ports = {"--port": free_port(), "--tcp-port": free_port(), option: taken}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.clickhouse", f"--data-dir={tmp_path / 'clickhouse'}"),
        *(f"{name}={port}" for name, port in ports.items()),
        stderr=asyncio.subprocess.PIPE,
    )
    _, output = await process.communicate()

    assert process.returncode == 1
    assert f"needs port {taken}" in output.decode()
    assert "Traceback" not in output.decode()


async def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    await ends_with_its_parent(ClickHouseServer, tmp_path / "clickhouse")


# The answer of chDB's other engine, and of a package without clickhouse-local.
_NO_LISTENER = """\
import deploy.clickhouse.engine as e

class Old:
    def query(self, *arguments, **more):
        raise RuntimeError("Code: 49. DB::Exception: Can't start servers because start_servers_callback is not set. (LOGICAL_ERROR)")

"""
ENGINES = {
    "another version": (
        'import deploy.clickhouse.engine as e; e._version = lambda: "27.1.0"',
        "needs chdb-core 26.9.0, and 27.1.0 is installed",
    ),
    "none": (
        'import deploy.clickhouse.engine as e; e._version = lambda: ""',
        "needs chdb-core 26.9.0, and none is installed",
    ),
    "one that cannot be loaded": (
        "import pathlib; pathlib.Path.glob = lambda self, pattern: iter(())",
        "the engine of chdb-core 26.9.0 cannot be loaded",
    ),
    "one without a listener": (f"{_NO_LISTENER}e._load = Old", "opens no listener"),
}
_PATCHED = "import sys\n{patch}\nimport deploy.clickhouse.__main__ as main\nsys.exit(main.main())"


@pytest.mark.parametrize(("patch", "sentence"), ENGINES.values(), ids=ENGINES.keys())
async def test_an_engine_that_cannot_serve_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patch: str, sentence: str
) -> None:
    """The launcher adds what to do where the process cannot know more."""
    script = _PATCHED.format(patch=patch)

    async def spawned(argv: tuple[str, ...], *, output: Path) -> Child:
        return await spawn((argv[0], "-c", script, *argv[3:]), output=output)

    monkeypatch.setattr("deploy.clickhouse.launch.spawn", spawned)
    with pytest.raises(SetupError, match=sentence) as caught:
        await ClickHouseServer(tmp_path / "clickhouse").start()

    assert caught.value.code == "engine"


async def test_a_wide_answer_streams_through_little_memory(server: ClickHouseServer, url: str) -> None:
    """Measured by the process's memory: 400 MB of an answer may add a tenth of that."""
    await ask(url, "SELECT number, toString(number) FROM numbers(100000) FORMAT Null")
    before, size = resident(server.pid), 0
    sql = "SELECT number, repeat('x', 32) FROM numbers(10000000) FORMAT TabSeparated"
    highest = before
    async with aiohttp.ClientSession() as session, session.post(url, data=sql) as response:
        async for piece in response.content.iter_chunked(1 << 22):
            size += len(piece)
            highest = max(highest, resident(server.pid))

    assert size > 400_000_000
    assert highest - before < 100 << 20


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


GONE = 12 if SCALE == 1 else 42
"""Clients that go away; the engine reckons on for each of them until it notices."""


async def test_a_client_that_goes_away_in_mid_stream_harms_nobody(server: ClickHouseServer, url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(GONE):
            response = await session.post(url, data="SELECT * FROM system.numbers")
            await response.content.readany()
            response.close()
    await until_it_says(url, "SELECT count() FROM system.processes WHERE query LIKE '%system.numbers'", "0")

    assert await ask(url, "SELECT 1") == "1"


HTTP_ODD = {
    "nothing": b"",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(508),
    "no HTTP": b"EHLO example.com\r\n\r\n",
    "half a request": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le",
    "a body that is cut": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{login}Content-Length: 1000\r\n\r\nSELECT 1",
    "a chunk without a length": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{login}Transfer-Encoding: chunked\r\n\r\nzzz\r\n",
    "a chunk that is too long": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{login}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nSELECT 1",
    "a negative length": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{login}Content-Length: -5\r\n\r\nSELECT 1",
    "a gzip that is none": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{login}Content-Encoding: gzip\r\nContent-Length: 8\r\n\r\nSELECT 1",
    "a frame that is none": b"POST /?decompress=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n{login}Content-Length: 40\r\n\r\n"
    + b"\xff" * 40,
    "an address of two megabytes": b"GET /?query=" + b"x" * (2 << 20) + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n{login}\r\n",
    "a thousand headers": b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n",
    "zeros": bytes(10_000),
    "an endless form": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{login}Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 500\r\n\r\n--x\r\n",
}
TCP_ODD = {
    "nothing": b"",
    "HTTP": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a TLS hello": HTTP_ODD["a TLS hello"],
    "half a hello": native.hello("callweave", "no")[:12],
    "a text of 2**60 bytes": native.number(native.HELLO) + native.number(1 << 60),
    "a number without an end": native.number(native.HELLO) + b"\xff" * 100,
    "an unknown packet": native.number(77),
    "a query before the hello": native.query("SELECT 1"),
    "a login, and then zeros": b"{hello}" + bytes(1000),
    "a login, and then a block that is none": b"{hello}" + native.query("SELECT 1")[:-10] + b"\xff" * 60,
    "a login, and then a query that is cut": b"{hello}" + native.query("SELECT 1")[:9],
    "zeros": bytes(10_000),
}
ODD_REQUESTS = [
    *(pytest.param("http", raw, id=f"HTTP: {name}") for name, raw in HTTP_ODD.items()),
    *(pytest.param("tcp", raw, id=f"TCP: {name}") for name, raw in TCP_ODD.items()),
]


@pytest.fixture(scope="module")
async def sturdy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClickHouseServer]:
    async with ClickHouseServer(tmp_path_factory.mktemp("sturdy") / "clickhouse") as server:
        yield server


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(("port", "raw"), ODD_REQUESTS)
async def test_a_malformed_request_leaves_it_alive(
    sturdy: ClickHouseServer, port: str, raw: bytes, *, reset: bool
) -> None:
    name, password = sturdy.account(EngineRole.MIGRATOR), sturdy.password(EngineRole.MIGRATOR)
    login = f"X-ClickHouse-User: {name}\r\nX-ClickHouse-Key: {password}\r\n".encode()
    raw = raw.replace(b"{login}", login).replace(b"{hello}", native.hello(name, password, revision=native.OLD))
    _, writer = await asyncio.open_connection("127.0.0.1", sturdy.port if port == "http" else sturdy.tcp_port)
    writer.write(raw)
    if reset:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    with contextlib.suppress(OSError):  # the server may have closed it already
        if not reset:
            await writer.drain()
            writer.write_eof()
        writer.close()
        await writer.wait_closed()

    assert await ask(address(sturdy), "SELECT 1") == "1"
    await until_it_says(address(sturdy), "SELECT count() FROM system.processes WHERE user != ''", "1")


async def test_a_form_that_cannot_be_read_is_refused(url: str) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT \xff\r\n--x--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    async with aiohttp.ClientSession() as session, session.post(url, data=form, headers=headers) as answer:
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (400, "62")
