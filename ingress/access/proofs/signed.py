"""Checks a signature of a text that a template makes from the request: an HMAC, or an MD5 with a key in the text.

The key is tried only on signatures of the right length. Total, and pure: no I/O, no clock.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from ingress.access.comparing import hashed, is_any, set_ones
from ingress.access.proofs.body_fields import fields
from ingress.access.proofs.instants import instant, is_near
from ingress.access.request_head import RequestHead, as_sent
from ingress.access.verdict import STALE, UNSIGNED, BodyCheck, Proof, Verdict
from schemas.config.caller_checks import FIELD, Hmac, Signed, pieces, places

_SPELT: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "hex": lambda digest: digest.hex().encode(),
    "base64": b64encode,
}


class _Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a request that a signature is about, as bytes."""

    signature: bytes
    places: Mapping[str, bytes]


def signed(check: Signed) -> BodyCheck:
    """Returns the check of a signature by a template."""
    template = pieces(check.signed)
    keys = set_ones(check.secret, check.second_secret)
    length = len(_SPELT[check.encoding](_digest(check, b"", ())))
    is_timed = bool(check.timestamp_header or check.timestamp_field)
    # Two pushes of one second may have the same signature where neither a nonce nor the body is in it.
    is_once = is_timed and bool(check.nonce_header or check.nonce_field or "body" in places(check.signed))

    def verdict(head: RequestHead, body: bytes, now: datetime) -> Verdict:
        sent = _sent(check, head, body, length)
        at_s = instant(sent.places["timestamp"].decode("utf-8", "replace")) if sent and is_timed else None
        if sent is None or (is_timed and at_s is None):
            return UNSIGNED
        proof = b""
        for key in keys:
            parts = (part for text, place in template for part in (text.encode(), _part(sent, place, key, body)))
            digest = _digest(check, key, parts)
            spelt = _SPELT[check.encoding](digest)
            proof = digest if is_any(sent.signature, (hashed(spelt),)) else proof
        if not proof:
            return UNSIGNED
        if at_s is None:
            return None
        if not is_near(at_s, now, check.tolerance_s):
            return STALE
        return Proof(digest=proof, until_s=at_s + check.tolerance_s) if is_once else None

    return verdict


def _sent(check: Signed, head: RequestHead, body: bytes, length: int) -> _Sent | None:
    """Returns the parts of a request that are signed; None when one is missing, or the signature cannot be one."""
    signature = _signature(check, as_sent(head.only(check.header.lower()))) if check.header else b""
    if check.header and len(signature) != length:
        return None
    named = {place.removeprefix(FIELD) for place in places(check.signed) if place.startswith(FIELD)}
    named |= {name for name in (check.field, check.timestamp_field, check.nonce_field) if name}
    found = fields(head, body, named) if named else {}
    if found is None:
        return None
    if check.field:
        signature = _signature(check, found[check.field])
    values = {f"{FIELD}{name}": value for name, value in found.items()}
    for place, header, field in (
        ("timestamp", check.timestamp_header, check.timestamp_field),
        ("nonce", check.nonce_header, check.nonce_field),
    ):
        value = as_sent(head.only(header.lower())) if header else found.get(field, b"")
        if (header or field) and not value:
            return None
        values[place] = value
    values |= {"method": as_sent(head.method), "path": as_sent(head.sent_path), "query": as_sent(head.query)}
    return _Sent(signature=signature, places=values) if len(signature) == length else None


def _signature(check: Signed, text: bytes) -> bytes:
    """Returns the signature behind its prefix, b"" without that; hexadecimal digits count in either case."""
    prefix = check.prefix.encode()
    if not text.startswith(prefix):
        return b""
    bare = text.removeprefix(prefix)
    return bare.lower() if check.encoding == "hex" else bare


def _part(sent: _Sent, place: str, key: bytes, body: bytes) -> bytes:
    if place == "body":
        return body
    return key if place == "key" else sent.places.get(place, b"")


def _digest(check: Signed, key: bytes, parts: Iterable[bytes]) -> bytes:
    """Returns the HMAC, or the MD5, of all parts one after the other, without a copy of them."""
    if isinstance(check, Hmac):
        made: Any = hmac.new(key, digestmod=check.algorithm)
    else:
        made = hashlib.md5()  # noqa: S324 - the vendor's own scheme; a warning at start says that it is weak
    for part in parts:
        made.update(part)
    return bytes(made.digest())
