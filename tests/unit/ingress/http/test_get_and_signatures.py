"""Callbacks that take records by GET, and pushes that a vendor signs, over real HTTP with a vendor of the tests."""

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from ingress.admission import AdmissionControl
from ingress.app import SERVER_OPTIONS, create_app
from ingress.overload.shedding import LoadShedder
from schemas.config.secret import Secret
from schemas.config.settings import Account, IngressSettings, Settings
from schemas.metrics import Registry
from schemas.vendor_kit.contract import Callback, Elements, Filtered, PushHead, Reply, Vendor
from tests.support.http.memory_publisher import MemoryPublisher

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
KEY, NEXT_KEY = "a-key-of-the-vendor", "the-key-after-it"
PATH_SECRET = "k3vq9xw2mz7rt5hb"
FORM = "application/x-www-form-urlencoded"
LOOK = "GET, HEAD, OPTIONS"


def signature(key: str, head: PushHead, body: bytes) -> str:
    text = f"{head.method}\n{head.path}\n{head.query}\n".encode() + body
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()


def verify(head: PushHead, body: bytes, secrets: tuple[str, ...]) -> bool:
    given = [value for name, value in head.headers if name == "x-signature"]
    if len(given) != 1:
        return False
    return any(hmac.compare_digest(given[0].encode(), signature(key, head, body).encode()) for key in secrets)


def raises(_head: PushHead, _body: bytes, secrets: tuple[str, ...]) -> bool:
    raise ValueError(f"cannot read {secrets}")


async def forgets_to_wait(_head: PushHead, _body: bytes, _secrets: tuple[str, ...]) -> bool:
    return True


def callback(name: str, **more: Any) -> Callback:
    return Callback(
        name=name,
        path=f"/{name}",
        key=lambda body: parse_qs(body.decode("utf-8", "replace")).get("id", [""])[0],
        elements=lambda _: Elements(items=()),
        normalise=lambda _element, _context: Filtered(reason="test"),
        **more,
    )


VENDORS: Mapping[str, Vendor] = MappingProxyType(
    {
        "acme": Vendor(
            name="acme",
            title="Acme",
            adapter_version=1,
            callbacks=(
                callback("cdr", verify=verify),
                callback("state", methods=("GET",)),
                callback("both", methods=("GET", "POST"), verify=verify),
                callback("plain"),
                callback("raises", verify=raises),
                callback("truthy", verify=forgets_to_wait),
                callback("put", methods=("PUT",)),
            ),
            accepted=Reply(status=200, body=b"OK"),
            retry=Reply(status=503),
            sends_at_most=3,
        )
    }
)
ACCOUNTS = (
    Account(vendor="acme", name="signed", signing_secrets=(Secret(KEY), Secret(NEXT_KEY))),
    Account(vendor="acme", name="hidden", secret=Secret(PATH_SECRET), signing_secrets=(Secret(KEY),)),
    Account(vendor="acme", name="open"),
)


Client = TestClient[web.Request, web.Application]


