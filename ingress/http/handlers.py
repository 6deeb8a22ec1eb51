"""Handles one push from its head to its answer: authorized, read, published, and only then acknowledged.

That order is guarantee 1. Most pushes come whole, and are taken without a task of their own (`take`); of the others
more is to be read, or they are odd, and aiohttp hands them over (`push`). This module also decides what is logged of a
request: routes, statuses and sizes, never a query, a secret, a body, or a path that is not one of ours.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ingress.access.refusal_log import RefusalLog
from ingress.access.replays import Replays, request_id_of
from ingress.access.request_head import RequestHead
from ingress.access.verdict import Proof
from ingress.http.accept import Accepted, accept
from ingress.http.body_reader import BodyReader, broken_off
from ingress.http.client_subject import subject
from ingress.http.invitation import Invitation
from ingress.http.responses import Answer, explanation, options, refusal, reply
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
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_LEVELS: Final = {
    "accepted": logging.DEBUG,
    "repeated": logging.DEBUG,
    "console": logging.DEBUG,
    "error": logging.ERROR,
}
"""Log levels by outcome: an accepted push is counted and not logged at INFO, a refused one is."""
_NO_HEAD: Final = RequestHead(method="", path="")

_access: Final = logging.getLogger("callweave.ingress.access")
_log: Final = logging.getLogger("callweave.ingress")


class _Push:
    """One push, as much of it as is known."""

    __slots__ = ("account", "begun_s", "head", "outcome", "proofs", "read_s", "request_id", "route", "size_bytes")

    def __init__(self) -> None:
        self.begun_s = time.perf_counter()
        self.request_id = os.urandom(16).hex()
        self.head = _NO_HEAD
        self.route: Route | None = None
        self.account: Account | None = None
        self.proofs: tuple[Proof, ...] = ()
        self.read_s = 0.0
        self.size_bytes = 0
        self.outcome = "accepted"


class WholePush(msgspec.Struct, frozen=True, gc=False):
    """A POST of HTTP/1.1 that came whole, and whose sender waits for no invitation."""

    target: str
    """The target as it stands in the request's first line."""
    url: URL
    headers: "CIMultiDictProxy[str]"
    body: bytes
    peer: str
    """The IP address that the connection comes from."""
    certificate: Mapping[str, Any] | None
    """The client's certificate as `SSLSocket.getpeercert` gives it."""


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
        """Answers a request that aiohttp hands over."""
        push = _Push()
        invitation = Invitation(request)
        try:
            push.head = _head(
                request.method, request.raw_path, request.rel_url, request.headers,
                peer=request.remote or "", certificate=request.get_extra_info("peercert"),
            )  # fmt: skip
            route = push.route = self._router.match(push.head.path)
            if route.is_look(push.head):
                answer = self._look(route, push)
            else:
                self._enter(route, push)
                accepted = self._check(route, push, await self._body(route, push, request, invitation))
                if accepted is not None:
                    await self._publisher.publish(
                        RAW.name, accepted.key, accepted.raw.body, accepted.raw.headers(), no_retry=_only_once(route)
                    )
                answer = self._taken(route, push)
        except Exception as exc:  # noqa: BLE001  # the vendor must get the answer that makes it send again
            answer = self._failed(push, exc)
        if (
            invitation.is_due and not request.content.is_eof()
        ):  # whether the body comes now is up to the caller, so the next request could not be told
            answer = msgspec.structs.replace(answer, closes=True)
        return answer.response()

    def take(self, whole: WholePush, answered: Callable[[Answer], None]) -> None:
        """Takes a push that came whole; `answered` is called once, now or later."""
        push = _Push()
        body = whole.body
        try:
            route = self._met(push, whole)
            no_retry = _only_once(route)
            self._reader.take(body, no_retry=no_retry)
            accepted = self._check(route, push, body)
            if accepted is not None:
                settled = partial(self._settled, route, push, answered)
                self._publisher.submit(RAW.name, accepted.key, body, accepted.raw.headers(), settled, no_retry=no_retry)
                return
            answer = self._taken(route, push)
        except Exception as exc:  # noqa: BLE001  # as in `push`
            answer = self._failed(push, exc)
        answered(answer)

    def lose(self, whole: WholePush) -> None:
        """Counts a push whose sender left before the end of its body."""
        push = _Push()
        try:
            self._met(push, whole)
        except Exception as exc:  # noqa: BLE001  # as in `push`
            self._failed(push, exc)
        else:
            self._failed(push, broken_off())

    def _met(self, push: _Push, whole: WholePush) -> Route:
        """Returns the route of a push, after all checks that its head allows; raises Rejected."""
        push.head = _head(
            "POST", whole.target, whole.url, whole.headers, peer=whole.peer, certificate=whole.certificate
        )
        route = push.route = self._router.match(push.head.path)
        self._enter(route, push)
        return route

    def _settled(
        self, route: Route, push: _Push, answered: Callable[[Answer], None], error: Unavailable | None
    ) -> None:
        answered(self._taken(route, push) if error is None else self._failed(push, error))

    def _look(self, route: Route, push: _Push) -> Answer:
        """Answers somebody who only checks an address; an unknown secret is refused here as it is for a push."""
        needs_account = self._router.lacks_account(route, push.head)
        if push.head.method == "OPTIONS":
            answer = options(allow=route.allow, request_id=push.request_id)
        else:
            answer = explanation(
                route.vendor, route.callback.methods, needs_account=needs_account, request_id=push.request_id
            )
        push.outcome = "console"
        self._over(push, answer)
        return answer

    def _enter(self, route: Route, push: _Push) -> None:
        """Checks all that the head shows; raises Rejected."""
        push.account = self._router.authorize(route, push.head)
        push.proofs = self._router.gate(push.account).pass_head(push.head, self._clock())

    async def _body(self, route: Route, push: _Push, request: web.Request, invitation: Invitation) -> bytes:
        """Returns the body of an authorized request."""
        no_retry = _only_once(route)
        if push.head.method == "GET":
            body = self._reader.read_query(push.head.query, no_retry=no_retry)
            push.head = msgspec.structs.replace(push.head, content_type=_FORM, content_encoding="")
            return body
        return await self._reader.read(
            request.content, request.content_length, no_retry=no_retry, invite=invitation.send
        )

    def _check(self, route: Route, push: _Push, body: bytes) -> Accepted | None:
        """Returns what is to be published of a push whose body has come, None for one that is durable already.

        Raises Rejected, and Unavailable for an account that pushes too much.
        """
        account, head = push.account, push.head
        name = account.name if account else ""
        require_signature(route, account, head, body)
        now = self._clock()
        push.proofs += self._router.gate(account).pass_body(head, body, now)
        if push.proofs and not self._replays.admit(
            (route.vendor.name, name), push.proofs, request_id_of(head, body), now.timestamp()
        ):
            push.outcome = "repeated"
            return None
        if account is not None:  # only now: a forger must not use up what an account may push
            self._counts.quotas.require(account, self._router.quota(account), now)
        push.read_s = time.perf_counter()
        push.size_bytes = len(body)
        return accept(
            route, name, head, body,
            now=now, request_id=push.request_id, header_chars=self._header_chars,
        )  # fmt: skip

    def _taken(self, route: Route, push: _Push) -> Answer:
        """Returns the answer to a push that is durable."""
        if push.outcome == "accepted":
            self._metrics.observe(
                "callweave_ingress_accept_seconds", route.vendor.name, value=time.perf_counter() - push.read_s
            )
            if push.proofs:
                account = push.account.name if push.account else ""
                self._replays.acknowledge((route.vendor.name, account), push.proofs)
        answer = reply(route.vendor.accepted, push.request_id)
        self._over(push, answer)
        return answer

    def _failed(self, push: _Push, error: Exception) -> Answer:
        """Returns the answer to a push that is not stored."""
        push.size_bytes = 0
        if isinstance(error, Rejected):
            return self._refused(push, error)
        if isinstance(error, Unavailable):
            push.outcome = error.code
        else:
            # Only its type and place: the message may quote the body.
            _log.error("a request failed in an unknown way: request_id=%s error=%s", push.request_id, raised_at(error))
            push.outcome = "error"
        answer = reply(push.route.vendor.retry if push.route else _BUSY, push.request_id)
        self._over(push, answer)
        return answer

    def _refused(self, push: _Push, rejected: Rejected) -> Answer:
        """Returns the answer to a refusal, which is brief where the caller's address was refused too often."""
        cause = raised_at(rejected.__cause__) if rejected.__cause__ else ""
        if rejected.http_status in (401, 403, 404) and self._counts.unknown.too_many(
            self._router.client(push.head), self._clock().timestamp()
        ):
            rejected = Rejected("too many refused requests from this address", code="refused_often", http_status=429)
        route = push.route
        times = self._refusals.note(route.vendor.name if route else UNKNOWN, rejected.code, push.begun_s)
        push.outcome = rejected.code
        answer = refusal(rejected, route, push.request_id)
        if times and cause and rejected.code == "bad_signature":
            _log.error("verify raised %s: request_id=%s", cause, push.request_id)
        self._over(push, answer, times)
        return answer

    def _over(self, push: _Push, answer: Answer, times: int = 1) -> None:
        """Counts a request and logs it; its line is for so many alike, and 0 is one of many, without a line."""
        route = push.route
        vendor = route.vendor.name if route else UNKNOWN
        callback = (route.callback.name if route else "") or UNKNOWN
        self._metrics.add("callweave_ingress_requests_total", vendor, callback, push.outcome)
        if push.size_bytes:
            self._metrics.add("callweave_ingress_body_bytes_total", vendor, by=push.size_bytes)
        if push.outcome in AUDITED:
            account = push.account.name if push.account else ""
            client = self._router.client(push.head)
            self._counts.refusals.add(route.vendor.name if route else "", account, push.outcome, client, self._clock())
        level = _LEVELS.get(push.outcome, logging.INFO)
        if not times or not _access.isEnabledFor(level):
            return
        _access.log(
            level,
            "request id=%s method=%s route=%s status=%d outcome=%s bytes=%d ms=%.1f times=%d",
            push.request_id,
            push.head.method if push.head.method in _METHODS else UNKNOWN,
            route.masked_path if route else UNKNOWN,
            answer.status,
            push.outcome,
            push.size_bytes,
            1000 * (time.perf_counter() - push.begun_s),
            times,
        )


PUSH: Final = web.AppKey("push", PushHandler)
"""The application's handler of pushes, which takes other settings while it runs."""


async def expected(_: web.Request) -> None:
    """Leaves `Expect` to the handler, which knows whether the body is wanted; an unknown one is no reason to refuse."""


def _only_once(route: Route) -> bool:
    return route.vendor.sends_at_most == 1


def _head(
    method: str,
    target: str,
    url: URL,
    headers: "CIMultiDict[str] | CIMultiDictProxy[str]",
    *,
    peer: str,
    certificate: Mapping[str, Any] | None,
) -> RequestHead:
    path, _, query = target.partition("?")
    return RequestHead(
        method=method,
        path=url.raw_path,
        accounts=tuple(url.query.getall("account", ())),
        peer=peer,
        client_subject=subject(certificate) if certificate else "",
        forwarded_for=",".join(headers.getall("X-Forwarded-For", ())),
        content_type=headers.get("Content-Type", ""),
        content_encoding=",".join(headers.getall("Content-Encoding", ())),
        query=query,
        sent_path=path,
        headers=tuple([(name.lower(), value) for name, value in headers.items()]),
    )
