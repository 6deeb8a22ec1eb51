"""The quick reader of JSON gives what the careful one gives, or leaves the text to it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.body import json_text
from schemas.body.plain_json import read_plain
from tests.bench.support.bodies import push_requests

DIGITS = 128
TEXTS = st.text(max_size=8) | st.sampled_from(
    ["", "a", "a:b", '"', '\\"', "\\", "呼叫", "2026-03-01 15:59:26", "\ud800", "\u2028"]
)
NUMBERS = st.integers() | st.integers(-(10**40), 10**40) | st.decimals(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
WORDS = st.sampled_from(
    ['"a":1', '"b"', ",", ":", "{", "}", "[", "]", "1", "-0", "1.50", "1e5", "1E400", "0.0", "-0.0", "12345678901234567890", "true", "null",
     '"\\u0022"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\/"', '"\\\\"', '"\t"', "NaN", "Infinity", "-", "01", "1.", ".5", " ", "\n", "\ufeff", "\x00",
     '{"a":1,"a":2}', '{"a":"","a":""}', '{"a":{"a":1}}', "9" * 130, "1." + "9" * 130, "1e127", "1e128", "\udc80"]
)  # fmt: skip


def written(document: Any) -> str:
    """Returns JSON with decimals as numbers, and letters of other scripts as they are."""
    return json.dumps(document, ensure_ascii=False, default=float)


def carefully(text: str, digits: int = DIGITS) -> str:
    """Returns the careful reader's document as text with every type in it, or that it refuses the text."""
    try:
        document = json_text._decoder(digits, True).decode(text)
    except ValueError:
        return "refused"
    return f"{type(document).__name__} {document!r}"


def check(text: str, digits: int = DIGITS) -> bool:
    """Holds both readers against each other; returns if the quick one read the text."""
    document = read_plain(text, digits)
    if document is None:
        return False
    assert f"{type(document).__name__} {document!r}" == carefully(text, digits)
    return True


@given(DOCUMENTS.map(written), st.sampled_from([1, 2, 5, DIGITS]))
def test_written_json_is_read_as_by_the_careful_reader(text: str, digits: int) -> None:
    check(text, digits)


@given(st.lists(WORDS, max_size=8).map("".join))
def test_anything_like_json_is_read_as_by_the_careful_reader(text: str) -> None:
    check(text)


@given(DOCUMENTS.map(written), st.data())
def test_damaged_json_is_read_as_by_the_careful_reader(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    check(text[:at] + data.draw(WORDS) + text[at + data.draw(st.integers(0, 3)) :])


@given(st.lists(st.tuples(TEXTS, st.integers(0, 9) | TEXTS), max_size=5))
def test_a_key_that_comes_twice_is_never_hidden(pairs: list[tuple[str, Any]]) -> None:
    text = "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs) + "}"
    assert not check(text) or len({name for name, _ in pairs}) == len(pairs)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a":"x","a":"y"}', id="a key twice"),
        pytest.param('{"a":"x","\\u0061":"y"}', id="a key twice, once escaped"),
        pytest.param('[{"a":{"b":1,"b":1}}]', id="a key twice, further in"),
        pytest.param('{"a":"\\\\"}', id="a backslash"),
        pytest.param('{"a":12345678901234567890}', id="a long number"),
        pytest.param('{"a":1e999}', id="a large exponent"),
        pytest.param("[" * 12 + "]" * 12, id="many levels"),
        pytest.param('{"a":1,}', id="a comma too many"),
        pytest.param("null", id="nothing"),
    ],
)
def test_what_is_not_ordinary_is_left_to_the_careful_reader(text: str) -> None:
    assert read_plain(text, DIGITS) is None


def test_ordinary_bodies_are_read_quickly() -> None:
    requests = push_requests(100, "nxcloud", "ytx", "huawei")
    assert sum(check(request.body.decode(errors="replace")) for request in requests) > 0.8 * len(requests)
