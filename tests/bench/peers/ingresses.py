"""Ingresses side by side: ours, two peers, and the limit, which reads and answers; all on one broker.

Each is one process that starts, is measured and stops before the next; rounds go through all of them in turn. Peers
keep less: no health of Kafka, no spool while it is away, no retry answers, no bounds, no key for each call.
"""

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec

from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from tests.bench import bench_ingress
from tests.bench.peers.environments import ROOT, NotMade, go_command, python_command
from tests.bench.peers.processes import cpu_s
from tests.bench.peers.verdicts import medians, skipped_line, target
from tests.bench.support.callers import call, checked, request
from tests.bench.support.lines import Line

PATH: Final = "/v1/nxcloud/cdr"
WARM_S: Final = 1.0
START_S: Final = 20.0
KEEPS: Final = "no repeats, no join, acks=all, no fsync"
PEER_TOPIC: Final = "peers.ingress"
LIMIT: Final = "aiohttp reads and answers"
OURS: Final = "ours, one process"
STARLETTE: Final = "Starlette, confluent-kafka"
GO: Final = "Go net/http, franz-go"
TARGETS: Final = {STARLETTE: 1.0, GO: 0.5}
"""The least that a peer's CPU may be of ours: ahead of every Python peer, within twice of Go."""


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """One ingress: its command without the port, and what it keeps."""

    name: str
    command: tuple[str, ...]
    after_port: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    keeps: str = KEEPS


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one measurement."""

    rate: float
    cpu_us: float
    broker_us: float
    p50_ms: float
    p99_ms: float


def contenders(bootstrap: str, spool: Path) -> tuple[list[Contender], list[str]]:
    """Returns who can run here, the limit first, and a sentence for each that cannot."""
    ours = {
        "CALLWEAVE_KAFKA__BOOTSTRAP": bootstrap,
        "CALLWEAVE_INGRESS__SPOOL_DIR": str(spool),
        "CALLWEAVE_INGRESS__WORKERS": "1",
    }
    found = [
        Contender(
            name=LIMIT,
            command=(sys.executable, bench_ingress.__file__, "--bare"),
            keeps="nothing is stored",
        ),
        Contender(
            name=OURS,
            command=(sys.executable, "-m", "deploy.cli.main", "ingress"),
            environment=ours,
            keeps="no repeats, no join, acks=all, no fsync; spool (fsync)",
        ),
    ]
    skipped = []
    for name, command_of, program in (
        (STARLETTE, python_command, "starlette_ingress"),
        (GO, go_command, "go_ingress"),
    ):
        try:
            command = command_of(program)
        except NotMade as why:
            skipped.append(f"{name}: {why}")
        else:
            found.append(Contender(name=name, command=command, after_port=(bootstrap, PEER_TOPIC)))
    return found, skipped


@contextlib.asynccontextmanager
async def serving(one: Contender) -> AsyncIterator[tuple[int, int]]:
    """Runs an ingress; yields its port and its process id once it answers."""
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CALLWEAVE_INGRESS__PORT": str(port), **one.environment}
    arguments = () if one.environment else (str(port), *one.after_port)
    process = await asyncio.create_subprocess_exec(
        *one.command, *arguments, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + START_S
        while not await _answers(port):
            if process.returncode is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{one.name} does not answer; its exit code is {process.returncode}")
            await asyncio.sleep(0.05)
        yield port, process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _answers(port: int) -> bool:
    """True when a record is accepted: a producer that never sent would still have to connect."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(request(PATH, bench_ingress.BODY % 0))
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()


async def measured(one: Contender, broker: int, connections: int, seconds: float) -> Figures:
    """Measures one ingress with so many connections, after a second of the same load."""
    async with serving(one) as (port, pid):
        bodies = (request(PATH, bench_ingress.BODY % number) for number in itertools.count())
        callers = await call(port, bodies, connections)
        await asyncio.sleep(WARM_S)
        for caller in callers:
            caller.took_s.clear()
        before, began = (cpu_s(pid), cpu_s(broker)), time.perf_counter()
        await asyncio.sleep(seconds)
        took_s, elapsed = checked(callers), time.perf_counter() - began
        used, used_by_broker = cpu_s(pid) - before[0], cpu_s(broker) - before[1]
        for caller in callers:
            caller.abort()
    return Figures(
        rate=len(took_s) / elapsed,
        cpu_us=used / len(took_s) * 1e6,
        broker_us=used_by_broker / len(took_s) * 1e6,
        p50_ms=1000 * took_s[len(took_s) // 2],
        p99_ms=1000 * took_s[int(len(took_s) * 0.99)],
    )


async def compared(kafka: KafkaServer, spool: Path, connections: int, rounds: int, seconds: float) -> list[Line]:
    """Returns the lines of all that can run, each the median of its rounds, beside the limit."""
    found, skipped = await asyncio.to_thread(contenders, kafka.bootstrap, spool)
    taken: dict[str, list[Figures]] = {one.name: [] for one in found}
    for _ in range(rounds):
        for one in found:
            taken[one.name].append(await measured(one, kafka.pid, connections, seconds))
    middle = {name: medians(some) for name, some in taken.items()}
    limit = middle[LIMIT].rate
    lines = []
    for one in found:
        for what, unit, part in (
            ("", "requests/s", "rate"),
            (": CPU", "us/request", "cpu_us"),
            (": broker CPU", "us/request", "broker_us"),
            (": p50", "ms", "p50_ms"),
            (": p99", "ms", "p99_ms"),
        ):
            value = getattr(middle[one.name], part)
            named = f"{one.name}, {connections} connections{what}"
            lines.append(
                Line(bench="peers", what=named, value=value, unit=unit, limit=0.0 if what else limit, keeps=one.keeps)
            )
    lines += [
        target(f"{name}, {connections} connections: its CPU of ours", middle[name].cpu_us / middle[OURS].cpu_us, least)
        for name, least in TARGETS.items()
        if name in middle
    ]
    return lines + [skipped_line(why) for why in skipped]
