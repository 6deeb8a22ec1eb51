"""Front door: accepts connections that bring something before their first request, a PROXY header or a TLS handshake.

Until that has come, a connection is counted against `max_connections` and has `head_timeout_s`; then it is one of the
bounded server's, which begins its own count. It must not know HTTP.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from aiohttp import web

from ingress.front.certificate import Certificate
from ingress.front.proxy_header import FIXED_BYTES, Address, ProxyHeaderError, may_begin, rest_bytes, sender
from ingress.http.proxies import Proxies
from ingress.overload.server import BoundedRunner, BoundedServer
from schemas.config.settings import IngressSettings
from schemas.metrics import Registry

ACCEPTED_AT_ONCE: Final = 32
"""Connections that are accepted before the loop does something else."""
_NO_FILES_PAUSE_S: Final = 0.5
"""Pause after the system had no descriptor for a connection; it waits in the queue meanwhile."""
_LAST_S: Final = 1.0
"""Time that connections which were accepted last have to come in at a stop."""
_CLOSING_S: Final = 5.0
"""Time for the end of a TLS connection, which a caller may never confirm."""

_log: Final = logging.getLogger("callweave.ingress")


class FrontDoor(web.BaseSite):
    """The site of connections that begin with a PROXY header, a TLS handshake, or both in this order."""

    def __init__(
        self,
        runner: BoundedRunner,
        listener: socket.socket,
        limits: IngressSettings,
        metrics: Registry,
        *,
        certificate: Certificate | None,
        proxies: Proxies | None,
    ) -> None:
        """Takes over `listener`. With `proxies` each connection must come from one of them, with a PROXY header."""
        super().__init__(runner)
        self._bounded = cast("BoundedServer", runner.server)
        self._listener = listener
        self._within_s = limits.head_timeout_s
        self._metrics = metrics
        self._certificate = certificate
        self._proxies = proxies
        self._coming: dict[asyncio.Task[None], None] = {}
        self._loop = asyncio.get_running_loop()
        self._accepting = False
        self._following: asyncio.Task[None] | None = None

    def use(self, limits: IngressSettings) -> None:
        """Makes connections that come from now on be those of the proxies of these settings."""
        if self._proxies is not None:
            self._proxies = Proxies(limits)

    @property
    def name(self) -> str:
        """The address of the site."""
        host, port = self._listener.getsockname()[:2]
        return f"{'https' if self._certificate else 'http'}://{host}:{port}"

    async def start(self) -> None:
        """Begins to accept, and to follow the files of the certificate."""
        await super().start()
        if self._certificate is not None:
            self._following = self._loop.create_task(self._certificate.follow())
        self._listener.setblocking(False)
        self._accepting = True
        self._loop.add_reader(self._listener.fileno(), self._accept)

    async def stop(self) -> None:
        """Accepts no more; connections that were accepted have a moment to come in."""
        self._accepting = False
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        if self._following is not None:
            self._following.cancel()
        coming = list(self._coming)
        if coming:
            await asyncio.wait(coming, timeout=_LAST_S)
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
        await super().stop()

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # also where another worker was faster
            except OSError as exc:
                _log.error("no connection can be accepted: %s", exc.strerror)
                self._loop.remove_reader(self._listener.fileno())
                self._loop.call_later(_NO_FILES_PAUSE_S, self._again)
                return
            self._take(connection, address)

    def _again(self) -> None:
        if self._accepting:
            self._loop.add_reader(self._listener.fileno(), self._accept)

    def _take(self, connection: socket.socket, address: Any) -> None:
        if self._proxies is not None and not self._proxies.trusts(str(address[0])):
            self._cut(connection, "no_proxy")
            return
        if self._coming and not self._bounded.has_room(beside=len(self._coming)):
            self._count("too_many")
            oldest = next(iter(self._coming))
            del self._coming[oldest]
            oldest.cancel()
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # the caller is gone
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._bring_in(connection))
        self._coming[task] = None
        task.add_done_callback(lambda done: self._coming.pop(done, None))

    async def _bring_in(self, connection: socket.socket) -> None:
        """Reads what comes before the first request and hands the connection over; else it is cut and counted."""
        try:
            async with asyncio.timeout(self._within_s):
                address = await read_address(self._loop, connection) if self._proxies is not None else None
                await self._hand_over(connection, partial(self._bounded.connection, address))
        except TimeoutError:
            self._cut(connection, "no_request")
        except ProxyHeaderError:
            self._cut(connection, "proxy_header")
        except ssl.SSLError:
            self._cut(connection, "tls")
        except OSError:  # the caller is gone
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise

    async def _hand_over(self, connection: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        if self._certificate is None:
            await self._loop.connect_accepted_socket(protocol, connection)
            return
        await self._loop.connect_accepted_socket(
            protocol,
            connection,
            ssl=self._certificate.context,
            ssl_handshake_timeout=self._within_s,
            ssl_shutdown_timeout=_CLOSING_S,
        )

    def _cut(self, connection: socket.socket, reason: str) -> None:
        self._count(reason)
        connection.close()

    def _count(self, reason: str) -> None:
        self._metrics.add("callweave_ingress_connections_cut_total", reason)


async def read_address(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> Address | None:
    """Reads a PROXY header and not a byte more; returns the sender it names, None for the proxy itself.

    Raises ProxyHeaderError as soon as it can be none, and OSError when the connection breaks.
    """
    fixed = b""
    while len(fixed) < FIXED_BYTES:
        fixed += await _some(loop, connection, FIXED_BYTES - len(fixed))
        if not may_begin(fixed):
            raise ProxyHeaderError("no header of the PROXY protocol, version 2")
    rest, size = b"", rest_bytes(fixed)
    while len(rest) < size:
        rest += await _some(loop, connection, size - len(rest))
    return sender(fixed, rest)


async def _some(loop: asyncio.AbstractEventLoop, connection: socket.socket, most: int) -> bytes:
    data = await loop.sock_recv(connection, most)
    if not data:
        raise ProxyHeaderError("a header that breaks off")
    return data
