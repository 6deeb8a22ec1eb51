"""The cheap look at a body finds a member in every spelling that the decoder takes, and is quick with any bytes."""

import time
from collections.abc import Callable

import pytest

from schemas.body.peek import peek_form, peek_text, peek_xml


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        pytest.param('{"callId":"x"}', "x", id="as it is"),
        pytest.param('{" callId ":"x"}', "x", id="spaces around it"),
        pytest.param('{"CALLID" : "x"}', "x", id="another case"),
        pytest.param('{"\ufeffcallid\u3000":"x"}', "x", id="a mark and a space of another script"),
        pytest.param('{"callId\\t":"x"}', "x", id="an escaped tab"),
        pytest.param('{"CallId":"first","callId":"x"}', "x", id="the exact one before another case"),
        pytest.param('{"CallId":20180635240289460415365120401}', "20180635240289460415365120401", id="a long number"),
        pytest.param('{"myCallId":"y"}', "", id="a longer key"),
        pytest.param('{"call Id":"y"}', "", id="a space inside"),
        pytest.param('{"callId":null}', "", id="null"),
    ],
)
def test_a_member_is_seen_in_any_spelling(body: str, seen: str) -> None:
    assert peek_text(body.encode(), "callId") == seen


@pytest.mark.parametrize(
    "piece",
    ['"', '" ', '"callId', '"callId"', '"callId":', '"callId":"', '"callId":"\\', '"callid":1.', '"callId":"x', "\\t", "callId", '"\\t', "\u00a0"],
)  # fmt: skip
def test_looking_is_quick(piece: str) -> None:
    body = b'"' + piece.encode() * (1_000_000 // len(piece)) + b"callId"
    assert took_s(peek_text, body) < 0.05


def took_s(peek: Callable[[bytes, str], str], body: bytes) -> float:
    """Returns the best of three times in seconds."""
    took = []
    for _ in range(3):
        began = time.thread_time()
        peek(body, "callId")
        took.append(time.thread_time() - began)
    return min(took)


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        pytest.param("callId=x", "x", id="alone"),
        pytest.param("a=1&callId=x&b=2", "x", id="among others"),
        pytest.param("a=1&CALLID=x", "x", id="another case"),
        pytest.param("callId=a%20%E5%8C%BB+b", "a 医 b", id="percent signs"),
        pytest.param("callId=%D2%BD%C9%FA", "医生", id="GB 18030"),
        pytest.param("callId=&callId=x", "", id="blank"),
        pytest.param("callId=null", "", id="null"),
        pytest.param("mycallId=x&callIdx=y", "", id="longer names"),
        pytest.param('{"callId":"x"}', "", id="JSON"),
    ],
)
def test_a_parameter_is_seen(body: str, seen: str) -> None:
    assert peek_form(body.encode(), "callId") == seen


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        pytest.param("<a><callId>x</callId></a>", "x", id="an element"),
        pytest.param('<a><callId no="1"> x </callId></a>', "x", id="with an attribute"),
        pytest.param("<a><n:callId>x</n:callId></a>", "x", id="with a prefix"),
        pytest.param("<a><callId><![CDATA[x]]></callId></a>", "x", id="CDATA"),
        pytest.param('<a n="1" callId="x"/>', "x", id="an attribute"),
        pytest.param("<a callId='&lt;x&amp;'/>", "<x&", id="an attribute with entities"),
        pytest.param("<a><callId></callId></a>", "", id="blank"),
        pytest.param("<a><callId/></a>", "", id="empty"),
        pytest.param("<a><mycallId>x</mycallId></a>", "", id="a longer name"),
        pytest.param('{"callId":"x"}', "", id="JSON"),
    ],
)
def test_an_element_or_attribute_is_seen(body: str, seen: str) -> None:
    assert peek_xml(body.encode(), "callId") == seen


@pytest.mark.parametrize(
    "piece",
    ["&", "& ", "callId", "&callId", "&callId ", "&callId=", "<", "<callId>", "<callId> ", " callId=", " callId ", "<a:", "<callId ", "<callId><![CDATA["],
)  # fmt: skip
def test_looking_into_forms_and_xml_is_quick(piece: str) -> None:
    body = piece.encode() * (1_000_000 // len(piece)) + b"callId"
    spaces = piece.encode() + b" " * 1_000_000
    assert max(took_s(peek, each) for peek in (peek_form, peek_xml) for each in (body, spaces)) < 0.05
