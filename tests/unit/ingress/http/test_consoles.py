"""Looks at an address, as a vendor's console does before it saves one."""

import asyncio

import pytest

from schemas.config.settings import IngressSettings
from schemas.metrics import Registry
from tests.support.http.memory_publisher import MemoryPublisher
from tests.unit.ingress.http.serving_site import (
    METHODS,
    POST,
    SECRET,
    Site,
    asked,
    raw,
    serve,
    without_id,
)

ADDRESSES = [
    pytest.param("/v1/acme/cdr", b"acme||1", id="a callback's address"),
    pytest.param("/v1/bell", b"bell||1", id="a vendor with one address for all"),
    pytest.param("//v1//acme//cdr", b"acme||1", id="slashes doubled"),
    pytest.param("//v1//bell/", b"bell||1", id="slashes doubled and one at the end"),
    pytest.param("/v1/acme/cdr///", b"acme||1", id="slashes at the end"),
    pytest.param("/v1/bell?x=1", b"bell||1", id="a query that says nothing to us"),
    pytest.param("/v1/bell/?x=%ff&y[]=%zz&&=", b"bell||1", id="a query that nobody can read"),
    pytest.param("/v1/%62ell", b"bell||1", id="a letter encoded"),
    pytest.param("/%76%31/%61%63%6D%65/cdr", b"acme||1", id="many letters encoded"),
    pytest.param(f"/v1/a/{SECRET}/acme/cdr", b"acme|hidden|1", id="a secret"),
    pytest.param(f"//v1/a//{SECRET}//acme/cdr/", b"acme|hidden|1", id="a secret among doubled slashes"),
    pytest.param(f"/v1/%61/%{ord(SECRET[0]):x}{SECRET[1:]}/acme/cdr", b"acme|hidden|1", id="a secret with a letter encoded"),
    pytest.param(f"/v1/a/{SECRET}/acme/cdr?account=hidden", b"acme|hidden|1", id="secret and name"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "key"), ADDRESSES)
async def test_consoles_spell_an_address_in_many_ways(site: Site, path: str, key: bytes) -> None:
    status, _ = await raw(site, asked("POST", path, b"id=1"))
    assert (status, [record.key for record in site.publisher.records]) == (200, [key])


@pytest.mark.parametrize(("path", "key"), ADDRESSES)
async def test_a_look_at_an_address_explains_it(site: Site, path: str, key: bytes) -> None:
    """Some consoles save an address only when it answers."""
    got, head, options = [(await raw(site, asked(method, path)))[1] for method in ("GET", "HEAD", "OPTIONS")]
    start, _, text = got.decode().partition("\r\n\r\n")
    assert start.startswith("HTTP/1.1 200 ")
    assert f"Content-Length: {len(text)}\r\n" in start
    assert without_id(head) == without_id(start.encode() + b"\r\n\r\n")
    assert "POST" in text
    assert "Documentation" in text
    assert SECRET not in text
    assert options.startswith(b"HTTP/1.1 204 ")
    assert b"\r\nAllow: " + METHODS.encode() + b"\r\n" in options
    assert options.endswith(b"\r\n\r\n")
    vendor = key.decode().partition("|")[0]
    assert (site.count("console", vendor), site.count("accepted", vendor)) == (3, 0)
    assert (site.publisher.records, site.metrics.get("callweave_ingress_body_bytes_total", vendor)) == ([], 0)


async def test_a_console_may_look_from_a_network_that_may_not_push(site: Site) -> None:
    looked, pushed = await site.client.get("/v1/acme/cdr?account=far"), await site.post("/v1/acme/cdr?account=far")
    assert (looked.status, pushed.status) == (200, 403)


async def test_where_an_account_is_demanded_the_address_says_so() -> None:
    client = await serve(MemoryPublisher(), Registry(), IngressSettings(require_account=True))
    try:
        bare, own = await client.get("/v1/acme/cdr"), await client.get(f"/v1/a/{SECRET}/acme/cdr")
        assert (bare.status, "needs an account" in await bare.text()) == (200, True)
        assert (own.status, "needs an account" in await own.text()) == (200, False)
        assert (await client.post("/v1/acme/cdr", data=b"id=1")).status == 403
    finally:
        await client.close()


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param(b"GET /v1/bell HTTP/1.1\r\nHost: x\r\n\r\n", id="GET"),
        pytest.param(b"GET /v1/bell HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nid=9", id="GET with a body"),
        pytest.param(
            b"GET /v1/bell HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nid=9\r\n0\r\n\r\n",
            id="GET with a body in chunks",
        ),
        pytest.param(b"HEAD /v1/bell HTTP/1.1\r\nHost: x\r\n\r\n", id="HEAD"),
        pytest.param(b"OPTIONS /v1/bell HTTP/1.1\r\nHost: x\r\n\r\n", id="OPTIONS"),
    ],
)
async def test_a_connection_goes_on_after_a_look(site: Site, looks: bytes) -> None:
    end = POST + b"Connection: close\r\nContent-Length: 4\r\n\r\nid=2"
    _, answer = await raw(site, looks, looks + POST + b"Content-Length: 4\r\n\r\nid=1", end)
    assert answer.count(b"HTTP/1.1 20") == 4
    assert [record.value for record in site.publisher.records] == [b"id=1", b"id=2"]


async def test_a_look_may_have_a_body_that_comes_after_the_answer(site: Site) -> None:
    look = b"GET /v1/bell HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    server = site.client.server
    reader, writer = await asyncio.open_connection(server.host, server.port)
    async with asyncio.timeout(15):
        writer.write(look)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"\x00\r\n\x01" + POST + b"Connection: close\r\nContent-Length: 4\r\n\r\nid=2")
        assert b"HTTP/1.1 200 " in await reader.read()
    writer.close()
    assert [record.value for record in site.publisher.records] == [b"id=2"]


@pytest.mark.parametrize("body", [b"", b"{}", b"test", b"\x00"], ids=["empty", "an empty object", "a word", "a NUL"])
async def test_what_a_console_sends_to_try_the_address_is_taken_as_any_other(site: Site, body: bytes) -> None:
    assert (await site.post(body=body)).status == 200
    assert [record.value for record in site.publisher.records] == [body]
