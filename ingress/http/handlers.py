"""Handles one request from its head to its answer: authorized, read, published, and only then acknowledged.

That order is guarantee 1. This module also decides what is logged of a request: routes, statuses and sizes, never a
query, a secret, a body, or a path that is not one of ours.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec
from aiohttp import HttpVersion11, web

from ingress.access.refusal_log import RefusalLog
from ingress.access.replays import Replays, request_id_of
from ingress.access.request_head import RequestHead
from ingress.http.accept import accept
from ingress.http.body_reader import BodyReader
from ingress.http.client_subject import subject
from ingress.http.responses import explanation, options, refusal, reply
from ingress.http.routes import Route, Router
from ingress.http.signature import require_signature
from ingress.kafka.publisher import Publisher
from ingress.quota.caller_counts import CallerCounts, no_counts
from schemas.config.limits import DEFAULT
from schemas.config.settings import Account
from schemas.errors import Rejected, Unavailable, raised_at
from schemas.metrics import Registry
from schemas.topics import RAW
from schemas.vendor_kit.contract import Reply

UNKNOWN: Final = "-"
"""Label of vendor, callback and route where the request named none of ours."""
_BUSY: Final = Reply(status=503)
AUDITED: Final = frozenset(
    {
        *("forbidden", "unknown_account", "bad_credentials", "bad_signature", "stale", "replayed"),
        *("refused_often", "rate", "daily_cap"),
    }
)
"""Outcomes that are entries of the audit trail: somebody who may not, or not now, tried to push."""
_FORM: Final = "application/x-www-form-urlencoded"
"""The content type of a query string."""

_access: Final = logging.getLogger("callweave.ingress.access")
_log: Final = logging.getLogger("callweave.ingress")


class PushHandler:
    """Handles every push; keeps nothing of a request once it is answered, but the proofs that are good for one."""

    def __init__(
        self,
        *,
        router: Router,
        reader: BodyReader,
        publisher: Publisher,
        metrics: Registry,
        clock: Callable[[], datetime],
        replays: Replays | None = None,
        counts: CallerCounts | None = None,
        header_chars: int = DEFAULT.header_chars,
    ) -> None:
        self._router = router
        self._reader = reader
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock
        self._replays = replays or Replays()
        self._counts = counts or no_counts(0)
        self._refusals = RefusalLog()
        self._header_chars = header_chars

    def use(self, *, router: Router, reader: BodyReader, header_chars: int, unknown_per_minute: int) -> None:
        """Handles what comes from now on by other settings; a request that was authorized goes on by those before."""
        self._router = router
        self._reader = reader
        self._header_chars = header_chars
        self._counts.unknown.allow(unknown_per_minute)

    async def push(self, request: web.Request) -> web.Response:
        """Answers one push."""
        begun = time.perf_counter()
        request_id = os.urandom(16).hex()
        route: Route | None = None
        account: Account | None = None
        size_bytes = 0
        times, cause = 1, ""
        head = RequestHead(method="", path="")
        invitation = Invitation(request)
        try:
            head = _head(request)
            route = self._router.match(head.path)
            if route.is_look(head):
                outcome, response = "console", self._look(route, head, request_id)
            else:
                account = self._router.authorize(route, head)
                outcome, size_bytes = await self._take(route, account, head, request, invitation, request_id)
                response = reply(route.vendor.accepted, request_id)
        except Rejected as exc:
            outcome, times, cause, response = self._refused(exc, route, head, request_id, begun)
        except Unavailable as exc:
            outcome = exc.code
            response = reply(route.vendor.retry if route else _BUSY, request_id)
        except Exception as exc:  # noqa: BLE001  # the vendor must get the answer that makes it send again
            # Only its type and place: the message may quote the body.
            _log.error("a request failed in an unknown way: request_id=%s error=%s", request_id, raised_at(exc))
            outcome = "error"
            response = reply(route.vendor.retry if route else _BUSY, request_id)
        if (
            invitation.is_due and not request.content.is_eof()
        ):  # whether the body comes now is up to the caller, so the next request could not be told
            response.force_close()
        self._count(route, outcome, size_bytes)
        if outcome in AUDITED:
            self._note(route, account, outcome, head)
        if not times:
            return response  # one of many alike, which must not fill the log
        if cause and outcome == "bad_signature":
            _log.error("verify raised %s: request_id=%s", cause, request_id)
        level = _LEVELS.get(outcome, logging.INFO)
        if not _access.isEnabledFor(level):
            return response
        _access.log(
            level,
            "request id=%s method=%s route=%s status=%d outcome=%s bytes=%d ms=%.1f times=%d",
            request_id,
            request.method if request.method in _METHODS else UNKNOWN,
            route.masked_path if route else UNKNOWN,
            response.status,
            outcome,
            size_bytes,
            1000 * (time.perf_counter() - begun),
            times,
        )
        return response

    def _look(self, route: Route, head: RequestHead, request_id: str) -> web.Response:
        """Answers somebody who only checks an address; an unknown secret is refused here as it is for a push."""
        needs_account = self._router.lacks_account(route, head)
        if head.method == "OPTIONS":
            return options(allow=route.allow, request_id=request_id)
        return explanation(route.vendor, route.callback.methods, needs_account=needs_account, request_id=request_id)

    def _refused(
        self, rejected: Rejected, route: Route | None, head: RequestHead, request_id: str, begun_s: float
    ) -> tuple[str, int, str, web.Response]:
        """Returns the outcome of a refusal, the number of refusals that its log line is for, its cause and the answer.

        The answer is brief where the caller's address was refused too often.
        """
        cause = raised_at(rejected.__cause__) if rejected.__cause__ else ""
        if rejected.http_status in (401, 403, 404) and self._counts.unknown.too_many(
            self._router.client(head), self._clock().timestamp()
        ):
            rejected = Rejected("too many refused requests from this address", code="refused_often", http_status=429)
        times = self._refusals.note(route.vendor.name if route else UNKNOWN, rejected.code, begun_s)
        return rejected.code, times, cause, refusal(rejected, route, request_id)

    def _note(self, route: Route | None, account: Account | None, outcome: str, head: RequestHead) -> None:
        vendor, name = route.vendor.name if route else "", account.name if account else ""
        self._counts.refusals.add(vendor, name, outcome, self._router.client(head), self._clock())

    async def _take(
        self,
        route: Route,
        account: Account | None,
        head: RequestHead,
        request: web.Request,
        invitation: "Invitation",
        request_id: str,
    ) -> tuple[str, int]:
        """Checks, reads and publishes an authorized push; returns the outcome and the body's size in bytes."""
        gate, name = self._router.gate(account), account.name if account else ""
        proofs = gate.pass_head(head, self._clock())
        no_retry = route.vendor.sends_at_most == 1
        if head.method == "GET":
            body = self._reader.read_query(head.query, no_retry=no_retry)
            head = msgspec.structs.replace(head, content_type=_FORM, content_encoding="")
        else:
            body = await self._reader.read(
                request.content, request.content_length, no_retry=no_retry, invite=invitation.send
            )
        require_signature(route, account, head, body)
        now = self._clock()
        proofs += gate.pass_body(head, body, now)
        if proofs and not self._replays.admit(
            (route.vendor.name, name), proofs, request_id_of(head, body), now.timestamp()
        ):
            return "repeated", 0
        if account is not None:  # only now: a forger must not use up what an account may push
            self._counts.quotas.require(account, self._router.quota(account), now)
        read = time.perf_counter()
        accepted = accept(
            route, name, head, body,
            now=now, request_id=request_id, header_chars=self._header_chars,
        )  # fmt: skip
        await self._publisher.publish(RAW.name, accepted.key, body, accepted.raw.headers(), no_retry=no_retry)
        self._metrics.observe("callweave_ingress_accept_seconds", route.vendor.name, value=time.perf_counter() - read)
        self._replays.acknowledge((route.vendor.name, name), proofs)
        return "accepted", len(body)

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

    async def ready_or_not(self, _: web.Request) -> web.Response:
        """Answers 200 or 503 and not a word more, for a load balancer on a port that strangers reach."""
        return web.Response(status=503 if self._leaving.is_set() or self._publisher.why_not() else 200)

    async def metrics(self, _: web.Request) -> web.Response:
        """Answers with all metrics in Prometheus's text format."""
        return web.Response(body=self._render().encode(), headers={"Content-Type": "text/plain; version=0.0.4"})


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_LEVELS: Final = {
    "accepted": logging.DEBUG,
    "repeated": logging.DEBUG,
    "console": logging.DEBUG,
    "error": logging.ERROR,
}
"""Log levels by outcome: an accepted push is counted and not logged at INFO, a refused one is."""