class Site:
    """One running ingress, its publisher and its counts."""

    def __init__(
        self, client: Client, publisher: MemoryPublisher, metrics: Registry, admission: AdmissionControl
    ) -> None:
        self.client = client
        self.publisher = publisher
        self.metrics = metrics
        self.admission = admission

    async def ask(
        self, method: str, path: str, query: str = "", body: bytes = b"", *, key: str = "", **headers: str
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Sends a request, signed with `key` where one is given."""
        if key:
            head = PushHead(method=method, path=path, query=query)
            signed = query.encode() if method == "GET" else body
            headers["X-Signature"] = signature(key, head, signed)
        target = URL(f"{path}?{query}" if query else path, encoded=True)
        async with self.client.request(method, target, data=body or None, headers=headers) as response:
            return response.status, await response.read(), response.headers

    def stored(self) -> list[bytes]:
        return [record.value for record in self.publisher.records]

    def count(self, outcome: str, callback_name: str) -> float:
        return self.metrics.get("callweave_ingress_requests_total", "acme", callback_name, outcome)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    publisher = MemoryPublisher()
    metrics, admission = Registry(), AdmissionControl(max_queued=10, max_bytes=1 << 20)
    app = create_app(
        Settings(accounts=ACCOUNTS, ingress=IngressSettings()),
        VENDORS, publisher, metrics, lambda: NOW, admission=admission,
    )  # fmt: skip
    server = TestServer(app)
    await server.start_server(**SERVER_OPTIONS)
    async with TestClient(server) as client:
        yield Site(client, publisher, metrics, admission)


@pytest.mark.parametrize("name", ["state", "both"])
async def test_a_get_is_published_as_its_raw_query_string(site: Site, name: str) -> None:
    query = "id=7&name=%E5%BC%A0+b&x=1&x=2&empty="
    headers = {"Content-Type": "text/xml", "Content-Encoding": "gzip"}
    async with site.client.get(f"/v1/acme/{name}?{query}", headers=headers) as response:
        status, body = response.status, await response.read()
    assert (status, body) == (200, b"OK")
    (record,) = site.publisher.records
    assert (record.key, record.value) == (b"acme||7", query.encode())
    stored = dict(record.headers)
    assert (stored["content_type"], stored.get("content_encoding", b"")) == (FORM.encode(), b"")
    assert (site.count("accepted", name), site.count("console", name)) == (1, 0)
    assert site.metrics.get("callweave_ingress_body_bytes_total", "acme") == len(query)


async def test_an_odd_query_string_is_published_as_it_came(site: Site) -> None:
    reader, writer = await asyncio.open_connection(site.client.server.host, site.client.server.port)
    writer.write(b"GET /v1/acme/state?id=%ff&%zz=?&&a[]=+#b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert site.stored() == [b"id=%ff&%zz=?&&a[]=+#b"]


async def test_the_account_of_a_get_is_named_in_its_query(site: Site) -> None:
    status, _, _ = await site.ask("GET", "/v1/acme/state", "account=open&id=7")
    assert (status, [record.key for record in site.publisher.records]) == (200, [b"acme|open|7"])
    assert site.stored() == [b"account=open&id=7"]


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        pytest.param("GET", "/v1/acme/state", "", id="GET without parameters"),
        pytest.param("GET", "/v1/acme/state", "account=open", id="GET with nothing but the account"),
        pytest.param("HEAD", "/v1/acme/state", "id=7", id="HEAD"),
        pytest.param("OPTIONS", "/v1/acme/state", "id=7", id="OPTIONS"),
        pytest.param("GET", "/v1/acme/cdr", "id=7", id="GET on a callback that takes records by POST alone"),
    ],
)
async def test_a_look_stores_nothing(site: Site, method: str, path: str, query: str) -> None:
    status, _, _ = await site.ask(method, path, query)
    assert (status in (200, 204), site.stored()) == (True, [])
    assert site.count("console", path.rpartition("/")[2]) == 1


async def test_a_look_says_which_methods_bring_a_record(site: Site) -> None:
    texts = [(await site.ask("GET", f"/v1/acme/{name}"))[1].decode() for name in ("state", "both", "plain")]
    assert ["GET here" in texts[0], "GET or POST here" in texts[1], "POST here" in texts[2]] == [True] * 3
    assert ["A GET without parameters stores nothing" in text for text in texts] == [True, True, False]


@pytest.mark.parametrize(
    ("method", "name", "allow"),
    [
        pytest.param("POST", "state", LOOK, id="POST where only GET is taken"),
        pytest.param("PUT", "both", f"{LOOK}, POST", id="PUT where GET and POST are"),
        pytest.param("DELETE", "plain", f"{LOOK}, POST", id="DELETE where POST is"),
        pytest.param("POST", "put", f"{LOOK}, PUT", id="POST where PUT is"),
    ],
)
async def test_other_methods_are_refused_with_those_of_the_callback(
    site: Site, method: str, name: str, allow: str
) -> None:
    status, body, headers = await site.ask(method, f"/v1/acme/{name}", "id=7", b"id=7")
    assert (status, json.loads(body)["code"], headers["Allow"]) == (405, "method", allow)
    _, _, headers = await site.ask("OPTIONS", f"/v1/acme/{name}")
    assert (headers["Allow"], site.stored()) == (allow, [])


async def test_a_method_of_the_callback_brings_a_body(site: Site) -> None:
    status, _, _ = await site.ask("PUT", "/v1/acme/put", body=b"id=7")
    assert (status, site.stored()) == (200, [b"id=7"])


async def test_a_get_is_refused_for_load_as_a_post_is(site: Site) -> None:
    site.admission.queued = 11
    status, _, _ = await site.ask("GET", "/v1/acme/state", "id=7")
    assert (status, site.stored(), site.count("overload", "state")) == (503, [], 1)


def test_a_post_that_is_no_push_is_not_answered_before_it_is_parsed() -> None:
    refusals = LoadShedder(VENDORS)
    request = b"POST /v1/acme/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    assert refusals.refusal(request % b"both") is not None
    assert refusals.refusal(request % b"state") is None


@pytest.mark.parametrize("key", [KEY, NEXT_KEY], ids=["the key", "the next key"])
@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        pytest.param("POST", "/v1/acme/cdr", "account=signed", b"id=7", id="POST"),
        pytest.param("POST", "/v1/acme/cdr", "account=signed", b"", id="an empty body"),
        pytest.param(
            "POST", "/v1/acme/cdr", "a=%41&account=signed&b=+", b"\x00\xff", id="a query and bytes as they came"
        ),
        pytest.param("GET", "/v1/acme/both", "account=signed&id=7", b"", id="GET"),
    ],
)
async def test_a_push_that_one_of_the_keys_signs_is_published(
    site: Site, method: str, path: str, query: str, body: bytes, key: str
) -> None:
    status, _, _ = await site.ask(method, path, query, body, key=key)
    assert (status, site.stored()) == (200, [query.encode() if method == "GET" else body])


async def test_a_signed_push_by_a_secret_address_is_published(site: Site) -> None:
    status, _, _ = await site.ask("POST", f"/v1/a/{PATH_SECRET}/acme/cdr", body=b"id=7", key=KEY)
    assert (status, [record.key for record in site.publisher.records]) == (200, [b"acme|hidden|7"])


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        pytest.param("POST", "/v1/acme/cdr?account=signed", {}, id="no signature"),
        pytest.param("GET", "/v1/acme/both?account=signed&id=7", {}, id="GET without a signature"),
        pytest.param("POST", "/v1/acme/cdr?account=signed", {"X-Signature": "0" * 64}, id="a wrong signature"),
        pytest.param("POST", f"/v1/a/{PATH_SECRET}/acme/cdr", {"X-Signature": ""}, id="a secret address is not enough"),
        pytest.param("POST", "/v1/acme/plain?account=signed", {}, id="a callback that signs nothing"),
        pytest.param("GET", "/v1/acme/state?account=signed&id=7", {}, id="a callback by GET that signs nothing"),
        pytest.param("POST", "/v1/acme/raises?account=signed", {}, id="a check that raises"),
        pytest.param("POST", "/v1/acme/truthy?account=signed", {}, id="a check that returns something else than True"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine 'forgets_to_wait' was never awaited:RuntimeWarning")
async def test_a_push_that_none_of_the_keys_signs_is_refused(
    site: Site, method: str, path: str, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with site.client.request(
        method, path, data=b"id=7" if method == "POST" else None, headers=headers
    ) as response:
        problem = json.loads(await response.read())
    assert (response.status, problem["code"], sorted(problem)) == (403, "bad_signature", ["code", "detail"])
    assert (site.stored(), site.count("bad_signature", path.partition("?")[0].rpartition("/")[2])) == ([], 1)
    assert not [secret for secret in (KEY, NEXT_KEY, PATH_SECRET) if secret in caplog.text + json.dumps(problem)]


async def test_a_signature_is_for_its_body_its_address_and_its_query(site: Site) -> None:
    right = signature(KEY, PushHead(method="POST", path="/v1/acme/cdr", query="account=signed"), b"id=7")
    for path, query, body in (
        ("/v1/acme/cdr", "account=signed", b"id=8"),
        ("/v1/acme/both", "account=signed", b"id=7"),
        ("/v1/acme/cdr", "account=signed&x=1", b"id=7"),
    ):
        assert (await site.ask("POST", path, query, body, **{"X-Signature": right}))[0] == 403
    assert (await site.ask("POST", "/v1/acme/cdr", "account=signed", b"id=7", **{"X-Signature": right}))[0] == 200


async def test_without_signing_secrets_nothing_is_checked(site: Site) -> None:
    for query in ("account=open", "x=1"):
        assert (await site.ask("POST", "/v1/acme/raises", query, b"id=7"))[0] == 200
    assert site.stored() == [b"id=7", b"id=7"]


async def test_a_look_needs_no_signature(site: Site) -> None:
    assert (await site.ask("GET", "/v1/acme/cdr", "account=signed"))[0] == 200
