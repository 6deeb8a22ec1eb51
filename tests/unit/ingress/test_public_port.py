"""The port that strangers reach: no numbers, no reasons, no versions, and no invitation for what is refused."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from schemas.config.secret import Secret
from schemas.config.settings import Account
from tests.support.front_site import PUSH, FrontSite, front_site, said

SECRET = "k3vq9xw2mz7rt5hb"
ACCOUNT = Account(vendor="ytx", name="main", secret=Secret(SECRET))


@pytest.fixture
async def open_site() -> AsyncIterator[FrontSite]:
    async with front_site(ACCOUNT, host="0.0.0.0", require_account=True, max_body_bytes=1000) as site:
        yield site


async def page(port: int, path: str) -> bytes:
    return await said(port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(), answers=9)


def parts(heard: bytes) -> tuple[bytes, bytes]:
    head, _, body = heard.partition(b"\r\n\r\n")
    return head[9:12], body


async def test_beyond_this_machine_the_pages_are_on_the_admin_port(open_site: FrontSite) -> None:
    assert parts(await page(open_site.port, "/healthz")) == (b"200", b"ok\n")
    assert parts(await page(open_site.port, "/readyz")) == (b"200", b"")
    assert parts(await page(open_site.port, "/metrics"))[0] == b"404"
    assert parts(await page(open_site.admin_port, "/readyz")) == (b"200", b'{"ready":true,"reason":"","note":""}')
    assert b"callweave_ingress_connections" in parts(await page(open_site.admin_port, "/metrics"))[1]
    assert parts(await page(open_site.admin_port, "/healthz")) == (b"200", b"ok\n")
    assert parts(await page(open_site.admin_port, "/v1/ytx"))[0] == b"404"


async def test_a_reason_is_told_on_the_admin_port_alone(open_site: FrontSite) -> None:
    open_site.publisher.fail_with = "kafka"
    assert parts(await page(open_site.port, "/readyz")) == (b"503", b"")
    status, body = parts(await page(open_site.admin_port, "/readyz"))
    assert (status, b"kafka" in body) == (b"503", True)


async def test_on_loopback_there_is_one_port() -> None:
    async with front_site() as site:
        assert b"callweave_ingress_connections" in parts(await page(site.port, "/metrics"))[1]
        assert b'"ready"' in parts(await page(site.port, "/readyz"))[1]
        assert await page(site.admin_port, "/metrics") == b""


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(PUSH, id="a refused push"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", id="a page"),
        pytest.param(b"GET /v1/ytx HTTP/1.1\r\nHost: x\r\n\r\n", id="a look"),
        pytest.param(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", id="an unknown address"),
        pytest.param(b"no HTTP\r\n\r\n", id="no HTTP"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no Host"),
        pytest.param(b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", id="no URL"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 9000 + b"\r\n\r\n", id="a long header"),
        pytest.param(b"POST http://[ HTTP/1.1\r\nHost: x\r\n\r\n", id="an address that is none"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 20, id="TLS"),
    ],
)
async def test_no_answer_names_a_version(open_site: FrontSite, request_: bytes) -> None:
    for port in (open_site.port, open_site.admin_port):
        heard = (await said(port, request_)).partition(b"\r\n\r\n")[0].lower()
        assert heard.startswith(b"http/1.")
        assert b"server: callweave" in heard
        assert b"aiohttp" not in heard
        assert b"python" not in heard


EXPECTING = PUSH.replace(b"\r\n\r\n{}", b"\r\nExpect: 100-continue\r\n\r\n")
GOOD = EXPECTING.replace(b"/v1/ytx", f"/v1/a/{SECRET}/ytx".encode())


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(EXPECTING, b"403", id="no account"),
        pytest.param(EXPECTING.replace(b"/v1/ytx", b"/v1/a/nobody/ytx"), b"403", id="an unknown secret"),
        pytest.param(EXPECTING.replace(b"/v1/ytx", b"/v1/nobody"), b"404", id="an unknown vendor"),
        pytest.param(EXPECTING.replace(b"/v1/ytx", b"/"), b"404", id="no vendor"),
        pytest.param(GOOD.replace(b"POST", b"PUT"), b"405", id="another method"),
        pytest.param(GOOD.replace(b": 2", b": 1001"), b"413", id="too long"),
        pytest.param(GOOD.replace(b": 2", b": 99999999999"), b"413", id="far too long"),
    ],
)
async def test_what_is_refused_is_refused_before_the_body_is_invited(
    open_site: FrontSite, head: bytes, status: bytes
) -> None:
    """The connection ends: whether the body comes all the same is up to the caller."""
    heard = await said(open_site.port, head)
    assert heard[9:12] == status
    assert b"100 Continue" not in heard
    assert b"connection: close" in heard.lower()


async def test_the_body_of_a_welcome_push_is_invited_once(open_site: FrontSite) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", open_site.port)
    writer.write(GOOD)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.transport.abort()
    assert [record.value for record in open_site.publisher.records] == [b"{}"]
    assert b"HTTP/1.1 200" in await said(open_site.port, GOOD + b"{}", answers=2)  # it does not wait


async def test_where_there_is_no_room_the_body_is_not_invited() -> None:
    async with front_site(max_buffer_bytes=len(EXPECTING)) as site:
        heard = await said(site.port, EXPECTING)
        assert b"100 Continue" not in heard
        assert heard[9:12] == b"500"


@pytest.mark.parametrize("expectation", [b"200-ok", b"100-continue, x", b""])
async def test_an_unknown_expectation_is_no_reason_to_refuse(open_site: FrontSite, expectation: bytes) -> None:
    heard = await said(open_site.port, GOOD.replace(b"100-continue", expectation) + b"{}")
    assert heard[9:12] == b"200"


async def test_an_invitation_of_http_1_0_is_none(open_site: FrontSite) -> None:
    heard = await said(open_site.port, GOOD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"{}")
    assert heard[9:12] == b"200"


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n", b"Expect: \xff\xfe\r\n"], ids=["", "asks", "odd"])
@pytest.mark.parametrize(
    "line", [b"OPTIONS *", b"CONNECT x:443", b"POST http://x", b"POST http://x?a=b"], ids=lambda line: line.decode()
)
async def test_a_target_without_a_path_gets_our_answer_and_is_counted(
    open_site: FrontSite, line: bytes, expect: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer of aiohttp is not counted, invites the body, and quotes an odd `Expect` or fails at it."""
    head = line + b" HTTP/1.1\r\nHost: x\r\n" + expect + b"Content-Length: 2\r\n\r\n{}"
    status, body = parts(await said(open_site.port, head, answers=9))
    assert (status, b'"code":"bad_request"' in body) == (b"400", True)
    assert open_site.metrics.get("callweave_ingress_requests_total", "-", "-", "bad_request") == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
