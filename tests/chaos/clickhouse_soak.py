"""A long run of the embedded ClickHouse under inserts, merges, readers, cancels and kills.

`python -m tests.chaos.clickhouse_soak`. In the first half of the time the process is killed or stopped every few
minutes, in the second it is left alone, so that growth can be seen. After each start, and at the end, every answered
batch must be there whole and once; the exit code is 1 when one is not.
"""

import argparse
import asyncio
import contextlib
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

from deploy.clickhouse.accounts import EngineRole
from deploy.clickhouse.launch import ClickHouseServer

ROWS: Final = 500
WRITERS: Final = 2
READERS: Final = 16
_WRITE_EVERY_S: Final = 0.5
_SAMPLE_S: Final = 10.0
_READS: Final = (
    "SELECT 1",
    "SELECT count(), max(n) FROM soak.v",
    "SELECT batch, count() AS rows FROM soak.v GROUP BY batch ORDER BY rows DESC LIMIT 10",
    "SELECT cityHash64(text) % 100 AS bucket, uniqExact(n), avg(length(text)) FROM soak.v GROUP BY bucket ORDER BY bucket",
    "SELECT a.batch, count() FROM soak.v AS a JOIN (SELECT DISTINCT batch FROM soak.v WHERE n % 7 = 0) AS b USING batch GROUP BY 1 LIMIT 5",
    "SELECT * FROM soak.v ORDER BY text LIMIT 1000",
    "SELECT nothing_like_this FROM soak.v",
)
_LONG: Final = "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1"
_STREAM: Final = "SELECT number, toString(number), repeat('x', 50) FROM numbers(50000000)"
_GARBAGE: Final = (
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x00\xff" * 500,
    b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nSEL",
)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The process at one moment."""

    generation: int
    """The number of restarts before this process."""
    age_s: float
    resident_mib: int
    threads: int
    descriptors: int


class Soak:
    """The load and its results."""

    def __init__(self, server: ClickHouseServer, seed: int) -> None:
        self.server = server
        self.answered: set[int] = set()
        self.outcomes: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self.generation = 0
        self.begun_s = time.monotonic()
        self.up = asyncio.Event()
        self.wrong: list[str] = []
        self._chance = random.Random(seed)
        self._batch = 0

    async def ask(
        self, http: aiohttp.ClientSession, sql: str | bytes, role: EngineRole = EngineRole.READER, **params: str
    ) -> str:
        """Returns the whole answer and counts it by its error code; the answer to a failed query begins with "!"."""
        async with http.post(self.server.url, data=sql, params=params, headers=self._as(role)) as response:
            text = await response.text()
            self.outcomes[response.headers.get("X-ClickHouse-Exception-Code", "ok")] += 1
            return text if response.status == 200 else f"!{text}"

    def _as(self, role: EngineRole) -> dict[str, str]:
        return {"Authorization": aiohttp.encode_basic_auth(self.server.account(role), self.server.password(role))}

    async def write(self, http: aiohttp.ClientSession) -> None:
        """Inserts batches one after the other; one counts as answered when the status is 200."""
        while True:
            await self.up.wait()
            self._batch += 1
            batch = self._batch
            rows = "".join(f"{batch}\t{n}\t{self._chance.getrandbits(160):x}\n" for n in range(ROWS))
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                text = await self.ask(
                    http, f"INSERT INTO soak.t FORMAT TabSeparated\n{rows}", EngineRole.WRITER, wait_end_of_query="1"
                )
                if text == "":
                    self.answered.add(batch)
            await asyncio.sleep(_WRITE_EVERY_S)

    async def read(self, http: aiohttp.ClientSession) -> None:
        """Sends queries, breaks off answers, cancels queries, and sends bytes that are no request."""
        while True:
            await self.up.wait()
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                await self._one_read(http)
            await asyncio.sleep(self._chance.uniform(0.5, 4.0))

    async def _one_read(self, http: aiohttp.ClientSession) -> None:
        kind = self._chance.random()
        if kind < 0.70:
            await self.ask(http, self._chance.choice(_READS))
        elif kind < 0.80:  # a client that goes away in mid-stream
            async with http.post(self.server.url, data=_STREAM, headers=self._as(EngineRole.READER)) as response:
                await response.content.readany()
                response.close()
            self.outcomes["broken off"] += 1
        elif kind < 0.90:  # a query that is cancelled by its id
            query_id = f"soak-{self._chance.getrandbits(64):x}"
            long = asyncio.create_task(self.ask(http, _LONG, query_id=query_id))
            await asyncio.sleep(0.5)
            with contextlib.suppress(aiohttp.ClientError):
                await self.ask(http, f"KILL QUERY WHERE query_id = '{query_id}' ASYNC", EngineRole.MIGRATOR)
            await asyncio.gather(long, return_exceptions=True)
        elif kind < 0.95:  # one whose connection is closed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self.ask(http, _LONG)
            self.outcomes["closed"] += 1
        else:
            port = self._chance.choice((self.server.port, self.server.tcp_port))
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(self._chance.choice(_GARBAGE))
            await writer.drain()
            writer.close()
            self.outcomes["garbage"] += 1

    async def merge(self, http: aiohttp.ClientSession) -> None:
        """Forces merges of everything."""
        while True:
            await asyncio.sleep(30)
            await self.up.wait()
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                await self.ask(http, "OPTIMIZE TABLE soak.t FINAL", EngineRole.MIGRATOR)

    async def sample(self) -> None:
        """Records the process's memory, threads and descriptors."""
        while True:
            await asyncio.sleep(_SAMPLE_S)
            if self.up.is_set():
                with contextlib.suppress(OSError, RuntimeError):
                    self.samples.append(_look(self.server.pid, self.generation, time.monotonic() - self.begun_s))

    async def check(self, http: aiohttp.ClientSession) -> None:
        """Checks that every answered batch is there, whole and once."""
        answered = set(self.answered)
        text = await self.ask(
            http,
            "SELECT batch, count(), uniqExact(n) FROM soak.t GROUP BY batch FORMAT TabSeparated",
            EngineRole.MIGRATOR,
        )
        if text.startswith("!"):
            self.wrong.append(f"cannot be checked: {text[:200]}")
            return
        found = {int(b): (int(c), int(u)) for b, c, u in (line.split("\t") for line in text.splitlines())}
        lost = [batch for batch in answered if found.get(batch) != (ROWS, ROWS)]
        if lost:
            self.wrong.append(f"{len(lost)} of {len(answered)} answered batches are not whole: {sorted(lost)[:5]}")

    async def break_it(self, http: aiohttp.ClientSession, every_s: float, until_s: float) -> None:
        """Kills or stops the process again and again until `until_s`, and checks after each start."""
        while time.monotonic() < until_s:
            await asyncio.sleep(every_s * self._chance.uniform(0.7, 1.3))
            self.up.clear()
            how = self._chance.choice(("killed", "killed", "stopped"))
            if how == "killed":
                os.kill(self.server.pid, signal.SIGKILL)
            begun = time.monotonic()
            await self.server.stop()
            stopped = time.monotonic()
            await self.server.start()
            self.generation += 1
            _print(
                f"{how}: stop {stopped - begun:.2f} s, start {time.monotonic() - stopped:.2f} s, {len(self.answered)} batches"
            )
            await self.check(http)
            self.up.set()


