"""Queries of people and BI tools over many calls: `make bench-query` (CALLS=10000000).

The engine makes the calls itself. Times are of warm queries, the shortest of seven, on whatever else the machine does;
rows read, bytes a call and the two ratios depend on nothing else: the newest-version view beside the bare table, and
the insert rate at the end beside that of the first calls.
"""

import asyncio
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from deploy.clickhouse.launch import ClickHouseServer
from schemas.config.settings import ClickHouseSettings, Settings
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrate, migrator
from tests.bench.support.lines import Line, show
from tests.bench.support.made_calls import CALLS_AN_HOUR, START, statements
from tests.oracle.figures import rolled

CALLS: Final = int(os.environ.get("CALLS", "1000000"))
TIMES: Final = 7
_BLOCK: Final = 100_000
_FIRST: Final = datetime.fromisoformat(START).replace(tzinfo=UTC)
_END: Final = _FIRST + timedelta(hours=CALLS // CALLS_AN_HOUR)


def _text(at: datetime) -> str:
    return f"'{at:%Y-%m-%d %H:%M:%S}'"


def queries(call_id: str, number: str, reference: str) -> dict[str, str]:
    """Returns each query with what it asks for."""
    day = max(_FIRST, _FIRST + (_END - _FIRST) / 2)
    hour, month = _END - timedelta(hours=1), max(_FIRST, _END - timedelta(days=30))
    account = f"account_id = 'acc-7' AND started_at >= {_text(day)} AND started_at < {_text(day + timedelta(days=1))}"
    lately = f"started_at >= {_text(month)}"
    return {
        "a call by the vendor's id, all columns": f"SELECT * FROM calls.v_timelines WHERE vendor_call_id = '{call_id}'",
        "a call by the vendor's id, the view inlined": (
            f"SELECT * FROM calls.v_timelines WHERE vendor_call_id = '{call_id}' SETTINGS analyzer_inline_views = 1"
        ),
        "a call by the vendor's id, twelve columns": (
            "SELECT vendor, started_at, from_number, to_number, disposition, hangup_cause, ring_ms, talk_ms, billable_s, "
            f"cost, currency, custom_ref FROM calls.v_timelines WHERE vendor_call_id = '{call_id}'"
        ),
        "calls by number": f"SELECT * FROM calls.v_timelines WHERE to_number = '{number}'",
        "a call by reference": f"SELECT * FROM calls.v_timelines WHERE custom_ref = '{reference}'",
        "an account's day, counted": f"SELECT count(), sum(talk_ms) FROM calls.v_timelines WHERE {account}",
        "an account's day, a page of 50": (
            "SELECT started_at, from_number, to_number, disposition, talk_ms FROM calls.v_timelines "
            f"WHERE {account} ORDER BY started_at DESC LIMIT 50"
        ),
        "the last hour by vendor": (
            f"SELECT vendor, count(), sum(talk_ms) FROM calls.v_timelines WHERE started_at >= {_text(hour)} GROUP BY vendor"
        ),
        "30 days, the view": f"SELECT count(), sum(talk_ms) FROM calls.v_timelines WHERE {lately}",
        "30 days, the bare table": f"SELECT count(), sum(talk_ms) FROM calls.timelines_by_slot WHERE {lately}",
        "30 days by day, v_kpi_day": (
            "SELECT slot_at, sum(attempts), sum(talk_total_ms), sum(cost) FROM calls.v_kpi_day "
            f"WHERE slot_at >= {_text(month)} GROUP BY slot_at"
        ),
        "30 days by day, v_kpi_day, all figures": f"SELECT * FROM calls.v_kpi_day WHERE slot_at >= {_text(month)}",
        "a day by hour and account, v_kpi_hour": (
            "SELECT slot_at, account_id, sum(attempts), sum(answered) FROM calls.v_kpi_hour "
            f"WHERE slot_at >= {_text(day)} AND slot_at < {_text(day + timedelta(days=1))} GROUP BY ALL"
        ),
    }


class Asker:
    """Asks the server over HTTP, as a BI tool does."""

    def __init__(self, session: aiohttp.ClientSession, settings: ClickHouseSettings) -> None:
        self._session = session
        self._url = settings.url
        self._headers = {"X-ClickHouse-User": settings.user, "X-ClickHouse-Key": settings.password.value}

    async def shortest(self, sql: str) -> tuple[float, int]:
        """Returns the milliseconds of the shortest of some warm runs, and the rows that it read."""
        best_ms, rows = float("inf"), 0
        for _ in range(TIMES):
            began_s = time.perf_counter()
            params = {"wait_end_of_query": "1"}
            async with self._session.post(self._url, params=params, data=sql, headers=self._headers) as answer:
                body = await answer.read()
            if answer.status != 200:
                raise RuntimeError(body.decode(errors="replace")[:300])
            ms = (time.perf_counter() - began_s) * 1000
            if ms < best_ms:
                best_ms = ms
                rows = int(msgspec.json.decode(answer.headers["X-ClickHouse-Summary"])["read_rows"])
        return best_ms, rows


async def bench() -> list[Line]:
    """Makes the calls, then asks."""
    with tempfile.TemporaryDirectory(prefix="callweave-bench-") as folder:
        async with ClickHouseServer(Path(folder) / "c") as server, aiohttp.ClientSession() as session:
            ours = migrator(server.settings())
            assert urlsplit(ours.url).hostname
            patient = msgspec.structs.replace(ours, insert_timeout_s=3600.0)
            async with ClickHouse(patient) as db:
                await migrate(db, Settings(clickhouse=ours))
                return [*await _filled(db), *await _figures(db), *await _asked(db, Asker(session, ours))]


async def _filled(db: ClickHouse) -> list[Line]:
    """Makes the calls; returns the rates of the first and the last block, and the bytes of a call."""
    rates = []
    for first in range(0, CALLS, _BLOCK):
        new, *later = statements(db.database, first, min(_BLOCK, CALLS - first))
        began_s = time.perf_counter()
        await db.command(new)
        rates.append(_BLOCK / (time.perf_counter() - began_s))
        for statement in later:  # the first blocks have fewer of them
            await db.command(statement)
    few = max(1, len(rates) // 10)
    begin, end = sorted(rates[:few])[few // 2], sorted(rates[-few:])[few // 2]
    await _merged(db)
    ((rows, size_bytes),) = await db.query(
        "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'timelines_by_slot'"
    )
    return [
        Line(bench="query", what=f"inserts at {few * _BLOCK:,} calls, median", value=begin, unit="calls/s"),
        Line(bench="query", what=f"inserts at {CALLS:,} calls, median", value=end, unit="calls/s", limit=begin),
        Line(bench="query", what=f"disk, {int(rows):,} rows of {CALLS:,} calls", value=int(size_bytes) / CALLS, unit="B a call"),
    ]  # fmt: skip


async def _figures(db: ClickHouse) -> list[Line]:
    """Computes the figures of all calls, as after an upgrade; returns the time that an hour of calls takes."""
    began_s = time.perf_counter()
    slots = await rolled(db)
    ms = (time.perf_counter() - began_s) * 1000 / slots
    return [Line(bench="query", what=f"figures of {CALLS_AN_HOUR:,} calls of an hour", value=ms, unit="ms")]


async def _merged(db: ClickHouse) -> None:
    """Merges all days but the last two, as they are when they are ten minutes old."""
    partitions = await db.query(
        "SELECT DISTINCT partition FROM system.parts WHERE active AND table = 'timelines_by_slot' ORDER BY partition"
    )
    for (partition,) in partitions[:-2]:
        await db.command(f"OPTIMIZE TABLE calls.timelines_by_slot PARTITION {partition} FINAL")


async def _asked(db: ClickHouse, asker: Asker) -> list[Line]:
    middle = _FIRST + (_END - _FIRST) / 2
    ((call_id, number, reference),) = await db.query(
        "SELECT vendor_call_id, assumeNotNull(to_number), custom_ref FROM calls.timelines "
        f"WHERE custom_ref != '' AND started_at >= {_text(middle)} ORDER BY started_at LIMIT 1"
    )
    lines, times = [], dict[str, float]()
    for what, sql in queries(call_id, number, reference).items():
        times[what], rows = await asker.shortest(sql)
        lines.append(Line(bench="query", what=f"{what} ({rows:,} rows read)", value=times[what], unit="ms"))
    view, bare = times["30 days, the view"], times["30 days, the bare table"]
    return [
        *lines,
        Line(bench="query", what="30 days, the view beside the bare table", value=view, unit="ms", limit=bare),
    ]


def measure() -> list[Line]:
    """Makes as many calls as the environment says (CALLS), and measures."""
    return asyncio.run(bench())


if __name__ == "__main__":
    show(measure())
