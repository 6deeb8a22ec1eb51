"""Checks a UsernameToken: a digest of nonce, time and password in one header (`X-WSSE`, Huawei's `X-AKSK`).

Sources: OASIS Web Services Security, UsernameToken Profile 1.1 (SHA-1 of the decoded nonce); the header `X-WSSE` of
Atom (SHA-1 of the nonce's text); Huawei Cloud's SHA-256 and HMAC-SHA256. Total, and pure: no I/O, no clock.
"""

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from ingress.access.comparing import hashed, is_any
from ingress.access.proofs.instants import instant, is_near
from ingress.access.request_head import RequestHead, as_sent
from ingress.access.verdict import STALE, HeadCheck, Proof, Refusal, Verdict
from schemas.config.caller_checks import Wsse

_PAIR: Final = re.compile(r'[ \t]*([A-Za-z]{1,20})[ \t]*=[ \t]*(?:"([^"]*)"|([^",\s]*))[ \t]*(,|$)')
_MOST_PAIRS: Final = 10
_NO_TOKEN: Final = Refusal(
    code="bad_credentials",
    sentence="a UsernameToken of this account is wanted",
    challenge='WSSE realm="SDP",profile="UsernameToken",type="Appkey"',
)
_DIGESTS: Final[Mapping[str, Callable[[bytes, bytes, bytes], bytes]]] = {
    "sha256": lambda nonce, created, password: hashlib.sha256(nonce + created + password).digest(),
    "sha1": lambda nonce, created, password: hashlib.sha1(nonce + created + password).digest(),  # noqa: S324 - the standard's
    "hmac-sha256": lambda nonce, created, password: hmac.digest(password, nonce + created, "sha256"),
}


class UsernameToken(msgspec.Struct, frozen=True, kw_only=True):
    """A UsernameToken as it was sent."""

    username: str
    digest: str
    nonce: str
    created: str


def wsse(check: Wsse) -> HeadCheck:
    """Returns the check of a UsernameToken."""
    name = check.header.lower()
    digest_of = _DIGESTS[check.digest]
    logins = tuple(
        (hashed(username.encode("utf-8", "surrogatepass")), secret.value.encode("utf-8", "surrogatepass"))
        for username, secret in (
            (check.username, check.secret), (check.second_username or check.username, check.second_secret),
        )
        if secret.value
    )  # fmt: skip

    def verdict(head: RequestHead, now: datetime) -> Verdict:
        token = username_token(head.only(name))
        nonce = _nonce(token.nonce, check.nonce) if token else b""
        created_s = instant(token.created) if token else None
        if token is None or not nonce or created_s is None:
            return _NO_TOKEN
        proof = b""
        for username, password in logins:
            digest = digest_of(nonce, as_sent(token.created), password)
            is_login = is_any(as_sent(token.username), (username,))
            is_digest = is_any(as_sent(token.digest), (hashed(b64encode(digest)),))
            proof = digest if is_login & is_digest else proof
        if not proof:
            return _NO_TOKEN
        if not is_near(created_s, now, check.tolerance_s):
            return STALE
        return Proof(digest=proof, until_s=created_s + check.tolerance_s)

    return verdict


def username_token(text: str) -> UsernameToken | None:
    """Reads the header, whose values may be quoted; None for anything else, and for a part that is missing or twice."""
    scheme, _, rest = text.strip().partition(" ")
    if scheme.lower() != "usernametoken":
        return None
    found: dict[str, str] = {}
    at = 0
    for _ in range(_MOST_PAIRS):
        pair = _PAIR.match(rest, at)
        if pair is None or pair[1].lower() in found:
            return None
        found[pair[1].lower()] = pair[2] if pair[2] is not None else pair[3]
        at = pair.end()
        if not pair[4]:
            break
    if at != len(rest):
        return None
    try:
        return UsernameToken(
            username=found["username"], digest=found["passworddigest"], nonce=found["nonce"], created=found["created"]
        )
    except KeyError:
        return None


def _nonce(text: str, form: str) -> bytes:
    if form == "text":
        return as_sent(text)
    try:
        return b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
