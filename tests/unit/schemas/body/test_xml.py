"""XML to a document: dicts, lists and texts as of JSON, XML's own entities alone, bounds held, typed failures."""

import gc
import gzip
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.body.document import BodyFormat, Decoded, decode, flags_of
from schemas.body.member_keys import Words, words_of
from schemas.config.limits import Limits
from schemas.errors import Undecodable
from schemas.facts import Flag
from schemas.raw import RawCallback

LIMITS = Limits(values=100, nesting=8, elements=10, text_chars=50, key_chars=20, inflate_bytes=64 * 1024)
WORDS = words_of({"record": ("id", "name")}, {"cdr": ()}, (), {})
CALL = "<call><id>7</id><name>医生</name></call>"


def read(body: bytes | str, words: Words = WORDS, body_format: BodyFormat = "xml", **head: Any) -> Decoded:
    raw = RawCallback(
        vendor="v",
        callback="c",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        request_id="r",
        body=body.encode() if isinstance(body, str) else body,
        **head,
    )
    return decode(raw, ("xml",), words, LIMITS, body_format)


def code_of(body: bytes | str, **how: Any) -> str:
    with pytest.raises(Undecodable) as failure:
        read(body, **how)
    return failure.value.code


@pytest.mark.parametrize(
    ("body", "document"),
    [
        pytest.param("<a><id>7</id></a>", {"id": "7"}, id="an element is its text"),
        pytest.param('<a id="7" name="x"/>', {"id": "7", "name": "x"}, id="attributes are keys"),
        pytest.param('<a id="7">hi<name> x </name></a>', {"id": "7", "name": "x", "#text": "hi"}, id="text beside them"),
        pytest.param("<a><leg>1</leg><leg>2</leg><leg>3</leg></a>", {"leg": ["1", "2", "3"]}, id="one name, a list"),
        pytest.param("<a><leg><no>1</no></leg></a>", {"leg": {"no": "1"}}, id="an element in an element"),
        pytest.param("<a><id/></a>", {"id": ""}, id="an empty element"),
        pytest.param("<a><id><![CDATA[<7&]]></id></a>", {"id": "<7&"}, id="CDATA"),
        pytest.param("<a><id>&lt;&amp;&#x37;</id></a>", {"id": "<&7"}, id="XML's own entities"),
        pytest.param('<s:a xmlns:s="urn:x"><s:id s:no="1">7</s:id></s:a>', {"id": {"no": "1", "#text": "7"}}, id="a namespace"),
        pytest.param("<!-- x --><a><?go?><id>7</id></a>\n", {"id": "7"}, id="comments and instructions"),
        pytest.param("<a>7</a>", "7", id="a text alone"),
    ],
)  # fmt: skip
def test_a_document_is_as_of_json(body: str, document: Any) -> None:
    decoded = read(body)
    assert (decoded.document, decoded.flags) == (document, frozenset())


@pytest.mark.parametrize(
    ("body", "head"),
    [
        pytest.param(f'<?xml version="1.0"?>{CALL}'.encode(), {}, id="as it is"),
        pytest.param(b"\xef\xbb\xbf\n" + CALL.encode(), {}, id="a byte order mark"),
        pytest.param(CALL.encode("utf-16"), {}, id="UTF-16"),
        pytest.param(f'<?xml version="1.0" encoding="GBK"?>{CALL}'.encode("gbk"), {}, id="a charset of its own"),
        pytest.param(CALL.encode("gbk"), {"content_type": "text/xml; charset=gbk"}, id="a declared charset"),
        pytest.param(gzip.compress(CALL.encode()), {"content_encoding": "gzip"}, id="gzip"),
        pytest.param(b"xml=" + quote(CALL).encode(), {}, id="in a form"),
        pytest.param(
            '<call id="7" name="医生"/>'.encode(), {"content_type": "application/x-www-form-urlencoded"}, id="called a form"
        ),
    ],
)  # fmt: skip
def test_the_way_it_came_does_not_matter(body: bytes, head: dict[str, Any]) -> None:
    decoded = read(body, **head)
    assert (decoded.document, decoded.flags, decoded.is_odd) == ({"id": "7", "name": "医生"}, frozenset(), False)


def test_elements_stand_in_an_envelope_as_of_json() -> None:
    decoded = read("<cdrs><cdr><ID>1</ID></cdr><cdr><id>2</id></cdr></cdrs>")
    assert decoded.document == {"cdr": [{"id": "1"}, {"id": "2"}]}
    assert [set(flags_of(item)) for item in decoded.document["cdr"]] == [{Flag.KEY_NORMALISED}, set()]


