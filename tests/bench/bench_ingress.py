"""The ingress with Kafka's acknowledgement beside aiohttp that only reads and answers: `python -m tests.bench ingress`.

Each server is a process of its own; the caller (raw keep-alive connections) and the broker share the machine with it.
Rates are of one run: compare the lines with each other, not with other machines. CPU is that of the server's one
process. At half load requests come at half of the server's own rate, whether or not those before are answered.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import uvloop
from aiohttp import web

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from schemas.config.settings import KafkaSettings
from tests.bench.support.callers import call, checked, request
from tests.bench.support.flood import Crowd, flood
from tests.bench.support.lines import Line, show

PATH = "/v1/nxcloud/cdr"
SECONDS = 3.0
WARM_S = 1.0
BODY = (
    b'{"sessionid":"%d","caller":"447700900123","callee":"447700900456","start_time":"1714979289","dur":"63",'
    b'"filler":"' + b"x" * 280 + b'"}'
)


async def measured(what: str, port: int, path: str, connections: int, limit: float = 0.0) -> list[Line]:
    callers = await call(port, (request(path, BODY % number) for number in itertools.count()), connections)
    await asyncio.sleep(WARM_S)
    for caller in callers:
        caller.took_s.clear()
    begun = time.perf_counter()
    await asyncio.sleep(SECONDS)
    took_s = checked(callers)
    rate = len(took_s) / (time.perf_counter() - begun)
    for caller in callers:
        caller.abort()
    p50, p99 = (1000 * took_s[int(len(took_s) * part)] for part in (0.50, 0.99))
    named = f"{what}, {connections} connections"
    return [
        Line(bench="ingress", what=named, value=rate, unit="requests/s", limit=limit or rate),
        Line(bench="ingress", what=f"{named}: p50", value=p50, unit="ms"),
        Line(bench="ingress", what=f"{named}: p99", value=p99, unit="ms"),
    ]


async def at_half_load(
    what: str, port: int, path: str, connections: int, rate: float, limit: float = 0.0
) -> list[Line]:
    """Measures the slowest hundredth of the answers at half of `rate`."""
    requests = tuple(request(path, BODY % number) for number in range(int(rate * SECONDS / 2)))
    crowd = Crowd(name=what, requests=requests, rate=rate / 2, connections=connections)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        (found,) = await asyncio.get_running_loop().run_in_executor(pool, flood, port, [crowd], SECONDS)
    p99 = found.accepted_ms[int(len(found.accepted_ms) * 0.99)]
    named = f"{what}, {connections} connections: p99 at half load"
    return [Line(bench="ingress", what=named, value=p99, unit="ms", limit=limit)]


def cpu_s(pid: int) -> float:
    """Returns the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def served(
    what: str, port: int, pid: int, connections: int, limits: Sequence[Line] = (), *, workers: int = 1
) -> list[Line]:
    """Measures one server; `limits` are the lines of the limit, in the same order."""
    before = cpu_s(pid)
    lines = await measured(what, port, PATH, connections, limits[0].value if limits else 0.0)
    rate = lines[0].value
    if workers == 1:
        used = 1e6 * (cpu_s(pid) - before) / (rate * (WARM_S + SECONDS))
        lines.append(
            Line(bench="ingress", what=f"{what}, {connections} connections: CPU", value=used, unit="us/request")
        )
    return lines + await at_half_load(what, port, PATH, connections, rate, limits[-1].value if limits else 0.0)


async def bare(port: int) -> None:
    """Serves the limit: reads the body and answers."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    app = web.Application()
    app.router.add_post(PATH, answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def server(port: int, *arguments: str, **env: str) -> AsyncIterator[int]:
    """Runs a server and yields its process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env={**os.environ, "CALLWEAVE_INGRESS__PORT": str(port), **env},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not await _answers(port):
            if process.returncode is not None:
                raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode} before it listened")
            await asyncio.sleep(0.05)
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _answers(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
    status = (await reader.readline()).split()[1:2]
    writer.close()
    return status in ([b"200"], [b"404"])  # the bare server has no such page


async def bench() -> list[Line]:
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="callweave-bench-") as folder:
        async with KafkaServer(Path(folder)) as kafka:
            await create_topics(KafkaSettings(bootstrap=kafka.bootstrap))
            address = {
                "CALLWEAVE_KAFKA__BOOTSTRAP": kafka.bootstrap,
                "CALLWEAVE_INGRESS__SPOOL_DIR": str(Path(folder) / "spool"),
            }
            for connections in (16, 64, 256):
                port = free_port()
                async with server(port, __file__, "--bare", str(port)) as pid:
                    alone = await served("aiohttp reads and answers", port, pid, connections)
                lines += alone
                for workers in (1, 2):
                    port = free_port()
                    env = {**address, "CALLWEAVE_INGRESS__WORKERS": str(workers)}
                    async with server(port, "-m", "deploy.cli.main", "ingress", **env) as pid:
                        name = f"Kafka's ack, {workers} process{'es' * (workers > 1)}"
                        lines += await served(name, port, pid, connections, alone, workers=workers)
    return lines


def measure() -> list[Line]:
    """Measures for each number of connections, the limit first."""
    return uvloop.run(bench())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        uvloop.run(bare(int(sys.argv[2])))
    else:
        show(measure())
