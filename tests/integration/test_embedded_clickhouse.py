"""The embedded ClickHouse as a process: it keeps what it answered for, guards its directory, and goes when we go."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from deploy.clickhouse.launch import ClickHouseServer
from deploy.clickhouse.room import KEEP_BYTES
from deploy.clickhouse.users import User
from schemas.errors import SetupError
from tests.chaos.disk import Disk
from tests.integration.children import alive, ends_with_its_parent, until


async def ask(url: str, sql: str, **headers: str) -> str:
    async with aiohttp.ClientSession() as session, session.post(url, data=sql, headers=headers) as response:
        return (await response.text()).strip()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ClickHouseServer]:
    async with ClickHouseServer(tmp_path / "clickhouse") as server:
        yield server


async def test_every_answered_insert_is_there_after_a_kill(tmp_path: Path) -> None:
    """Killed five times in the middle of inserts; rows whose insert was answered are all there, and none twice."""
    server = ClickHouseServer(tmp_path / "clickhouse")
    answered: list[int] = []
    number = 0

    async def insert_until_it_is_gone() -> None:
        nonlocal number
        while True:
            number += 1
            try:
                if await ask(server.url, f"INSERT INTO calls.t VALUES ({number})") == "":
                    answered.append(number)
            except aiohttp.ClientError:
                return

    try:
        for crash in range(5):
            await server.start()
            if crash == 0:
                await ask(server.url, "CREATE DATABASE calls")
                await ask(server.url, "CREATE TABLE calls.t (n UInt32) ENGINE = MergeTree ORDER BY n")
            inserting = asyncio.create_task(insert_until_it_is_gone())
            seen = len(answered)
            await until(lambda seen=seen: len(answered) > seen + 20)  # type: ignore[misc] # the default binds the loop's value
            os.kill(server.pid, signal.SIGKILL)
            await inserting
            await server.stop()
        await server.start()
        stored = [int(line) for line in (await ask(server.url, "SELECT n FROM calls.t ORDER BY n")).split()]
    finally:
        await server.stop()

    assert set(answered) <= set(stored)
    assert len(stored) == len(set(stored))


NOT_STORED = [
    pytest.param("min_free_disk_bytes_to_perform_insert = 1000000000000000", "NOT_ENOUGH_SPACE", id="disk full"),
    pytest.param(
        "parts_to_throw_insert = 1, inactive_parts_to_throw_insert = 1", "TOO_MANY_PARTS", id="too many parts"
    ),
]


@pytest.mark.parametrize(("setting", "code"), NOT_STORED)
async def test_an_insert_that_is_not_stored_is_not_answered_with_success(
    server: ClickHouseServer, setting: str, code: str
) -> None:
    """Whatever fails after the rows were read must reach the client: who is told of success forgets the rows."""
    await ask(server.url, "CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")
    await ask(server.url, "INSERT INTO t VALUES (1)")
    await ask(server.url, f"ALTER TABLE t MODIFY SETTING {setting}")
    async with (
        aiohttp.ClientSession() as session,
        session.post(server.url, data="INSERT INTO t FORMAT CSV\n2\n3\n") as response,
    ):
        status, text = response.status, await response.text()
    stored = await ask(server.url, "SELECT count() FROM t")

    assert (status, stored) == (500, "1")
    assert code in text


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Disk]:
    disk = Disk(tmp_path / "disk", 400)
    await disk.mount()
    yield disk
    await disk.unmount()


async def test_an_insert_for_which_the_disk_has_no_room_is_not_answered_with_success(small_disk: Disk) -> None:
    """The engine itself answers with success, and cannot read the part at the next start (all of these, chDB 4.4)."""
    if small_disk.refusal:
        pytest.skip(small_disk.refusal)
    columns = ", ".join(f"c{n} String DEFAULT 'x'" for n in range(300))  # each is two files: more than it reserves
    wide = "min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0"
    answered: set[str] = set()
    async with ClickHouseServer(small_disk.path / "clickhouse") as server:
        await ask(server.url, f"CREATE TABLE t (n UInt64, {columns}) ENGINE = MergeTree ORDER BY n SETTINGS {wide}")
        for number in range(10):
            small_disk.fill(but=1_500_000 + number * 200_000)
            if await ask(server.url, f"INSERT INTO t (n) VALUES ({number})") == "":
                answered.add(str(number))
            small_disk.free()
        assert await ask(server.url, "INSERT INTO t (n) VALUES (99)") == "", "there is room again"
    async with ClickHouseServer(small_disk.path / "clickhouse") as server:
        stored = set((await ask(server.url, "SELECT n FROM t")).split())

    assert stored == answered | {"99"}


async def test_an_insert_that_used_up_the_room_is_not_answered_with_success(small_disk: Disk) -> None:
    if small_disk.refusal:
        pytest.skip(small_disk.refusal)
    async with ClickHouseServer(small_disk.path / "clickhouse") as server:
        await ask(server.url, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY tuple()")
        small_disk.fill(but=KEEP_BYTES + (8 << 20))
        said = await ask(server.url, "INSERT INTO t SELECT rand64() FROM numbers(14000000)")
        small_disk.free()
        assert "NOT_ENOUGH_SPACE" in said
        assert "it may not be stored" in said


async def test_what_a_full_disk_spoilt_is_there_after_a_kill(small_disk: Disk) -> None:
    """A part whose small files could not be written is whole in memory only; without being written anew it is gone."""
    if small_disk.refusal:
        pytest.skip(small_disk.refusal)
    parts = "SELECT path FROM system.parts WHERE table = 't' AND active"
    async with ClickHouseServer(small_disk.path / "clickhouse") as server:
        await ask(server.url, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
        await ask(server.url, "INSERT INTO t VALUES (1)")
        spoilt = await ask(server.url, parts)
        os.truncate(small_disk.path / "clickhouse" / spoilt / "checksums.txt", 0)  # as a full disk leaves it
        small_disk.fill()
        await asyncio.sleep(1)  # ten looks of the guard
        small_disk.free()
        async with asyncio.timeout(30):
            while await ask(server.url, parts) == spoilt:  # noqa: ASYNC110 - another process's state has no event to wait for
                await asyncio.sleep(0.1)
        os.kill(server.pid, signal.SIGKILL)
        await server.stop()
        await server.start()
        assert await ask(server.url, "SELECT n FROM t") == "1"


async def test_an_insert_with_a_refused_row_stores_nothing(server: ClickHouseServer) -> None:
    await ask(server.url, "CREATE TABLE t (n UInt32, CONSTRAINT low CHECK n < 5) ENGINE = MergeTree ORDER BY n")

    said = await ask(server.url, "INSERT INTO t SETTINGS max_insert_block_size = 10 FORMAT CSV\n1\n7\n")

    assert "VIOLATED_CONSTRAINT" in said
    assert await ask(server.url, "SELECT count() FROM t") == "0"


async def test_a_stop_and_a_start_keep_the_data(tmp_path: Path) -> None:
    async with ClickHouseServer(tmp_path / "clickhouse") as server:
        await ask(server.url, "CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n")
        pid = server.pid
    async with ClickHouseServer(tmp_path / "clickhouse") as server:
        found = await ask(server.url, "SELECT n FROM t")

    assert found == "7"
    assert not alive(pid)


async def test_a_directory_with_an_odd_name_holds_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "a folder? 100% & more"
    async with ClickHouseServer(folder) as server:
        await ask(server.url, "CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n")
        found = await ask(
            server.url, "SELECT timezone(), value FROM system.server_settings WHERE name = 'mark_cache_size'"
        )
    inside = {path.name for path in folder.iterdir()}

    assert found == f"UTC\t{64 << 20}", "its configuration was not read"
    assert "store" in inside


async def test_a_page_of_another_site_gets_no_answer(server: ClickHouseServer) -> None:
    there = await ask(server.url, "SELECT 1", Origin="https://example.com")
    here = await ask(server.url, "SELECT 1", Origin=server.url)

    assert "not answered" in there
    assert here == "1"


async def test_it_ends_cleanly_when_asked(server: ClickHouseServer) -> None:
    os.kill(server.pid, signal.SIGTERM)
    fault = await server.wait()

    assert "exit code 0" in str(fault)


async def test_it_ends_in_time_though_a_query_runs_on(server: ClickHouseServer) -> None:
    sql = "SELECT sleepEachRow(1) FROM numbers(1000) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0"
    query = asyncio.create_task(ask(server.url, sql))
    while "sleepEachRow(1)" not in await ask(
        server.url, "SELECT query FROM system.processes WHERE query LIKE '%numbers(1000)%'"
    ):
        pass
    os.kill(server.pid, signal.SIGTERM)
    fault = await server.wait()
    [outcome] = await asyncio.gather(query, return_exceptions=True)

    assert "exit code 0" in str(fault)
    assert isinstance(outcome, aiohttp.ClientError)


async def test_a_second_process_on_the_same_directory_is_refused_and_the_first_goes_on(
    server: ClickHouseServer, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="another ClickHouse already runs on") as caught:
        await ClickHouseServer(tmp_path / "clickhouse").start()

    assert caught.value.code == "locked"
    assert await ask(server.url, "SELECT 1") == "1"


async def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=str(port)) as caught:
            await ClickHouseServer(tmp_path / "clickhouse", port=port).start()

    assert caught.value.code == "port_in_use"


async def test_users_have_passwords_and_readers_only_read(tmp_path: Path) -> None:
    users = {"writer": User(password="w"), "bi": User(password="b", readonly=2)}
    async with ClickHouseServer(tmp_path / "clickhouse", users=users) as server:
        writer = {"X-ClickHouse-User": "writer", "X-ClickHouse-Key": "w"}
        reader = {"X-ClickHouse-User": "bi", "X-ClickHouse-Key": "b"}
        made = await ask(server.url, "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n", **writer)
        read = await ask(server.url, "SELECT count() FROM t SETTINGS max_threads = 1", **reader)
        written = await ask(server.url, "INSERT INTO t VALUES (1)", **reader)
        loosened = await ask(f"{server.url}/?readonly=0", "DROP TABLE t", **reader)
        nobody = await ask(server.url, "SELECT 1")
    mode = (tmp_path / "clickhouse" / "users.json").stat().st_mode & 0o777

    assert (made, read) == ("", "0")
    assert "(READONLY)" in written
    assert "(READONLY)" in loosened
    assert "(AUTHENTICATION_FAILED)" in nobody
    assert mode == 0o600


async def test_a_query_beyond_the_memory_limit_fails_and_the_server_lives(tmp_path: Path) -> None:
    async with ClickHouseServer(tmp_path / "clickhouse", memory_mib=512) as server:
        failed = await ask(server.url, "SELECT length(groupArray(number)) FROM numbers(200000000)")
        after = await ask(server.url, "SELECT 1")

    assert "(MEMORY_LIMIT_EXCEEDED)" in failed
    assert after == "1"


async def test_a_client_that_goes_away_in_mid_stream_harms_nobody(server: ClickHouseServer) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(40):  # more than there are threads for queries
            response = await session.post(server.url, data="SELECT * FROM numbers(100000000)")
            await response.content.readany()
            response.close()

    assert await ask(server.url, "SELECT 1") == "1"


async def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    await ends_with_its_parent(ClickHouseServer, tmp_path / "clickhouse")


async def test_a_form_that_cannot_be_read_is_refused_as_a_wrong_request(server: ClickHouseServer) -> None:
    """Not as a fault of the server, which a client would send again."""
    form = b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT \xff\r\n--x--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    async with aiohttp.ClientSession() as session, session.post(server.url, data=form, headers=headers) as answer:
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (400, "36")
