"""A body that is read in one look gives the document that the careful way gives, and no flag."""

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.body import document as body_document
from schemas.body.document import Decoded, ordinary_document
from schemas.body.member_keys import Words, words_of
from schemas.config.limits import DEFAULT, Limits
from schemas.errors import Undecodable
from schemas.vendors import VENDORS
from tests.bench.support.bodies import push_requests

WORDS: Final = words_of({"record": ("id", "to")}, {"cdr": ()}, ("page",), {})
FLAT: Final = words_of({"record": ("id", "to", "应答")}, {}, (), {})
NESTED: Final = words_of({"record": ("id", "to")}, {}, (), {"to": ("number",)})
FEW: Final = Limits(text_chars=60, values=8, elements=2, number_digits=5)
SCALARS: Final = (
    st.none() | st.booleans() | st.integers() | st.sampled_from([0.5, 1.0, 1e300, "", "x", "null", '{"id":1}', "[", "应答", '"'])
)  # fmt: skip
KEYS: Final = st.sampled_from(["id", "to", "page", "cdr", "CDR", " id", "Id", "other", "应答"])
DOCUMENTS: Final = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
ENVELOPES: Final = st.fixed_dictionaries({"cdr": st.lists(DOCUMENTS, max_size=4)})
PIECES: Final = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", '"', "\\", '"id":1', '"id":"x"', '"to":null', '"cdr":[', '{"id":1,"id":1}', "1e999", "9" * 130, "\ud800",
     "\t", "\x00", "\\u0041", '\\"', "应", " ", "\n", "-0", "0.50", "NaN"]
)  # fmt: skip
LABELS: Final = st.sampled_from(["", "utf-8", "UTF8", "gbk", "latin1", "nonsense", "utf-16"])


def carefully(body: bytes, label: str, words: Words, limits: Limits) -> Decoded | None:
    try:
        return body_document._read_text(body, label, words, limits)
    except Undecodable:
        return None


def check(body: bytes, label: str, words: Words, limits: Limits) -> bool:
    """Holds both ways against each other; returns if the body is ordinary."""
    document = ordinary_document(body, label, words, limits)
    if document is None:
        return False
    read = carefully(body, label, words, limits)
    assert read is not None
    assert (repr(document), (), frozenset(), False) == (repr(read.document), read.envelopes, read.flags, read.is_odd)
    assert type(read.document) is dict
    return True


@given(
    DOCUMENTS | ENVELOPES,
    st.booleans(),
    LABELS,
    st.sampled_from([WORDS, FLAT, NESTED]),
    st.sampled_from([DEFAULT, FEW]),
)
@settings(max_examples=400)
def test_documents(document: Any, as_ascii: bool, label: str, words: Words, limits: Limits) -> None:  # noqa: FBT001 - a case
    check(json.dumps(document, ensure_ascii=as_ascii).encode(), label, words, limits)


@given(DOCUMENTS | ENVELOPES, st.data(), LABELS)
@settings(max_examples=400)
def test_damaged_documents(document: Any, data: st.DataObject, label: str) -> None:
    text = json.dumps(document, ensure_ascii=False)
    at = data.draw(st.integers(0, len(text)))
    text = text[:at] + data.draw(PIECES) + text[at + data.draw(st.integers(0, 3)) :]
    body = text.encode(data.draw(st.sampled_from(["utf-8", "gb18030", "utf-16"])), "replace")
    check(body + data.draw(st.sampled_from([b"", b"", b"\xff", b"\xe5\xba"])), label, WORDS, DEFAULT)


@given(st.lists(PIECES, max_size=8).map("".join), LABELS)
@settings(max_examples=400)
def test_anything_like_a_document(text: str, label: str) -> None:
    check(f"{{{text}}}".encode(errors="surrogatepass"), label, WORDS, DEFAULT)


def test_one_element_and_elements_in_their_envelope_are_ordinary() -> None:
    documents: list[dict[str, Any]] = [{"id": "7", "to": None}, {"cdr": [{"id": "7"}, {"to": 8}]}, {"cdr": []}, {}]
    for document in documents:
        assert check(json.dumps(document).encode(), "", WORDS, DEFAULT)
    assert check('{"id":"应答"}'.encode(), "utf-8", WORDS, DEFAULT)


@pytest.mark.parametrize(
    ("body", "label"),
    [
        pytest.param(b'{"id":1,"id":2}', "", id="a key twice"),
        pytest.param(b'{"cdr":[{"id":"x","id":"y"}]}', "", id="a key twice, further in"),
        pytest.param(b'{"id":"\\u0041"}', "", id="an escape"),
        pytest.param(b'{"id":1234567890123456789}', "", id="a long number"),
        pytest.param(b'{"id":{"to":1}}', "", id="an object in a field"),
        pytest.param(b'{"cdr":[{"id":1}],"page":1}', "", id="an envelope with more in it"),
        pytest.param(b'{"cdr":[1]}', "", id="no object in an envelope"),
        pytest.param(b'{"Id":1}', "", id="a key in another spelling"),
        pytest.param('{"id":"应答"}'.encode("gbk"), "gbk", id="another charset"),
        pytest.param('{"id":"应答"}'.encode(), "gbk", id="another charset that is none"),
        pytest.param(b'{"id":"\xff"}', "", id="a bad byte"),
        pytest.param(b'{"id":1,"cdr":"[1]"}', "", id="a key of an envelope in an element"),
        pytest.param(b'{"id":1}{"id":2}', "", id="two documents"),
        pytest.param(b'[{"id":1}]', "", id="a list"),
        pytest.param(b'{"cdr":[%s]}' % b",".join([b"{}"] * (DEFAULT.elements + 1)), "", id="too many elements"),
        pytest.param(b'{"id":"%s"}' % (b"x" * DEFAULT.text_chars), "", id="a long text"),
    ],
)
def test_what_is_not_ordinary_is_left_to_the_careful_way(body: bytes, label: str) -> None:
    assert ordinary_document(body, label, WORDS, DEFAULT) is None


def test_what_lies_in_a_field_is_left_to_the_careful_way() -> None:
    assert ordinary_document(b'{"to":"[1]"}', "", NESTED, DEFAULT) is None


def test_more_values_than_a_body_may_have_are_refused() -> None:
    assert ordinary_document(b'{"id":1,"to":2}', "", WORDS, Limits(values=2)) is None


def test_most_bodies_are_ordinary() -> None:
    requests = push_requests(100, "nxcloud", "ytx")
    words = {vendor: VENDORS[vendor].callbacks[0].words for vendor in ("nxcloud", "ytx")}
    found = [check(request.body, "", words[request.path.split("/")[2]], DEFAULT) for request in requests]
    assert sum(found) > 0.8 * len(found)
