"""Ten times the ingress's capacity, while idle connections are open: `python -m tests.bench overload`.

The capacity is measured first: a few callers of all vendors, each waiting for its answer. Then all vendors send at once
at ten times that rate, huawei (which sends once) a twentieth of it, beside idle connections; together 10,000. The lines
show the answers by vendor and status, the time they took, and the ingress's largest resident memory. The callers share
the cores with the ingress and Kafka.
"""

import asyncio
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import uvloop

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from schemas.config.settings import IngressSettings, KafkaSettings
from schemas.vendors import VENDORS
from tests.bench.bench_ingress import server
from tests.bench.support.bodies import push_requests
from tests.bench.support.callers import request
from tests.bench.support.flood import Crowd, CrowdResult, flood
from tests.bench.support.lines import Line, show

TIMES: Final = float(os.environ.get("TIMES", "10"))
SECONDS: Final = float(os.environ.get("OVERLOAD_S", "10"))
SHARES: Final = {"nxcloud": 0.5, "ytx": 0.45, "huawei": 0.05}
"""The vendors' shares of the requests."""
CALM: Final = 192
"""The number of connections that wait for their answers, for the capacity."""
CROWDED: Final = 4000
_T = TypeVar("_T")


def crowds(rate: float, connections: int) -> list[Crowd]:
    """Returns all vendors at so many requests a second together."""
    return [
        Crowd(
            name=vendor,
            requests=tuple(request(each.path, each.body, each.headers) for each in push_requests(500, vendor)),
            rate=rate * share,
            connections=max(8, int(connections * share)),
        )
        for vendor, share in SHARES.items()
    ]


async def apart(work: Callable[..., _T], *arguments: object) -> _T:
    """Runs `work` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)


def accepted(results: Sequence[CrowdResult]) -> float:
    """Returns accepted requests a second."""
    return sum(len(each.accepted_ms) / each.took_s for each in results)


def peak_mib(parent: int) -> float:
    """Returns the largest resident memory that a process ever had."""
    for line in Path(f"/proc/{parent}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def part(values: Sequence[float], share: float) -> float:
    """Returns a percentile of ascending values."""
    return values[int(len(values) * share)] if values else 0.0


def lines_of(results: Sequence[CrowdResult], capacity: float, peak: float, idle: int) -> list[Line]:
    offered = sum(each.offered / each.took_s for each in results)
    figures: list[tuple[str, float, str, float]] = [
        (f"capacity, {CALM} callers that wait", capacity, "requests/s", 0.0),
        ("offered", offered, "requests/s", capacity),
        ("accepted", accepted(results), "requests/s", capacity),
        ("answered", sum(len(each.took_ms) / each.took_s for each in results), "requests/s", capacity),
    ]
    for each in results:
        figures += [
            (f"{each.name}: offered", each.offered, "requests", 0.0),
            (f"{each.name}: found no connection free", each.no_connection, "requests", each.offered),
            *(
                (f"{each.name}: answered {status}", count, "requests", len(each.took_ms))
                for status, count in sorted(each.statuses.items())
            ),
            (f"{each.name}: any answer p50", part(each.took_ms, 0.5), "ms", 0.0),
            (f"{each.name}: any answer p99", part(each.took_ms, 0.99), "ms", 0.0),
            (f"{each.name}: accepted p99", part(each.accepted_ms, 0.99), "ms", 0.0),
            (f"{each.name}: connections cut", each.hung_up, "", 0.0),
        ]
    once = [each for each in results if VENDORS[each.name].sends_at_most == 1]
    figures += [
        (
            "once-only pushes acknowledged, of all that were sent",
            sum(len(e.accepted_ms) for e in once),
            "requests",
            sum(e.offered - e.no_connection for e in once),
        ),
        (f"peak resident, {CROWDED + idle} connections", peak, "MiB", 0.0),
        ("ingress.max_buffer_bytes", IngressSettings().max_buffer_bytes / 2**20, "MiB", 0.0),
    ]
    return [
        Line(bench="overload", what=what, value=value, unit=unit, limit=limit) for what, value, unit, limit in figures
    ]


async def bench() -> list[Line]:
    with tempfile.TemporaryDirectory(prefix="callweave-bench-") as folder:
        async with KafkaServer(Path(folder) / "kafka") as kafka:
            await create_topics(KafkaSettings(bootstrap=kafka.bootstrap))
            port = free_port()
            env = {
                "CALLWEAVE_KAFKA__BOOTSTRAP": kafka.bootstrap,
                "CALLWEAVE_INGRESS__SPOOL_DIR": str(Path(folder) / "spool"),
            }
            async with server(port, "-m", "deploy.cli.main", "ingress", **env) as pid:
                calm = await apart(flood, port, crowds(1e6, CALM), 4.0)
                capacity = accepted(calm)
                idle = IngressSettings().max_connections - CROWDED - 10
                holding = [await asyncio.open_connection("127.0.0.1", port) for _ in range(idle)]
                results = await apart(flood, port, crowds(TIMES * capacity, CROWDED), SECONDS)
                for _, writer in holding:
                    writer.transport.abort()
                return lines_of(results, capacity, peak_mib(pid), idle)


def measure() -> list[Line]:
    """Measures the capacity, then ten times that."""
    return uvloop.run(bench())


if __name__ == "__main__":
    show(measure())
