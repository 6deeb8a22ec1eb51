"""Overload and misbehaving callers against a real process: memory stays bounded, and others are served."""

import asyncio
import contextlib
import gzip
import multiprocessing
import resource
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Self

import aiohttp
import pytest

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from schemas.config.settings import KafkaSettings
from tests.bench.bench_overload import crowds, peak_mib
from tests.bench.support.flood import CrowdResult, flood
from tests.support.ingress_process import Ingress, ingress, measured_ingress, push
from tests.support.processes.formatted import formatted
from tests.support.scale import SCALE

MIB = 2**20
BESIDE_MIB = 200
"""Memory that the process takes beside `ingress.max_buffer_bytes`, as that setting promises."""
CONNECTION_MIB = 25 / 1024
"""Memory for each connection."""
GENEROUS_S = 20.0
HEAD = b"POST /v1/%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
IDLE = 2000
FLOOD_S = 3.0 if SCALE == 1 else 5.0


@pytest.fixture
async def place() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="callweave-overload-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
async def broker() -> AsyncIterator[KafkaServer]:
    with tempfile.TemporaryDirectory(prefix="callweave-overload-test-") as folder:
        async with KafkaServer(formatted(Path(folder)), port=free_port(), heap="256m") as server:
            await create_topics(KafkaSettings(bootstrap=server.bootstrap, partitions=4))
            yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=60), connector=aiohttp.TCPConnector(limit=0, force_close=True)
    ) as session:
        yield session


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Raises the limit of files: this process opens as many connections as the one it tests."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Callers:
    """Connections that send given bytes and read only when asked to."""

    def __init__(self, running: Ingress) -> None:
        self._port = int(running.url.rpartition(":")[2])
        self.pairs: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for _, writer in self.pairs:
            writer.transport.abort()

    async def call(self, count: int, words: bytes = b"", *, kept_bytes: int = 0) -> None:
        """Opens `count` more connections, and sends `words` on all of them.

        With `kept_bytes` their system keeps about as many bytes that they have not read; else as many as it likes.
        """
        for start in range(0, count, 100):
            self.pairs += await asyncio.gather(*(self._open(kept_bytes) for _ in range(min(100, count - start))))
        await self.say(words)

    async def _open(self, kept_bytes: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        one = socket.socket()
        one.setblocking(False)
        if kept_bytes:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kept_bytes)
        await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", self._port))
        return await asyncio.open_connection(sock=one)

    async def say(self, words: bytes) -> None:
        """Sends to all of them, as far as the other side takes it."""
        for _, writer in self.pairs:
            if words and not writer.transport.is_closing():
                writer.write(words)
        await asyncio.sleep(0)

    async def answers(self) -> list[bytes]:
        """Returns the status of each connection's first response, empty for those that were cut without one."""

        async def first(reader: asyncio.StreamReader) -> bytes:
            with contextlib.suppress(ConnectionError):
                return (await reader.readline())[9:12]
            return b""

        async with asyncio.timeout(60):
            return await asyncio.gather(*(first(reader) for reader, _ in self.pairs))


async def still_serves(http: aiohttp.ClientSession, running: Ingress, *, within_s: float = GENEROUS_S) -> None:
    """Asserts that the process lives, and acknowledges vendors that call once."""
    status, took_s = await push(http, running, "/v1/huawei/ax", b"{}")
    assert running.process.returncode is None, running.log.read_text()
    assert status == 200
    assert took_s < within_s


async def metric(http: aiohttp.ClientSession, running: Ingress, name: str) -> float:
    async with http.get(f"{running.url}/metrics") as answer:
        text = await answer.text()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


async def becomes(what: str, true: Callable[[], Awaitable[bool]]) -> None:
    try:
        async with asyncio.timeout(60):
            while not await true():  # noqa: ASYNC110  # what is waited for is another process
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"in vain: {what}")


def bound_mib(buffer_bytes: int, connections: int) -> float:
    """Returns the promised bound; a quarter beyond the buffer connections are cut."""
    return 1.25 * buffer_bytes / MIB + BESIDE_MIB + CONNECTION_MIB * connections


async def flooded(running: Ingress, *, rate: float, connections: int, seconds: float) -> dict[str, CrowdResult]:
    """Sends requests of all vendors at `rate` a second, whatever becomes of them."""
    port = int(running.url.rpartition(":")[2])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        floods = await asyncio.get_running_loop().run_in_executor(pool, flood, port, crowds(rate, connections), seconds)
    return {each.name: each for each in floods}


