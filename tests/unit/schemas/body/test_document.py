"""Bytes to a document: strict JSON first, flagged repairs after, and everything else a typed failure."""

import gzip
import json
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.body.document import decode, flags_of
from schemas.body.repair import with_commas
from schemas.config.limits import Limits
from schemas.errors import Undecodable
from schemas.facts import Flag
from schemas.raw import RawCallback

CAP_BYTES = 64 * 1024


def read(body: bytes, content_type: str = "", encoding: str = "") -> tuple[Any, set[Flag]]:
    raw = RawCallback(
        vendor="v",
        callback="c",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        request_id="r",
        content_type=content_type,
        content_encoding=encoding,
        body=body,
    )
    decoded = decode(raw, ("cdr", "data"), limits=Limits(inflate_bytes=CAP_BYTES))
    return decoded.document, {*decoded.flags, *flags_of({"": decoded.document})}


def code_of(body: bytes, **how: str) -> str:
    with pytest.raises(Undecodable) as failure:
        read(body, **how)
    return failure.value.code


PLAIN = '{"a":"应答","b":[1,2.50,true,null]}'
DOCUMENT = {"a": "应答", "b": [1, Decimal("2.50"), True, None]}


@pytest.mark.parametrize(
    ("body", "how", "flags"),
    [
        pytest.param(PLAIN.encode(), {}, set(), id="as it is"),
        pytest.param(b"\xef\xbb\xbf" + PLAIN.encode(), {}, set(), id="with a byte order mark"),
        pytest.param(PLAIN.encode("gbk"), {}, {Flag.CHARSET_REPAIRED}, id="in GBK"),
        pytest.param(PLAIN.encode("gb18030"), {}, {Flag.CHARSET_REPAIRED}, id="in GB 18030"),
        pytest.param(PLAIN.encode(), {"content_type": "text/plain"}, set(), id="as plain text"),
        pytest.param(("cdr=" + quote(PLAIN)).encode(), {}, set(), id="form parameter, undeclared"),
        pytest.param(
            ("x=1&data=" + quote_plus(PLAIN)).encode(),
            {"content_type": "application/x-www-form-urlencoded"},
            set(),
            id="second form parameter, declared",
        ),
        pytest.param(
            ("%63dr=" + quote(PLAIN)).encode(),
            {"content_type": "application/x-www-form-urlencoded; charset=utf-8"},
            set(),
            id="form parameter with an encoded name",
        ),
        pytest.param(
            PLAIN.encode(), {"content_type": "application/x-www-form-urlencoded"}, set(), id="JSON declared as a form"
        ),
        pytest.param(
            ("cdr=" + quote(PLAIN.encode("gbk"))).encode(), {}, {Flag.CHARSET_REPAIRED}, id="GBK inside a form"
        ),
        pytest.param(gzip.compress(PLAIN.encode()), {"encoding": "gzip"}, set(), id="gzip"),
        pytest.param(
            gzip.compress(PLAIN[:9].encode()) + gzip.compress(PLAIN[9:].encode()),
            {"encoding": "gzip"},
            set(),
            id="gzip in two members",
        ),
        pytest.param(zlib.compress(PLAIN.encode()), {"encoding": "deflate"}, set(), id="deflate"),
        pytest.param(zlib.compress(PLAIN.encode())[2:-4], {"encoding": "deflate"}, set(), id="deflate without header"),
        pytest.param(PLAIN.encode(), {"encoding": "identity"}, set(), id="identity"),
        pytest.param(PLAIN.replace("]}", ",],}").encode(), {}, {Flag.REPAIRED_JSON}, id="trailing commas"),
        pytest.param(PLAIN.replace('应答",', '应答"').encode(), {}, {Flag.REPAIRED_JSON}, id="missing comma"),
        pytest.param(PLAIN.encode() + b";\0\0\n", {}, {Flag.REPAIRED_JSON}, id="tail of NUL and semicolon"),
        pytest.param(PLAIN.replace('"a"', '" a "').encode(), {}, {Flag.KEY_NORMALISED}, id="spaces around a key"),
    ],
)
def test_a_body_reads_the_same_however_it_is_wrapped(body: bytes, how: dict[str, str], flags: set[Flag]) -> None:
    assert read(body, **how) == (DOCUMENT, flags)


