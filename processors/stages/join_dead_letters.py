"""Dead letters of the joiner: facts that cannot be read or joined, states that cannot be read or carried on. Pure.

Each carries its bytes, so that it can be sent again to its topic once the cause is fixed: a fact is joined then, and a
state is read and merged with the facts that came since.
"""

import hashlib
from datetime import UTC, datetime
from typing import Final

from processors.records import Record, RecordBatch
from processors.store.partition import Stuck
from processors.store.segments import call_of
from schemas.dead_letter import DeadLetter, hash_of
from schemas.errors import DeadCode
from schemas.topics import STATE

_KEY_HEADER: Final = "kafka_key"
"""Header with the record's key, as in the sink's dead letters: a compacted topic needs it when it is sent again."""
_PLACE_BYTES: Final = 7


def fact_dead_letter(batch: RecordBatch, record: Record, code: DeadCode, detail: str, call_key: str = "") -> DeadLetter:
    """Build the dead letter of one record of `calls.facts`; with the record's time, so that all attempts are equal."""
    at = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    return DeadLetter(
        stage="join",
        code=code,
        detail=detail,
        vendor=vendor_of(call_key),
        topic=batch.topic,
        partition=batch.partition,
        offset=record.offset,
        original=record.value or b"",
        headers={name: value.decode("utf-8", "replace") for name, value in record.headers},
        occurred_at=at,
        origin_hash=hash_of(record.value or b"", at),
    )


def state_dead_letter(stuck: Stuck, partition: int, now_ms: int) -> DeadLetter:
    """Build the dead letter of a call's state.

    The state's offset is not known here; a number made of its bytes takes its place, so that the same state has the
    same dead letter after every restart.
    """
    place = hashlib.blake2b(stuck.key.encode() + b"\x00" + stuck.state, digest_size=_PLACE_BYTES).digest()
    return DeadLetter(
        stage="join",
        code=stuck.code,
        detail=stuck.detail,
        vendor=vendor_of(stuck.key),
        topic=STATE.name,
        partition=partition,
        offset=int.from_bytes(place, "big"),
        original=stuck.state,
        headers={_KEY_HEADER: stuck.key},
        occurred_at=datetime.fromtimestamp(now_ms / 1000, UTC),
        origin_hash=hash_of(stuck.state),
    )


def vendor_of(call_key: str) -> str:
    """Return the vendor in a call's key, or in that of a segment of its state."""
    named = call_of(call_key).split("|", 1)[0]
    return named if named.isidentifier() else ""
