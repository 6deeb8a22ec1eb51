"""The ingress with Kafka's acknowledgement beside aiohttp that only reads and answers: `python -m tests.bench ingress`.

Each server is a process of its own; the caller (raw keep-alive connections) and the broker share the machine with it.
Rates are of one run: compare the lines with each other, not with other machines.
"""

import asyncio
import contextlib
import itertools
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop
from aiohttp import web

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from schemas.config.settings import KafkaSettings
from tests.bench.support.callers import call, checked, request
from tests.bench.support.lines import Line, show

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


async def bare(port: int) -> None:
    """Serves the limit: reads the body and answers."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/nxcloud/cdr", answer)
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
                async with server(port, __file__, "--bare", str(port)):
                    alone = await measured("aiohttp reads and answers", port, "/v1/nxcloud/cdr", connections)
                lines += alone
                for workers in (1, 2):
                    port = free_port()
                    env = {**address, "CALLWEAVE_INGRESS__WORKERS": str(workers)}
                    async with server(port, "-m", "deploy.cli.main", "ingress", **env):
                        name = f"Kafka's ack, {workers} process{'es' * (workers > 1)}"
                        lines += await measured(name, port, "/v1/nxcloud/cdr", connections, alone[0].value)
    return lines


def measure() -> list[Line]:
    """Measures for each number of connections, the limit first."""
    return uvloop.run(bench())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        uvloop.run(bare(int(sys.argv[2])))
    else:
        show(measure())
