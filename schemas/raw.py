"""What a vendor sent, untouched, as it stands on `calls.raw`: the body as value, the rest as headers."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

Source = Literal["push", "poll", "backfill"]
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
_MS_DIGITS: Final = 14
"""Up to the year 5138."""
_LATEST_MS: Final = 10**_MS_DIGITS - 1


class Position(msgspec.Struct, frozen=True, order=True):
    """A record's place in a topic."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class RawCallback(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted request or pulled page; `body` is byte for byte what came."""

    vendor: str
    callback: str
    account: str = ""
    """The configured account that the URL named; "" when none is configured."""
    received_at: datetime
    request_id: str
    content_type: str = ""
    content_encoding: str = ""
    """"gzip" or "deflate" when `body` is still compressed, as it was on the wire."""
    source: Source = "push"
    replay_of: str = ""
    """The position of the dead letter's origin when this body is sent again."""
    body: bytes

    def headers(self) -> Headers:
        """Kafka headers of `calls.raw`; `received_at` is epoch milliseconds in decimal."""
        head = [(name, _bytes(getattr(self, name))) for name in _TEXT_HEADERS if getattr(self, name)]
        return [*head, ("received_at", str(int(self.received_at.timestamp() * 1000)).encode())]


def raw_from_kafka(value: bytes | None, headers: Iterable[tuple[str, bytes | None]], timestamp_ms: int) -> RawCallback:
    """Read a record of `calls.raw`; without a readable `received_at` the record's own timestamp (ms) stands for it."""
    # What is no UTF-8 is replaced: these texts go on into letters and rows, which must be text. Kafka allows a header of null.
    text: Mapping[str, str] = {name: (raw or b"").decode("utf-8", "replace") for name, raw in headers}
    stamp = text.get("received_at", "")
    source = text.get("source", "push")
    return RawCallback(
        vendor=text.get("vendor", ""),
        callback=text.get("callback", ""),
        account=text.get("account", ""),
        received_at=_instant(int(stamp) if _is_ms(stamp) else timestamp_ms),
        request_id=text.get("request_id", ""),
        content_type=text.get("content_type", ""),
        content_encoding=text.get("content_encoding", ""),
        source=source if source in ("push", "poll", "backfill") else "push",  # type: ignore[arg-type]  # narrowed by the test
        replay_of=text.get("replay_of", ""),
        body=value or b"",
    )


def _bytes(text: str) -> bytes:
    """The bytes that a header came as: servers hold those that are no UTF-8 as lone surrogates."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return text.encode("utf-8", "replace")


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(min(max(ms, 0), _LATEST_MS) / 1000, UTC)


def _is_ms(text: str) -> bool:
    """Epoch milliseconds that are a date: some other program may have written the header."""
    return text.isdecimal() and len(text) <= _MS_DIGITS
