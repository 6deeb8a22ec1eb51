"""The record of `calls.raw`: a vendor's body as value, byte for byte, and the rest as headers (guarantee 2)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, get_args

import msgspec

Source = Literal["push", "poll", "backfill", "file_cdr"]
Headers = list[tuple[str, bytes]]

_TEXT_HEADERS: Final = (
    "vendor",
    "callback",
    "account",
    "request_id",
    "content_type",
    "content_encoding",
    "source",
    "replay_of",
)
_SOURCES: Final = get_args(Source)
_MOST_KNOWN: Final = 256
_KNOWN_BYTES: Final = 64
_MS_DIGITS: Final = 14
"""Epoch milliseconds with so many digits reach the year 5138."""
_LATEST_MS: Final = 10**_MS_DIGITS - 1
_FAR_MS: Final = 1 << 42
"""A millisecond from which on its seconds, as a number with a point, may be another microsecond: in 2109."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Position(msgspec.Struct, frozen=True, order=True, gc=False):
    """A record's position in a topic."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class RawCallback(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One accepted request or pulled page; `body` is byte for byte as received."""

    vendor: str
    callback: str
    account: str = ""
    """The configured account that the URL names; "" when none is configured."""
    received_at: datetime
    request_id: str
    content_type: str = ""
    content_encoding: str = ""
    """The encoding "gzip" or "deflate" of a body that is still compressed, as it was on the wire."""
    source: Source = "push"
    replay_of: str = ""
    """The position of the dead letter's origin when this is a replay."""
    body: bytes

    def headers(self) -> Headers:
        """Returns the Kafka headers; `received_at` is epoch milliseconds in decimal digits."""
        head = [(name, _bytes(text)) for name in _TEXT_HEADERS if (text := getattr(self, name))]
        return [*head, ("received_at", str(int(self.received_at.timestamp() * 1000)).encode())]


def raw_from_kafka(value: bytes | None, headers: Iterable[tuple[str, bytes | None]], timestamp_ms: int) -> RawCallback:
    """Returns the raw callback of a Kafka record; without a readable `received_at` its timestamp (ms) is used."""
    get = dict(headers).get  # of a name that comes twice the last counts; Kafka allows null as a header
    known = _KNOWN
    source = known[get("source") or b""]
    request_id = get("request_id")
    return RawCallback(
        vendor=known[get("vendor") or b""],
        callback=known[get("callback") or b""],
        account=known[get("account") or b""],
        received_at=_STAMPS[get("received_at") or b""] or _instant(timestamp_ms),
        request_id=request_id.decode("utf-8", "replace") if request_id else "",
        content_type=known[get("content_type") or b""],
        content_encoding=_text(encoding) if (encoding := get("content_encoding")) else "",
        source=source if source in _SOURCES else "push",  # type: ignore[arg-type]  # narrowed by the test
        replay_of=_text(replayed) if (replayed := get("replay_of")) else "",
        body=value or b"",
    )


def _text(raw: bytes | None) -> str:
    """Returns a header as text; bytes that are no UTF-8 are replaced, as it goes into dead letters and rows."""
    return raw.decode("utf-8", "replace") if raw else ""


class _Known(dict[bytes, str]):
    """Headers that nearly all records have alike, as text; forgotten when they are many, as anybody may write some."""

    def __missing__(self, raw: bytes) -> str:
        text = _text(raw)
        if len(raw) <= _KNOWN_BYTES:
            if len(self) >= _MOST_KNOWN:
                self.clear()
            self[raw] = text
        return text


_KNOWN: Final = _Known()


class _Stamps(dict[bytes, datetime | None]):
    """Times of receipt as instants, None for what is none: many pushes come in one millisecond. Forgotten likewise."""

    def __missing__(self, raw: bytes) -> datetime | None:
        text = _text(raw)
        at = _instant(int(text)) if _is_ms(text) else None
        if len(raw) <= _KNOWN_BYTES:
            if len(self) >= _MOST_KNOWN:
                self.clear()
            self[raw] = at
        return at


_STAMPS: Final = _Stamps()


def _bytes(text: str) -> bytes:
    """Returns a header's original bytes; HTTP servers hold bytes that are no UTF-8 as lone surrogates."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate of no byte
        return text.encode("utf-8", "replace")


def _instant(ms: int) -> datetime:
    if 0 <= ms < _FAR_MS:
        return _EPOCH + timedelta(0, 0, 0, ms)
    return datetime.fromtimestamp(min(max(ms, 0), _LATEST_MS) / 1000, UTC)


def _is_ms(text: str) -> bool:
    """True for epoch milliseconds that are a date; another program may have written the header."""
    return text.isdecimal() and len(text) <= _MS_DIGITS
