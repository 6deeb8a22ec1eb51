"""The configurations of `deploy/proxy` with the real programs: addresses, limits, and nothing doubled or told."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.config.secret import Secret
from schemas.config.settings import Account
from tests.support.front_site import PUSH, FrontSite, Pki, front_site
from tests.support.proxy_process import HTTP_PROXIES, TCP_PROXY, Proxy, proxy

SECRET = "k3vq9xw2mz7rt5hb"
OFFICE, ELSEWHERE = "127.0.0.5", "127.0.0.6"
ACCOUNTS = (
    Account(vendor="ytx", name="office", allow=(f"{OFFICE}/32",)),
    Account(vendor="ytx", name="main", secret=Secret(SECRET)),
)
TO_OFFICE = PUSH.replace(b"/v1/ytx", b"/v1/ytx?account=office")
TO_SECRET = PUSH.replace(b"/v1/ytx", f"/v1/a/{SECRET}/ytx".encode())
EXPECTING = TO_SECRET.replace(b"\r\n\r\n{}", b"\r\nExpect: 100-continue\r\n\r\n")
LARGE = 10 * 1024 * 1024


@contextlib.asynccontextmanager
async def behind(kind: str, folder: Path, **more: Any) -> AsyncIterator[tuple[Proxy, FrontSite]]:
    """Yields a proxy and the ingress behind it; whatever was pushed, the proxy's log has no secret at the end."""
    pki = Pki(folder)
    settings: dict[str, Any] = {"trusted_proxies": ("127.0.0.1/32",), "body_timeout_s": 2.0, **more}
    if kind == TCP_PROXY:
        certificate, key = pki.server("own")
        settings |= {"proxy_protocol": True, "tls_certificate_file": str(certificate), "tls_key_file": str(key)}
    else:
        settings["trust_forwarded_for"] = 1
    async with (
        front_site(*ACCOUNTS, **settings) as site,
        proxy(kind, folder, pki, site.port, site.admin_port) as before,
    ):
        await before.until_answers()
        yield before, site
    assert SECRET not in before.log.read_text("utf-8", "replace")


every_proxy = pytest.mark.parametrize("kind", [*HTTP_PROXIES, TCP_PROXY])


