"""Builds responses: a vendor's own convention where the vendor reads them, a problem in JSON where a person does."""

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


def reply(answer: Reply, request_id: str) -> web.Response:
    """Returns a vendor's answer; a 503 says when to send again."""
    headers = {"Content-Type": answer.content_type, "X-Request-Id": request_id, **dict(answer.headers)}
    if answer.status == 503:
        headers.setdefault("Retry-After", RETRY_AFTER_S)
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def refusal(rejected: Rejected, route: Route | None, request_id: str) -> web.Response:
    """Returns the answer to a refused request, `{"code", "detail"}`; a 405 names the methods that are allowed."""
    response = web.Response(
        status=rejected.http_status,
        body=msgspec.json.encode({"code": rejected.code, "detail": str(rejected)}),
        headers={"Content-Type": "application/json", "X-Request-Id": request_id},
    )
    if rejected.challenge:
        response.headers["WWW-Authenticate"] = rejected.challenge
    if rejected.http_status == 405:
        response.headers["Allow"] = route.allow if route else _STATUS_ALLOW
    if rejected.http_status in (400, 408, 413):
        response.force_close()  # the rest of the body is not read
    return response


def explanation(vendor: Vendor, methods: tuple[str, ...], *, needs_account: bool, request_id: str) -> web.Response:
    """Returns the answer to a look at a push address: 200, so that a console which checks the address can save it."""
    how, look = " or ".join(methods), "A GET without parameters" if "GET" in methods else "Looking at this address"
    lines = [
        f"This address takes pushes of {vendor.title}. {how} here what its document describes, one body a request:",
        f"it is stored before the answer, which is {vendor.accepted.status}. {look} stores nothing.",
        f"Documentation: README.md and schemas/vendors/{vendor.name}.py of Callweave.",
    ]
    if needs_account:
        lines.append("A push needs an account: use its secret address, or name it with ?account=.")
    return web.Response(text="\n".join([*lines, ""]), headers={"X-Request-Id": request_id, "Cache-Control": "no-store"})


def options(*, allow: str, request_id: str) -> web.Response:
    """Returns the answer to OPTIONS: the methods of a push address."""
    return web.Response(status=204, headers={"Allow": allow, "X-Request-Id": request_id})


def malformed(status: int, kind: str) -> web.Response:
    """Returns the answer to bytes that are no request; `kind` is the parser's name of the fault."""
    response = web.Response(
        status=status,
        body=msgspec.json.encode({"code": "bad_request", "detail": f"this is not HTTP that can be read: {kind}"}),
        headers={"Content-Type": "application/json"},
    )
    response.force_close()
    return response
