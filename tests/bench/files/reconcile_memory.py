"""The memory that a reconciliation takes, by the rows of its file.

`python -m tests.bench.files.reconcile_memory 1000000 2000000`

For each number it makes as many records in the embedded engine and a file with the same calls, and prints the most
memory that the process of the reconciliation had, with its CPU. It must not grow with the rows.
"""

import asyncio
import csv
import re
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from deploy.clickhouse.launch import ClickHouseServer
from deploy.reconcile.plan import FileChoice, planned
from deploy.reconcile.run import Choice, reconciled
from schemas.config.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrate
from tests.support.clickhouse_at import address, settings_at

_ACCOUNT: Final = "0000aaaa0000aaaa0000aaaa0000aaaa"
_BEGIN: Final = datetime(2026, 3, 1, tzinfo=UTC)
_SPAN_S: Final = 30 * 86_400
_AT_ONCE: Final = 50_000
_LONG_S: Final = 900.0
_HEADINGS: Final = ("Call ID", "Caller", "Called", "Start time", "Answer time", "End time", "Billed seconds", "Charge")
_INSERT: Final = """
INSERT INTO calls.cdr_by_slot (slot_at, record_id, key_account, vendor, kind, version, account_id, vendor_call_id, from_number, to_number,
    setup_at, answer_at, end_at, billable_s, billable_source, cost, currency, disposition, is_final, received_at)
SELECT toStartOfHour(at), reinterpretAsUUID(toUInt128(number + 1)), '{account}', 'ytx', 'callback_cdr', 1, '{account}',
    concat('20260301', leftPad(toString(number), 21, '0')), concat('+861380000', leftPad(toString(number % 10000), 4, '0')),
    concat('+861390000', leftPad(toString(number * 7 % 10000), 4, '0')), at, at + 10, at + seconds, seconds, 'vendor',
    toDecimal64(intDiv(seconds, 60) + 1, 6), 'CNY', 'answered', 1, now64(3)
FROM (SELECT number, toDateTime('2026-03-01 00:00:00', 'UTC') + intDiv(number * {span}, {rows}) AS at, 60 + number % 600 AS seconds
      FROM numbers({first}, {count}))"""


def _settings(url: str) -> Settings:
    return Settings(clickhouse=settings_at(url, database="calls", insert_timeout_s=_LONG_S))


def _write(path: Path, rows: int) -> None:
    texts = [f"{_BEGIN + timedelta(hours=8, seconds=at):%Y-%m-%d %H:%M:%S}" for at in range(_SPAN_S + 700)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEADINGS)
        for number in range(rows):
            at, seconds = number * _SPAN_S // rows, 60 + number % 600
            writer.writerow(
                (
                    f"20260301{number:021}",
                    f"1380000{number % 10_000:04}",
                    f"1390000{number * 7 % 10_000:04}",
                    *(texts[at], texts[at + 10], texts[at + seconds]),
                    seconds,
                    seconds // 60 + 1,
                )
            )


async def _measured(path: Path, url: str) -> None:
    begun = time.process_time()
    plan = planned(FileChoice(path=path, vendor="ytx", account=_ACCOUNT), lambda *_: lambda _: None)
    done = await reconciled(_settings(url), plan, Choice(), lambda *_: lambda _: None)
    counts = {str(match): count for match, count in done.result.totals.counts.items()}
    print(f"{counts}: at most {_most_mb()} MB, {time.process_time() - begun:.0f} s of CPU", flush=True)  # noqa: T201 - its output is its purpose


def _most_mb() -> int:
    """Returns the most memory of this process; `ru_maxrss` would begin with that of the process that started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None, "Linux says it"
    return int(found[1]) >> 10


async def _run(numbers: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with ClickHouseServer(Path(folder) / "engine") as server:
            url = address(server)
            async with ClickHouse(_settings(url).clickhouse) as client:
                await migrate(client, _settings(url))
                for rows in numbers:
                    await client.command("TRUNCATE TABLE calls.cdr_by_slot")
                    for first in range(0, rows, _AT_ONCE):
                        count = min(_AT_ONCE, rows - first)
                        values = {"account": _ACCOUNT, "span": _SPAN_S, "rows": rows, "first": first, "count": count}
                        await client.command(_INSERT.format(**values))
                    path = Path(folder) / "carrier.csv"
                    _write(path, rows)
                    # A process of its own: the most memory of this one is that of making the file.
                    child = await asyncio.create_subprocess_exec(sys.executable, "-m", __spec__.name, str(path), url)
                    if await child.wait():
                        sys.exit("the reconciliation failed")


if __name__ == "__main__":
    if sys.argv[1].isdecimal():
        asyncio.run(_run([int(number) for number in sys.argv[1:]]))
    else:
        asyncio.run(_measured(Path(sys.argv[1]), sys.argv[2]))
