"""Any bytes under any headers become facts or dead letters: nothing raises, and no element is lost or made up."""

import gzip
import zlib
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingress.access.request_head import RequestHead
from ingress.http.routes import Router
from processors.normalise import WHOLE_BODY, Directory, normalise
from schemas.body.document import decode
from schemas.codec import FACT
from schemas.config.limits import Limits
from schemas.config.settings import Settings
from schemas.errors import DEAD_CODES, Undecodable
from schemas.raw import Position, RawCallback
from schemas.vendor_kit.contract import Vendor
from schemas.vendors import VENDORS
from tests.golden.cases import all_cases
from tests.support.http.accepting import accept_request

GOLDEN = [case.raw for case in all_cases()]
ROUTER = Router(Settings(), VENDORS)
# Bounds that small bodies reach, too.
LIMITS = Limits(number_digits=20, text_chars=200, key_chars=20, nesting=6, elements=8, values=200, keys=60, inflate_members=3, inflate_bytes=20_000)  # fmt: skip
PUSHED = {vendor.name: vendor for vendor in VENDORS.values() if vendor.poll is None}

_charsets = st.sampled_from(["utf-8", "gbk", "gb18030", "latin-1", "utf-16", "utf-16-le", "utf-32", "big5", "rot13", "zlib", "idna", "?", "utf-7", "undefined"])  # fmt: skip
_content_types = st.one_of(
    st.sampled_from(["", "application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"]),
    _charsets.map(lambda name: f"application/json;charset={name}"),
    st.text(max_size=40),
)  # fmt: skip
_encodings = st.one_of(
    st.lists(st.sampled_from(["gzip", "deflate", "base64", "identity", "utf-8", "br", "GBK", "x-gzip", ""]), max_size=4).map(", ".join),
    st.text(max_size=20),
)  # fmt: skip
_scraps = st.sampled_from(
    [b'"', b"\\", b",", b"{", b"}", b"[", b"]", b":", b"\n", b" ", b"&", b"=", b"%", b"\x00", b"\xff", b"\xe5\xba", b"1e999999999", b"null", b"\\ud800",
     b"cdr=", b"payload=", b'"cdr":', b'"feeLst":', b'{"', b'"}', b"\x1f\x8b", b"x\x9c", b"H4sI", b"9" * 30, b"[" * 10, b"x" * 300, b"#1", "应".encode("gbk"), "\ufeff".encode(), b"\x1e", b"\x01"]
)  # fmt: skip


@st.composite
def bent(draw: st.DrawFn, vendor: str) -> bytes:
    """A golden body, some of its bytes replaced by others."""
    body = bytearray(draw(st.sampled_from([raw.body for raw in GOLDEN if raw.vendor == vendor])))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 4))] = draw(_scraps)
    return bytes(body)


def _recoded(body: bytes, charset: str) -> bytes:
    try:
        return body.decode().encode(charset)
    except (UnicodeError, LookupError):
        return body


@st.composite
def bodies(draw: st.DrawFn, vendor: str) -> bytes:
    body: bytes = draw(
        st.one_of(bent(vendor), bent(vendor), st.binary(max_size=200), st.lists(_scraps, max_size=30).map(b"".join))
    )
    for _ in range(draw(st.integers(0, 2))):
        body = draw(
            st.sampled_from([
                lambda raw: raw, gzip.compress, zlib.compress, lambda raw: zlib.compress(raw)[2:-4], lambda raw: gzip.compress(raw) * 2,
                lambda raw: b"payload=" + quote(raw).encode(), lambda raw: urlencode({"sessionid": raw, "Phone": raw}).encode(),
                lambda raw: raw + b"\n" + raw, lambda raw: raw * 2, lambda raw: b"[" + b",".join([raw] * 9) + b"]",
                lambda raw: msgspec.json.encode(raw.decode("utf-8", "replace")), lambda raw: _recoded(raw, "gbk"), lambda raw: _recoded(raw, "utf-16"),
                lambda raw: b'{"cdr":' + raw + b"}", lambda raw: raw.upper(), lambda raw: raw[: len(raw) // 2],
            ])
        )(body)  # fmt: skip
    return body


def elements_in(vendor: Vendor, raw: RawCallback) -> int | None:
    """Count the elements of a body; None when it cannot be read."""
    (callback,) = vendor.callbacks
    try:
        documents = decode(raw, callback.form_fields, callback.words, LIMITS, callback.body).documents()
        return sum(len(callback.elements(document).items) for document in documents)
    except Undecodable:
        return None


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.name)
def test_every_element_becomes_a_fact_or_a_dead_letter(vendor: Vendor) -> None:
    @settings(suppress_health_check=[HealthCheck.too_slow])
    @given(bodies(vendor.name), _content_types, _encodings)
    def any_body(body: bytes, content_type: str, encoding: str) -> None:
        check(vendor, body, content_type, encoding)

    any_body()


def check(vendor: Vendor, body: bytes, content_type: str, encoding: str) -> None:
    raw = RawCallback(
        vendor=vendor.name,
        callback=vendor.callbacks[0].name,
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        request_id="r",
        content_type=content_type,
        content_encoding=encoding,
        body=body,
    )
    outcome = normalise(raw, Position("calls.raw", 0, 0), Directory(), LIMITS)
    assert {dead_letter.code for dead_letter in outcome.dead} <= DEAD_CODES - {"adapter_bug"}
    whole = [dead_letter for dead_letter in outcome.dead if dead_letter.element == WHOLE_BODY]
    if whole:
        assert (len(outcome.dead), outcome.facts, outcome.filtered) == (1, (), ())
    elif not any(reason.startswith("page_error") for reason in outcome.filtered):
        assert len(outcome.facts) + len(outcome.dead) + len(outcome.filtered) == elements_in(vendor, raw)
    for fact in outcome.facts:
        FACT.encode(fact)
    if vendor.name in PUSHED:
        head = RequestHead(
            method="POST",
            path=f"/v1/{vendor.name}{vendor.callbacks[0].path}",
            content_type=content_type,
            content_encoding=encoding,
        )
        taken = accept_request(ROUTER, head, body, now=raw.received_at, request_id="r")
        assert taken.raw.body == body
