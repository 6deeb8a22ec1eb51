"""Somebody's decision on a record whose contents contradict each other, as it stands on `calls.raw` beside what vendors send.

It is kept and replayed like everything else there, and becomes a fact of the record's call. Nobody outside can send one: the
header `callback` is set by ingress from its own table of addresses, and no vendor's file may declare a callback of this name.
Pure: no I/O, no clock.
"""

import hashlib
import re
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec

from schemas.errors import Undecodable
from schemas.facts import Fact, FactType, Kind
from schemas.identity import digest
from schemas.raw import Position, RawCallback

CALLBACK: Final = "resolution"
"""The header `callback` of a decision; `vendor` and `account` are those of the record."""
_NOTE_CHARS: Final = 1000
_DIGEST: Final = re.compile(r"[0-9a-f]{32}")
_KEY: Final = re.compile(r"[^|]*\|[^|]*\|[^|]+")


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a decision."""

    record_id: str
    call_key: str
    """The record's: also the key of the raw record."""
    kind: Kind
    keep: str
    """Digest of the content that counts."""
    resolved_at: datetime
    note: str = ""
    """Why, in somebody's own words."""


def resolution_body(
    *, record_id: str, call_key: str, kind: Kind | str, keep: str, resolved_at: datetime, note: str = ""
) -> bytes:
    """The body to append to `calls.raw`."""
    said = Resolution(
        record_id=record_id, call_key=call_key, kind=Kind(kind), keep=keep, resolved_at=resolved_at, note=note
    )
    return msgspec.json.encode(said)


def resolution_raw(said: Resolution, *, vendor: str, account: str, request_id: str) -> RawCallback:
    """The whole raw record: its `headers()` and `body` go to `calls.raw` under the key `said.call_key`."""
    return RawCallback(
        vendor=vendor,
        callback=CALLBACK,
        account=account,
        received_at=said.resolved_at,
        request_id=request_id,
        content_type="application/json",
        body=msgspec.json.encode(said),
    )


def resolution_fact(raw: RawCallback, position: Position) -> Fact:
    """Read a decision as a fact of its record's call; raises `Undecodable`."""
    try:
        said = msgspec.json.decode(raw.body, type=Resolution)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        # Its kind alone: the text of such an error may quote what was sent.
        wrong_json = not isinstance(exc, msgspec.ValidationError)
        raise Undecodable(f"no decision: {type(exc).__name__}", code="json" if wrong_json else "shape") from exc
    _check(said, raw.vendor)
    fact = Fact(
        fact_id=said.record_id,
        call_key=said.call_key,
        fact_type=FactType.RESOLUTION,
        vendor=raw.vendor,
        kind=said.kind,
        keeps=said.keep,
        event_at=said.resolved_at.astimezone(UTC),
        extras={"note": said.note[:_NOTE_CHARS]} if said.note else {},
        account=raw.account,
        received_at=raw.received_at,
        source=raw.source,
        request_id=raw.request_id,
        raw_topic=position.topic,
        raw_partition=position.partition,
        raw_offset=position.offset,
        raw_element=0,
        raw_sha256=hashlib.sha256(raw.body).hexdigest(),
    )
    return msgspec.structs.replace(fact, content_digest=digest(fact))


def _check(said: Resolution, vendor: str) -> None:
    if not _is_uuid(said.record_id):
        raise Undecodable("no record's id", code="field", path="record_id")
    if not _KEY.fullmatch(said.call_key) or said.call_key.split("|", 1)[0] != vendor:
        raise Undecodable("no key of a call of this vendor", code="field", path="call_key")
    if not _DIGEST.fullmatch(said.keep):
        raise Undecodable("no digest of a content", code="field", path="keep")
    if said.resolved_at.tzinfo is None or not 1970 <= said.resolved_at.year < 2299:
        raise Undecodable("no instant with a zone", code="field", path="resolved_at")


def _is_uuid(text: str) -> bool:
    with suppress(ValueError):
        return str(uuid.UUID(text)) == text
    return False
