"""Handles one request from its head to its answer: authorized, read, published, and only then acknowledged.

That order is guarantee 1. This module also decides what is logged of a request: routes, statuses and sizes, never a
query, a secret, a body, or a path that is not one of ours.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

import msgspec
from aiohttp import HttpVersion11, web

from ingress.http.accept import accept
from ingress.http.body_reader import BodyReader
from ingress.http.responses import explanation, options, problem, reply
from ingress.http.routes import RequestHead, Route, Router
from ingress.http.signature import require_signature
from ingress.kafka.publisher import Publisher
from schemas.config.limits import DEFAULT
from schemas.errors import Rejected, Unavailable, raised_at
from schemas.metrics import Registry
from schemas.topics import RAW
from schemas.vendor_kit.contract import PushHead, Reply

UNKNOWN: Final = "-"
"""Label of vendor, callback and route where the request named none of ours."""
_BUSY: Final = Reply(status=503)
_FORM: Final = "application/x-www-form-urlencoded"
"""The content type of a query string."""
_STATUS_ALLOW: Final = "GET, HEAD"

_access: Final = logging.getLogger("callweave.ingress.access")
_log: Final = logging.getLogger("callweave.ingress")


class PushHandler:
    """Handles every push; keeps nothing of a request once it is answered."""

    def __init__(
        self,
        *,
        router: Router,
        reader: BodyReader,
        publisher: Publisher,
        metrics: Registry,
        clock: Callable[[], datetime],
        header_chars: int = DEFAULT.header_chars,
    ) -> None:
        self._router = router
        self._reader = reader
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock
        self._header_chars = header_chars

    async def push(self, request: web.Request) -> web.Response:
        """Answers one push."""
        begun = time.perf_counter()
        request_id = uuid.uuid4().hex
        route: Route | None = None
        size_bytes = 0
        try:
            head = _head(request)
            route = self._router.match(head.path)
            if route.is_look(head):
                outcome, response = "console", self._look(route, head, request_id)
            else:
                size_bytes = await self._take(route, head, request, request_id)
                outcome, response = "accepted", reply(route.vendor.accepted, request_id)
        except Rejected as exc:
            outcome = exc.code
            response = problem(exc, request_id, allow=route.allow if route else _STATUS_ALLOW)
        except Unavailable as exc:
            outcome = exc.code
            response = reply(route.vendor.retry if route else _BUSY, request_id)
        except Exception as exc:  # noqa: BLE001  # the vendor must get the answer that makes it send again
            # Only its type and place: the message may quote the body.
            _log.error("a request failed in an unknown way: request_id=%s error=%s", request_id, raised_at(exc))
            outcome = "error"
            response = reply(route.vendor.retry if route else _BUSY, request_id)
        self._count(route, outcome, size_bytes)
        _access.log(
            _LEVELS.get(outcome, logging.INFO),
            "request id=%s method=%s route=%s status=%d outcome=%s bytes=%d ms=%.1f",
            request_id,
            request.method if request.method in _METHODS else UNKNOWN,
            route.masked_path if route else UNKNOWN,
            response.status,
            outcome,
            size_bytes,
            1000 * (time.perf_counter() - begun),
        )
        return response

    def _look(self, route: Route, head: RequestHead, request_id: str) -> web.Response:
        """Answers somebody who only checks an address; an unknown secret is refused here as it is for a push."""
        needs_account = self._router.lacks_account(route, head)
        if head.method == "OPTIONS":
            return options(allow=route.allow, request_id=request_id)
        return explanation(route.vendor, route.callback.methods, needs_account=needs_account, request_id=request_id)

    async def _take(self, route: Route, head: RequestHead, request: web.Request, request_id: str) -> int:
        """Authorizes, reads and publishes; returns the body's size in bytes."""
        account = self._router.authorize(route, head)
        no_retry = route.vendor.sends_at_most == 1
        if head.method == "GET":
            body = self._reader.read_query(head.query, no_retry=no_retry)
            head = msgspec.structs.replace(head, content_type=_FORM, content_encoding="")
        else:
            body = await self._reader.read(request.content, request.content_length, no_retry=no_retry)
        require_signature(route, account, partial(_push_head, request), body)
        read = time.perf_counter()
        accepted = accept(
            route, account.name if account else "", head, body,
            now=self._clock(), request_id=request_id, header_chars=self._header_chars,
        )  # fmt: skip
        await self._publisher.publish(RAW.name, accepted.key, body, accepted.raw.headers(), no_retry=no_retry)
        self._metrics.observe("callweave_ingress_accept_seconds", route.vendor.name, value=time.perf_counter() - read)
        return len(body)

    def _count(self, route: Route | None, outcome: str, size_bytes: int) -> None:
        vendor = route.vendor.name if route else UNKNOWN
        callback = (route.callback.name if route else "") or UNKNOWN
        self._metrics.add("callweave_ingress_requests_total", vendor, callback, outcome)
        if size_bytes:
            self._metrics.add("callweave_ingress_body_bytes_total", vendor, by=size_bytes)


class StatusHandler:
    """Handles the status paths, which people and monitoring read."""

    def __init__(self, publisher: Publisher, render: Callable[[], str], leaving: asyncio.Event) -> None:
        self._publisher = publisher
        self._render = render
        self._leaving = leaving

    async def alive(self, _: web.Request) -> web.Response:
        """Answers 200 while the process runs."""
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """Answers 200 when a body would be made durable now, else 503 with the reason; a note describes the spool."""
        reason = "it is about to end" if self._leaving.is_set() else self._publisher.why_not()
        return web.Response(
            status=503 if reason else 200,
            body=msgspec.json.encode({"ready": not reason, "reason": reason, "note": self._publisher.note()}),
            content_type="application/json",
        )

    async def metrics(self, _: web.Request) -> web.Response:
        """Answers with all metrics in Prometheus's text format."""
        return web.Response(body=self._render().encode(), headers={"Content-Type": "text/plain; version=0.0.4"})


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_LEVELS: Final = {"accepted": logging.DEBUG, "console": logging.DEBUG, "error": logging.ERROR}
"""Log levels by outcome: an accepted push is counted and not logged at INFO, a refused one is."""


async def expected(request: web.Request) -> None:
    """Answers `Expect: 100-continue`; any other expectation is unknown, and no reason to refuse a body."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").strip().lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # of the answer itself nothing has been sent


def _head(request: web.Request) -> RequestHead:
    headers = request.headers
    return RequestHead(
        method=request.method,
        path=request.rel_url.raw_path,
        accounts=tuple(request.rel_url.query.getall("account", ())),
        peer=request.remote or "",
        forwarded_for=",".join(headers.getall("X-Forwarded-For", ())),
        content_type=headers.get("Content-Type", ""),
        content_encoding=",".join(headers.getall("Content-Encoding", ())),
        query=request.raw_path.partition("?")[2],
    )


def _push_head(request: web.Request) -> PushHead:
    path, _, query = request.raw_path.partition("?")
    return PushHead(
        method=request.method,
        path=path,
        query=query,
        headers=tuple((name.lower(), value) for name, value in request.headers.items()),
    )
