"""The dead letter of a record that the sink cannot use. Pure.

Its time is the record's own, so that the same record makes the same dead letter each time it is read.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from schemas.dead_letter import DeadLetter, hash_of, without_original
from schemas.facts import EPOCH
from schemas.topics import DEAD
from sinks.flush.batch import Origin

KEY_HEADER: Final = "kafka_key"
"""Header with the record's key, which a compacted topic needs when the record is sent again."""
_DETAIL_CHARS: Final = 500
_NAME_CHARS: Final = 256
_LATEST: Final = datetime(2299, 12, 31, tzinfo=UTC)
"""The latest instant that the table's column holds."""

SinkCode = Literal["schema", "row", "internal"]


def dead_letter_of(origin: Origin, code: SinkCode, detail: str) -> DeadLetter:
    """Returns the dead letter of any record, with the record's bytes."""
    # A header's value may be null in Kafka.
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in origin.headers}
    if origin.key is not None:
        headers[KEY_HEADER] = origin.key.decode("utf-8", "replace")
    position, at, value = origin.position, _instant(origin.timestamp_ms), origin.value or b""
    return DeadLetter(
        stage="sink",
        code=code,
        detail=detail[:_DETAIL_CHARS],
        vendor=_vendor(headers),
        callback=headers.get("callback", "")[:_NAME_CHARS],
        account=headers.get("account", "")[:_NAME_CHARS],
        topic=position.topic,
        partition=position.partition,
        offset=position.offset,
        original=value,
        headers=headers,
        occurred_at=at,
        origin_hash=hash_of(value, at),
    )


def without_headers(dead_letter: DeadLetter) -> DeadLetter:
    """Returns the dead letter without bytes and headers, for where these do not fit or cannot be written."""
    return msgspec.structs.replace(without_original(dead_letter), headers={})


def _instant(timestamp_ms: int) -> datetime:
    """Returns the record's own time, which its producer may have set to anything, within the bounds of the column."""
    try:
        return min(max(EPOCH + timedelta(milliseconds=timestamp_ms), EPOCH), _LATEST)
    except OverflowError:
        return _LATEST if timestamp_ms > 0 else EPOCH


def belongs_on_topic(dead_letter: DeadLetter) -> bool:
    """True when it may be published: one about a record of `calls.dead` would come back for ever."""
    return dead_letter.topic != DEAD.name


def _vendor(headers: dict[str, str]) -> str:
    """Returns the vendor of the header or of the key `vendor|account|call id`, "" where neither has one."""
    named = headers.get("vendor") or headers.get(KEY_HEADER, "").split("|")[0]
    return named if named.isidentifier() and len(named) <= _NAME_CHARS else ""
