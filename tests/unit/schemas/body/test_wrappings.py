"""Bodies in encodings and wrappings, and pages that were cut."""

import base64
import gzip
import zlib
from urllib.parse import quote, quote_plus, urlencode

import pytest

from schemas.facts import Flag
from tests.support.payloads.huawei_elements import CALL, FEE
from tests.support.payloads.ytx_elements import CONFERENCE, STATE, TWO_WAY, VOICE
from tests.unit.schemas.body.reading import (
    BODY,
    FORM,
    NX,
    TC,
    K,
    R,
    of_form,
    renamed,
    sent,
    text,
    written,
)

RAW_DEFLATE = zlib.compress(BODY)[2:-4]


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        pytest.param(BODY, "utf-8", id="K8 a charset as encoding"),
        pytest.param(BODY, "UTF8", id="written otherwise"),
        pytest.param(BODY.decode().encode("gbk"), "GBK", id="another charset as encoding"),
        pytest.param(BODY, "gzip", id="K8 gzip declared, plain sent"),
        pytest.param(BODY, "deflate", id="deflate declared, plain sent"),
        pytest.param(BODY, "gzip, deflate", id="both declared, plain sent"),
        pytest.param(BODY, "br", id="Brotli declared, plain sent"),
        pytest.param(BODY, "base64", id="Base64 declared, plain sent"),
        pytest.param(BODY, "aws-chunked", id="another word declared"),
        pytest.param(gzip.compress(BODY), "", id="K8 gzip that is not declared"),
        pytest.param(zlib.compress(BODY), "", id="zlib that is not declared"),
        pytest.param(gzip.compress(BODY), "deflate", id="deflate declared, gzip sent"),
        pytest.param(zlib.compress(BODY), "gzip", id="gzip declared, zlib sent"),
        pytest.param(RAW_DEFLATE, "deflate", id="deflate without its header"),
        pytest.param(gzip.compress(gzip.compress(BODY)), "gzip", id="gzip twice, declared once"),
        pytest.param(zlib.compress(gzip.compress(BODY)), "gzip, deflate", id="both, as declared"),
        pytest.param(gzip.compress(BODY), "gzip, utf-8", id="gzip and a charset"),
        pytest.param(base64.b64encode(gzip.compress(BODY)), "", id="gzip in Base64 that is not declared"),
        pytest.param(gzip.compress(BODY[:99]) + gzip.compress(BODY[99:]) + b"\0\0", "gzip", id="gzip in two members, padded"),
    ],
)  # fmt: skip
def test_a_content_encoding_is_a_hint(body: bytes, encoding: str) -> None:
    (fact,) = sent("nxcloud", body, content_encoding=encoding).facts
    assert (fact.vendor_call_id, fact.agent_name) == (NX["sessionid"], "医生")
    assert of_form(fact) == set()


TWO = [NX, {**NX, "sessionid": "other"}]
FLAT = {name: str(value) for name, value in NX.items()}


@pytest.mark.parametrize(
    ("body", "content_type", "count", "flags"),
    [
        pytest.param(written(text(NX)), "", 1, {R}, id="K9 a JSON text of JSON"),
        pytest.param(written(text(text(NX))), "", 1, {R}, id="twice"),
        pytest.param(written(text(TWO)), "", 2, {R}, id="a JSON text of a list"),
        pytest.param(written([text(NX), text(TWO[1])]), "", 2, {R}, id="a list of JSON texts"),
        pytest.param(urlencode(FLAT).encode(), FORM, 1, {R}, id="K9 a flat form"),
        pytest.param(urlencode(FLAT).encode(), "", 1, {R}, id="a flat form that is not declared"),
        pytest.param(urlencode({**FLAT, "mobile_name": "医生"}).encode(), FORM, 1, {R}, id="a flat form with foreign letters"),
        pytest.param(urlencode({**FLAT, "mobile_name": "张先生"}, encoding="gbk").encode(), FORM + ";charset=gbk", 1, {R}, id="a flat form in GBK"),
        pytest.param(urlencode(renamed(FLAT, sessionid="SessionId")).encode(), FORM, 1, {R, K}, id="a flat form with a key in another case"),
        pytest.param(b"payload=" + quote(text(NX)).encode(), "", 1, set(), id="K9 payload="),
        pytest.param(b"json=" + quote_plus(text(NX)).encode(), FORM, 1, set(), id="json="),
        pytest.param(b"x=1&data=" + quote(text(TWO)).encode(), FORM, 2, set(), id="data= after another one"),
        pytest.param(b"cdr=" + quote(text(NX)).encode(), "", 1, set(), id="cdr="),
        pytest.param(b"Payload=" + quote(text(NX)).encode(), FORM, 1, set(), id="a parameter in another case"),
        pytest.param(b"payload=" + quote(text(text(NX))).encode(), FORM, 1, {R}, id="payload= with a JSON text of JSON"),
        pytest.param(b"\n".join(map(written, TWO)), "", 2, {R}, id="K9 NDJSON"),
        pytest.param(b"\r\n".join(map(written, TWO)) + b"\r\n\r\n", "application/x-ndjson", 2, {R}, id="NDJSON with empty lines"),
        pytest.param(b"".join(map(written, TWO)), "", 2, {R}, id="documents without anything between them"),
        pytest.param(b",\n".join(map(written, TWO)), "", 2, {R}, id="documents with commas between them"),
        pytest.param(b"[" + b" ".join(map(written, TWO)) + b"]", "", 2, {R}, id="a list without its commas"),
    ],
)  # fmt: skip
def test_a_wrapping_is_taken_off(body: bytes, content_type: str, count: int, flags: set[Flag]) -> None:
    facts = sent("nxcloud", body, content_type).facts
    assert [fact.vendor_call_id for fact in facts] == [NX["sessionid"], "other"][:count]
    assert all(fact.billable_s == 3 for fact in facts)
    assert all(of_form(fact) == flags for fact in facts)


