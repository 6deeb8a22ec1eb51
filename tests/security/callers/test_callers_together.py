"""An account with every proof at once, what a refused caller gets, and what a flood of forgeries leaves in the log."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict
from yarl import URL

from ingress.app import SERVER_OPTIONS, create_app
from processors.normalise import directory
from schemas.config.loader import load
from schemas.config.settings import Settings
from schemas.metrics import Registry
from schemas.vendors import VENDORS
from tests.security.callers.kinds import BASE, KINDS, NOW, PAGES, TOLERANCE_S, Key, Kind, Push
from tests.support.http.memory_publisher import MemoryPublisher

SECRET: Final = "k3vq9xw2mz7rt5hb"
BY_NAME: Final = {kind.name: kind for kind in KINDS}
TOGETHER: Final = ("basic", "api_key", "hmac-sha256", "wsse-aksk", "svix")
"""Kinds that have headers of their own; each is told its own secret."""


class Site:
    def __init__(self, client: TestClient[web.Request, web.Application], metrics: Registry) -> None:
        self.client = client
        self.metrics = metrics
        self.publisher = MemoryPublisher()

    async def send(self, push: Push) -> tuple[int, dict[str, str], bytes]:
        target = URL(f"{push.path}?{push.query}" if push.query else push.path, encoded=True)
        headers = CIMultiDict(push.headers)
        async with self.client.request(push.method, target, data=push.body, headers=headers) as answer:
            return answer.status, dict(answer.headers), await answer.read()


@asynccontextmanager
async def serving(*accounts: dict[str, Any]) -> AsyncIterator[Site]:
    settings = loaded(*accounts)
    metrics, publisher = Registry(), MemoryPublisher()
    server = TestServer(create_app(settings, VENDORS, publisher, metrics, lambda: NOW))
    await server.start_server(**SERVER_OPTIONS)
    async with TestClient(server) as client:
        site = Site(client, metrics)
        site.publisher = publisher
        yield site


def loaded(*accounts: dict[str, Any]) -> Settings:
    environ = {"CALLWEAVE_ACCOUNTS": json.dumps(accounts), "CALLWEAVE_INGRESS__REQUIRE_ACCOUNT": "true"}
    return load(None, environ, frozenset(VENDORS))


def plain(vendor: str = "ytx") -> Push:
    path, payload = PAGES[vendor]
    return Push(path=f"/v1{path}", query="account=main", body=json.dumps(payload).encode())


def secret_of(name: str) -> str:
    """Returns a secret of its own for each kind, as two checks of two accounts may not share one."""
    return BY_NAME[name].secrets[0] if name == "svix" else f"{SECRET}{name.replace('-', '')[::-1]}7Zq"


def whole_account() -> dict[str, Any]:
    checks = [
        {**BY_NAME[name].check, "secret": secret_of(name), **({"username": "ak"} if BY_NAME[name].username else {})}
        for name in TOGETHER
    ]
    return {"vendor": "ytx", "name": "main", "secret": SECRET, "allow": ["127.0.0.0/8"], "checks": checks}


def with_all(without: str = "", wrong: str = "") -> Push:
    """Returns a push with every proof but one, and one of them made with another secret."""
    push = plain().having(path=f"/v1/a/{SECRET if without != 'path' else 'w8dn4cy6jp1gs0fe'}/ytx", query="")
    for name in TOGETHER:
        if name == without:
            continue
        secret = f"{secret_of(name)[:-4]}AAAA" if name == wrong else secret_of(name)
        signed = BY_NAME[name].sign(plain(), Key(name="ak", secret=secret))
        mine = [each for each in signed.headers if each[0] != "Authorization" or each[1].startswith("Basic")]
        push = push.adding(*mine)
    return push


async def test_each_proof_of_an_account_is_needed() -> None:
    async with serving(whole_account()) as site:
        refused = {name: (await site.send(with_all(without=name)))[0] for name in ("path", *TOGETHER)}
        assert set(refused.values()) <= {401, 403}
        assert {(await site.send(with_all(wrong=name)))[0] for name in TOGETHER} <= {401, 403}
        for query in ("", "account=main"):  # its credentials say whose push it is, and yet it has a secret address
            assert (await site.send(with_all().having(path="/v1/ytx", query=query)))[0] == 403
        assert site.publisher.records == []
        assert (await site.send(with_all()))[0] == 200
        assert len(site.publisher.records) == 1


async def test_a_network_is_needed_beside_a_proof() -> None:
    account = {**whole_account(), "allow": ["192.0.2.0/24", "2001:db8::/32"]}
    async with serving(account) as site:
        assert (await site.send(with_all()))[0] == 403
        assert site.publisher.records == []


@pytest.mark.parametrize(
    ("name", "status", "challenge"),
    [
        ("basic", 401, 'Basic realm="callweave", charset="UTF-8"'),
        ("bearer", 401, 'Bearer realm="callweave"'),
        ("wsse-aksk", 401, 'WSSE realm="SDP",profile="UsernameToken",type="Appkey"'),
        ("hmac-sha256", 403, None),
        ("svix", 403, None),
    ],
)
async def test_a_caller_is_told_which_proof_is_wanted(name: str, status: int, challenge: str | None) -> None:
    async with serving(one(name)) as site:
        got, headers, body = await site.send(plain())
        assert (got, headers.get("WWW-Authenticate")) == (status, challenge)
        assert sorted(json.loads(body)) == ["code", "detail"]


def one(name: str) -> dict[str, Any]:
    kind = BY_NAME[name]
    check = {**kind.check, "secret": secret_of(name), **({"username": "ak"} if kind.username else {})}
    return {"vendor": "ytx", "name": "main", "checks": [check]}


async def test_each_refusal_is_counted_by_its_reason() -> None:
    async with serving(one("basic")) as site:
        assert (await site.send(plain()))[0] == 401
        assert (await site.send(plain().having(query="account=nobody")))[0] == 403
        assert (await site.send(plain().having(method="PUT")))[0] == 405
        assert (await site.send(plain().having(path="/v1/a/w8dn4cy6jp1gs0fe/ytx", query="")))[0] == 403
        counted = [
            site.metrics.get("callweave_ingress_requests_total", "ytx", "push", code)
            for code in ("bad_credentials", "unknown_account", "forbidden", "method")
        ]
        assert counted == [1, 1, 1, 1]


async def test_credentials_are_asked_for_before_the_body_is_read() -> None:
    async with serving(one("basic")) as site:
        reader, writer = await asyncio.open_connection(site.client.server.host, site.client.server.port)
        writer.write(b"POST /v1/ytx?account=main HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        await writer.wait_closed()
        assert line.startswith(b"HTTP/1.1 401")


async def test_a_flood_of_forgeries_is_counted_and_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    forged = BY_NAME["hmac-sha256"].sign(plain(), Key(name="ak", secret="another-secret-0"))
    begun = time.monotonic()
    async with serving(one("hmac-sha256")) as site:
        for _ in range(300):
            await site.send(forged)
        took_s = time.monotonic() - begun
        counted = site.metrics.get("callweave_ingress_requests_total", "ytx", "push", "bad_signature")
    lines = [record.getMessage() for record in caplog.records if "outcome=bad_signature" in record.getMessage()]
    assert (counted, 1 <= len(lines) <= took_s + 1) == (300, True)
    assert lines[0].endswith("times=1")
    assert not [line for line in caplog.messages if secret_of("hmac-sha256") in line or "13810603954" in line]


ODD: Final = (
    b"", b" ", b"\xff\xfe", b"\x00\x01", b"=", b"Basic ", b"Basic \xff", b"Bearer \xed\xa0\x80", b"UsernameToken " + b"a=," * 60, b"v1," * 900,
    b"sig=" + b"0" * 64, b"9" * 8000, "\u0661".encode() * 10, b"%00%ff", b"{timestamp}", b"1e999",
)  # fmt: skip


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.name not in ("path", "mtls", "mtls-xfcc")], ids=lambda kind: kind.name
)
async def test_bytes_that_are_no_text_in_a_header_are_refused(kind: Kind) -> None:
    """Whatever is in a header gives a refusal: of one header, and of all that the kind reads."""
    names = [name.encode() for name, _ in kind.sign(plain(), Key(name="ak", secret=secret_of(kind.name))).headers]
    async with serving(one(kind.name)) as site:
        for value in ODD:
            for held in (dict.fromkeys(names, value), *({name: value} for name in names)):
                head = b"".join(b"%s: %s\r\n" % each for each in held.items())
                reader, writer = await asyncio.open_connection(site.client.server.host, site.client.server.port)
                writer.write(b"POST /v1/ytx?account=main HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n%s\r\n{}" % head)
                line = await asyncio.wait_for(reader.readline(), 10)
                writer.close()
                await writer.wait_closed()
                assert line.split()[1] in (b"400", b"401", b"403"), (held, line)
        assert site.publisher.records == []


def test_the_ids_of_an_account_that_demands_a_proof_are_nobody_else_s() -> None:
    account = {**one("basic"), "external_ids": ["ids-of-main-0001"]}
    settings = loaded(account)
    assert "ids-of-main-0001" in directory(settings.accounts).address("ytx", "").foreign_ids


async def test_a_wrong_clock_is_told_from_a_wrong_key() -> None:
    kind = BY_NAME["hmac-timed"]
    async with serving(one("hmac-timed")) as site:
        early = Key(name="ak", secret=secret_of("hmac-timed"), at_s=NOW.timestamp() + TOLERANCE_S + 5)
        for key, code in (
            (early, "stale"),
            (msgspec.structs.replace(early, secret="another-secret-0"), "bad_signature"),
        ):
            assert json.loads((await site.send(kind.sign(plain(), key)))[2])["code"] == code


async def test_the_address_that_is_signed_is_the_public_one() -> None:
    """A proxy before us changes scheme, host and port; headers that claim another address are not believed."""
    kind = BY_NAME["twilio"]
    async with serving(one("twilio")) as site:
        signed = kind.sign(plain(), Key(name="ak", secret=secret_of("twilio")))
        for headers in (
            (("Host", "evil.example.com"),),
            (("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "evil.example.com")),
        ):
            assert (await site.send(signed.adding(*headers)))[0] == 200
        assert BASE not in str(site.client.make_url("/"))
