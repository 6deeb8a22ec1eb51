"""The ingress over real HTTP, with a publisher in memory: every answer that a vendor can get."""

import asyncio
import gzip
import io
import json
import logging
import zlib
from collections.abc import AsyncIterator
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingress.kafka.publisher import Settled, WhyNot
from schemas.config.settings import IngressSettings
from schemas.metrics import Registry
from schemas.raw import Headers
from tests.support.http.memory_publisher import MemoryPublisher
from tests.unit.ingress.http.serving_site import (
    CAP_BYTES,
    METHODS,
    NOW,
    PHONE,
    POST,
    SECRET,
    Site,
    raw,
    serve,
    with_limits,
)


async def test_a_push_is_published_and_then_answered_in_the_vendors_words(site: Site) -> None:
    response = await site.post("/v1/bell", b"id=7", headers={"Content-Type": "application/json"})
    assert (response.status, await response.read()) == (200, b'{"code":0}')
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Vendor"] == "yes"
    (record,) = site.publisher.records
    assert (record.topic, record.key, record.value) == ("calls.raw", b"bell||7", b"id=7")
    assert dict(record.headers) == {
        "vendor": b"bell",
        "callback": b"cdr",
        "request_id": response.headers["X-Request-Id"].encode(),
        "content_type": b"application/json",
        "source": b"push",
        "received_at": str(int(NOW.timestamp() * 1000)).encode(),
    }
    assert site.count("accepted", "bell") == 1
    assert site.metrics.get("callweave_ingress_body_bytes_total", "bell") == 4


async def test_an_empty_answer_says_that_it_is_empty(site: Site) -> None:
    response = await site.post()
    assert (response.status, response.headers["Content-Length"], await response.read()) == (200, "0", b"")


