"""Turns a request that was let in, and its body, into the record that is published. Pure: time and id are arguments.

It must not look further into a body than the call id that the vendor's page finds in it: whatever a body holds, it is taken.
"""

import hashlib
import logging
from datetime import datetime
from typing import Final

import msgspec

from ingress.http.routes import RequestHead, Route, Router
from schemas.body.inflate import CapExceeded, DamagedStream, encoding_of, opened
from schemas.config.limits import DEFAULT, Limits
from schemas.errors import Rejected
from schemas.identity import call_key
from schemas.raw import RawCallback
from schemas.vendor_kit.contract import Callback, Vendor

_LONG_BYTES: Final = 2048
"""At the worst two megabytes inflated, some milliseconds."""

_log = logging.getLogger("callweave.ingress")


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be published, and who answers."""

    key: bytes
    raw: RawCallback
    callback: Callback
    vendor: Vendor


def accept(
    doors: Router, head: RequestHead, body: bytes, *, now: datetime, request_id: str, cap_bytes: int
) -> Accepted:
    """A whole request to its record; raises Rejected (see `Router`; 413 when the body inflates past `cap_bytes`)."""
    door = doors.find(head.path)
    account = doors.admit(door, head)
    plain = plain_of(head, body, cap_bytes)
    return stamp(door, account, head, body, plain, now=now, request_id=request_id)


def takes_long(head: RequestHead, body: bytes) -> bool:
    """Whether opening a body may take so long that others should not wait for it: deflate makes a thousand bytes of one."""
    return len(body) > _LONG_BYTES and bool(head.content_encoding or encoding_of(body))


def plain_of(head: RequestHead, body: bytes, cap_bytes: int, limits: Limits = DEFAULT) -> bytes | None:
    """The body without its content encoding, None when that cannot be undone; raises Rejected 413 past `cap_bytes`.

    Only one declared layer counts as a size: what is wrapped more strangely is taken, and the normaliser says what is wrong.
    """
    if len(body) > cap_bytes:
        raise _too_large(cap_bytes)
    encoding = _encoding(head.content_encoding)
    try:
        return opened(body, encoding, limits, cap_bytes).body
    except CapExceeded:
        if not encoding or "," in encoding:
            return None
        raise _too_large(cap_bytes) from None
    except DamagedStream:
        return None


def stamp(
    door: Route,
    account: str,
    head: RequestHead,
    body: bytes,
    plain: bytes | None,
    *,
    now: datetime,
    request_id: str,
    header_chars: int = DEFAULT.header_chars,
) -> Accepted:
    """The record of an admitted request; `plain` is what `plain_of` made of its body, and of a header `header_chars` are kept."""
    return Accepted(
        key=_key(door, account, body if plain is None else plain).encode("utf-8", "replace"),
        raw=RawCallback(
            vendor=door.vendor.name,
            callback=door.callback.name,
            account=account,
            received_at=now,
            request_id=request_id,
            content_type=head.content_type[:header_chars],
            content_encoding=_encoding(head.content_encoding)[:header_chars],
            body=body,
        ),
        callback=door.callback,
        vendor=door.vendor,
    )


def _key(door: Route, account: str, plain: bytes) -> str:
    """`vendor|account|call id`.

    A body that shows no call id gets `~` and a hash of itself in the id's place: one key for all of them would put every
    broken body of a vendor into one partition, and the same body sent again still goes where it went before.
    """
    try:
        call_id = door.callback.key(plain)
        account = door.callback.key_account(plain, account)
    except Exception as exc:  # noqa: BLE001  # a page promises not to raise; where it does, the body is stored all the same
        # Only the type: the message may quote the body.
        what = type(exc).__name__
        _log.error("the key function raised %s: vendor=%s callback=%s", what, door.vendor.name, door.callback.name)
        call_id = ""
    return call_key(door.vendor.name, account, call_id or "~" + hashlib.blake2b(plain, digest_size=8).hexdigest())


def _encoding(header: str) -> str:
    """The content encoding in lower case, "" for none; an unknown one is kept: who reads the body then knows why it cannot."""
    names = [name for name in header.lower().replace(" ", "").split(",") if name not in ("", "identity")]
    return ",".join(names)


def _too_large(cap_bytes: int) -> Rejected:
    return Rejected(f"a body of at most {cap_bytes} bytes is taken, inflated or not", code="too_large", http_status=413)
