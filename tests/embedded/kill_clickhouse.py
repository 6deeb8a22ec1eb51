"""Kills the embedded ClickHouse in the middle of inserts, again and again: acknowledged rows must be there, once.

`python -m tests.embedded.kill_clickhouse --kills 100` prints the results of a long series.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from deploy.clickhouse.launch import ClickHouseServer
from tests.support.clickhouse_at import address, ask

_WRITERS: Final = 4
_SIZES: Final = (1, 1, 10, 1_000, 50_000)
"""The sizes of inserts in rows, each as likely as the others."""
_ANSWERED_BEFORE: Final = 8
_LATEST_KILL_S: Final = 0.2
"""The kill comes within this time after the inserts of a life that must be acknowledged."""
_TABLES: Final = {
    "compact": "",
    "wide": "SETTINGS min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0",
}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a series."""

    kills: int
    answered: int
    """Inserts that were acknowledged."""
    in_hand: int
    """Inserts that a kill left without an answer."""
    stored_of_those: int
    """The number of unanswered inserts that are stored all the same."""
    missing: tuple[int, ...]
    """Inserts that were acknowledged and are not stored."""
    twice: tuple[int, ...]
    """Inserts with more rows than they had."""
    torn: tuple[int, ...]
    """Inserts with fewer rows than they had, but some."""
    starts_s: tuple[float, ...]
    """The seconds that each start took."""

    @property
    def harmless(self) -> bool:
        """True when no acknowledged insert is lost, cut or doubled."""
        return not (self.missing or self.twice or self.torn)


class _Series:
    def __init__(self, server: ClickHouseServer, lot: random.Random) -> None:
        self._server = server
        self._lot = lot
        self._sizes: dict[int, int] = {}
        self._answered: set[int] = set()

    async def insert(self) -> None:
        """Inserts until the server is gone."""
        url = address(self._server)
        while True:
            number = len(self._sizes) + 1
            self._sizes[number] = size = self._lot.choice(_SIZES)
            table = self._lot.choice(tuple(_TABLES))
            rows = f"{number}\n" * size
            try:
                error = await ask(url, rows, query=f"INSERT INTO calls.{table} FORMAT TabSeparated")
            except aiohttp.ClientError:
                return
            if error:
                raise AssertionError(error)
            self._answered.add(number)

    async def live(self) -> None:
        """Runs one life: inserts from several clients, and a kill in the middle of them."""
        before = len(self._answered)
        writers = [asyncio.create_task(self.insert()) for _ in range(_WRITERS)]
        while len(self._answered) < before + _ANSWERED_BEFORE and not any(one.done() for one in writers):  # noqa: ASYNC110 - several writers count up
            await asyncio.sleep(0.001)
        await asyncio.sleep(self._lot.uniform(0, _LATEST_KILL_S))
        os.kill(self._server.pid, signal.SIGKILL)
        await asyncio.gather(*writers)
        await self._server.stop()

    async def outcome(self, starts_s: list[float]) -> Outcome:
        """Compares what was acknowledged with what is stored."""
        stored: Counter[int] = Counter()
        for table in _TABLES:
            sql = f"SELECT number, count() FROM calls.{table} GROUP BY number"
            for line in (await ask(address(self._server), sql)).splitlines():
                number, rows = line.split("\t")
                stored[int(number)] += int(rows)
        in_hand = self._sizes.keys() - self._answered
        return Outcome(
            kills=len(starts_s) - 1,
            answered=len(self._answered),
            in_hand=len(in_hand),
            stored_of_those=len(in_hand & stored.keys()),
            missing=tuple(sorted(self._answered - stored.keys())),
            twice=tuple(sorted(one for one, rows in stored.items() if rows > self._sizes.get(one, 0))),
            torn=tuple(sorted(one for one, rows in stored.items() if rows < self._sizes.get(one, 0))),
            starts_s=tuple(starts_s),
        )


async def kill_series(data_dir: Path, *, kills: int, seed: int = 1) -> Outcome:
    """Starts, inserts and kills this many times on one data directory, and starts once more to look."""
    server = ClickHouseServer(data_dir)
    series = _Series(server, random.Random(seed))
    starts_s: list[float] = []

    async def start() -> None:
        began_s = time.monotonic()
        await server.start()
        starts_s.append(time.monotonic() - began_s)

    try:
        for life in range(kills):
            await start()
            if not life:
                await ask(address(server), "CREATE DATABASE calls")
                for table, more in _TABLES.items():
                    made = await ask(
                        address(server),
                        f"CREATE TABLE calls.{table} (number UInt64) ENGINE = MergeTree ORDER BY number {more}",
                    )
                    assert not made, made
            await series.live()
        await start()
        return await series.outcome(starts_s)
    finally:
        await server.stop()


def main() -> int:
    """Runs a series and prints its results; 1 when an acknowledged insert was lost, cut or doubled."""
    parser = argparse.ArgumentParser(prog="python -m tests.embedded.kill_clickhouse", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="callweave-kills-") as folder:
        found = asyncio.run(kill_series(Path(folder) / "clickhouse", kills=options.kills, seed=options.seed))
    times = sorted(found.starts_s)
    print(  # noqa: T201 - its output is its purpose
        f"kills {found.kills}; inserts answered {found.answered}, left without an answer {found.in_hand}"
        f" (of these {found.stored_of_those} are stored)\n"
        f"missing {len(found.missing)}, twice {len(found.twice)}, torn {len(found.torn)}\n"
        f"starts: median {times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s"
    )
    return 0 if found.harmless else 1


if __name__ == "__main__":
    sys.exit(main())
