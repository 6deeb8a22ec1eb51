"""Checks a signature in Svix's way (Standard Webhooks): HMAC-SHA256 of `id.timestamp.body`, in a list of signatures.

Source: docs.svix.com, "Verifying webhooks manually". Total, and pure: no I/O, no clock.
"""

import hmac
import re
from base64 import b64encode
from datetime import datetime
from typing import Final

from ingress.access.comparing import hashed, is_any
from ingress.access.proofs.instants import is_near
from ingress.access.request_head import RequestHead, as_sent
from ingress.access.verdict import STALE, UNSIGNED, BodyCheck, Proof, Verdict
from schemas.config.caller_checks import Svix, endpoint_key

_SECONDS: Final = re.compile(r"[0-9]{9,11}")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
"""An id without a dot: else a body that holds `.1700000000.` could be cut in two, and its end pass as the body."""
_VERSION: Final = "v1,"
_LENGTH: Final = 44
"""Characters of a SHA-256 in Base64."""
_MOST_SIGNATURES: Final = 16


def svix(check: Svix) -> BodyCheck:
    """Returns the check of a signature in Svix's way."""
    keys = tuple(filter(None, (endpoint_key(secret.value) for secret in (check.secret, check.second_secret))))
    names = tuple(f"{check.headers}-{name}" for name in ("id", "timestamp", "signature"))

    def verdict(head: RequestHead, body: bytes, now: datetime) -> Verdict:
        message, at, listed = (head.only(name) for name in names)
        signatures = _signatures(listed)
        if not _ID.fullmatch(message) or not _SECONDS.fullmatch(at) or not signatures:
            return UNSIGNED
        proof = b""
        for key in keys:
            made = hmac.new(key, b"%s.%s." % (as_sent(message), at.encode()), "sha256")
            made.update(body)
            digest = made.digest()
            wanted = (hashed(b64encode(digest)),)
            for signature in signatures:
                proof = digest if is_any(signature, wanted) else proof
        if not proof:
            return UNSIGNED
        if not is_near(float(at), now, check.tolerance_s):
            return STALE
        return Proof(digest=proof, until_s=float(at) + check.tolerance_s)

    return verdict


def _signatures(listed: str) -> tuple[bytes, ...]:
    """Returns the signatures of a version that we know, of the first few that are listed."""
    return tuple(
        as_sent(each.removeprefix(_VERSION))
        for each in listed.split(" ", _MOST_SIGNATURES)[:_MOST_SIGNATURES]
        if each.startswith(_VERSION) and len(each) == len(_VERSION) + _LENGTH
    )
