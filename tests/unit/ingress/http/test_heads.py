"""Any bytes in any header are taken, and the body is published as it came; framing is never mended."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingress.http.heads import mended
from tests.unit.ingress.http.serving_site import POST, Site, raw

BODY = bytes(range(256)) + b"\r\n\r\nContent-Type: \x00\r\nContent-Type: \x01\r\n\r\n"
END = b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
ANY_BYTE = [bytes([byte]) for byte in range(256) if byte not in b"\r\n"]
NAMES = [
    b"Content-Type",
    b"Content-Encoding",
    b"X-Forwarded-For",
    b"Expect",
    b"Cookie",
    b"User-Agent",
    b"Authorization",
    b"Accept-Encoding",
    b"If-None-Match",
    b"Forwarded",
    b"Traceparent",
    b"!#$%&'*+-.^_`|~",
]


@pytest.mark.parametrize("name", NAMES, ids=bytes.decode)
async def test_any_bytes_in_any_header_are_taken(site: Site, name: bytes) -> None:
    for value in (b"".join(ANY_BYTE), b"\xff\xfe", b"", b"\x00", b"\x1b[2J", "密\u202e".encode(), b"y" * 8000):
        status, answer = await raw(site, POST + name + b": " + value + b"\r\n" + END)
        assert status == 200, (value, answer)
    assert {record.value for record in site.publisher.records} == {BODY}
    assert len(site.publisher.records) == 7


async def test_each_byte_alone_is_taken_and_what_is_text_is_stored_as_it_came(site: Site) -> None:
    for byte in ANY_BYTE:
        assert (await raw(site, POST + b"Content-Type: a" + byte + b"b\r\n" + END))[0] == 200
    stored = [dict(record.headers)["content_type"] for record in site.publisher.records]
    replaced = {bytes([byte]) for byte in (*range(0x20), 0x7F)} - {b"\t"}
    assert stored == [b"a?b" if byte in replaced else b"a" + byte + b"b" for byte in ANY_BYTE]


@pytest.mark.parametrize(
    ("lines", "content_type"),
    [
        pytest.param(b"Content-Type: a\r\nContent-Type: b\r\n", b"a, b", id="two types"),
        pytest.param(b"content-type: a\r\nX: y\r\nCONTENT-TYPE:b\r\nContent-Type:\r\n", b"a, b", id="three, each spelt in its own way"),
        pytest.param(b"Content-Type: \xff\r\nContent-Type: \xfe\x01\r\n", b"\xff, \xfe?", id="two, of any bytes"),
        pytest.param(b"User-Agent: a\r\nUser-Agent: b\r\nServer: a\r\nServer: b\r\n", None, id="two of a kind that says nothing to us"),
        pytest.param(b"ETag: a\r\nEtag: b\r\nMax-Forwards: 1\r\nMax-Forwards: 2\r\n", None, id="two of other kinds"),
        pytest.param(b"Content-Location: a\r\n" * 2 + b"Content-Range: b\r\n" * 2, None, id="two of the rest"),
        pytest.param(b"X-A: a\r\n" * 100, None, id="a hundred of a kind"),
        pytest.param(b"X-Forwarded-For: \xff\r\n" * 50, None, id="fifty proxies that write no text"),
    ],
)  # fmt: skip
async def test_a_header_that_comes_again_is_taken(site: Site, lines: bytes, content_type: bytes | None) -> None:
    assert (await raw(site, POST + lines + END))[0] == 200
    (record,) = site.publisher.records
    assert (record.value, dict(record.headers).get("content_type")) == (BODY, content_type)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", id="two lengths"),
        pytest.param(POST + b"Content-Length: 2\x01\r\n\r\n{}", id="a length with a control character"),
        pytest.param(POST + b"Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n", id="a coding with a control character"),
        pytest.param(POST + b"Transfer-Encoding: \x00chunked\r\nContent-Length: 2\r\n\r\n{}", id="a coding behind a NUL"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}", id="a length and a coding"),
        pytest.param(POST + b"Host: y\r\nContent-Length: 2\r\n\r\n{}", id="two hosts"),
        pytest.param(POST + b"X: a\nContent-Length: 2\r\n\r\n{}", id="a bare line feed"),
        pytest.param(POST + b"X: a\rContent-Length: 2\r\n\r\n{}", id="a bare carriage return"),
        pytest.param(POST + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", id="a folded line"),
        pytest.param(POST + b"Content-Length : 2\r\n\r\n{}", id="a space before the colon"),
        pytest.param(POST + b"X\x00Y: a\r\nContent-Length: 2\r\n\r\n{}", id="a NUL in a name"),
        pytest.param(b"POST /v1/acme/cdr\x01HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", id="a control character in the first line"),
    ],
)  # fmt: skip
async def test_what_frames_a_request_is_not_mended(site: Site, head: bytes) -> None:
    """Otherwise a proxy before us and we could see different requests."""
    assert (await raw(site, head))[0] == 400
    assert site.publisher.records == []
    assert site.count("bad_request", "-", "-") == 1


async def test_a_body_is_published_as_it_came_however_the_request_is_cut(site: Site) -> None:
    """Only a head that is whole in the first bytes is mended: no byte of a body can be taken for one."""
    request = POST + b"Content-Type: \xff\r\n" + END
    for cut in range(1, len(request), 7):
        assert (await raw(site, request[:cut], request[cut:]))[0] == 200
    assert {record.value for record in site.publisher.records} == {BODY}


async def test_a_body_that_looks_like_a_request_is_a_body(site: Site) -> None:
    inner = POST + b"Content-Type: \x01\r\nContent-Type: \x02\r\nContent-Length: 0\r\n\r\n"
    head = POST + b"Content-Length: %d\r\n" % len(inner)
    status, _ = await raw(site, head + b"\r\n", inner, head + b"Connection: close\r\n\r\n" + inner)
    assert (status, [record.value for record in site.publisher.records]) == (200, [inner, inner])


@given(
    lines=st.lists(st.binary(max_size=20).filter(lambda line: b"\r" not in line and b"\n" not in line), max_size=6),
    body=st.binary(max_size=60),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_mending_keeps_the_first_line_the_body_and_every_other_header(lines: list[bytes], body: bytes) -> None:
    head = b"\r\n".join([POST.strip(), *(b"X: " + line for line in lines)])
    after = mended(head + b"\r\n\r\n" + body)
    assert after.startswith(POST.strip())
    assert after.endswith(b"\r\n\r\n" + body)
    assert len(after) == len(head) + 4 + len(body)
    assert after.count(b"\r\n") == (head + b"\r\n\r\n" + body).count(b"\r\n")
