"""Refusals that are written before a request is parsed: only for what is surely one whole push."""

import pytest

from ingress.overload.shedding import LoadShedder
from schemas.vendors import VENDORS

REFUSALS = LoadShedder(VENDORS)
HEAD = b"POST /v1/ytx HTTP/1.1\r\nHost: x\r\n"
PUSH = HEAD + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("target", "vendor", "no_retry", "first_line"),
    [
        pytest.param(
            "/v1/ytx",
            "ytx",
            False,
            "HTTP/1.1 500 Internal Server Error",
            id="ytx gets the answer that makes it send again",
        ),
        pytest.param("/v1/nxcloud/cdr", "nxcloud", False, "HTTP/1.1 503 Service Unavailable", id="nxcloud"),
        pytest.param("/v1/huawei/ax", "huawei", True, "HTTP/1.1 503 Service Unavailable", id="huawei calls once"),
        pytest.param("/v1/ytx/?account=a", "ytx", False, "HTTP/1.1 500 Internal Server Error", id="slash and query"),
        pytest.param(
            "/v1/a/0123456789abcdef/huawei/ax", "huawei", True, "HTTP/1.1 503 Service Unavailable", id="a secret"
        ),
    ],
)
def test_each_vendor_gets_its_retry_answer(target: str, vendor: str, *, no_retry: bool, first_line: str) -> None:
    refusal = REFUSALS.refusal(PUSH.replace(b"/v1/ytx", target.encode()))
    assert refusal is not None
    assert (refusal.vendor, refusal.no_retry) == (vendor, no_retry)
    head, end, body = refusal.response.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert (lines[0], end) == (first_line, b"\r\n\r\n")
    assert f"Content-Length: {len(body)}" in lines
    assert ("Retry-After: 5" in lines) == ("503" in first_line)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(PUSH[:-1], id="a body that has not ended"),
        pytest.param(HEAD, id="a head that has not ended"),
        pytest.param(PUSH + b"P", id="the next request came with it"),
        pytest.param(PUSH.replace(b"POST", b"GET"), id="another method"),
        pytest.param(PUSH.replace(b"/v1/ytx", b"/v1/nobody"), id="an address that is not ours"),
        pytest.param(PUSH.replace(b"/v1/ytx", b"/v1/tencent"), id="what is pulled and not pushed"),
        pytest.param(PUSH.replace(b"/v1/ytx", b"/healthz"), id="a page"),
        pytest.param(PUSH.replace(b"HTTP/1.1", b"HTTP/1.0"), id="a protocol that closes"),
        pytest.param(PUSH.replace(b"Host: x", b"Connection: Close"), id="who wants the connection closed"),
        pytest.param(PUSH.replace(b"Host: x", b"Transfer-Encoding: chunked"), id="a body in chunks"),
        pytest.param(PUSH.replace(b"Host: x", b"Expect: 100-continue"), id="who waits for leave"),
        pytest.param(
            PUSH.replace(b"Host: x", b"X: y\nTransfer-Encoding: chunked"), id="a header behind a bare newline"
        ),
        pytest.param(PUSH.replace(b"Host: x", b"Content-Length: 2"), id="two lengths"),
        pytest.param(PUSH.replace(b"Content-Length: 2", b"Content-Length: two"), id="a length that is none"),
        pytest.param(HEAD + b"\r\n", id="no length"),
    ],
)
def test_anything_else_takes_the_long_way(data: bytes) -> None:
    assert REFUSALS.refusal(data) is None
