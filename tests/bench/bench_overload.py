"""Ten times more than the ingress can do, while it is held on to by connections that want nothing: `python -m tests.bench overload`.

First what it can do: a few callers of all vendors, each waiting for its answer. Then all vendors at once at ten times that rate,
huawei (who sends once) with a twentieth of it, beside 10,000 - less the callers' - idle connections. Told: the answers by vendor
and status, how long they took, and the ingress's largest resident memory. The callers share the cores with the ingress and Kafka.
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
from tests.bench.support.bodies import sends
from tests.bench.support.callers import request
from tests.bench.support.flood import Crowd, Told, flood
from tests.bench.support.lines import Line, show

TIMES: Final = float(os.environ.get("TIMES", "10"))
SECONDS: Final = float(os.environ.get("OVERLOAD_S", "10"))
SHARES: Final = {"nxcloud": 0.5, "ytx": 0.45, "huawei": 0.05}
"""Of the requests."""
CALM: Final = 192
"""Connections that wait for their answers, to see what it can do."""
CROWDED: Final = 4000
_T = TypeVar("_T")


def crowds(rate: float, connections: int) -> list[Crowd]:
    """All vendors at so many requests a second together."""
    return [
        Crowd(
            name=vendor,
            requests=tuple(request(send.path, send.body, send.headers) for send in sends(500, vendor)),
            rate=rate * share,
            connections=max(8, int(connections * share)),
        )
        for vendor, share in SHARES.items()
    ]


async def apart(work: Callable[..., _T], *arguments: object) -> _T:
    """Run it in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)


def accepted(told: Sequence[Told]) -> float:
    """Accepted requests a second."""
    return sum(len(each.accepted_ms) / each.took_s for each in told)


def peak_mib(parent: int) -> float:
    """The largest resident memory that a process ever had."""
    for line in Path(f"/proc/{parent}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def part(values: Sequence[float], share: float) -> float:
    """A percentile of ascending values."""
    return values[int(len(values) * share)] if values else 0.0


def lines_of(told: Sequence[Told], capacity: float, peak: float, idle: int) -> list[Line]:
    offered = sum(each.offered / each.took_s for each in told)
    figures: list[tuple[str, float, str, float]] = [
        (f"capacity, {CALM} callers that wait", capacity, "requests/s", 0.0),
        ("offered", offered, "requests/s", capacity),
        ("accepted", accepted(told), "requests/s", capacity),
        ("answered", sum(len(each.took_ms) / each.took_s for each in told), "requests/s", capacity),
    ]
    for each in told:
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
    once = [each for each in told if VENDORS[each.name].sends_at_most == 1]
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
                told = await apart(flood, port, crowds(TIMES * capacity, CROWDED), SECONDS)
                for _, writer in holding:
                    writer.transport.abort()
                return lines_of(told, capacity, peak_mib(pid), idle)


def measure() -> list[Line]:
    """What it can do, then ten times that."""
    return uvloop.run(bench())


if __name__ == "__main__":
    show(measure())
