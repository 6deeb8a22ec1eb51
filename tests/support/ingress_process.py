"""`callweave ingress` as a process of its own, and the requests of a test to it."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import aiohttp
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from deploy.process.ports import free_port
from schemas.topics import RAW
from tests.support.processes.warm_command import COMMAND_LINE, WarmProcess, start_warm

PARTITIONS = 4
"""The partitions of each topic of the broker in `conftest.py`."""


def environment(place: Path, bootstrap: str, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "CALLWEAVE_KAFKA__BOOTSTRAP": bootstrap,
        "CALLWEAVE_INGRESS__SPOOL_DIR": str(place / "spool"),
        "CALLWEAVE_INGRESS__SPOOL_MIN_FREE_BYTES": "0",
        **{f"CALLWEAVE_INGRESS__{name.upper()}": value for name, value in more.items()},
    }


class Ingress:
    """A running `callweave ingress`."""

    def __init__(
        self, process: asyncio.subprocess.Process | WarmProcess, url: str, log: Path, admin_url: str = ""
    ) -> None:
        self.process = process
        self.url = url
        self.log = log
        self.admin_url = admin_url or url
        """The address of the metrics and of readiness with its reason."""

    async def ends(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        async with asyncio.timeout(60):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def ingress(
    place: Path, bootstrap: str, http: aiohttp.ClientSession, *arguments: str, **more: str
) -> AsyncIterator[Ingress]:
    """Yields a running `callweave ingress` with these arguments and settings of `[ingress]`."""
    alone = more.get("workers", "1") != "1"
    async with _ingress(place, bootstrap, http, arguments, more, alone=alone) as running:
        yield running


@contextlib.asynccontextmanager
async def measured_ingress(
    place: Path, bootstrap: str, http: aiohttp.ClientSession, **more: str
) -> AsyncIterator[Ingress]:
    """Yields one whose memory is its own: not forked from a process that has loaded more than an ingress does."""
    async with _ingress(place, bootstrap, http, (), more, alone=True) as running:
        yield running


@contextlib.asynccontextmanager
async def _ingress(
    place: Path,
    bootstrap: str,
    http: aiohttp.ClientSession,
    arguments: Sequence[str],
    more: Mapping[str, str],
    *,
    alone: bool,
) -> AsyncIterator[Ingress]:
    port = free_port()
    log = place / f"ingress-{port}.log"
    env = environment(place, bootstrap, port=str(port), **more)
    with log.open("wb") as output:
        process = await started(output, env, *arguments, alone=alone)
    running = Ingress(process, f"http://127.0.0.1:{port}", log, f"http://127.0.0.1:{more.get('admin_port', port)}")
    try:
        async with asyncio.timeout(60):
            while not await readyz(http, running):
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        yield running
    finally:
        if process.returncode is None:
            await running.ends(signal.SIGTERM)


async def started(
    output: IO[bytes], environment: Mapping[str, str], *arguments: str, alone: bool
) -> asyncio.subprocess.Process | WarmProcess:
    """Starts `callweave ingress`, and returns its process."""
    if not alone:
        return await start_warm(COMMAND_LINE, "ingress", *arguments, environment=environment, output=output)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", COMMAND_LINE, "ingress", *arguments), env=environment, stdout=output, stderr=output
    )


async def readyz(http: aiohttp.ClientSession, running: Ingress) -> dict[str, object]:
    """Returns the body of /readyz; empty while it does not listen."""
    try:
        async with http.get(f"{running.admin_url}/readyz") as answer:
            return dict(await answer.json())
    except (aiohttp.ClientError, TimeoutError):
        return {}


async def push(http: aiohttp.ClientSession, running: Ingress, path: str, body: bytes) -> tuple[int, float]:
    """Returns the status and the seconds until the answer."""
    begun = time.perf_counter()
    async with http.post(running.url + path, data=body) as answer:
        await answer.read()
        return answer.status, time.perf_counter() - begun


Stored = list[tuple[bytes, bytes, dict[str, bytes]]]
"""Records of calls.raw: key, value, headers."""


@contextlib.asynccontextmanager
async def reading(bootstrap: str) -> AsyncIterator[Callable[[], Awaitable[Stored]]]:
    """Yields a function that returns what is in calls.raw behind what it returned before, and waits a little for it."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    parts = [TopicPartition(RAW.name, number) for number in range(PARTITIONS)]

    async def read() -> Stored:
        came = (await consumer.getmany(timeout_ms=200)).values()
        return [(record.key, record.value, dict(record.headers)) for records in came for record in records]

    try:
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        yield read
    finally:
        await consumer.stop()


async def in_kafka(bootstrap: str) -> Stored:
    """Returns all of calls.raw in the order in which it was sent; a call's records lie on any partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        parts = [TopicPartition(RAW.name, number) for number in range(PARTITIONS)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        found: list[ConsumerRecord[bytes, bytes]] = []
        async with asyncio.timeout(60):
            while sum(ends.values()) > sum([await consumer.position(part) for part in parts]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
        found.sort(key=lambda record: (record.timestamp, record.partition, record.offset))
        return [(record.key, record.value, dict(record.headers)) for record in found]
    finally:
        await consumer.stop()
