"""What the caller gets back: the vendor's own words where the vendor reads them, a problem in JSON where a person does."""

from typing import Final

import msgspec
from aiohttp import web

from schemas.errors import Rejected
from schemas.vendors._base import Reply

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
