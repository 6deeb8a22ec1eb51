"""The dead letter of a record that the sink cannot use. Pure.

Its time is the record's own, so the same record makes the same letter whenever it is met.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from schemas.dead_letter import DeadLetter, hash_of, without_original
from schemas.facts import EPOCH
from schemas.topics import DEAD
from sinks.flush.batch import Origin

KEY_HEADER: Final = "kafka_key"
"""Header of a letter of ours: the key of the record, which a compacted topic asks for when it is sent again."""
_DETAIL_CHARS: Final = 500
_NAME_CHARS: Final = 256
_LATEST: Final = datetime(2299, 12, 31, tzinfo=UTC)
"""Of the table's clock."""

SinkCode = Literal["schema", "row", "internal"]


def letter_of(origin: Origin, code: SinkCode, detail: str) -> DeadLetter:
    """The letter, with the record's bytes; made of any record whatever."""
    # A header's value may be null in Kafka.
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in origin.headers}
    if origin.key is not None:
        headers[KEY_HEADER] = origin.key.decode("utf-8", "replace")
    position, at = origin.position, _instant(origin.timestamp_ms)
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
        original=origin.value,
        headers=headers,
        occurred_at=at,
        origin_hash=hash_of(origin.value, at),
    )


def without_headers(letter: DeadLetter) -> DeadLetter:
    """The same letter for where not even its headers fit, or cannot be written: its position names the rest."""
    return msgspec.structs.replace(without_original(letter), headers={})


def _instant(timestamp_ms: int) -> datetime:
    """The record's own time, which its producer may have set to anything, as far as the table's clock goes."""
    try:
        return min(max(EPOCH + timedelta(milliseconds=timestamp_ms), EPOCH), _LATEST)
    except OverflowError:
        return _LATEST if timestamp_ms > 0 else EPOCH


def belongs_on_topic(letter: DeadLetter) -> bool:
    """Whether the letter may be published: one about `calls.dead` itself would come back for ever."""
    return letter.topic != DEAD.name


def _vendor(headers: dict[str, str]) -> str:
    """The vendor, as far as header or key tell: keys are `vendor|account|call id`."""
    named = headers.get("vendor") or headers.get(KEY_HEADER, "").split("|")[0]
    return named if named.isidentifier() and len(named) <= _NAME_CHARS else ""
