"""The dead letter: a record that could not be used, with its original bytes, so that it can be sent again."""

import hashlib
from datetime import datetime

import msgspec

from schemas.errors import Stage


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One failed body or element; its identity is (topic, partition, offset, element, stage, origin_hash)."""

    stage: Stage
    code: str
    """One of `schemas.errors.DEAD_CODES`."""
    detail: str
    """The fault and its place, without values."""
    vendor: str = ""
    callback: str = ""
    account: str = ""
    topic: str
    partition: int
    offset: int
    element: int = -1
    """Index in the body's batch; -1 for the whole body."""
    original: bytes = b""
    """The value on the origin topic. Of a body with very many bad elements only the first dead letters carry it; the
    origin's position identifies it for the rest."""
    headers: dict[str, str] = {}
    """Headers of the origin, so that a replay has the same identity."""
    occurred_at: datetime
    processor: str = ""
    """Version of the code that failed."""
    origin_hash: str = ""
    """Hash of the origin record (`hash_of`): a topic that is created anew uses its offsets again."""


def hash_of(value: bytes, at: datetime | None = None, replay_of: str = "") -> str:
    """Returns 16 hexadecimal digits over a record's value, its time and the position that it replays.

    Time and position are included because the same bytes may be sent again.
    """
    digest = hashlib.blake2b(value, digest_size=8)
    if at is not None or replay_of:
        digest.update(f"\x1f{at and at.isoformat()}\x1f{replay_of}".encode())
    return digest.hexdigest()


def without_original(dead_letter: DeadLetter) -> DeadLetter:
    """Returns the dead letter without its bytes, for where they do not fit: they stay at the origin's position."""
    return msgspec.structs.replace(dead_letter, original=b"", detail=f"{dead_letter.detail} (bytes left at the origin)")