@pytest.mark.parametrize(
    ("body", "document", "flags"),
    [
        pytest.param('{"a":20180635240289460415365120401}', {"a": 20180635240289460415365120401}, set(), id="long id"),
        pytest.param('{"a":0.06}', {"a": Decimal("0.06")}, set(), id="money"),
        pytest.param('{"a":1e999999999999999999999}', {"a": "1e999999999999999999999"}, set(), id="absurd exponent"),
        pytest.param('{"a":' + "9" * 5000 + "}", {"a": "9" * 5000}, set(), id="thousands of digits"),
        pytest.param('{"a":"\\ud800x"}', {"a": "\ufffdx"}, {Flag.REPAIRED_JSON}, id="half a surrogate pair"),
        pytest.param('{"\\udc00":1}', {"\ufffd": 1}, {Flag.REPAIRED_JSON}, id="half a pair in a key"),
        pytest.param('{"a":"\\ud83d\\ude00"}', {"a": "😀"}, set(), id="a whole pair"),
        pytest.param('{"a":1,"a":2}', {"a#1": 1, "a": 2}, {Flag.DUP_KEY}, id="repeated key"),
        pytest.param(
            '{"a":1,"a ":2,"a":3}',
            {"a#1": 1, "a#2": 2, "a": 3},
            {Flag.DUP_KEY, Flag.KEY_NORMALISED},
            id="key repeated with spaces",
        ),
        pytest.param('{"a":"x\ty\n"}', {"a": "x\ty\n"}, {Flag.REPAIRED_JSON}, id="line end inside a text"),
        pytest.param('{"a":"b,}","c":1,}', {"a": "b,}", "c": 1}, {Flag.REPAIRED_JSON}, id="comma inside a text stays"),
        pytest.param("null", None, set(), id="null"),
        pytest.param("42", 42, set(), id="number"),
        pytest.param('"x"', "x", set(), id="text"),
    ],
)
def test_values_are_exact(body: str, document: Any, flags: set[Flag]) -> None:
    assert read(body.encode()) == (document, flags)


def test_an_unencoded_form_value_keeps_its_own_signs() -> None:
    assert read(b'cdr={"a":"x&y=+%41"}&sign=1') == ({"a": "x&y=+%41"}, set())