class Invitation:
    """The `100 Continue` for which a caller waits before it sends a body; sent when the body is wanted, not before."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.is_due = (
            request.version >= HttpVersion11 and request.headers.get("Expect", "").strip().lower() == "100-continue"
        )
        """True while the caller waits for it."""

    async def send(self) -> None:
        """Sends it, where a caller waits for it."""
        if not self.is_due:
            return
        self.is_due = False
        await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._request.writer.output_size = 0  # of the answer itself nothing has been sent


async def expected(_: web.Request) -> None:
    """Leaves `Expect` to the handler, which knows whether the body is wanted; an unknown one is no reason to refuse."""


def _head(request: web.Request) -> RequestHead:
    headers = request.headers
    path, _, query = request.raw_path.partition("?")
    return RequestHead(
        method=request.method,
        path=request.rel_url.raw_path,
        accounts=tuple(request.rel_url.query.getall("account", ())),
        peer=request.remote or "",
        client_subject=subject(request.get_extra_info("peercert")),
        forwarded_for=",".join(headers.getall("X-Forwarded-For", ())),
        content_type=headers.get("Content-Type", ""),
        content_encoding=",".join(headers.getall("Content-Encoding", ())),
        query=query,
        sent_path=path,
        headers=tuple([(name.lower(), value) for name, value in headers.items()]),
    )
