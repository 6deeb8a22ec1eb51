"""A poller's request goes out as the vendor's file makes it, and its page is read whatever encoding is around it."""

import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from ingress.poll.client import PageResponse, ask, client
from schemas.vendor_kit.contract import Page, Poll, PollRequest

PAGE = b'{"records":[1,2]}'
CAP = 1000


class Vendor:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes, str]] = []
        self.answer: dict[str, Any] = {"body": PAGE}

    async def page(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path_qs, await request.read(), request.headers.get("X-Key", "")))
        return web.Response(**self.answer)


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
async def address(vendor: Vendor) -> AsyncIterator[URL]:
    app = web.Application()
    app.router.add_route("*", "/calls", vendor.page)
    async with TestServer(app) as server:
        yield server.make_url("/calls")


def read_page(body: bytes, _encoding: str) -> Page:
    return Page(code="0", message=body.decode())


POLL = Poll(callback="calls", request=PollRequest, read_page=read_page, advice={})


async def asked(request: PollRequest) -> PageResponse:
    async with client(10) as session:
        return await ask(session, POLL, request, cap_bytes=CAP)


async def test_a_get_has_its_parameters_in_the_address_and_no_body(vendor: Vendor, address: URL) -> None:
    url = str(address.with_query(start="1", end="2"))
    answer = await asked(PollRequest(method="GET", url=url, headers=(("X-Key", "k"),)))

    assert vendor.asked == [("GET", "/calls?start=1&end=2", b"", "k")]
    assert (answer.page.message, answer.body) == (PAGE.decode(), PAGE)


async def test_a_post_has_its_body(vendor: Vendor, address: URL) -> None:
    await asked(PollRequest(url=str(address), headers=(), body=b"{}"))

    assert vendor.asked == [("POST", "/calls", b"{}", "")]


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        pytest.param({"body": zlib.compress(PAGE)}, "0", PAGE.decode(), id="compressed by the vendor"),
        pytest.param({"body": zlib.compress(b" " * (CAP + 1))}, "transport", "inflate: not a page", id="a bomb"),
        pytest.param({"body": b" " * (CAP + 1)}, "transport", "ClientPayloadError", id="more than the cap"),
        pytest.param({"status": 302, "headers": {"Location": "/"}}, "transport", "HTTP 302", id="a redirect"),
    ],
)
async def test_a_page_is_read_within_its_bounds(
    vendor: Vendor, address: URL, answer: dict[str, Any], code: str, message: str
) -> None:
    vendor.answer = answer
    page = (await asked(PollRequest(method="GET", url=str(address)))).page

    assert (page.code, page.message) == (code, message)
