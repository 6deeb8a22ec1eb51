"""Bodies of vendors that document a flat form: each parameter is a field, and the form itself is no oddity."""

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.body.document import decode, flags_of
from schemas.body.member_keys import words_of
from schemas.config.limits import Limits
from schemas.errors import Undecodable
from schemas.facts import Flag
from schemas.raw import RawCallback

WORDS = words_of({"record": ("call_id", "name")}, {}, (), {})
LIMITS = Limits(keys=4, text_chars=20)


def read(body: bytes, content_type: str = "application/x-www-form-urlencoded") -> tuple[Any, set[Flag]]:
    raw = RawCallback(
        vendor="v",
        callback="c",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        request_id="r",
        content_type=content_type,
        body=body,
    )
    decoded = decode(raw, ("data",), WORDS, LIMITS, "form")
    return decoded.document, {*decoded.flags, *flags_of(decoded.document)}


@pytest.mark.parametrize(
    ("body", "document", "flags"),
    [
        pytest.param(b"call_id=7&name=%E5%8C%BB+%E7%94%9F", {"call_id": "7", "name": "医 生"}, set(), id="a form"),
        pytest.param(b"CALL_ID=7", {"call_id": "7"}, {Flag.KEY_NORMALISED}, id="a key in another case"),
        pytest.param(b"call_id=1&call_id=7", {"call_id": "7", "call_id#1": "1"}, {Flag.DUP_KEY}, id="a key twice"),
        pytest.param(b"call_id=7&name=", {"call_id": "7", "name": ""}, set(), id="a blank"),
        pytest.param(b"\xef\xbb\xbfcall_id=7", {"call_id": "7"}, set(), id="a byte order mark"),
        pytest.param(b"call_id=7&name=" + b"x" * 30, {"call_id": "7", "name": "x" * 20}, {Flag.RANGE_ERROR}, id="a long text"),
        pytest.param(b"call_id=7&a=1&b=2&c=3&d=4", {"call_id": "7", "a": "1", "b": "2", "c": "3"}, set(), id="more keys than are read"),
        pytest.param(b'{"call_id":7}', {"call_id": 7}, set(), id="JSON in its place"),
        pytest.param(b"data=%7B%22call_id%22%3A7%7D", {"call_id": 7}, set(), id="JSON in a parameter"),
        pytest.param(b"call_id=%D2%BD%C9%FA", {"call_id": "医生"}, {Flag.CHARSET_REPAIRED}, id="GB 18030"),
    ],
)  # fmt: skip
def test_a_form_is_an_element(body: bytes, document: Any, flags: set[Flag]) -> None:
    assert read(body) == (document, flags)


def test_a_form_needs_no_content_type() -> None:
    assert read(b"call_id=7", "")[0] == {"call_id": "7"}


def test_a_form_without_a_field_of_the_vendors_is_none() -> None:
    with pytest.raises(Undecodable, match="not JSON") as failure:
        read(b"other=7")
    assert failure.value.dead_code == "json"
