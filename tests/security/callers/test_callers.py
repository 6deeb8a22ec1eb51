"""Every kind of proof over every vendor's page, by HTTP: what is forged stays out, and the genuine push gets in."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict
from yarl import URL

from ingress.access.replays import Replays
from ingress.app import SERVER_OPTIONS, create_app
from schemas.metrics import Registry
from schemas.vendors import VENDORS
from tests.security.callers.attacks import attacks
from tests.security.callers.kinds import KINDS, NOW, PAGES, TOLERANCE_S, Key, Kind, Push, accounts, loaded
from tests.support.http.memory_publisher import MemoryPublisher

Client = TestClient[web.Request, web.Application]
each_kind = pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.name) for kind in KINDS])
each_vendor = pytest.mark.parametrize("vendor", sorted(PAGES))
TIMED = pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.name) for kind in KINDS if kind.timed])
ONCE = pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.name) for kind in KINDS if kind.once])


class Site:
    """One ingress with two accounts, `main` and `other`, that demand one kind of proof."""

    def __init__(self, client: Client, publisher: MemoryPublisher, metrics: Registry, kind: Kind, vendor: str) -> None:
        self.client = client
        self.publisher = publisher
        self.metrics = metrics
        self.kind = kind
        self.vendor = vendor
        self.now = NOW

    def plain(self, account: str = "main") -> Push:
        path, payload = PAGES[self.vendor]
        return Push(
            path=f"/v1{path}",
            query=f"account={account}" if account else "",
            headers=(("Content-Type", "application/json"),),
            body=json.dumps(payload, ensure_ascii=False).encode(),
        )

    def key(self, account: str = "main", *, second: bool = False, **more: Any) -> Key:
        first, next_one, other = self.kind.secrets
        return Key(name=f"ak-{account}", secret=other if account == "other" else next_one if second else first, **more)

    def genuine(self, account: str = "main", **more: Any) -> Push:
        return self.kind.sign(self.plain(account), self.key(account, **more))

    async def send(self, push: Push) -> int:
        target = URL(f"{push.path}?{push.query}" if push.query else push.path, encoded=True)
        headers = CIMultiDict(push.headers)
        async with self.client.request(push.method, target, data=push.body, headers=headers) as answer:
            await answer.read()
            return answer.status

    def stored(self) -> list[bytes]:
        return [record.value for record in self.publisher.records]


@asynccontextmanager
async def serving(
    kind: Kind, vendor: str, *, proxies: str = "127.0.0.0/8", demanded: bool = True, replays: Replays | None = None
) -> AsyncIterator[Site]:
    settings = loaded(json.dumps(accounts(kind, vendor)), proxies, demanded)
    publisher, metrics, site = MemoryPublisher(), Registry(), list[Site]()
    server = TestServer(create_app(settings, VENDORS, publisher, metrics, lambda: site[0].now, replays=replays))
    await server.start_server(**SERVER_OPTIONS)
    async with TestClient(server) as client:
        site.append(Site(client, publisher, metrics, kind, vendor))
        yield site[0]


@each_vendor
@each_kind
async def test_nothing_forged_gets_in_and_the_genuine_push_does(kind: Kind, vendor: str) -> None:
    async with serving(kind, vendor) as site:
        tried = list(attacks(kind, site.plain(), site.key(), site.key("other")))
        got_in = [attack.name for attack in tried if not 400 <= await site.send(attack.push) < 500]
        assert (got_in, site.stored()) == ([], [])
        assert len(tried) >= 5

        for number, second in enumerate((False, True)):
            genuine = site.genuine(second=second, nonce=f"n-{number}")
            assert (await site.send(genuine), site.stored()[number:]) == (200, [genuine.body])


@each_vendor
@each_kind
async def test_the_credentials_of_one_account_do_not_open_another(kind: Kind, vendor: str) -> None:
    async with serving(kind, vendor) as site:
        for account, name in (("main", "other"), ("other", "main")):
            push = kind.sign(site.plain(account), site.key(name))
            assert await site.send(push.having(query=push.query or f"account={account}")) in (401, 403)
        nothing = msgspec.structs.replace(site.key("other"), secret="")  # as its second secret, which is unset
        assert 400 <= await site.send(kind.sign(site.plain("other"), nothing)) < 500
        taken = site.genuine("main")
        moved = taken.having(query=taken.query.replace("account=main", "account=other") or "account=other")
        assert await site.send(moved) in (401, 403)
        assert site.stored() == []


@each_vendor
@TIMED
async def test_a_captured_proof_is_of_no_use_with_another_time(kind: Kind, vendor: str) -> None:
    async with serving(kind, vendor) as site:
        captured = site.genuine()
        site.now = datetime.fromtimestamp(NOW.timestamp() + TOLERANCE_S + 1, UTC)
        fresh = site.genuine(at_s=site.now.timestamp())
        headers = tuple(
            now if now[0] != kind.proof else then for now, then in zip(fresh.headers, captured.headers, strict=True)
        )
        assert await site.send(captured) == 403
        if kind.proof and headers != fresh.headers and "Created" not in str(headers):
            assert await site.send(fresh.having(headers=headers)) == 403
        assert site.stored() == []
        assert await site.send(fresh) == 200


@each_vendor
@ONCE
async def test_a_proof_that_was_used_brings_no_other_body_and_nothing_twice(kind: Kind, vendor: str) -> None:
    async with serving(kind, vendor) as site:
        genuine = site.genuine()
        assert await site.send(genuine) == 200
        assert await site.send(genuine.having(body=genuine.body + b" ")) in (401, 403)
        assert await site.send(genuine.adding(("Content-Encoding", "gzip"))) == 403
        assert await site.send(genuine) == 200  # its sender did not get our answer; nothing is stored again
        assert site.stored() == [genuine.body]
        assert site.metrics.get("callweave_ingress_requests_total", vendor, _callback(vendor), "repeated") == 1


@ONCE
async def test_what_was_seen_outlives_the_settings_and_not_the_process(kind: Kind) -> None:
    """The settings are read again by a new router beside the same memory; another worker has its own."""
    replays = Replays()
    async with serving(kind, "ytx", replays=replays) as before, serving(kind, "ytx", replays=replays) as after:
        genuine = before.genuine()
        assert (await before.send(genuine), await after.send(genuine)) == (200, 200)
        assert await after.send(genuine.adding(("Content-Encoding", "gzip"))) == 403
        assert (before.stored(), after.stored()) == ([genuine.body], [])
    async with serving(kind, "ytx") as worker:
        assert (await worker.send(genuine), worker.stored()) == (200, [genuine.body])


@each_vendor
@ONCE
async def test_a_push_that_was_not_acknowledged_may_come_again(kind: Kind, vendor: str) -> None:
    async with serving(kind, vendor) as site:
        genuine = site.genuine()
        site.publisher.fail_with = "kafka"
        assert await site.send(genuine) == VENDORS[vendor].retry.status
        assert await site.send(genuine) == VENDORS[vendor].retry.status
        site.publisher.fail_with = None
        assert await site.send(genuine.having(body=genuine.body + b" ")) in (401, 403)
        assert (await site.send(genuine), site.stored()) == (200, [genuine.body])


@each_vendor
@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.name) for kind in KINDS if kind.named])
async def test_credentials_alone_say_whose_push_it_is(kind: Kind, vendor: str) -> None:
    async with serving(kind, vendor, proxies="", demanded=False) as site:
        for name in ("main", "other"):
            assert await site.send(kind.sign(site.plain(""), site.key(name, nonce=name))) == 200
        assert [dict(record.headers)["account"] for record in site.publisher.records] == [b"main", b"other"]
        stranger = msgspec.structs.replace(site.key(), name="nobody", secret="nobody-has-this-secret")
        assert await site.send(kind.sign(site.plain(""), stranger)) == 403
        assert len(site.stored()) == 2


async def test_a_subject_is_believed_of_a_trusted_proxy_alone() -> None:
    kind = next(kind for kind in KINDS if kind.name == "mtls")
    async with serving(kind, "ytx", proxies="192.0.2.0/24") as site:
        assert await site.send(site.genuine().adding(("X-Forwarded-For", "192.0.2.1"))) == 403
    async with serving(kind, "ytx") as site:
        unverified = site.genuine().headers
        for said in ("NONE", "FAILED:self signed", "", "success"):
            headers = tuple((name, said if name == "X-Client-Verify" else value) for name, value in unverified)
            assert await site.send(site.genuine().having(headers=headers)) == 403
        assert (site.stored(), await site.send(site.genuine())) == ([], 200)


def _callback(vendor: str) -> str:
    return VENDORS[vendor].callbacks[0].name