@pytest.mark.parametrize(
    ("vendor", "body", "count"),
    [
        pytest.param("ytx", b"\n".join(written({"cdr": [each]}) for each in (TWO_WAY, CONFERENCE)), 2, id="a page of records a line"),
        pytest.param("ytx", b"\n".join(map(written, (TWO_WAY, VOICE, STATE))), 3, id="records and a state, one a line"),
        pytest.param("ytx", urlencode(TWO_WAY).encode(), 1, id="a record as a form"),
        pytest.param("ytx", urlencode(STATE).encode(), 1, id="a state as a form"),
        pytest.param("huawei", urlencode({k: v for k, v in CALL.items() if v is not None}).encode(), 1, id="a row as a form"),
        pytest.param("ytx", written({"cdr": text([TWO_WAY, VOICE])}), 2, id="the records as a JSON text"),
        pytest.param("ytx", written({"cdr": [text(TWO_WAY), text(VOICE)]}), 2, id="each record as a JSON text"),
        pytest.param("huawei", b"\n".join(written({"feeLst": [each]}) for each in (FEE, {**FEE, "sessionId": "o"})), 2, id="a notification a line"),
        pytest.param("huawei", b"\n".join(map(written, (CALL, {**CALL, "sessionId": "s-2"}))), 2, id="a row a line"),
        pytest.param("tencent", written({**TC, "cdr": text(TC["cdr"])}), 1, id="a page's records as a JSON text"),
    ],
)  # fmt: skip
def test_a_wrapping_of_other_vendors_is_taken_off(vendor: str, body: bytes, count: int) -> None:
    outcome = sent(vendor, body)
    assert (len(outcome.facts), outcome.dead) == (count, ())
    assert all(R in of_form(fact) for fact in outcome.facts)


def test_a_broken_line_fails_alone() -> None:
    outcome = sent("nxcloud", b"\n".join((written(NX), b'{"sessionid":"x"', written(TWO[1]))))
    assert [fact.vendor_call_id for fact in outcome.facts] == [NX["sessionid"], "other"]
    assert [(dead.code, dead.element) for dead in outcome.dead] == [("shape", 1)]


def test_a_broken_line_with_a_comma_fails_alone() -> None:
    outcome = sent("nxcloud", b",\n".join((written(NX), b'{"sessionid":"x","code":', written(TWO[1]))))
    assert [fact.vendor_call_id for fact in outcome.facts] == [NX["sessionid"], "other"]
    assert [(dead.code, dead.element) for dead in outcome.dead] == [("shape", 1)]


RECORDS = [written({**TWO_WAY, "requestid": f"r{n}"}) for n in range(5)]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"cdr":[' + b",\n".join(RECORDS), id="at its end"),
        pytest.param(b'{"cdr":[' + b",\n".join(RECORDS) + b",\n", id="before the next record"),
        pytest.param(b'{"cdr":[' + b" , \r\n".join(RECORDS)[:-20], id="in a record"),
        pytest.param(b'{"cdr":[\n' + b",\n".join(RECORDS)[:-20], id="with its head on a line of its own"),
        pytest.param(b"[" + b",\n".join(RECORDS)[:-20], id="a bare list"),
        pytest.param(b'{"cdr":[' + RECORDS[0] + b']}\n{"cdr":[' + b",\n".join(RECORDS[1:])[:-20], id="the second of two pages"),
        pytest.param(b'{"cdr":[' + b",\n".join(RECORDS)[:-20] + b"\x01", id="with a byte that no JSON has"),
    ],
)  # fmt: skip
def test_of_a_page_that_was_cut_no_record_is_taken_for_a_document(body: bytes) -> None:
    """A record a line is not a document a line: the body stays whole, as one dead letter that can be replayed."""
    outcome = sent("ytx", body)
    assert outcome.facts == ()
    assert [dead.code for dead in outcome.dead] == ["json"]
