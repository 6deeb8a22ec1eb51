"""Checks a signature in Twilio's way: an HMAC of the address, and of the form's parameters in the order of their names.

A body that is no form is covered by `bodySHA256` in the address. Source: Twilio, "Webhooks security", and its helper
libraries. A parameter that is there twice is refused, as its order is not signed. The scheme does not sign where a name
ends and its value begins: whoever saw a push can move that place. Total, and pure: no I/O, no clock.
"""

import hashlib
import hmac
from base64 import b64encode
from datetime import datetime
from typing import Final

from ingress.access.comparing import hashed, is_any, set_ones
from ingress.access.proofs.body_fields import MOST_BYTES, is_form, parameters
from ingress.access.request_head import RequestHead, as_sent
from ingress.access.verdict import UNSIGNED, BodyCheck, Verdict
from schemas.config.caller_checks import Twilio

_BODY_HASH: Final = b"bodySHA256"


def twilio(check: Twilio) -> BodyCheck:
    """Returns the check of a signature in Twilio's way."""
    name, base = check.header.lower(), check.public_url.rstrip("/").encode()
    keys = set_ones(check.secret, check.second_secret)

    def verdict(head: RequestHead, body: bytes, _now: datetime) -> Verdict:
        sent = as_sent(head.only(name))
        rest = _signed_of_body(head, body) if sent else None
        if rest is None:
            return UNSIGNED
        address = base + as_sent(head.sent_path) + (b"?" + as_sent(head.query) if head.query else b"")
        wanted = tuple(hashed(b64encode(hmac.digest(key, address + rest, check.algorithm))) for key in keys)
        return None if is_any(sent, wanted) else UNSIGNED

    return verdict


def _signed_of_body(head: RequestHead, body: bytes) -> bytes | None:
    """Returns the part of the signed text that is the body's; None for a body that the signature does not cover."""
    if head.method == "GET":
        body = b""  # it is the query, which is in the address
    pairs = [pair.partition(b"=") for pair in as_sent(head.query).split(b"&")]
    hashes = [value for name, _, value in pairs if name == _BODY_HASH]
    wanted = (hashed(hashlib.sha256(body).hexdigest().encode()),) if hashes else ()
    if not all(is_any(value.lower(), wanted) for value in hashes):
        return None
    if hashes or not body:
        return b""
    if head.content_encoding or not is_form(head) or len(body) > MOST_BYTES:
        return None
    found = parameters(body)
    return None if found is None else b"".join(name + value for name, value in sorted(found))
