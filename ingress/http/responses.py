"""What the caller gets back: the vendor's own words where the vendor reads them, a problem in JSON where a person does."""

from typing import Final

import msgspec
from aiohttp import web

from schemas.errors import Rejected
from schemas.vendor_kit.contract import Reply, Vendor

RETRY_AFTER_S: Final = "5"


def reply(answer: Reply, request_id: str) -> web.Response:
    """A vendor's answer; one of 503 says when to come again."""
    headers = {"Content-Type": answer.content_type, "X-Request-Id": request_id, **dict(answer.headers)}
    if answer.status == 503:
        headers.setdefault("Retry-After", RETRY_AFTER_S)
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def problem(rejected: Rejected, request_id: str, *, allow: str) -> web.Response:
    """A request that was not taken: `{"code", "detail"}`; a 405 names what is allowed."""
    response = web.Response(
        status=rejected.http_status,
        body=msgspec.json.encode({"code": rejected.code, "detail": str(rejected)}),
        headers={"Content-Type": "application/json", "X-Request-Id": request_id},
    )
    if rejected.http_status == 405:
        response.headers["Allow"] = allow
    if rejected.http_status in (400, 408, 413):
        response.force_close()  # the rest of the body is not wanted
    return response


def explanation(vendor: Vendor, *, needs_account: bool, request_id: str) -> web.Response:
    """What somebody reads who only looks at a push address: 200, so that a console which checks it can save it."""
    lines = [
        f"This address takes pushes of {vendor.title}. POST here what its document describes, one body a request:",
        f"it is stored before the answer, which is {vendor.accepted.status}. Looking at this address stores nothing.",
        f"Documentation: README.md and schemas/vendors/{vendor.name}.py of Callweave.",
    ]
    if needs_account:
        lines.append("A push needs an account: use its secret address, or name it with ?account=.")
    return web.Response(text="\n".join([*lines, ""]), headers={"X-Request-Id": request_id, "Cache-Control": "no-store"})


def options(*, allow: str, request_id: str) -> web.Response:
    """Which methods a push address takes."""
    return web.Response(status=204, headers={"Allow": allow, "X-Request-Id": request_id})


def malformed(status: int, kind: str) -> web.Response:
    """What is no request that can be read; `kind` is the parser's name for what is wrong, and nothing of what came."""
    response = web.Response(
        status=status,
        body=msgspec.json.encode({"code": "bad_request", "detail": f"this is not HTTP that can be read: {kind}"}),
        headers={"Content-Type": "application/json"},
    )
    response.force_close()
    return response
