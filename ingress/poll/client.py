"""HTTP client of a poller: one request and its response; any failure on the way is a page with the code "transport".

It must not know a vendor, nor what follows from a response. The body is kept byte for byte, with its encoding beside
it.
"""

import asyncio
from typing import Final

import aiohttp
import msgspec

from ingress.poll.planner import TRANSPORT
from schemas.body.inflate import encoding_of
from schemas.body.wire import unwrapped
from schemas.config.limits import DEFAULT
from schemas.errors import Undecodable
from schemas.vendor_kit.contract import Page, Poll, PollRequest

_CHUNK_BYTES: Final = 64 * 1024


class PageResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One response of a pull API."""

    page: Page
    body: bytes = b""
    encoding: str = ""
    """Encodings around `body`, outermost last: "", "gzip", "deflate", "deflate,base64"."""
    content_type: str = ""


def client(timeout_s: float) -> aiohttp.ClientSession:
    """Returns a session that leaves bodies compressed and follows no redirect; the caller closes it."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        auto_decompress=False,
        headers={"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "callweave"},
    )


async def ask(session: aiohttp.ClientSession, poll: Poll, request: PollRequest, *, cap_bytes: int) -> PageResponse:
    """Sends one request and reads its page; `cap_bytes` bounds the body on the wire and inflated."""
    try:
        async with session.request(
            request.method, request.url, data=request.body or None, headers=dict(request.headers), allow_redirects=False
        ) as response:
            if response.status != 200:
                return _failed(f"HTTP {response.status}")
            body = await _read(response, cap_bytes)
            header_encoding = response.headers.get("Content-Encoding", "").lower()
            content_type = response.headers.get("Content-Type", "")
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        return _failed(type(exc).__name__)
    try:
        return await asyncio.to_thread(_parsed, poll, body, header_encoding, content_type, cap_bytes)
    except Undecodable as exc:
        return _failed(f"{exc.code}: not a page")


def _parsed(poll: Poll, body: bytes, header_encoding: str, content_type: str, cap_bytes: int) -> PageResponse:
    """Reads the page in a body, which may be compressed by HTTP, by the vendor, or by both."""
    limits = msgspec.structs.replace(DEFAULT, inflate_bytes=cap_bytes)
    inner = unwrapped(body, header_encoding, limits, undeclared=False).body
    wrapped = encoding_of(inner)
    page = poll.read_page(unwrapped(inner, wrapped, limits, undeclared=False).body, "")
    encoding = ",".join(filter(None, (wrapped, header_encoding)))
    return PageResponse(page=page, body=body, encoding=encoding, content_type=content_type)


async def _read(response: aiohttp.ClientResponse, cap_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > cap_bytes:
            raise aiohttp.ClientPayloadError("the answer is larger than the cap")
    return bytes(body)


def _failed(message: str) -> PageResponse:
    return PageResponse(page=Page(code=TRANSPORT, message=message))
