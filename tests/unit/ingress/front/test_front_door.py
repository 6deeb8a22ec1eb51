"""The front door over real sockets: PROXY headers and TLS, from honest callers and from others."""

import asyncio
import socket
import ssl
import struct
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ingress.access.request_head import RequestHead
from ingress.http.routes import Route, Router
from schemas.config.secret import Secret
from schemas.config.settings import Account
from schemas.errors import SettingsError
from tests.support.front_site import PUSH, FrontSite, Pki, front_site, said
from tests.unit.ingress.front.test_proxy_header import V4, V6, header

OFFICE = Account(vendor="ytx", name="office", allow=("192.0.2.0/24",))
TO_OFFICE = PUSH.replace(b"/v1/ytx", b"/v1/ytx?account=office")
LOCAL = header(command=0x20, family=0x00, rest=b"")
CLIENT_HELLO = b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03" + b"x" * 58


@pytest.fixture
async def proxied() -> AsyncIterator[FrontSite]:
    async with front_site(OFFICE, proxy_protocol=True, trusted_proxies=("127.0.0.1/32",), head_timeout_s=0.4) as site:
        yield site


def status(heard: bytes) -> bytes:
    return heard[9:12]


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        pytest.param([header() + TO_OFFICE], b"200", id="the sender's network may push"),
        pytest.param([bytes([byte]) for byte in header() + TO_OFFICE], b"200", id="byte by byte"),
        pytest.param([header(rest=V4 + b"\x04\x00\x03abc") + TO_OFFICE], b"200", id="a TLV"),
        pytest.param([header(family=0x21, rest=V6) + TO_OFFICE], b"403", id="another network may not"),
        pytest.param([LOCAL + TO_OFFICE], b"403", id="the proxy's own network may not"),
        pytest.param([LOCAL + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"], b"200", id="the proxy's own check"),
        pytest.param(
            [header(family=0x21, rest=V6) + TO_OFFICE.replace(b"Host: x", b"Host: x\r\nX-Forwarded-For: 192.0.2.9")],
            b"403",
            id="a header cannot forge it",
        ),
    ],
)
async def test_the_address_in_the_header_is_the_peer(proxied: FrontSite, parts: list[bytes], wanted: bytes) -> None:
    assert status(await said(proxied.port, *parts)) == wanted


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        pytest.param([TO_OFFICE], "proxy_header", id="none"),
        pytest.param([b"PROXY TCP4 192.0.2.9 203.0.113.1 1 2\r\n" + TO_OFFICE], "proxy_header", id="version 1"),
        pytest.param([header(family=0x31, rest=b"/" * 216) + TO_OFFICE], "proxy_header", id="a Unix socket"),
        pytest.param([header(family=0x00, rest=b"") + TO_OFFICE], "proxy_header", id="an unknown family"),
        pytest.param([header(length=0xFFFF) + b"x" * 60_000], "proxy_header", id="one of 64 KiB"),
        pytest.param([CLIENT_HELLO], "proxy_header", id="TLS"),
        pytest.param([header()[:20]], "no_request", id="a slow one"),
        pytest.param([], "no_request", id="silence"),
        pytest.param([header() + TO_OFFICE[:20]], "no_request", id="a slow head behind it"),
    ],
)
async def test_whatever_is_no_header_ends_the_connection(proxied: FrontSite, parts: list[bytes], reason: str) -> None:
    assert await said(proxied.port, *parts) == b""
    await proxied.until_cut(reason)
    assert proxied.publisher.records == []


async def test_a_header_that_breaks_off_ends_the_connection(proxied: FrontSite) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxied.port)
    writer.write(header()[:20])
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await proxied.until_cut("proxy_header")


async def test_a_second_header_is_no_request(proxied: FrontSite) -> None:
    assert status(await said(proxied.port, header() + header() + TO_OFFICE)) == b"400"


async def test_who_is_no_proxy_is_cut_off_before_a_byte_is_read(proxied: FrontSite) -> None:
    assert await said(proxied.port, header() + TO_OFFICE, local_addr=("127.0.0.2", 0)) == b""
    await proxied.until_cut("no_proxy")
    assert proxied.publisher.records == []


async def test_connections_that_bring_nothing_are_bounded_and_do_not_keep_others_out() -> None:
    async with front_site(OFFICE, proxy_protocol=True, trusted_proxies=("127.0.0.1/32",), max_connections=5) as site:
        silent = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(20)]
        assert status(await said(site.port, header() + TO_OFFICE)) == b"200"
        await site.until_cut("too_many", 15)
        for _, writer in silent:
            writer.transport.abort()


async def test_a_caller_that_resets_its_connection_leaves_nothing_behind(proxied: FrontSite) -> None:
    for data in (b"", header()[:10], header(), header() + TO_OFFICE):
        with socket.create_connection(("127.0.0.1", proxied.port)) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            caller.send(data)
    assert status(await said(proxied.port, header() + TO_OFFICE)) == b"200"


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def files(pki: Pki) -> dict[str, Any]:
    certificate, key = pki.server()
    return {"tls_certificate_file": str(certificate), "tls_key_file": str(key)}