@pytest.mark.parametrize("code", [pytest.param(code, id=code) for code in get_args(WhyNot)])
@pytest.mark.parametrize(
    ("path", "vendor", "status", "retry_after"),
    [
        pytest.param("/v1/acme/cdr", "acme", 503, "5", id="503 says when to come again"),
        pytest.param("/v1/bell", "bell", 500, None, id="a vendor that sends again on 500 only"),
    ],
)
async def test_what_cannot_be_made_durable_the_vendor_is_asked_to_send_again(
    site: Site, code: str, path: str, vendor: str, status: int, retry_after: str | None
) -> None:
    site.publisher.fail_with = code  # type: ignore[assignment]  # one of them, see the table
    response = await site.post(path)
    assert (response.status, response.headers.get("Retry-After")) == (status, retry_after)
    assert "X-Request-Id" in response.headers
    assert (site.count(code, vendor), site.count("accepted", vendor)) == (1, 0)


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        pytest.param("POST", "/nowhere", 404, "unknown_route", None, id="an unknown address"),
        pytest.param("POST", "/v1/nobody/cdr", 404, "unknown_route", None, id="an unknown vendor"),
        pytest.param("GET", "/v1/acme/other", 404, "unknown_route", None, id="GET on an address that there is not"),
        pytest.param("GET", "/v1/nobody", 404, "unknown_route", None, id="GET on an unknown vendor's address"),
        pytest.param(
            "OPTIONS", "/v1/acme", 404, "unknown_route", None, id="OPTIONS on a vendor without a root address"
        ),
        pytest.param("GET", "/v1/%61cmE/cdr", 404, "unknown_route", None, id="another case is another address"),
        pytest.param("GET", "/v1/acme%2Fcdr", 404, "unknown_route", None, id="an encoded slash parts nothing"),
        pytest.param(
            "GET", "/v1/a/wrongwrongwrongwrong/acme/cdr", 403, "forbidden", None, id="GET with an unknown secret"
        ),
        pytest.param(
            "OPTIONS",
            "/v1/a/wrongwrongwrongwrong/acme/cdr",
            403,
            "forbidden",
            None,
            id="OPTIONS with an unknown secret",
        ),
        pytest.param("GET", f"/v1/a/{SECRET}/bell", 403, "forbidden", None, id="GET with another vendor's secret"),
        pytest.param("GET", "/v1/a", 403, "forbidden", None, id="GET without the secret"),
        pytest.param(
            "GET", "/v1/acme/cdr?account=nobody", 403, "unknown_account", None, id="GET for an unknown account"
        ),
        pytest.param(
            "GET", "/v1/acme/cdr?account=hidden", 403, "forbidden", None, id="GET by name for an account with a secret"
        ),
        pytest.param("PUT", "/v1/acme/cdr", 405, "method", METHODS, id="PUT on a vendor's address"),
        pytest.param("DELETE", "/v1/bell", 405, "method", METHODS, id="DELETE on a vendor's address"),
        pytest.param("PROPFIND", "/v1/bell", 405, "method", METHODS, id="a method that nobody pushes with"),
        pytest.param("POST", "/healthz", 405, "method", "GET, HEAD", id="POST on a status path"),
        pytest.param("POST", "/v1/acme/cdr?account=nobody", 403, "unknown_account", None, id="an unknown account"),
        pytest.param("POST", "/v1/acme/cdr?account=far", 403, "forbidden", None, id="a foreign network"),
        pytest.param("POST", "/v1/a/wrongwrongwrongwrong/acme/cdr", 403, "forbidden", None, id="an unknown secret"),
        pytest.param("POST", "/v1/acme/cdr?account=far&account=hidden", 400, "bad_request", None, id="two accounts"),
    ],
)
async def test_what_is_not_taken_is_a_problem_in_json_and_not_stored(
    site: Site, method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    response = await site.client.request(method, path, data=b"id=1")
    problem = json.loads(await response.read())
    assert (response.status, problem["code"], sorted(problem)) == (status, code, ["code", "detail"])
    assert (response.headers.get("Allow"), len(response.headers["X-Request-Id"])) == (allow, 32)
    assert site.publisher.records == []


async def test_a_body_may_come_without_a_type_after_leave_or_with_trailers(site: Site) -> None:
    chunked = (
        POST + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2;a=b\r\nid\r\n2\r\n=1\r\n0\r\nX-Sum: \xff\r\n\r\n"
    )
    asks = POST + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"
    status, answer = await raw(site, POST + b"Content-Length: 4\r\n\r\nid=0", chunked, asks, b"id=2")
    assert (status, answer.count(b"HTTP/1.1 200"), answer.count(b"HTTP/1.1 100")) == (200, 3, 1)
    assert [record.value for record in site.publisher.records] == [b"id=0", b"id=1", b"id=2"]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("gzip", gzip.compress(b"id=9"), id="gzip"),
        pytest.param("deflate", zlib.compress(b"id=9"), id="deflate"),
    ],
)
async def test_a_compressed_body_is_published_as_it_was_on_the_wire(site: Site, encoding: str, body: bytes) -> None:
    response = await site.post(body=body, headers={"Content-Encoding": encoding})
    (record,) = site.publisher.records
    assert (response.status, record.key[:7], record.value) == (200, b"acme||~", body)
    assert dict(record.headers)["content_encoding"] == encoding.encode()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_a_body_that_does_not_inflate_is_published(site: Site, encoding: str) -> None:
    response = await site.post(body=b"\x1f\x8bbroken", headers={"Content-Encoding": encoding})
    assert response.status == 200
    assert [record.value for record in site.publisher.records] == [b"\x1f\x8bbroken"]


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        pytest.param(bytes(CAP_BYTES), "identity", 200, id="exactly 10 MiB"),
        pytest.param(bytes(CAP_BYTES + 1), "identity", 413, id="10 MiB and a byte"),
        pytest.param(gzip.compress(bytes(CAP_BYTES)), "gzip", 200, id="gzip of exactly 10 MiB"),
        pytest.param(gzip.compress(bytes(CAP_BYTES + 1)), "gzip", 200, id="gzip of 10 MiB and a byte"),
        pytest.param(zlib.compress(bytes(1 << 28)), "deflate", 200, id="a bomb of 256 MiB"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["with length", "chunked"])
async def test_the_cap_holds_on_the_wire_and_nothing_is_inflated(
    site: Site, body: bytes, encoding: str, status: int, *, chunked: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1 << 18):
            yield body[start : start + (1 << 18)]

    data = pieces() if chunked else io.BytesIO(body)
    response = await site.client.post("/v1/acme/cdr", data=data, headers={"Content-Encoding": encoding})
    assert response.status == status
    assert len(site.publisher.records) == (status == 200)
    assert site.count("accepted" if status == 200 else "too_large") == 1