async def test_far_beyond_what_it_can_do_who_can_send_again_is_turned_away_and_who_calls_once_is_not(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    async with measured_ingress(place, broker.bootstrap, http, max_queued="20") as running:
        calm = await flooded(running, rate=50, connections=50, seconds=2)
        floods = await flooded(running, rate=100_000, connections=600, seconds=FLOOD_S)
        await still_serves(http, running)
        assert {status for each in calm.values() for status in each.statuses} == {200}
        assert set(floods["huawei"].statuses) == {200}
        assert set(floods["nxcloud"].statuses) == {200, 503}
        assert set(floods["ytx"].statuses) == {200, 500}
        for each in floods.values():
            assert each.hung_up == 0
            assert each.took_ms[-1] < 1000 * GENEROUS_S
        assert peak_mib(running.process.pid) < bound_mib(256 * MIB, 600)


async def test_bodies_that_never_end_hold_no_more_than_the_settings_say(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    """150 callers bring 1 MiB each of a body of 4 and then stop: ten times the buffer."""
    buffer_bytes = 16 * MIB
    async with (
        measured_ingress(
            place, broker.bootstrap, http, max_buffer_bytes=str(buffer_bytes), body_timeout_s="8"
        ) as running,
        Callers(running) as callers,
    ):
        await callers.call(150, HEAD % b"ytx" + b"Content-Length: 4194304\r\n\r\n" + b"x" * MIB)
        answers = await callers.answers()
        assert set(answers) <= {b"500", b"408", b""}  # a caller that goes on sending may lose the answer that it gets
        full = await metric(
            http, running, 'callweave_ingress_requests_total{vendor="ytx",callback="push",outcome="buffer_full"}'
        )
        no_room = await metric(http, running, 'callweave_ingress_connections_cut_total{reason="no_room"}')
        assert full + no_room > 100
        assert full > 10
        await still_serves(http, running)
        assert peak_mib(running.process.pid) < bound_mib(buffer_bytes, 150)


@pytest.mark.parametrize(
    ("words", "more", "reason"),
    [
        pytest.param(b"", b"", "no_request", id="says nothing"),
        pytest.param(HEAD % b"ytx" + b"X-Slow: ", b"y", "no_request", id="a byte of its head now and then"),
        pytest.param(HEAD % b"ytx" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 8000) for n in range(7)), b"", "no_request", id="a large head that stops"),
        pytest.param(HEAD % b"ytx" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 8000) for n in range(20)), b"", "large_head", id="a giant head"),
    ],
)  # fmt: skip
async def test_who_never_ends_its_head_is_cut_and_costs_little(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession, words: bytes, more: bytes, reason: str
) -> None:
    async with (
        measured_ingress(place, broker.bootstrap, http, head_timeout_s="2") as running,
        Callers(running) as callers,
    ):
        await callers.call(300, words)
        for _ in range(5):
            await asyncio.sleep(0.2)
            await callers.say(more)
            await still_serves(http, running)
        await becomes(f"all are cut: {reason}", lambda: cut(http, running, reason, 300))
        assert peak_mib(running.process.pid) < bound_mib(300 * 64 * 1024, 300)


async def cut(http: aiohttp.ClientSession, running: Ingress, reason: str, count: int) -> bool:
    return await metric(http, running, f'callweave_ingress_connections_cut_total{{reason="{reason}"}}') >= count


async def test_a_slow_body_is_given_up_and_keeps_nobody_else_waiting(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    async with (
        ingress(place, broker.bootstrap, http, body_timeout_s="2") as running,
        Callers(running) as callers,
    ):
        await callers.call(700, HEAD % b"ytx" + b"Content-Length: 100\r\n\r\n{")
        status, took_s = await push(http, running, "/v1/ytx", b"{}")  # who can send again is not turned away for them
        assert (status, took_s < GENEROUS_S) == (200, True)
        assert set(await callers.answers()) == {b"408"}


async def test_idle_connections_make_room_for_those_that_call(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    async with (
        measured_ingress(place, broker.bootstrap, http, max_connections=str(IDLE // 2)) as running,
        Callers(running) as callers,
    ):
        await callers.call(IDLE)
        await still_serves(http, running)
        assert await metric(http, running, "callweave_ingress_connections ") <= IDLE // 2
        assert await cut(http, running, "too_many", IDLE // 2)
        assert peak_mib(running.process.pid) < bound_mib(0, IDLE)


@pytest.mark.parametrize("inflated_bytes", [40 * MIB, 9 * MIB], ids=["40 MiB", "9 MiB"])
async def test_inflate_bombs_are_stored_as_they_came_and_cost_no_memory(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession, inflated_bytes: int
) -> None:
    bomb = gzip.compress(bytes(inflated_bytes))
    words = HEAD % b"ytx" + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    async with measured_ingress(place, broker.bootstrap, http) as running, Callers(running) as callers:
        await callers.call(40, words)
        await still_serves(http, running)
        assert set(await callers.answers()) == {b"200"}
        await still_serves(http, running)
        assert peak_mib(running.process.pid) < bound_mib(0, 40)


async def test_who_never_reads_its_answers_is_cut_and_costs_little(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    """The largest responses are those of /metrics; each caller asks for 5000 of them and reads none."""
    async with (
        measured_ingress(place, broker.bootstrap, http, head_timeout_s="2") as running,
        Callers(running) as callers,
    ):
        await callers.call(20, kept_bytes=64 * 1024)  # so that fewer answers fill it
        for _, writer in callers.pairs:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a caller that does not read
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)
        await still_serves(http, running)
        await becomes("all are cut", lambda: cut(http, running, "unread", 20))
        assert peak_mib(running.process.pid) < bound_mib(0, 20)
