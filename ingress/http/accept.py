"""Builds the record that is published from an authorized request and its body. Pure: time and id are arguments.

The body is opaque but for the call id that the vendor's `Callback.key` finds in it: whatever a body holds, it is taken,
and nothing is inflated here. The key only groups bodies in the spool: the order on `calls.raw` does not change their
outcome.
"""

import hashlib
import logging
from datetime import datetime

import msgspec

from ingress.access.request_head import RequestHead
from ingress.http.routes import Route
from schemas.config.limits import DEFAULT
from schemas.identity import call_key
from schemas.raw import RawCallback

_log = logging.getLogger("callweave.ingress")


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A record that is ready to be published, and its Kafka key."""

    key: bytes
    raw: RawCallback


def accept(
    route: Route,
    account: str,
    head: RequestHead,
    body: bytes,
    *,
    now: datetime,
    request_id: str,
    header_chars: int = DEFAULT.header_chars,
) -> Accepted:
    """Returns the record of an authorized request; of each header at most `header_chars` characters are kept."""
    return Accepted(
        key=_key(route, account, body).encode("utf-8", "replace"),
        raw=RawCallback(
            vendor=route.vendor.name,
            callback=route.callback.name,
            account=account,
            received_at=now,
            request_id=request_id,
            content_type=head.content_type[:header_chars],
            content_encoding=_encoding(head.content_encoding)[:header_chars],
            body=body,
        ),
    )


def _key(route: Route, account: str, body: bytes) -> str:
    """Returns `vendor|account|call id`.

    A body that shows no call id, as a compressed one does not, gets `~` and a hash of itself in the id's place: with
    one key for all of them each would wait in the spool for those before it.
    """
    try:
        call_id = route.callback.key(body)
        account = route.callback.key_account(body, account)
    except Exception as exc:  # noqa: BLE001  # a vendor's function promises not to raise; if it does, the body is stored all the same
        # Only the type: the message may quote the body.
        what = type(exc).__name__
        _log.error("the key function raised %s: vendor=%s callback=%s", what, route.vendor.name, route.callback.name)
        call_id = ""
    return call_key(route.vendor.name, account, call_id or "~" + hashlib.blake2b(body, digest_size=8).hexdigest())


def _encoding(header: str) -> str:
    """Returns the content encoding in lower case, "" for none; unknown ones are kept for the dead letter."""
    names = [name for name in header.lower().replace(" ", "").split(",") if name not in ("", "identity")]
    return ",".join(names)