@with_limits
async def test_a_body_that_does_not_end_in_time_gets_408(site: Site) -> None:
    status, answer = await raw(site, POST + b"Content-Length: 10\r\n\r\nid=1")
    assert (status, b'"code":"timeout"' in answer) == (408, True)
    assert (site.publisher.records, site.count("timeout")) == ([], 1)


async def test_a_declared_length_past_the_cap_is_refused_before_the_body(site: Site) -> None:
    status, _ = await raw(site, POST + b"Content-Length: 99999999999\r\n\r\n")
    assert status == 413


async def test_a_body_without_an_end_is_cut_off_at_the_cap(site: Site) -> None:
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    status, _ = await raw(site, POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 11)
    assert (status, site.publisher.records) == (413, [])


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nid=1\r\n0\r\n\r\n", id="a chunk size that is no number"),
        pytest.param(POST + b"Content-Length: -1\r\n\r\n", id="a negative length"),
        pytest.param(b"BREW /v1/acme/cdr HTTP/1.1\r\n\r\n", id="a method that nobody knows"),
        pytest.param(POST + b"X: " + b"y" * 9000 + b"\r\nContent-Length: 0\r\n\r\n", id="a giant header"),
        pytest.param(POST + b"X: y\r\n" * 200 + b"Content-Length: 0\r\n\r\n", id="too many headers"),
    ],
)  # fmt: skip
async def test_what_is_not_http_gets_400_and_is_not_stored(site: Site, head: bytes) -> None:
    status, _ = await raw(site, head)
    assert (status, site.publisher.records) == (400, [])


async def test_a_caller_that_hangs_up_in_its_body_leaves_nothing_and_harms_nobody(site: Site) -> None:
    server = site.client.server
    _, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(POST + b"Content-Length: 10\r\n\r\nid=1")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await site.post(body=b"id=2")).status == 200
    assert [record.value for record in site.publisher.records] == [b"id=2"]


