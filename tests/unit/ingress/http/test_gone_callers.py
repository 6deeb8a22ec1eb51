"""Callers that leave in a body, at each turn of the loop that the ingress runs on: they are refused, and no failure."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import uvloop

from schemas.raw import Headers
from tests.support.front_site import PUSH, FrontSite, Pki, front_site
from tests.support.http.memory_publisher import MemoryPublisher
from tests.unit.ingress.front.test_proxy_header import header

HEAD: Final = b" /v1/ytx HTTP/1.1\r\nHost: x\r\n"
UNFINISHED: Final = b"POST" + HEAD + b"Content-Length: 9\r\n\r\n{}"
TURNS: Final = range(4)
"""Turns of the loop between the first body and the caller's leaving, in which the second request begins."""
PROXIED: Final[dict[str, Any]] = {"proxy_protocol": True, "trusted_proxies": ("127.0.0.1/32",)}
GONE: Final = {"accepted": 1, "bad_request": 1}


class Leaving(MemoryPublisher):
    """Takes its first body, and lets its caller leave some turns of the loop later."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self._turns = turns
        self.leave: Callable[[], None] = lambda: None

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        if not self.records:
            self._after(self._turns)
        await super().publish(topic, key, value, headers, no_retry=no_retry)

    def _after(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._after, turns - 1)
        else:
            self.leave()


async def outcomes(site: FrontSite, *, of: int) -> dict[str, int]:
    """Returns the outcomes of so many requests, once they are counted."""
    found: dict[str, int] = {}
    async with asyncio.timeout(20):
        while sum(found.values()) < of:
            await asyncio.sleep(0.005)
            counted = {
                outcome: int(site.metrics.get("callweave_ingress_requests_total", "ytx", "push", outcome))
                for outcome in ("accepted", "bad_request", "console", "method", "timeout", "error")
            }
            found = {outcome: count for outcome, count in counted.items() if count}
    return found


async def left_behind_a_push(words: bytes, turns: int, *, of: int, **ingress: Any) -> dict[str, int]:
    publisher = Leaving(turns)
    async with front_site(publisher=publisher, **ingress) as site:
        with socket.create_connection(("127.0.0.1", site.port)) as caller:
            publisher.leave = caller.close
            caller.sendall((header() if ingress else b"") + PUSH + words)
            await outcomes(site, of=of)
            await asyncio.sleep(0.02)  # what is not counted has its turns, too
            site.metrics.text()
            assert site.metrics.get("callweave_ingress_held_bytes") == 0
            return await outcomes(site, of=of)


@pytest.mark.parametrize("ingress", [{}, PROXIED], ids=["plain", "behind a proxy"])
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        pytest.param(UNFINISHED, GONE, id="a length"),
        pytest.param(UNFINISHED[:-2], GONE, id="none of its bytes"),
        pytest.param(b"POST" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", GONE, id="chunks"),
        pytest.param(
            b"POST" + HEAD + b"Content-Encoding: gzip\r\nContent-Length: 90\r\n\r\n" + gzip.compress(b"{}"),
            GONE,
            id="compressed",
        ),
        pytest.param(b"POST" + HEAD + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", GONE, id="it asks first"),
        pytest.param(b"HEAD" + HEAD + b"Content-Length: 9\r\n\r\n{}", {"accepted": 1, "console": 1}, id="HEAD"),
        pytest.param(b"PUT" + HEAD + b"Content-Length: 9\r\n\r\n{}", {"accepted": 1, "method": 1}, id="refused unread"),
        pytest.param(
            b"OPTIONS * HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
            {"accepted": 1},
            id="it asks first, and for no page of ours",
        ),
        pytest.param(PUSH, {"accepted": 2}, id="whole"),
    ],
)
def test_who_leaves_in_a_body_behind_a_push_is_no_failure_of_ours(
    words: bytes, wanted: dict[str, int], ingress: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    of = sum(wanted.values())
    found = [uvloop.run(left_behind_a_push(words, turns, of=of, **ingress)) for turns in TURNS]
    assert found == [wanted] * len(TURNS)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def broken_off(folder: Path) -> dict[str, int]:
    """Returns the outcome of a caller whose connection has a record that is no TLS in the middle of a body."""
    pki = Pki(folder)
    certificate, key = pki.server()
    trust: ssl.SSLContext = pki.trusting()
    async with front_site(tls_certificate_file=str(certificate), tls_key_file=str(key)) as site:
        with socket.create_connection(("127.0.0.1", site.port)) as caller, caller.dup() as beneath:
            _, writer = await asyncio.open_connection(sock=caller, ssl=trust, server_hostname="localhost")
            writer.write(UNFINISHED)
            await asyncio.sleep(0.05)
            beneath.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            try:
                return await outcomes(site, of=1)
            finally:
                writer.transport.abort()


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def test_a_body_that_ends_in_bytes_that_are_no_tls_is_no_failure_of_ours(
    run: Callable[..., dict[str, int]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(broken_off(tmp_path)) == {"bad_request": 1}
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
