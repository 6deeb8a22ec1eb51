"""The dead letters of the joiner: facts that cannot be read or joined, and states that cannot be read or carried on. Pure.

Each carries its bytes, so that it can be sent again to where it came from once what was wrong is mended: a fact is joined then,
and a state is read and merged with what was learned since.
"""

import hashlib
from datetime import UTC, datetime
from typing import Final

from processors.records import Record, RecordBatch
from processors.store.partition import Stuck
from schemas.dead_letter import DeadLetter, hash_of
from schemas.errors import DeadCode
from schemas.topics import STATE

_KEY_HEADER: Final = "kafka_key"
"""Header of a letter: the record's key, as in the sink's letters. A compacted topic asks for it when it is sent again."""
_PLACE_BYTES: Final = 7


def fact_letter(slice_: RecordBatch, record: Record, code: DeadCode, detail: str, call_key: str = "") -> DeadLetter:
    """The letter of one record of `calls.facts`; its time is the record's own, so that it is the same whenever it is made."""
    at = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    return DeadLetter(
        stage="join",
        code=code,
        detail=detail,
        vendor=vendor_of(call_key),
        topic=slice_.topic,
        partition=slice_.partition,
        offset=record.offset,
        original=record.value or b"",
        headers={name: value.decode("utf-8", "replace") for name, value in record.headers},
        occurred_at=at,
        origin_hash=hash_of(record.value or b"", at),
    )


def state_letter(stuck: Stuck, partition: int, now_ms: int) -> DeadLetter:
    """The letter of a call's state.

    Where on the topic the state lies is not known here; a number made of its bytes stands for its offset, so that the same
    state has the same letter after every restart.
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
    """The vendor in a call's key."""
    named = call_key.split("|", 1)[0]
    return named if named.isidentifier() else ""