async def test_one_connection_carries_many_requests(site: Site) -> None:
    requests = [POST + b"Content-Length: 4\r\n\r\nid=%d" % number for number in range(9)]
    status, answer = await raw(site, *requests, POST + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
    assert (status, answer.count(b"HTTP/1.1 200")) == (200, 10)
    assert [record.value for record in site.publisher.records] == [b"id=%d" % number for number in range(9)] + [b""]


@given(body=st.binary(max_size=2000), content_type=st.sampled_from(["", "application/json", "text/xml; charset=gbk"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
async def test_any_bytes_are_taken_and_published_identically(site: Site, body: bytes, content_type: str) -> None:
    site.publisher.records.clear()
    response = await site.post(body=body, headers={"Content-Type": content_type})
    assert response.status == 200
    assert [record.value for record in site.publisher.records] == [body]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_the_pages_answer_to_get_and_head(site: Site, method: str, path: str) -> None:
    response = await site.client.request(method, path)
    assert response.status == 200


async def test_ready_says_why_not(site: Site) -> None:
    site.publisher.fail_with = "kafka"
    response = await site.client.get("/readyz")
    assert (response.status, await response.json()) == (
        503,
        {"ready": False, "reason": "refuses on purpose: kafka", "note": ""},
    )
    assert (await site.client.get("/healthz")).status == 200


async def test_before_it_ends_it_says_so_and_goes_on(site: Site) -> None:
    stays = await site.post()
    site.leaving.set()
    goes, ready = await site.post(), await site.client.get("/readyz")
    assert (stays.status, stays.headers.get("Connection")) == (200, None)
    assert (goes.status, goes.headers.get("Connection")) == (200, "close")
    assert (ready.status, (await ready.json())["reason"]) == (503, "it is about to end")
    assert len(site.publisher.records) == 2


async def test_the_metrics_page_shows_what_was_counted(site: Site) -> None:
    await site.post()
    text = await (await site.client.get("/metrics")).text()
    assert 'callweave_ingress_requests_total{vendor="acme",callback="cdr",outcome="accepted"} 1' in text
    assert 'callweave_ingress_accept_seconds_count{vendor="acme"} 1' in text


async def test_the_log_shows_no_secret_no_query_no_number(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    number = {"Content-Type": PHONE, "X-Forwarded-For": PHONE, "User-Agent": PHONE}
    for path in (f"/v1/a/{SECRET}/acme/cdr", f"/v1/acme/{PHONE}", f"/{PHONE}", f"/v1/acme/cdr?account={PHONE}"):
        await site.post(path, PHONE.encode(), headers=number)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("callweave", "aiohttp"))]
    assert len(ours) == 3  # one line for the two unknown addresses
    assert "route=/v1/a/***/acme/cdr status=200 outcome=accepted" in ours[0]
    assert not [line for line in ours if SECRET in line or PHONE[1:] in line or "account=" in line]


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"/v1/a/%s/acme/cdr\xff", id="a byte that no address has"),
        pytest.param(b"/v1/a/%s/acme/\x01cdr", id="a control character"),
        pytest.param(b"/v1/a/%s/acme/cdr HTTP/1.1 x", id="a space"),
        pytest.param(b"http://[x/v1/a/%s/acme/cdr", id="a host that is none"),
        pytest.param(b"v1/a/%s/acme/cdr", id="no slash"),
        pytest.param(b"/v1/a/%s/acme/%%0a%%0dlevel=error%%1b[2J", id="encoded line ends and escapes"),
        pytest.param(b"/v1/a/x%s/acme/cdr", id="a secret that is almost right"),
        pytest.param(b"/%s/v1/../../etc/passwd", id="a way out of a folder"),
        pytest.param(b"/v1/a/%s/acme/cdr?" + b"x" * 9000, id="an address that is too long"),
    ],
)
async def test_what_is_no_address_leaves_no_trace_of_its_text(
    site: Site, target: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    status, answer = await raw(
        site, b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (target % SECRET.encode())
    )
    shown = caplog.text + site.metrics.text() + answer.decode()
    assert status in (400, 403, 404)
    assert SECRET not in shown
    assert not {"\x1b", "\x01", "passwd", "level=error"} & {
        word for word in ("\x1b", "\x01", "passwd", "level=error") if word in shown
    }
    assert site.publisher.records == []
    refused = [site.count(outcome, "-", "-") for outcome in ("bad_request", "forbidden", "unknown_route")]
    assert sum(refused) + site.count("forbidden") == 1


class Held(MemoryPublisher):
    """Acknowledges once `acknowledge` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledge = asyncio.Event()
        self.asked = asyncio.Event()

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        self.asked.set()
        await self.acknowledge.wait()
        await super().publish(topic, key, value, headers, no_retry=no_retry)


async def test_no_answer_before_the_record_is_durable() -> None:
    publisher = Held()
    client = await serve(publisher, Registry(), IngressSettings())
    try:
        answer = asyncio.create_task(client.post("/v1/acme/cdr", data=b"id=1"))
        await publisher.asked.wait()
        done, _ = await asyncio.wait({answer}, timeout=0.1)
        assert not done
        publisher.acknowledge.set()
        assert (await answer).status == 200
    finally:
        await client.close()


async def test_unfinished_bodies_have_a_bound_together() -> None:
    publisher, metrics = MemoryPublisher(), Registry()
    client = await serve(publisher, metrics, IngressSettings(max_buffer_bytes=10_000, body_timeout_s=0.5))
    unfinished = POST + b"Content-Length: 9999\r\n\r\n" + b"x" * 4500
    try:
        site = Site(client, publisher, metrics, asyncio.Event())
        answers = [asyncio.create_task(raw(site, unfinished)) for _ in range(2)]
        assert sorted([(await answer)[0] for answer in answers]) == [408, 503]
        assert (await site.post(body=b"id=1234567")).status == 200
    finally:
        await client.close()


async def test_a_bug_of_ours_asks_the_vendor_to_send_again(caplog: pytest.LogCaptureFixture) -> None:
    class Bug(MemoryPublisher):
        async def publish(
            self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False
        ) -> None:
            raise LookupError("a bug")

        def submit(
            self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, *, no_retry: bool = False
        ) -> None:
            raise LookupError("a bug")

    metrics = Registry()
    client = await serve(Bug(), metrics, IngressSettings())
    try:
        response = await client.post("/v1/bell", data=b"id=1")
        assert (response.status, await response.read()) == (500, b"again")
        assert metrics.get("callweave_ingress_requests_total", "bell", "cdr", "error") == 1
        assert "LookupError" in caplog.text
    finally:
        await client.close()
