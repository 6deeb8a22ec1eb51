"""Bounds connections: how many there are, the time until the first request, and how long a response may lie unread.

aiohttp bounds the size of headers and the idle time between two requests; this module adds the rest. It must not know
requests.
"""

import asyncio
import contextlib
import resource
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http_exceptions import InvalidURLError
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from yarl import URL

from ingress.admission import AdmissionControl
from ingress.http.handlers import PUSH, UNKNOWN, PushHandler, WholePush
from ingress.overload.guarded_connection import GuardedHandler
from ingress.overload.shedding import LoadShedder
from schemas.config.settings import IngressSettings
from schemas.metrics import Registry

SPARE_FILES: Final = 200
"""File descriptors kept for Kafka, the spool and the rest."""
SWEEPS: Final = 5
"""Checks of all connections within `head_timeout_s`."""
_LISTEN_EVERY_S: Final = 0.02


class BoundedServer(web.Server):
    """A server that looks after its connections and is their `Gate`; `BoundedRunner` makes it."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        limits: IngressSettings,
        metrics: Registry,
        admission: AdmissionControl,
        shedder: LoadShedder,
        leaving: asyncio.Event,
        push: PushHandler | None,
        **options: Any,
    ) -> None:
        """`push` takes the pushes that come whole; without it `handler` gets all requests."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            connection = cast("GuardedHandler", request.protocol)
            connection.start_handling(request.content)
            if not request.rel_url.raw_path.startswith("/"):
                # aiohttp has no route for it, and would itself answer: uncounted, and quoting what was sent.
                return connection.handle_error(request, 400, InvalidURLError("no path"))
            response = await handler(request)
            if leaving.is_set():  # otherwise its next request may meet a closed connection
                response.force_close()
            return response

        super().__init__(handle, **options)
        self.request_factory = partial(_made, self.request_factory)
        self.admission = admission
        self.leaving = leaving
        self.takes_whole = push is not None
        self._push = push
        self._turns: list[tuple[WholePush, GuardedHandler]] = []
        self._shedder = shedder
        self._limits = limits
        self._max_open = min(limits.max_connections, _allow_files(limits.max_connections + SPARE_FILES) - SPARE_FILES)
        self._metrics = metrics
        self._silent: dict[RequestHandler, float] = {}
        self._unread: dict[RequestHandler, float] = {}

    def __call__(self) -> RequestHandler:
        """Returns the handler of a new connection."""
        return self.connection()

    def connection(self, peer: tuple[str, int] | None = None) -> RequestHandler:
        """Returns the handler of a new connection; `peer` is its sender where a proxy named one."""
        return GuardedHandler(self, gate=self, peer=peer, loop=self._loop, **self._kwargs)

    def has_room(self, *, beside: int) -> bool:
        """True when there is room for one connection more beside these that are not among the open ones yet."""
        return len(self._connections) + beside < self._max_open

    def refuse(self, data: bytes) -> bytes | None:
        """Returns the response of a request that there is no room for, counted; None when it may go on."""
        if not self.admission.full(no_retry=False, more=1):
            return None
        refusal = self._shedder.refusal(data)
        why = self.admission.full(no_retry=refusal.no_retry, more=1) if refusal else None
        if refusal is None or why is None:
            return None
        self._metrics.add("callweave_ingress_requests_total", refusal.vendor, refusal.callback, why)
        return refusal.response

    def take(self, push: WholePush, connection: GuardedHandler) -> None:
        """Takes a whole push behind those before it, once all that has come was read.

        So requests that there is no room for are refused before those in front of them are handled.
        """
        if not self._turns:
            self._loop.call_soon(self._take_turns)
        self._turns.append((push, connection))

    def lose(self, push: WholePush) -> None:
        """Counts a push whose sender left before the end of its body."""
        if self._push is not None:
            self._push.lose(push)

    def _take_turns(self) -> None:
        turns, self._turns = self._turns, []
        for push, connection in turns:
            connection.begin_turn()
            try:
                if self._push is not None:
                    self._push.take(push, connection.answer)
            except Exception as exc:  # noqa: BLE001  # nothing may keep those behind it from their turn
                connection.fail(exc)

    def unreadable(self) -> None:
        """Counts bytes that cannot be read as a request."""
        self._metrics.add("callweave_ingress_requests_total", UNKNOWN, UNKNOWN, "bad_request")

    def broke(self) -> None:
        """Counts a connection that is closed because its bytes went wrong behind the head of a request."""
        self._metrics.add("callweave_ingress_connections_cut_total", "broken")

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Takes a connection; beyond the bound the one that was silent the longest is closed, or else the new one."""
        super().connection_made(handler, transport)
        if len(self._connections) > self._max_open:
            self.cut(self._connections[self._longest_silent() or handler], "too_many")
        self._silent[handler] = self._loop.time()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forgets a connection."""
        self._silent.pop(handler, None)
        self._unread.pop(handler, None)
        super().connection_lost(handler, exc)

    async def sweep(self) -> None:
        """Cuts connections that send no request or read no response; runs until cancelled."""
        while True:
            await asyncio.sleep(self._limits.head_timeout_s / SWEEPS)
            self.check(self._loop.time())

    def check(self, now: float) -> None:
        """Checks all connections once."""
        for handler, since in list(self._silent.items()):
            if handler._request_count:  # noqa: SLF001  # aiohttp shows nowhere else whether a head has come
                del self._silent[handler]
            elif now - since > self._limits.head_timeout_s:
                self.cut(self._connections[handler], "no_request")
        for handler, transport in list(self._connections.items()):
            if not transport.get_write_buffer_size():
                self._unread.pop(handler, None)
            elif now - self._unread.setdefault(handler, now) > self._limits.head_timeout_s:
                self.cut(transport, "unread")

    @property
    def open_connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    @property
    def awaits_first_requests(self) -> bool:
        """True while there are connections whose first request has not come."""
        return any(not handler._request_count for handler in self._silent)  # noqa: SLF001  # as in `check`

    def _longest_silent(self) -> RequestHandler | None:
        while self._silent:
            handler = next(iter(self._silent))
            del self._silent[handler]
            if not handler._request_count:  # noqa: SLF001  # as in `check`
                return handler
        return None

    def cut(self, transport: asyncio.Transport, reason: str) -> None:
        """Closes a connection and counts it."""
        if not transport.is_closing():
            self._metrics.add("callweave_ingress_connections_cut_total", reason)
        transport.abort()