def test_the_roots_name_is_there_for_vendors_that_list_it() -> None:
    words = words_of({"record": ("id",)}, {}, ("#root",), {})
    assert read("<ended><id>1</id></ended>", words).document == {"#root": "ended", "id": "1"}
    assert read("<ended>1</ended>", words).document == {"#root": "ended", "#text": "1"}


def test_an_attribute_beside_a_child_of_its_name_is_kept() -> None:
    document = read('<a id="1"><id>2</id></a>').document
    assert (document, set(flags_of(document))) == ({"id": "2", "id#1": "1"}, {Flag.DUP_KEY})


def test_bad_bytes_are_flagged_and_replaced() -> None:
    body = f"<call><id>7</id><name>{'医生' * 8}".encode() + b"\xff</name></call>"
    document = read(body).document
    assert document["name"] == "医生" * 8 + "\ufffd"
    assert flags_of(document) == {Flag.CHARSET_REPAIRED}


ENTITIES = '<!DOCTYPE a [<!ENTITY x "y">]>'
FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(f"{ENTITIES}<a>&x;</a>", "xml", id="an entity"),
        pytest.param(f"{FILE}<a>&x;</a>", "xml", id="a file"),
        pytest.param('<!DOCTYPE a SYSTEM "http://vendor.example/a.dtd"><a/>', "xml", id="a document type elsewhere"),
        pytest.param("<a>&x;</a>", "xml", id="an entity that nobody declared"),
        pytest.param("<a><b></a>", "xml", id="a wrong end"),
        pytest.param("<a>", "xml", id="no end"),
        pytest.param("<a/><b/>", "xml", id="two roots"),
        pytest.param("<a>\0</a>", "xml", id="a character that XML has not"),
        pytest.param("<s:a/>", "xml", id="an unknown namespace"),
        pytest.param("<a>" * 9 + "</a>" * 9, "limit", id="too many levels"),
        pytest.param("<a>" + "<b/>" * 100 + "</a>", "limit", id="too many values"),
        pytest.param("<a " + " ".join(f'b{n}="1"' for n in range(100)) + "/>", "limit", id="too many attributes"),
        pytest.param("<cdrs>" + "<cdr/>" * 11 + "</cdrs>", "limit", id="too many elements"),
        pytest.param(gzip.compress(b"<a>" + b"x" * 70_000 + b"</a>"), "inflate", id="too much when inflated"),
        pytest.param(" \n", "empty", id="nothing"),
        pytest.param("hello", "json", id="words"),
    ],
)
def test_a_failure_has_its_code(body: bytes | str, code: str) -> None:
    assert code_of(body) == code


def test_texts_and_keys_are_cut_and_flagged() -> None:
    document = read(f"<a><id>{'x' * 60}</id><{'k' * 30}>1</{'k' * 30}></a>").document
    assert (document["id"], document["k" * 20]) == ("x" * 50, "1")
    assert Flag.RANGE_ERROR in flags_of(document)


def test_json_is_read_in_the_place_of_xml_and_xml_never_unasked() -> None:
    assert read('{"id":"7"}').document == {"id": "7"}
    assert code_of(CALL, body_format="json") == "json"
    assert code_of(CALL, body_format="form") == "json"


@given(st.lists(st.sampled_from(["<a>", "</a>", '<b c="1">', "</b>", "x", "&amp;", "<![CDATA[", "]]>", "<!--", "-->", "<?x?>", "\0", "\ud800", "医", "<!DOCTYPE a>", "<"])).map("".join))  # fmt: skip
def test_any_text_is_a_document_or_a_typed_failure(text: str) -> None:
    code = ""
    try:
        read(text.encode("utf-8", "surrogatepass"))
    except Undecodable as exc:
        code = exc.dead_code
    assert code in {"", "xml", "limit", "json", "empty", "charset"}


@pytest.mark.parametrize(
    "body", [CALL, "<a>", f"{ENTITIES}<a/>", "<a>" * 99], ids=["good", "cut off", "refused", "deep"]
)
def test_it_leaves_no_reference_cycles(body: str) -> None:
    gc.collect()
    gc.disable()
    try:
        read(body)
    except Undecodable:
        pass
    finally:
        left = gc.collect()
        gc.enable()
    assert left == 0
