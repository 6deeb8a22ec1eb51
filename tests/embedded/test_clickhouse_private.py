"""The privacy of the embedded ClickHouse: its files, its passwords, and the phone numbers in statements."""

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.clickhouse import passwords
from deploy.clickhouse.accounts import ANALYST, BUILT_IN, MIGRATOR, OWNER, READER, EngineRole
from deploy.clickhouse.config import LOG
from deploy.clickhouse.launch import ClickHouseServer
from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings
from tests.contract import native_protocol as native
from tests.support.children import until
from tests.support.clickhouse_at import address, ask
from tests.support.folders import paths_under

NUMBER = "+8613800001111"
DIGITS = NUMBER.removeprefix("+")


@pytest.fixture(params=[0o000, 0o022], ids=["umask 0", "umask 022"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Returns the files that another user of the machine could read, enter or change."""
    found = []
    for path in paths_under(folder):
        with contextlib.suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & 0o077:
                found.append(f"{path.relative_to(folder)} {mode & 0o777:o}")
    return found


async def test_nobody_else_can_read_its_files(tmp_path: Path, umask: None) -> None:
    folder = tmp_path / "clickhouse"
    async with ClickHouseServer(folder) as server:
        await ask(address(server), "CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n")
        running = open_to_others(folder)
    stopped = open_to_others(folder)

    assert (running, stopped) == ([], [])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / passwords.FILE).stat().st_mode) == 0o600


async def test_a_store_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "clickhouse"
    async with ClickHouseServer(folder) as server:
        await ask(address(server), "CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n")
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    async with ClickHouseServer(folder) as server:
        found = await ask(address(server), "SELECT n FROM t")

        assert open_to_others(folder) == []
    assert found == "7"


async def test_passwords_are_made_once_and_kept(tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        async with ClickHouseServer(tmp_path / "clickhouse") as server:
            made.append({role: server.password(role) for role in EngineRole})
            assert await ask(address(server, EngineRole.WRITER), "SELECT currentUser()") == OWNER
    other = ClickHouseServer(tmp_path / "other")
    async with other:
        elsewhere = {other.password(role) for role in EngineRole}

    assert made[0] == made[1]
    assert len({*made[0].values(), *elsewhere}) == 2 * len(EngineRole)


GIVEN = ["simple", "with:colons:", "quote'\"<&>% \\", "пароль-密码", "x" * 500]


@pytest.mark.parametrize("password", GIVEN, ids=["simple", "colons", "odd letters", "other scripts", "long"])
async def test_given_passwords_are_taken(tmp_path: Path, password: str) -> None:
    """They work over HTTP and the native protocol, and are kept afterwards."""
    given = ClickHouseSettings(user="team-1", password=Secret(password), migrator_password=Secret(f"{password}2"))
    async with ClickHouseServer(tmp_path / "clickhouse", given=given) as server:
        found = [await login(server, "team-1", password), await login(server, MIGRATOR, f"{password}2")]
        wrong = [await login(server, "team-1", f"{password}2"), await login(server, OWNER, password)]
        native_found = await native_login(server, "team-1", password)
        native_wrong = await native_login(server, "team-1", f"{password} ")
    kept = passwords.read(tmp_path / "clickhouse")

    assert (found, wrong) == (["team-1", MIGRATOR], ["516", "516"])
    assert (native_found, native_wrong) == (native.IS_HELLO, native.IS_EXCEPTION)
    assert kept["team-1"] == (password,)
    assert kept.keys() == {"team-1", ANALYST, MIGRATOR, READER}


async def login(server: ClickHouseServer, name: str, password: str) -> str:
    """Returns the account that this password logs in to, or the number of the error."""
    answer = await ask(server.url, "SELECT currentUser()", user=name, password=password)
    return answer.removeprefix("Code: ").partition(".")[0]


async def native_login(server: ClickHouseServer, name: str, password: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.tcp_port)
    async with asyncio.timeout(60):
        writer.write(native.hello(name, password))
        kind = await native.Answer(reader).number()
    writer.close()
    return kind


@pytest.mark.parametrize("keep_old", [False, True], ids=["the old one ends", "the old one stays for a while"])
async def test_a_changed_password_holds_from_the_next_login_on(tmp_path: Path, *, keep_old: bool) -> None:
    folder = tmp_path / "clickhouse"
    server = ClickHouseServer(folder)
    async with server:
        old = server.password(EngineRole.WRITER)
        assert await login(server, OWNER, old) == OWNER
        passwords.change(folder, OWNER, "another one", keep_old=keep_old)
        changed = [await login(server, name, "another one") for name in (OWNER, BUILT_IN)]
        before = await login(server, OWNER, old)
        others = await login(server, MIGRATOR, server.password(EngineRole.MIGRATOR))
    async with ClickHouseServer(folder) as server:
        after = [await login(server, OWNER, "another one"), await login(server, OWNER, old)]

    assert changed == [OWNER, BUILT_IN]
    assert before == (OWNER if keep_old else "516")
    assert others == MIGRATOR
    assert after == [OWNER, "516"]


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClickHouseServer]:
    async with ClickHouseServer(tmp_path_factory.mktemp("private") / "clickhouse") as server:
        url = address(server)
        await ask(url, "CREATE TABLE t (n UInt8, s String, CONSTRAINT low CHECK n < 5) ENGINE = MergeTree ORDER BY n")
        await ask(url, "CREATE TABLE two (n UInt8, s String) ENGINE = MergeTree ORDER BY n")
        await ask(url, "INSERT INTO two VALUES (1, 'x')")
        yield server


QUOTING = {
    "a value that does not fit": f"SELECT toUInt8('{NUMBER}')",
    "a failing function": f"SELECT throwIf(1, '{NUMBER}')",
    "an unknown table": f"SELECT * FROM `{NUMBER}`",
    "an unknown column": f"SELECT `{NUMBER}`",
    "an unknown database": f"SELECT * FROM `{NUMBER}`.t",
    "no SQL": f"SELECT '{NUMBER}' FROM WHERE",
    "a string without an end": f"SELECT '{NUMBER}",
    "data that do not fit": f"INSERT INTO t FORMAT CSV\n{NUMBER}x,{NUMBER}\n",
    "values that do not fit": f"INSERT INTO t VALUES ('{NUMBER}', '{NUMBER}')",
    "a constraint": f"INSERT INTO t VALUES (7, '{NUMBER}')",
    "JSON that is none": f'INSERT INTO t FORMAT JSONEachRow {{"n": "{NUMBER}"',
    "an unknown setting": f"SELECT 1 SETTINGS `{DIGITS}` = 1",
    "a right that is missing": f"SELECT * FROM url('http://127.0.0.1:1/{NUMBER}')",
    "a file out of reach": f"SELECT file('/etc/{NUMBER}')",
    "a mutation that fails": f"ALTER TABLE two UPDATE s = toString(throwIf(n = 1, '{NUMBER}')) WHERE 1 SETTINGS mutations_sync = 1",
    "a view that fails": f"CREATE MATERIALIZED VIEW often REFRESH EVERY 1 SECOND (n UInt8) ENGINE = MergeTree ORDER BY n AS SELECT throwIf(n = 1, '{NUMBER}') AS n FROM two",
    "a failure in mid-stream": f"SELECT throwIf(number = 1000000, '{NUMBER}') FROM numbers(2000000)",
    "a query that is killed": f"SELECT sum(sleepEachRow(0.1)), '{NUMBER}' FROM numbers(100) SETTINGS max_execution_time = 0.5, max_block_size = 1",
    "memory": f"SELECT length(groupArray('{NUMBER}')) FROM numbers(100000000) SETTINGS max_memory_usage = '50M'",
}


@pytest.mark.parametrize("sql", QUOTING.values(), ids=QUOTING.keys())
async def test_a_failing_query_leaves_no_number_in_a_log_file(server: ClickHouseServer, sql: str) -> None:
    await ask(address(server), sql)
    await native_query(server, sql)
    await asyncio.sleep(0.5)  # a mutation fails later, in the background

    assert found_in_files(server) == []


async def test_the_engine_does_write_its_log(server: ClickHouseServer) -> None:
    """Without this the test above shows nothing: a failed login must be in the log."""
    await native_login(server, "nobody", "no")

    await until(lambda: "nobody: Authentication failed" in log_of(server).read_text())


def log_of(server: ClickHouseServer) -> Path:
    return server._data_dir / "store" / LOG


def found_in_files(server: ClickHouseServer) -> list[str]:
    """Returns the lines of the logs that have the number or the beginning of a statement in them."""
    folder = server._data_dir
    lines = [
        f"{path.name}: {line}"
        for path in (*folder.glob("*.log*"), *(folder / "store").glob("*.log*"))
        for line in path.read_text(errors="replace").splitlines()
    ]
    return [line for line in lines if DIGITS in line or "SELECT" in line or "INSERT" in line]


async def native_query(server: ClickHouseServer, sql: str) -> None:
    """Sends a query over the native protocol and reads to its end, without looking at the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.tcp_port)
    name, password = server.account(EngineRole.MIGRATOR), server.password(EngineRole.MIGRATOR)
    writer.write(native.hello(name, password, revision=native.OLD) + native.query(sql))
    async with asyncio.timeout(60):
        answer = native.Answer(reader)
        assert await answer.number() == native.IS_HELLO
        while True:
            try:
                piece = await asyncio.wait_for(reader.read(1 << 16), 1.0)
            except TimeoutError:
                break
            if not piece:
                break
    writer.close()