def _print(line: object) -> None:
    print(line, flush=True)  # noqa: T201 - what whoever runs it by hand reads


def _look(pid: int, generation: int, age_s: float) -> Sample:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return Sample(
        generation=generation,
        age_s=age_s,
        resident_mib=int(status["VmRSS"].split()[0]) >> 10,
        threads=int(status["Threads"]),
        descriptors=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
    )


async def soak(seconds: float, seed: int, data_dir: Path) -> int:
    """Runs the load and prints the results; returns the number of errors found."""
    server = ClickHouseServer(data_dir / "clickhouse", memory_mib=2048)
    await server.start()
    run = Soak(server, seed)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
        await run.ask(http, "CREATE DATABASE soak", EngineRole.MIGRATOR)
        table = (
            "CREATE TABLE soak.t (batch UInt64, n UInt32, text String) ENGINE = ReplacingMergeTree ORDER BY (batch, n)"
        )
        _print(await run.ask(http, table, EngineRole.MIGRATOR))
        await run.ask(
            http, "CREATE VIEW soak.v SQL SECURITY DEFINER AS SELECT * FROM soak.t FINAL", EngineRole.MIGRATOR
        )
        run.up.set()
        tasks = [
            *(asyncio.create_task(run.write(http)) for _ in range(WRITERS)),
            *(asyncio.create_task(run.read(http)) for _ in range(READERS)),
            asyncio.create_task(run.merge(http)),
            asyncio.create_task(run.sample()),
        ]
        breaking = asyncio.create_task(run.break_it(http, 150.0, time.monotonic() + seconds / 2))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            await asyncio.sleep(min(60.0, max(0.0, deadline - time.monotonic())))
            last = run.samples[-1] if run.samples else None
            _print(
                f"{seconds - (deadline - time.monotonic()):.0f} s: {len(run.answered)} batches, {dict(run.outcomes)}, {last}"
            )
        for task in (breaking, *tasks):
            task.cancel()
        await asyncio.gather(breaking, *tasks, return_exceptions=True)
        await run.check(http)
    await server.stop()
    longest = Counter(sample.generation for sample in run.samples).most_common(1)
    generation = [sample for sample in run.samples if longest and sample.generation == longest[0][0]]
    third = max(1, len(generation) // 3)
    for name in ("resident_mib", "threads", "descriptors"):
        values = [getattr(sample, name) for sample in generation]
        parts = [
            sum(values[i : i + third]) / len(values[i : i + third]) for i in range(0, third * 3, third) if values[i:]
        ]
        _print(
            f"{name}: thirds of the longest run {', '.join(f'{part:.0f}' for part in parts)}, most {max(values, default=0)}"
        )
    _print(f"{len(run.answered)} batches answered, {run.generation} restarts, outcomes {dict(run.outcomes)}")
    _print("\n".join(run.wrong) or "nothing is wrong")
    return len(run.wrong)


def main() -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.clickhouse_soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="callweave-soak-") as folder:
        return 1 if asyncio.run(soak(options.seconds, options.seed, Path(folder))) else 0


if __name__ == "__main__":
    sys.exit(main())
