"""A record that could not be used, typed and with its original bytes, so that it can be sent again after a fix."""

import hashlib
from datetime import datetime

import msgspec

from schemas.errors import Stage


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One failed body or element; (topic, partition, offset, element, stage, origin_hash) is its identity."""

    stage: Stage
    code: str
    """One of `schemas.errors.DEAD_CODES`."""
    detail: str
    """What is wrong and where, without the values."""
    vendor: str = ""
    callback: str = ""
    account: str = ""
    topic: str
    partition: int
    offset: int
    element: int = -1
    """Index in the body's batch; -1 when it is about the whole body."""
    original: bytes = b""
    """The value as it stood on the origin topic. Of a body with very many bad elements only the first ones carry it:
    the origin's position names the rest."""
    headers: dict[str, str] = {}
    """The origin's headers, so that a replay has the same identity."""
    occurred_at: datetime
    processor: str = ""
    """Version of the code that failed."""
    origin_hash: str = ""
    """Hash of the origin record (`hash_of`): offsets begin anew with a topic that is made anew, contents and times do not."""


def hash_of(value: bytes, at: datetime | None = None, replay_of: str = "") -> str:
    """16 hexadecimal digits over a record's value, its own time and what it replays: the same bytes may be sent again."""
    digest = hashlib.blake2b(value, digest_size=8)
    if at is not None or replay_of:
        digest.update(f"\x1f{at and at.isoformat()}\x1f{replay_of}".encode())
    return digest.hexdigest()


def without_original(letter: DeadLetter) -> DeadLetter:
    """The same letter for where its bytes do not fit: its position names them."""
    return msgspec.structs.replace(letter, original=b"", detail=f"{letter.detail} (bytes left at the origin)")
