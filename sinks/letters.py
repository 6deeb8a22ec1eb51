"""The dead letter of a record that the sink cannot use. Pure.

Its time is the record's own, so the same record makes the same letter whenever it is met.
"""

from datetime import UTC, datetime
from typing import Final, Literal

from schemas.deadletter import DeadLetter, hash_of
from schemas.topics import DEAD
from sinks.batch import Origin

KEY_HEADER: Final = "kafka_key"
"""Header of a letter of ours: the key of the record, which a compacted topic asks for when it is sent again."""
_DETAIL_CHARS: Final = 500


def letter_of(origin: Origin, code: Literal["schema", "row"], detail: str) -> DeadLetter:
    """The letter, with the record's bytes."""
    headers = {name: value.decode("utf-8", "replace") for name, value in origin.headers}
    if origin.key is not None:
        headers[KEY_HEADER] = origin.key.decode("utf-8", "replace")
    position = origin.position
    return DeadLetter(
        stage="sink",
        code=code,
        detail=detail[:_DETAIL_CHARS],
        vendor=_vendor(headers),
        callback=headers.get("callback", ""),
        account=headers.get("account", ""),
        topic=position.topic,
        partition=position.partition,
        offset=position.offset,
        original=origin.value,
        headers=headers,
        occurred_at=datetime.fromtimestamp(origin.timestamp_ms / 1000, UTC),
        origin_hash=hash_of(origin.value),
    )


def belongs_on_topic(letter: DeadLetter) -> bool:
    """Whether the letter may be published: one about `calls.dead` itself would come back for ever."""
    return letter.topic != DEAD.name


def _vendor(headers: dict[str, str]) -> str:
    """The vendor, as far as header or key tell: keys are `vendor|account|call id`."""
    named = headers.get("vendor") or headers.get(KEY_HEADER, "").split("|")[0]
    return named if named.isidentifier() else ""