async def test_a_push_over_tls(pki: Pki) -> None:
    async with front_site(**files(pki)) as site:
        assert status(await said(site.port, PUSH, ssl=pki.trusting(), host="localhost")) == b"200"
        page = await said(site.admin_port, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", answers=9)
        assert b"callweave_ingress_certificate_stale 0" in page


async def test_the_versions_before_1_2_are_refused(pki: Pki) -> None:
    old = pki.trusting()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with front_site(**files(pki)) as site:
        assert await said(site.port, PUSH, ssl=old, host="localhost") == b""
        await site.until_cut("tls")
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert status(await said(site.port, PUSH, ssl=old, host="localhost")) == b"200"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(PUSH, "tls", id="plain HTTP"),
        pytest.param(b"\x00" * 300, "tls", id="zeros"),
        pytest.param(CLIENT_HELLO, "tls", id="a hello that is none"),
        pytest.param(CLIENT_HELLO[:20], "no_request", id="a slow hello"),
        pytest.param(b"", "no_request", id="silence"),
    ],
)
async def test_what_is_no_handshake_ends_the_connection(pki: Pki, data: bytes, reason: str) -> None:
    async with front_site(**files(pki), head_timeout_s=0.4) as site:
        heard = await said(site.port, data)
        assert not heard.startswith(b"HTTP")
        await site.until_cut(reason)
        assert status(await said(site.port, PUSH, ssl=pki.trusting(), host="localhost")) == b"200"


async def test_a_known_client_certificate_is_welcome_none_is_too_and_another_authoritys_is_not(
    pki: Pki, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stranger = Pki(elsewhere).client("push")
    stranger.load_verify_locations(cafile=str(pki.ca_file))
    async with front_site(**files(pki), tls_client_ca_file=str(pki.ca_file)) as site:
        assert status(await said(site.port, PUSH, ssl=pki.client("push"), host="localhost")) == b"200"
        assert status(await said(site.port, PUSH, ssl=pki.trusting(), host="localhost")) == b"200"
        assert await said(site.port, PUSH, ssl=stranger, host="localhost") == b""
        await site.until_cut("tls")


async def test_the_subject_of_a_client_certificate_is_passed_on(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects: list[str] = []
    authorize = Router.authorize

    def note(self: Router, route: Route, head: RequestHead) -> Account | None:
        subjects.append(head.client_subject)
        return authorize(self, route, head)

    monkeypatch.setattr(Router, "authorize", note)
    async with front_site(**files(pki), tls_client_ca_file=str(pki.ca_file)) as site:
        for caller in (pki.client("push"), pki.trusting()):
            assert status(await said(site.port, PUSH, ssl=caller, host="localhost")) == b"200"
    known, unknown = subjects
    assert known.startswith("CN=push,")
    assert ",O=Example\\, Inc." in known
    assert unknown == ""


async def test_a_proxy_header_stands_before_the_handshake(pki: Pki) -> None:
    async with front_site(OFFICE, proxy_protocol=True, trusted_proxies=("127.0.0.1/32",), **files(pki)) as site:
        for address, wanted in ((header(), b"200"), (header(family=0x21, rest=V6), b"403")):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(address)
            await writer.drain()
            await writer.start_tls(pki.trusting(), server_hostname="localhost")
            writer.write(TO_OFFICE)
            assert status(await reader.readline()) == wanted
            writer.transport.abort()


async def test_a_changed_certificate_is_taken_up_and_open_connections_go_on(pki: Pki) -> None:
    async with front_site(**files(pki)) as site:
        reader, writer = await asyncio.open_connection("localhost", site.port, ssl=pki.trusting())
        first = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        pki.server()
        async with asyncio.timeout(20):
            while await shown(site.port, pki) == first:
                writer.write(PUSH)
                assert status(await reader.readuntil(b"\r\n\r\n")) == b"200"
        writer.write(PUSH)
        assert status(await reader.readuntil(b"\r\n\r\n")) == b"200"
        writer.transport.abort()


async def shown(port: int, pki: Pki) -> bytes:
    """Returns the certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection("localhost", port, ssl=pki.trusting())
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    assert isinstance(found, bytes)
    return found


async def test_a_certificate_that_cannot_be_used_ends_the_start(pki: Pki) -> None:
    certificate, _ = pki.server()
    with pytest.raises(SettingsError, match="tls_certificate_file"):
        async with front_site(tls_certificate_file=str(certificate), tls_key_password=Secret("x")):
            pytest.fail("it started")


async def test_a_stop_answers_what_has_come_in(pki: Pki) -> None:
    async with front_site(**files(pki)) as site:
        reader, writer = await asyncio.open_connection("localhost", site.port, ssl=pki.trusting())
        writer.write(PUSH)
        assert status(await reader.readuntil(b"\r\n\r\n")) == b"200"
        waiting = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(3)]
    with pytest.raises(OSError, match=r"refused|failed"):
        await asyncio.open_connection("127.0.0.1", site.port)
    for one in (writer, *(each for _, each in waiting)):
        one.transport.abort()
