"""One running ingress with a vendor of the tests, over real HTTP."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from ingress.admission import AdmissionControl
from ingress.app import SERVER_OPTIONS, create_app
from ingress.kafka.publisher import Publisher
from ingress.overload.server import BoundedRunner
from ingress.overload.shedding import LoadShedder
from schemas.config.secret import Secret
from schemas.config.settings import Account, IngressSettings, Settings
from schemas.metrics import Registry
from schemas.vendor_kit.contract import Callback, Elements, Filtered, Reply, Vendor
from tests.support.http.memory_publisher import MemoryPublisher

SECRET = "abcdefghijklmnop0123"
METHODS = "GET, HEAD, OPTIONS, POST"
PHONE = "+447700900123"
CAP_BYTES = 10 * 1024 * 1024
NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def vendor(name: str, path: str, accepted: Reply, retry: Reply) -> Vendor:
    callback = Callback(
        name="cdr",
        path=path,
        key=lambda body: body.partition(b"id=")[2][:40].decode("utf-8", "replace"),
        elements=lambda _: Elements(items=()),
        normalise=lambda _element, _context: Filtered(reason="test"),
    )
    return Vendor(
        name=name,
        title=name,
        adapter_version=1,
        callbacks=(callback,),
        accepted=accepted,
        retry=retry,
        sends_at_most=3,
    )


VENDORS: Mapping[str, Vendor] = MappingProxyType(
    {
        "acme": vendor("acme", "/cdr", Reply(status=200), Reply(status=503)),
        "bell": vendor(
            "bell",
            "",
            Reply(status=200, body=b'{"code":0}', content_type="application/json", headers=(("X-Vendor", "yes"),)),
            Reply(status=500, body=b"again"),
        ),
    }
)


Client = TestClient[web.Request, web.Application]


class Site:
    """One running ingress, its publisher and its counts."""

    def __init__(self, client: Client, publisher: MemoryPublisher, metrics: Registry, leaving: asyncio.Event) -> None:
        self.client = client
        self.publisher = publisher
        self.metrics = metrics
        self.leaving = leaving

    async def post(self, path: str = "/v1/acme/cdr", body: bytes = b"id=1", **options: Any) -> ClientResponse:
        return await self.client.post(path, data=body, **options)

    def count(self, outcome: str, vendor: str = "acme", callback: str = "cdr") -> float:
        return self.metrics.get("callweave_ingress_requests_total", vendor, callback, outcome)


class BoundedTestServer(TestServer):
    """A server that bounds its connections as the real one does."""

    def __init__(
        self,
        app: web.Application,
        limits: IngressSettings,
        metrics: Registry,
        admission: AdmissionControl,
        leaving: asyncio.Event,
    ) -> None:
        super().__init__(app)
        self._limits = limits
        self._metrics = metrics
        self._in_hand = admission
        self._leaving = leaving

    async def _make_runner(self, **options: Any) -> BoundedRunner:
        away = LoadShedder(VENDORS)
        return BoundedRunner(
            self.app, self._limits, self._metrics,
            admission=self._in_hand, shedder=away, leaving=self._leaving, **options,
        )  # fmt: skip


async def serve(
    publisher: Publisher, metrics: Registry, limits: IngressSettings, leaving: asyncio.Event | None = None
) -> Client:
    leaving = leaving or asyncio.Event()
    accounts = (
        Account(vendor="acme", name="hidden", secret=Secret(value=SECRET)),
        Account(vendor="acme", name="far", allow=("192.0.2.0/24",)),
    )
    admission = AdmissionControl(max_queued=limits.max_queued, max_bytes=limits.max_buffer_bytes)
    settings_ = Settings(accounts=accounts, ingress=limits)
    app = create_app(settings_, VENDORS, publisher, metrics, lambda: NOW, admission=admission, leaving=leaving)
    server = BoundedTestServer(app, limits, metrics, admission, leaving)
    await server.start_server(**SERVER_OPTIONS)
    client = TestClient(server)
    await client.start_server()
    return client


with_limits = pytest.mark.parametrize("site", [IngressSettings(body_timeout_s=0.2)], indirect=True, ids=["short wait"])


def asked(method: str, target: str, body: bytes = b"") -> bytes:
    """Returns a request as it stands on the wire, the last one of its connection."""
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def without_id(answer: bytes) -> set[bytes]:
    return {line for line in answer.split(b"\r\n") if not line.startswith((b"X-Request-Id", b"Date"))}


async def raw(site: Site, *pieces: bytes) -> tuple[int, bytes]:
    """Sends bytes on a connection of its own and reads to its end; returns the first status and all responses."""
    server = site.client.server
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(15):
            answer = await reader.read()
        return int(answer.split(b" ")[1]), answer
    finally:
        writer.close()


POST = b"POST /v1/acme/cdr HTTP/1.1\r\nHost: x\r\n"
