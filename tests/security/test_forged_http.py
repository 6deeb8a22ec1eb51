"""Admission over real HTTP: who may push, and that no text of a request becomes one of our own headers."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ingress.app import SERVER_OPTIONS, create_app
from ingress.http.routes import pushed_paths
from schemas.metrics import Registry
from schemas.raw import raw_from_kafka
from schemas.vendors import VENDORS
from tests.security.forgeries import PAYLOADS, SECRETS, SETTINGS, Payload
from tests.support.http.memory_publisher import MemoryPublisher

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
ONE_EACH = [pytest.param(each, id=each.vendor) for each in {each.vendor: each for each in PAYLOADS}.values()]
Client = TestClient[web.Request, web.Application]


class Site:
    def __init__(self, client: Client, publisher: MemoryPublisher) -> None:
        self.client = client
        self.publisher = publisher


@pytest.fixture(params=[False, True], ids=["", "accounts demanded"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    publisher = MemoryPublisher()
    ingress = msgspec.structs.replace(SETTINGS.ingress, require_account=request.param)
    settings = msgspec.structs.replace(SETTINGS, ingress=ingress)
    server = TestServer(create_app(settings, VENDORS, publisher, Registry(), lambda: NOW))
    await server.start_server(**SERVER_OPTIONS)
    async with TestClient(server) as client:
        yield Site(client, publisher)


@pytest.mark.parametrize("payload", ONE_EACH)
async def test_who_gets_in(site: Site, payload: Payload, request: pytest.FixtureRequest) -> None:
    body = json.dumps(payload.true()[0]).encode()
    secret = {name: SECRETS[payload.vendor, name] for name in ("main", "other", "bare")}
    stranger = next(value for (vendor, _), value in SECRETS.items() if vendor != payload.vendor)
    demanded = "accounts demanded" in request.node.name
    wanted = {
        f"/v1/a/{secret['main']}{payload.path}": 200,
        f"/v1/a/{secret['main']}{payload.path}?account=main": 200,
        f"/v1/a/{secret['bare']}{payload.path}": 200,
        f"/v1{payload.path}?account=open": 200,
        f"/v1{payload.path}": 403 if demanded else 200,
        f"/v1{payload.path}?account=main": 403,
        f"/v1{payload.path}?account=bare": 403,
        f"/v1{payload.path}?account=net": 403,
        f"/v1{payload.path}?account=nobody": 403,
        f"/v1{payload.path}?account=": 403,
        f"/v1{payload.path}?account=open&account=main": 400,
        f"/v1/a/{secret['other']}{payload.path}?account=main": 403,
        f"/v1/a/{stranger}{payload.path}": 403,
        f"/v1/a/{secret['main'][:-1]}{payload.path}": 403,
        f"/v1/a/{secret['main'].upper()}{payload.path}": 403,
        f"/v1/a/{secret['main']}%00{payload.path}": 403,
        f"/v1/a/main{payload.path}": 403,
    }
    got = {path: (await site.client.post(path, data=body)).status for path in wanted}
    assert got == wanted
    assert len(site.publisher.records) == sum(status == 200 for status in wanted.values())
    looks = {path: (await site.client.get(path)).status for path, status in wanted.items() if "/a/" in path}
    assert looks == {path: wanted[path] for path in looks}


@pytest.mark.parametrize("path", sorted(pushed_paths(VENDORS)))
async def test_every_push_address_can_be_saved_in_a_console(site: Site, path: str) -> None:
    secret = SECRETS[path.split("/")[1], "main"]
    for address in (f"/v1{path}", f"/v1{path}/", f"/v1{path}?account=net", f"/v1/a/{secret}{path}"):
        got, head = await site.client.get(address), await site.client.head(address)
        assert (got.status, head.status, "POST" in await got.text()) == (200, 200, True)
    assert site.publisher.records == []


OURS: dict[str, str] = {
    "vendor": "tencent",
    "callback": "resolution",
    "account": "main",
    "received_at": "1",
    "request_id": "forged",
    "content_type": "forged",
    "content_encoding": "gzip",
    "source": "backfill",
    "replay_of": "calls.raw/0/0",
    "Source": "poll",
    "X-Request-Id": "forged",
    "Replay-Of": "calls.raw/0/0",
}


@pytest.mark.parametrize("payload", ONE_EACH)
@pytest.mark.parametrize("place", ["headers", "query", "form"])
async def test_no_word_of_a_request_becomes_one_of_ours(site: Site, payload: Payload, place: str) -> None:
    """No header, query or form decides whose push it is, when it came, or that it is a repetition."""
    more: dict[str, Any] = {
        "headers": {"headers": OURS},
        "query": {"params": {name: value for name, value in OURS.items() if name != "account"}},
        "form": {"data": OURS},
    }[place]
    answer = await site.client.post(f"/v1/a/{SECRETS[payload.vendor, 'bare']}{payload.path}", **{"data": b"{}", **more})
    assert answer.status == 200
    (record,) = site.publisher.records
    raw = raw_from_kafka(record.value, record.headers, 0)
    callback = next(each.name for each in VENDORS[payload.vendor].callbacks)
    assert (raw.vendor, raw.callback, raw.account, raw.source, raw.replay_of) == (
        payload.vendor,
        callback,
        "bare",
        "push",
        "",
    )
    assert (raw.received_at, raw.request_id) == (NOW, answer.headers["X-Request-Id"])
    assert raw.request_id != "forged"
    assert raw.content_encoding == ""
    assert len({name for name, _ in record.headers}) == len(record.headers)


@pytest.mark.parametrize(
    "name", ["resolution", "replay", "poll", "getCdr", "dead", "state", "../resolution", "resolution/"]
)
@pytest.mark.parametrize("vendor", sorted(VENDORS))
async def test_no_address_leads_to_what_we_write_ourselves(site: Site, vendor: str, name: str) -> None:
    for below in (f"/{vendor}/{name}", f"/{name}", f"/{name}/{vendor}"):
        assert (await site.client.post(f"/v1{below}", data=b"{}")).status == 404
    assert site.publisher.records == []