class BoundedRunner(web.AppRunner):
    """An `AppRunner` whose server is a `BoundedServer`."""

    def __init__(
        self,
        app: web.Application,
        limits: IngressSettings,
        metrics: Registry,
        *,
        admission: AdmissionControl,
        shedder: LoadShedder,
        leaving: asyncio.Event,
        **options: Any,
    ) -> None:
        """Once `leaving` is set, each response ends its connection."""
        super().__init__(app, **options)
        self._limits = limits
        self._metrics = metrics
        self._admission = admission
        self._shedder = shedder
        self._leaving = leaving
        self._sweeping: asyncio.Task[None] | None = None

    async def _make_server(self) -> BoundedServer:
        plain = await super()._make_server()
        server = BoundedServer(
            plain.request_handler,
            request_factory=plain.request_factory,
            loop=plain._loop,  # noqa: SLF001  # made by the base class in the line above
            limits=self._limits,
            metrics=self._metrics,
            admission=self._admission,
            shedder=self._shedder,
            leaving=self._leaving,
            push=self.app.get(PUSH),
            **plain._kwargs,  # noqa: SLF001  # likewise
        )
        self._sweeping = asyncio.create_task(server.sweep())
        self._metrics.before_read(
            lambda: self._metrics.put("callweave_ingress_connections", value=server.open_connections)
        )
        return server

    async def until_first_requests(self, within_s: float) -> None:
        """Waits for the first requests of connections that came last: `cleanup` would close them unanswered."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while isinstance(self.server, BoundedServer) and self.server.awaits_first_requests:  # noqa: ASYNC110 - heads come to aiohttp, not to us
                    await asyncio.sleep(_LISTEN_EVERY_S)

    async def cleanup(self) -> None:
        """Stops, as `AppRunner` does."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        await super().cleanup()


def _made(make: Callable[..., web.BaseRequest], message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
    """Returns the request of a parsed head; one without a target gets an empty one, so that it can be answered.

    aiohttp takes `CONNECT` without a target, and gives it no URL, or that of the request before it on the connection.
    Nobody would handle the former, and the connection would stay open and counted for as long as its sender likes.
    """
    return make(message if message.path else message._replace(path="", url=URL()), *rest)


def _allow_files(wanted: int) -> int:
    """Returns the descriptors that this process may have, after raising its limit as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft if soft != resource.RLIM_INFINITY else wanted