@pytest.mark.parametrize(
    ("body", "how", "code"),
    [
        pytest.param(b"", {}, "empty", id="no bytes"),
        pytest.param(b" \r\n\t", {}, "empty", id="white space"),
        pytest.param(b"\xef\xbb\xbf", {}, "empty", id="byte order mark alone"),
        pytest.param(gzip.compress(b""), {"encoding": "gzip"}, "empty", id="compressed nothing"),
        pytest.param(b"cdr=", {}, "empty", id="empty form parameter"),
        pytest.param(b"\xff\xff\xff", {}, "charset", id="no charset"),
        pytest.param(b"<html><body>502</body></html>", {}, "json", id="HTML"),
        pytest.param(b'<?xml version="1.0"?><a/>', {}, "json", id="XML"),
        pytest.param(b"hello", {}, "json", id="words"),
        pytest.param(b'{"a":NaN}', {}, "json", id="NaN"),
        pytest.param(b'{"a":-Infinity}', {}, "json", id="Infinity"),
        pytest.param(b'{"a":1', {}, "json", id="cut off"),
        pytest.param(b"other=%7B%7D", {}, "json", id="form without our parameter"),
        pytest.param(b"[" * 100_000, {}, "limit", id="nesting bomb"),
        pytest.param(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, {}, "limit", id="nesting bomb of objects"),
        pytest.param(b'{"x":"\\ud800","a":' + b"[" * 900 + b"]" * 900 + b"}", {}, "limit", id="deep with half a pair"),
        pytest.param(gzip.compress(b" " * (CAP_BYTES + 1)), {"encoding": "gzip"}, "inflate", id="inflate bomb"),
        pytest.param(gzip.compress(PLAIN.encode())[:-9], {"encoding": "gzip"}, "inflate", id="gzip cut off"),
        pytest.param(
            b"\x8b\x02\x80hello\x03", {"encoding": "br"}, "inflate", id="an encoding that is not known, and no text"
        ),
        pytest.param(b"<html/>", {"encoding": "gzip"}, "inflate", id="declared gzip, is neither that nor JSON"),
        pytest.param(b"<html/>", {"encoding": "gbk"}, "json", id="a charset is no encoding that fails"),
        pytest.param(zlib.compress(PLAIN.encode())[:-9], {"encoding": "deflate"}, "inflate", id="deflate cut off"),
        pytest.param(gzip.compress(PLAIN.encode())[:-9], {}, "inflate", id="gzip cut off, not declared"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, how: dict[str, str], code: str) -> None:
    assert code_of(body, **how) == code


def test_a_body_of_exactly_the_cap_is_inflated() -> None:
    body = b'"' + b"x" * (CAP_BYTES - 2) + b'"'
    assert read(gzip.compress(body), encoding="gzip")[0] == "x" * (CAP_BYTES - 2)


def test_a_failure_does_not_quote_the_body() -> None:
    with pytest.raises(Undecodable) as failure:
        read(b'{"tel":"13800138000"')
    assert "138" not in str(failure.value)


TRICKY = [
    r'{"a":"","b":""}',
    r'{"a": "" , "b":["",""," "]}',
    r'{"a":"say \"hi\"","b":"x"}',
    r'{"a":"ends in backslash\\","b":""}',
    r'{"a":"\"\"","b":"c:"}',
    r'{"a":"x\" \"b\":","c":" "}',
    r'["",{"":""}]',
]


@pytest.mark.parametrize("text", TRICKY)
def test_the_comma_repairs_change_no_valid_document(text: str) -> None:
    json.loads(text)
    assert with_commas(text) == text


_TEXTS = st.text(st.sampled_from('a",:\\{}[] \t'), max_size=6)
_DOCUMENTS = st.recursive(
    _TEXTS | st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3)
)


@given(_DOCUMENTS, st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]))
def test_the_comma_repairs_change_no_valid_document_at_all(document: Any, separators: tuple[str, str]) -> None:
    text = json.dumps(document, separators=separators)
    assert with_commas(text) == text


@given(
    st.lists(st.sampled_from(["{", "}", "[", "]", ",", ":", '"', '"a"', '"b c"', "1", "null", " ", "\n"]), max_size=20)
)
def test_commas_are_mended_alike_with_and_without_an_escape_in_front(pieces: list[str]) -> None:
    """A text without one is cut at its quotes, and need not be looked through."""
    text = "".join(pieces)
    escaped = '"\\n"['

    assert with_commas(escaped + text) == escaped + with_commas(text)


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), _TEXTS, st.lists(_TEXTS | st.integers(), max_size=2), st.just({"k": ""})
)


@given(
    st.dictionaries(_TEXTS.filter(lambda name: name == name.strip() and name), _VALUES, min_size=2, max_size=4),
    st.data(),
)
def test_a_missing_comma_is_found_after_any_value(members: dict[str, Any], data: st.DataObject) -> None:
    """It is read at any place of the object, and beside texts that look like commas, keys or brackets."""
    pieces = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members.items()]
    at = data.draw(st.integers(1, len(pieces) - 1))
    broken = "{" + ",".join(pieces[:at]) + data.draw(st.sampled_from(["", " ", "\n"])) + ",".join(pieces[at:]) + "}"
    assert read(broken.encode()) == (members, {Flag.REPAIRED_JSON})


@given(st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate"]))
def test_any_bytes_are_a_document_or_a_typed_failure(body: bytes, encoding: str) -> None:
    code = "none"
    try:
        read(body, encoding=encoding)
    except Undecodable as failure:
        code = failure.code
    assert code in {"none", "empty", "charset", "json", "inflate"}
