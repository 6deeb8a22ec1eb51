"""The cheap look at a body finds a member in every spelling that the decoder takes, and is quick with any bytes."""

import time

import pytest

from schemas.body.peek import peek_text


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
    took = []
    for _ in range(3):
        began = time.thread_time()
        peek_text(body, "callId")
        took.append(time.thread_time() - began)
    assert min(took) < 0.05
