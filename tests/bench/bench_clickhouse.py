"""The embedded ClickHouse as a client sees it: `python -m tests.bench clickhouse`.

One server on this machine gets queries over HTTP from one client at a time, in this process. Rates are of one run and
depend on the machine's other load.
"""

import asyncio
import base64
import http.client
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import clickhouse_connect
import msgspec

from deploy.clickhouse.accounts import EngineRole
from deploy.clickhouse.launch import ClickHouseServer
from tests.bench.support.lines import Line, show

QUERIES = 2_000
SINGLE_INSERTS = 300
BLOCKS, BLOCK = 10, 100_000
ROWS = 1_000_000
STARTS = 5
TAKES = 7
COLUMNS = ("id", "name", "at", "cost")


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """The port and the account of the server."""

    port: int
    user: str
    password: str


def login_of(server: ClickHouseServer) -> Login:
    """Returns the account that may make a table."""
    return Login(
        port=server.port, user=server.account(EngineRole.MIGRATOR), password=server.password(EngineRole.MIGRATOR)
    )


def seconds(work: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def median_ms(work: Callable[[], object], times: int) -> float:
    return statistics.median(seconds(work) for _ in range(times)) * 1000


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


def asked(login: Login) -> list[Line]:
    """Measures everything that a client does, one after the other."""
    connection = http.client.HTTPConnection("127.0.0.1", login.port, timeout=60)
    basic = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}"}

    def post(sql: str) -> None:
        connection.request("POST", "/", body=sql, headers=headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(answer.decode())

    names: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": login.port,
        "username": login.user,
        "password": login.password,
    }
    db: Any = clickhouse_connect.get_client(**names)
    db.command(
        "CREATE TABLE bench_rows (id UInt64, name String, at DateTime64(3, 'UTC'), cost Float64) ENGINE = MergeTree ORDER BY id"
    )
    ids = list(range(BLOCK))
    at = datetime(2026, 3, 1, tzinfo=UTC)
    block = [ids, [f"name {n}" for n in ids], [at + timedelta(milliseconds=n) for n in ids], [n / 8 for n in ids]]

    def insert_blocks() -> None:
        for _ in range(BLOCKS):
            db.insert("bench_rows", block, column_names=COLUMNS, column_oriented=True)

    def read_rows() -> None:
        with db.query_column_block_stream(f"SELECT number, toString(number) FROM numbers({ROWS})") as blocks:
            if sum(len(columns[0]) for columns in blocks) != ROWS:
                raise RuntimeError("rows are missing")

    post("SELECT 1")
    select_ms = median_ms(lambda: post("SELECT 1"), QUERIES)
    insert_ms = median_ms(lambda: post("INSERT INTO bench_rows VALUES (1, 'a', 0, 0.5)"), SINGLE_INSERTS)
    insert_blocks()
    inserted = BLOCKS * BLOCK / min(seconds(insert_blocks) for _ in range(TAKES))
    read = ROWS / min(seconds(read_rows) for _ in range(TAKES))
    return [
        line("SELECT 1 over HTTP, median", select_ms, "ms"),
        line("insert of one row over HTTP, median", insert_ms, "ms"),
        line("column inserts by clickhouse-connect, best of 7", inserted, "rows/s"),
        line("1 M rows read by clickhouse-connect, best of 7", read, "rows/s"),
    ]


def line(what: str, value: float, unit: str) -> Line:
    return Line(bench="clickhouse", what=what, value=value, unit=unit)


async def bench() -> list[Line]:
    lines: list[Line] = []
    starts, stops = [], []
    with tempfile.TemporaryDirectory(prefix="callweave-bench-") as folder:
        server = ClickHouseServer(Path(folder) / "clickhouse")
        for turn in range(STARTS):
            started_s = time.perf_counter()
            await server.start()
            starts.append(time.perf_counter() - started_s)
            if turn == 0:
                await asyncio.sleep(5)
                lines.append(line("idle, resident", resident_mib(server.pid), "MiB"))
                lines += await asyncio.to_thread(asked, login_of(server))
            stopped_s = time.perf_counter()
            await server.stop()
            stops.append(time.perf_counter() - stopped_s)
    return [
        line("start until it answers, median", statistics.median(starts), "s"),
        line("stop, median", statistics.median(stops), "s"),
        *lines,
    ]


def measure() -> list[Line]:
    """Measures start and stop, memory, and the times that a client waits."""
    return asyncio.run(bench())


if __name__ == "__main__":
    show(measure())
