"""Builds answers: a vendor's own convention where the vendor reads them, a problem in JSON where a person does.

An answer is written by aiohttp (`Answer.response`), or by `Answer.wire` for a push that aiohttp does not handle. Both
write the same header lines.
"""

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from ingress.http.routes import Route
from schemas.errors import Rejected
from schemas.vendor_kit.contract import Reply, Vendor

RETRY_AFTER_S: Final = "5"
_STATUS_ALLOW: Final = "GET, HEAD"
SERVER_NAME: Final = "callweave"
"""The header `Server`: aiohttp's own would name the versions of Python and of itself."""
_FIRST_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Answer(msgspec.Struct, frozen=True):
    """The answer to a request, but for the headers that every answer has."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    closes: bool = False
    """True when the connection ends with it, because the rest of the body is not read."""

    def response(self) -> web.Response:
        """Returns it for aiohttp to write."""
        response = web.Response(status=self.status, body=self.body, headers=dict(self.headers))
        if self.closes:
            response.force_close()
        return response

    def wire(self, *, closes: bool) -> bytes:
        """Returns its bytes, for a request of HTTP/1.1 that is no HEAD; raises ValueError for a line break in a header.

        `closes` says that the connection ends with it, whatever `self.closes` says.
        """
        lines = "".join([f"{name}: {value}\r\n" for name, value in self.headers])
        if lines.count("\n") != len(self.headers) or lines.count("\r") != len(self.headers):
            raise ValueError("a header with a line break")
        end = "\r\nConnection: close\r\n\r\n" if closes else "\r\n\r\n"
        head = (
            f"{_FIRST_LINES[self.status]}{lines}Server: {SERVER_NAME}\r\nContent-Length: {len(self.body)}\r\n"
            f"Date: {_DATE.now()}{end}"
        )
        return head.encode() + self.body


class _Date:
    """The header `Date`, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def now(self) -> str:
        """Returns the time of day (RFC 9110, section 5.6.7)."""
        second = int(time.time())
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text


_DATE: Final = _Date()


def reply(answer: Reply, request_id: str) -> Answer:
    """Returns a vendor's answer; a 503 says when to send again."""
    headers = {"Content-Type": answer.content_type, "X-Request-Id": request_id, **dict(answer.headers)}
    if answer.status == 503:
        headers.setdefault("Retry-After", RETRY_AFTER_S)
    return Answer(answer.status, tuple(headers.items()), answer.body)


def refusal(rejected: Rejected, route: Route | None, request_id: str) -> Answer:
    """Returns the answer to a refused request, `{"code", "detail"}`; a 405 names the methods that are allowed."""
    headers = [("Content-Type", "application/json"), ("X-Request-Id", request_id)]
    if rejected.challenge:
        headers.append(("WWW-Authenticate", rejected.challenge))
    if rejected.http_status == 405:
        headers.append(("Allow", route.allow if route else _STATUS_ALLOW))
    body = msgspec.json.encode({"code": rejected.code, "detail": str(rejected)})
    return Answer(rejected.http_status, tuple(headers), body, closes=rejected.http_status in (400, 408, 413))


def explanation(vendor: Vendor, methods: tuple[str, ...], *, needs_account: bool, request_id: str) -> Answer:
    """Returns the answer to a look at a push address: 200, so that a console which checks the address can save it."""
    how, look = " or ".join(methods), "A GET without parameters" if "GET" in methods else "Looking at this address"
    lines = [
        f"This address takes pushes of {vendor.title}. {how} here what its document describes, one body a request:",
        f"it is stored before the answer, which is {vendor.accepted.status}. {look} stores nothing.",
        f"Documentation: README.md and schemas/vendors/{vendor.name}.py of Callweave.",
    ]
    if needs_account:
        lines.append("A push needs an account: use its secret address, or name it with ?account=.")
    headers = (
        ("Content-Type", "text/plain; charset=utf-8"), ("X-Request-Id", request_id), ("Cache-Control", "no-store"),
    )  # fmt: skip
    return Answer(200, headers, "\n".join([*lines, ""]).encode())


def options(*, allow: str, request_id: str) -> Answer:
    """Returns the answer to OPTIONS: the methods of a push address."""
    return Answer(204, (("Allow", allow), ("X-Request-Id", request_id)))


def malformed(status: int, kind: str) -> Answer:
    """Returns the answer to bytes that are no request; `kind` is the parser's name of the fault."""
    body = msgspec.json.encode({"code": "bad_request", "detail": f"this is not HTTP that can be read: {kind}"})
    return Answer(status, (("Content-Type", "application/json"),), body, closes=True)
