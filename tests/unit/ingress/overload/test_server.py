"""Bounds of connections, over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from ingress.admission import AdmissionControl
from ingress.app import SERVER_OPTIONS
from ingress.overload.server import BoundedRunner, BoundedServer
from ingress.overload.shedding import LoadShedder
from schemas.config.settings import IngressSettings
from schemas.metrics import Registry

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE_BYTES = 8 * 1024 * 1024


class Site:
    def __init__(self, port: int, server: BoundedServer, metrics: Registry) -> None:
        self.port = port
        self.server = server
        self.metrics = metrics
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        pair = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(pair[1])
        return pair

    async def leave(self) -> None:
        """Closes all connections, also those that read nothing."""
        for writer in self._writers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def cut(self, reason: str) -> float:
        return self.metrics.get("callweave_ingress_connections_cut_total", reason)


@pytest.fixture
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    metrics = Registry()

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE_BYTES))

    app = web.Application()
    app.router.add_get("/", large)
    limits = getattr(request, "param", IngressSettings(head_timeout_s=0.25))
    runner = BoundedRunner(
        app,
        limits,
        metrics,
        admission=AdmissionControl(max_queued=100, max_bytes=1 << 20),
        shedder=LoadShedder({}),
        leaving=asyncio.Event(),
        shutdown_timeout=1.0,
        **SERVER_OPTIONS,
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    assert isinstance(runner.server, BoundedServer)
    site = Site(runner.addresses[0][1], runner.server, metrics)
    yield site
    await site.leave()
    await runner.cleanup()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Returns True once the other side has closed, within 20 seconds."""
    try:
        async with asyncio.timeout(20):
            while await reader.read(1 << 20):
                pass
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(b"", id="says nothing"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", id="never ends its headers"),
    ],
)
async def test_who_sends_no_request_is_cut(site: Site, words: bytes) -> None:
    reader, writer = await site.connect()
    writer.write(words)
    assert await ended(reader)
    assert site.cut("no_request") == 1


async def test_who_never_reads_its_answer_is_cut(site: Site) -> None:
    reader, writer = await site.connect()
    reader._transport.pause_reading()  # type: ignore[attr-defined]  # a caller that does not read
    writer.write(REQUEST)
    async with asyncio.timeout(20):
        while not site.cut("unread"):  # noqa: ASYNC110  # the sweep is a task of the server
            await asyncio.sleep(0.02)
    async with asyncio.timeout(20):
        while site.server.open_connections:  # noqa: ASYNC110  # counted as cut first, closed a turn of the loop later
            await asyncio.sleep(0.02)
    assert site.server.open_connections == 0


async def test_who_reads_is_served_again_and_again(site: Site) -> None:
    reader, writer = await site.connect()
    for _ in range(3):
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        await reader.readexactly(LARGE_BYTES)
        site.server.check(asyncio.get_running_loop().time() + 1000)  # long after
    assert (site.cut("no_request"), site.cut("unread")) == (0, 0)


@pytest.mark.parametrize("site", [IngressSettings(max_connections=3)], indirect=True, ids=["room for three"])
async def test_with_too_many_connections_the_silent_ones_make_room(site: Site) -> None:
    """Ten thousand idle connections must not keep a vendor out."""
    working, idle = await site.connect(), await site.connect()
    await ask(working)
    pairs = [await site.connect() for _ in range(9)]
    assert await ended(idle[0])
    for pair in (pairs[-1], working):
        await ask(pair)
    assert site.cut("too_many") == 8


@pytest.mark.parametrize("site", [IngressSettings(max_connections=2)], indirect=True, ids=["room for two"])
async def test_with_too_many_working_connections_the_new_one_is_closed(site: Site) -> None:
    pairs = [await site.connect() for _ in range(2)]
    for pair in pairs:
        await ask(pair)
    reader, _ = await site.connect()
    assert await ended(reader)
    for pair in pairs:
        await ask(pair)


async def ask(pair: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Sends one request and reads its response."""
    reader, writer = pair
    writer.write(REQUEST)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await reader.readexactly(LARGE_BYTES)