def statuses(heard: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.\d (\d{3})", heard)


@every_proxy
async def test_the_address_of_the_sender_arrives_and_a_forged_one_does_not(kind: str, tmp_path: Path) -> None:
    forged = TO_OFFICE.replace(b"Host: x", f"Host: x\r\nX-Forwarded-For: {OFFICE}".encode())
    async with behind(kind, tmp_path) as (before, site):
        assert statuses(await before.said(TO_OFFICE, sender=OFFICE)) == [b"200"]
        assert statuses(await before.said(TO_OFFICE, sender=ELSEWHERE)) == [b"403"]
        assert statuses(await before.said(forged, sender=ELSEWHERE)) == [b"403"]
        assert statuses(await before.said(forged.replace(b"office", b"main"), sender=OFFICE)) == [b"403"]
        assert statuses(await before.said(TO_SECRET, sender=ELSEWHERE)) == [b"200"]
        assert len(site.publisher.records) == 2
        for path in (b"/metrics", b"//metrics", b"/%6detrics"):
            page = await before.said(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            assert statuses(page) == [b"404"]
        assert b'"ready"' not in await before.said(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")


@every_proxy
async def test_large_slow_and_expected_bodies(kind: str, tmp_path: Path) -> None:
    """A body within the bound comes through whole; one beyond it, or too slow, gets the refusal and is not stored."""
    async with behind(kind, tmp_path) as (before, site):
        for length, wanted in ((LARGE, b"200"), (LARGE + 1, b"413")):
            head = TO_SECRET.replace(b": 2\r\n\r\n{}", b": %d\r\n\r\n" % length)
            assert statuses(await before.said(head + bytes(length)))[:1] == [wanted]
        assert [len(record.value) for record in site.publisher.records] == [LARGE]
        chunked = TO_SECRET.replace(b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
        assert statuses(await before.said(chunked + chunk * 11 + b"0\r\n\r\n"))[:1] == [b"413"]
        assert statuses(await before.said(TO_SECRET[:-1]))[:1] == [b"408"]

        reader, writer = await open_through(before)
        writer.write(EXPECTING)
        assert statuses(await reader.readuntil(b"\r\n\r\n")) == [b"100"]
        writer.write(b"{}")
        assert statuses(await reader.readuntil(b"\r\n\r\n")) == [b"200"]
        writer.transport.abort()
        assert len(site.publisher.records) == 2
        refused = statuses(await before.said(EXPECTING.replace(SECRET.encode(), b"nobody"), answers=1))
        # nginx itself invites every body; see the comment in its file.
        assert refused[:1] == ([b"100"] if kind == "nginx.conf" else [b"403"])


@every_proxy
async def test_a_connection_is_kept_and_no_push_is_doubled_when_the_ingress_restarts(kind: str, tmp_path: Path) -> None:
    async with behind(kind, tmp_path) as (before, site):
        reader, writer = await open_through(before)
        for _ in range(5):
            writer.write(TO_SECRET)
            assert statuses(await reader.readuntil(b"\r\n\r\n")) == [b"200"]
        ingress = site.settings.ingress
        renewed = {name: getattr(ingress, name) for name in ingress.__struct_fields__}
        pushed = await restarted(before, site, renewed)
        writer.transport.abort()
        assert len(pushed) == pushed.count(b"200") + sum(status in (b"502", b"503", b"") for status in pushed)
        assert len(site.publisher.records) == 5 + pushed.count(b"200")


async def restarted(before: Proxy, site: FrontSite, renewed: dict[str, Any]) -> list[bytes]:
    """Pushes while the ingress is stopped and another one starts on its port; returns the statuses, "" for none."""
    pushed: list[bytes] = []

    async def push() -> None:
        found = statuses(await before.said(TO_SECRET))
        pushed.append(found[0] if found else b"")

    site.stop.set()
    await site.ended.wait()
    for _ in range(3):
        await push()
    assert b"200" not in pushed
    async with front_site(*ACCOUNTS, publisher=site.publisher, **renewed), asyncio.timeout(60):
        while pushed[-3:] != [b"200"] * 3:
            await push()
    return pushed


async def open_through(before: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        "127.0.0.1", before.port, ssl=before.pki.trusting(), server_hostname="localhost"
    )


class Upstream:
    """A server in the ingress's place, which notes the heads of the pushes."""

    def __init__(self, *, answers: bool) -> None:
        self.heads: list[bytes] = []
        self._answers = answers

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            push = head.startswith(b"POST")
            if push:
                self.heads.append(head)
                await reader.readexactly(2)
            if self._answers or not push:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def before_a_recording(kind: str, folder: Path, *, answers: bool) -> AsyncIterator[tuple[Proxy, list[bytes]]]:
    """Yields a proxy, and the heads of the pushes that came through it."""
    upstream = Upstream(answers=answers)
    server = await asyncio.start_server(upstream, "127.0.0.1", 0)
    async with server, proxy(kind, folder, Pki(folder), server.sockets[0].getsockname()[1]) as before:
        await before.until_answers()
        yield before, upstream.heads


@pytest.mark.parametrize("kind", HTTP_PROXIES)
async def test_a_push_whose_answer_was_lost_is_not_sent_again_by_the_proxy(kind: str, tmp_path: Path) -> None:
    """The ingress may have stored it; whether it is sent again is up to the vendor, which gets an error."""
    async with before_a_recording(kind, tmp_path, answers=False) as (before, heads):
        assert statuses(await before.said(TO_SECRET))[:1] in ([b"502"], [b"503"])
        assert len(heads) == 1


@pytest.mark.parametrize("kind", HTTP_PROXIES)
async def test_the_subject_of_a_certificate_is_the_proxys_word_alone(kind: str, tmp_path: Path) -> None:
    """The caller's own word about it is dropped, also where it has no certificate."""
    forged = PUSH.replace(b"Host: x", b"Host: x\r\nX-Client-Subject: CN=forged\r\nX-Client-Verify: forged")
    async with before_a_recording(kind, tmp_path, answers=True) as (before, heads):
        for context in (before.pki.trusting(), before.pki.client("push")):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", before.port, ssl=context, server_hostname="localhost"
            )
            writer.write(forged)
            assert statuses(await reader.readuntil(b"\r\n\r\n")) == [b"200"]
            writer.transport.abort()
    without, with_one = (head.lower() for head in heads)
    assert b"forged" not in without + with_one
    assert not re.search(rb"x-client-subject: \S", without)
    assert re.search(rb"x-client-subject: [^\r]*cn=push", with_one)
