"""Records of `calls.raw`: headers come back as they were written, and no header can stop the reader."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.raw import Headers, RawCallback, raw_from_kafka

STAMP_MS = 1_700_000_000_123
AT = datetime.fromtimestamp(STAMP_MS / 1000, UTC)
FULL = RawCallback(
    vendor="acme",
    callback="cdr",
    account="main",
    received_at=AT,
    request_id="r-1",
    content_type="application/json; charset=utf-8",
    content_encoding="gzip",
    source="poll",
    replay_of="calls.raw/3/77",
    body=b"\x1f\x8b\x00",
)


def test_what_is_written_is_read_back() -> None:
    """The header holds milliseconds."""
    assert raw_from_kafka(FULL.body, FULL.headers(), 0) == FULL


def test_what_is_not_known_has_no_header() -> None:
    plain = RawCallback(vendor="acme", callback="cdr", received_at=AT, request_id="r-1", body=b"")

    assert dict(plain.headers()) == {
        "vendor": b"acme",
        "callback": b"cdr",
        "request_id": b"r-1",
        "source": b"push",
        "received_at": b"1700000000123",
    }


@pytest.mark.parametrize(
    "stamp",
    [
        pytest.param(None, id="missing"),
        pytest.param(b"", id="empty"),
        pytest.param(b"yesterday", id="words"),
        pytest.param(b"-5", id="before 1970"),
        pytest.param(b"1.5", id="a fraction"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"1700000000123456789", id="nanoseconds"),
        pytest.param(b"9" * 5000, id="thousands of digits"),
    ],
)
def test_a_receipt_that_cannot_be_read_is_the_records_own_time(stamp: bytes | None) -> None:
    """A record of another program on the topic must not end the worker again and again."""
    headers: Headers = [("vendor", b"acme")] if stamp is None else [("vendor", b"acme"), ("received_at", stamp)]

    assert raw_from_kafka(b"{}", headers, STAMP_MS).received_at == AT


@pytest.mark.parametrize(
    ("text", "kept", "read"),
    [
        pytest.param("\udcff\udcfe", b"\xff\xfe", "\ufffd\ufffd", id="bytes that are no UTF-8"),
        pytest.param("a\udc80b", b"a\x80b", "a\ufffdb", id="one such byte"),
        pytest.param("\ud83d", b"?", "?", id="half a pair, which stands for no byte"),
        pytest.param("\ud83d\udcff", b"??", "??", id="both"),
        pytest.param("a\x00b\r\n", b"a\x00b\r\n", "a\x00b\r\n", id="control characters"),
        pytest.param("类型", "类型".encode(), "类型", id="UTF-8"),
    ],
)
def test_a_header_keeps_its_bytes_and_is_read_as_text(text: str, kept: bytes, read: str) -> None:
    """Headers go on into dead letters and rows, which hold only text."""
    headers = msgspec.structs.replace(FULL, content_type=text).headers()
    assert dict(headers)["content_type"] == kept
    assert raw_from_kafka(b"", headers, 0).content_type == read


@pytest.mark.parametrize(
    ("timestamp_ms", "at"),
    [
        pytest.param(-1, datetime(1970, 1, 1, tzinfo=UTC), id="no time"),
        pytest.param(-(1 << 63), datetime(1970, 1, 1, tzinfo=UTC), id="the lowest"),
        pytest.param((1 << 63) - 1, datetime.fromtimestamp(99_999_999_999.999, UTC), id="the highest"),
    ],
)
def test_a_time_that_no_calendar_has_is_the_nearest_one(timestamp_ms: int, at: datetime) -> None:
    assert raw_from_kafka(b"", [], timestamp_ms).received_at.replace(microsecond=0) == at.replace(microsecond=0)


@given(
    st.lists(st.tuples(st.sampled_from(["vendor", "received_at", "source", "x"]), st.none() | st.binary(max_size=30))),
    st.none() | st.binary(max_size=30),
)
def test_any_record_can_be_read(headers: list[tuple[str, bytes | None]], value: bytes | None) -> None:
    """Kafka allows null as a header."""
    assert raw_from_kafka(value, headers, STAMP_MS).body == (value or b"")
