"""An operator's resolution of a record whose contents contradict each other, as a record of `calls.raw`. Pure.

It is kept and replayed like the vendors' callbacks there, and becomes a fact of the record's call. Nobody outside can
send one: ingress sets the header `callback` from its own routes, and no vendor's file may declare this callback.
"""

import hashlib
import re
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec

from schemas.errors import Undecodable
from schemas.facts import Fact, FactType
from schemas.identity import digest
from schemas.raw import Position, RawCallback

CALLBACK: Final = "resolution"
"""The header `callback` of a resolution; its `vendor` and `account` are the record's."""
_NOTE_CHARS: Final = 1000
_DIGEST: Final = re.compile(r"[0-9a-f]{32}")
_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KEY: Final = re.compile(r"[^|]*\|[^|]*\|[^|]+")


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a resolution."""

    record_id: str
    call_key: str
    """The key of the record's call, which is also the key of this raw record."""
    kind: str
    keep: str
    """The digest of the content that counts."""
    resolved_at: datetime
    note: str = ""
    """The reason in the operator's own words."""


def resolution_raw(resolution: Resolution, *, vendor: str, account: str, request_id: str) -> RawCallback:
    """Returns the raw record, which goes to `calls.raw` under the key `resolution.call_key`."""
    return RawCallback(
        vendor=vendor,
        callback=CALLBACK,
        account=account,
        received_at=resolution.resolved_at,
        request_id=request_id,
        content_type="application/json",
        body=msgspec.json.encode(resolution),
    )


def resolution_fact(raw: RawCallback, position: Position) -> Fact:
    """Returns the resolution in `raw` as a fact of the record's call; raises `Undecodable`."""
    try:
        resolution = msgspec.json.decode(raw.body, type=Resolution)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        # Only its type: the text of such an error may quote the body.
        wrong_json = not isinstance(exc, msgspec.ValidationError)
        raise Undecodable(f"no resolution: {type(exc).__name__}", code="json" if wrong_json else "shape") from exc
    _check(resolution, raw.vendor)
    fact = Fact(
        fact_id=resolution.record_id,
        call_key=resolution.call_key,
        fact_type=FactType.RESOLUTION,
        vendor=raw.vendor,
        kind=resolution.kind,
        keeps=resolution.keep,
        event_at=resolution.resolved_at.astimezone(UTC),
        extras={"note": resolution.note[:_NOTE_CHARS]} if resolution.note else {},
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


def _check(resolution: Resolution, vendor: str) -> None:
    if not _is_uuid(resolution.record_id):
        raise Undecodable("no record's id", code="field", path="record_id")
    if not _KEY.fullmatch(resolution.call_key) or resolution.call_key.split("|", 1)[0] != vendor:
        raise Undecodable("no key of a call of this vendor", code="field", path="call_key")
    if not _KIND.fullmatch(resolution.kind):
        raise Undecodable("no kind of payload", code="field", path="kind")
    if not _DIGEST.fullmatch(resolution.keep):
        raise Undecodable("no digest of a content", code="field", path="keep")
    if resolution.resolved_at.tzinfo is None or not 1970 <= resolution.resolved_at.year < 2299:
        raise Undecodable("no instant with a zone", code="field", path="resolved_at")


def _is_uuid(text: str) -> bool:
    with suppress(ValueError):
        return str(uuid.UUID(text)) == text
    return False
