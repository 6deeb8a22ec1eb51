"""The ingress's own listener in this process, as `ingress.main` composes it, with a publisher in memory."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import trustme

from deploy.process.ports import free_port
from ingress.main import serve
from schemas.config.settings import Account, IngressSettings, Settings
from schemas.metrics import Registry
from tests.support.http.memory_publisher import MemoryPublisher

PUSH = b"POST /v1/ytx HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


class FrontSite(NamedTuple):
    """A running listener, and what came through it."""

    settings: Settings
    publisher: MemoryPublisher
    metrics: Registry
    stop: asyncio.Event
    """Ends it before its test does."""
    ended: asyncio.Event

    @property
    def port(self) -> int:
        """The port that vendors push to."""
        return self.settings.ingress.port

    @property
    def admin_port(self) -> int:
        """The port of the admin pages."""
        return self.settings.ingress.admin_port

    def cut(self, reason: str) -> float:
        """Returns how many connections were cut for a reason."""
        return self.metrics.get("callweave_ingress_connections_cut_total", reason)

    async def until_cut(self, reason: str, times: float = 1) -> None:
        """Waits until so many connections were cut for a reason."""
        async with asyncio.timeout(20):
            while self.cut(reason) < times:  # noqa: ASYNC110  # nothing signals a count
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def front_site(
    *accounts: Account, publisher: MemoryPublisher | None = None, **ingress: Any
) -> AsyncIterator[FrontSite]:
    """Yields a listener with these settings of `[ingress]`, on free ports."""
    given = {"port": free_port(), "admin_port": free_port(), "leave_s": 0.0, "drain_s": 2.0, "require_account": False}
    settings = Settings(accounts=accounts, ingress=IngressSettings(**{**given, **ingress}))
    up = asyncio.Event()
    site = FrontSite(settings, publisher or MemoryPublisher(), Registry(), asyncio.Event(), asyncio.Event())
    serving = asyncio.create_task(serve(settings, site.publisher, site.stop, site.metrics, listening=up.set))
    serving.add_done_callback(lambda _: site.ended.set())
    waiting = asyncio.create_task(up.wait())
    try:
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield site
    finally:
        waiting.cancel()
        site.stop.set()
        await serving


async def said(port: int, *parts: bytes, answers: int = 1, host: str = "127.0.0.1", **how: Any) -> bytes:
    """Returns what a server answers to these bytes, up to so many answers or the end of the connection."""
    heard = b""
    try:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(host, port, **how)
            try:
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                while heard.count(b"HTTP/1.") < answers and (data := await reader.read(1 << 16)):
                    heard += data
            finally:
                writer.transport.abort()
    except (ConnectionError, ssl.SSLError):
        return heard
    return heard


class Pki:
    """Certificates of one authority, in files."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.ca_file = folder / "ca.crt"
        self._authority.cert_pem.write_to_path(self.ca_file)

    def server(self, name: str = "tls", host: str = "localhost") -> tuple[Path, Path]:
        """Writes a new certificate of a server; returns its file and that of its key."""
        made = self._authority.issue_cert(host, "127.0.0.1")
        certificate, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(key)
        return certificate, key

    def client(self, name: str) -> ssl.SSLContext:
        """Returns the context of a caller with a certificate of this name."""
        made = self._authority.issue_cert(f"{name}@example.com", common_name=name, organization_name="Example, Inc.")
        context = self.trusting()
        made.configure_cert(context)
        return context

    def trusting(self) -> ssl.SSLContext:
        """Returns the context of a caller that knows the authority and has no certificate."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context
