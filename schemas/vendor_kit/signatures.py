"""Checks the signatures that vendors put on a push: an HMAC of the body, in hexadecimal or Base64, in a header.

Every check is total (any bytes give True or False), compares in constant time, and tries all secrets, so that an old
and a new one hold at once while a secret is changed. Must not know a vendor. Pure: no I/O, no clock.
"""

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final, Literal

from schemas.vendor_kit.contract import PushHead, Verify

Algorithm = Literal["sha1", "sha256"]
Encoding = Literal["hex", "base64"]

_HASHES: Final[dict[str, Callable[[], Any]]] = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
_LONGEST: Final = 512
"""The most characters of a signature; a longer text is none."""


def header(head: PushHead, name: str) -> str:
    """Returns the first header of that name (in lower case), "" when there is none."""
    return next((value for found, value in head.headers if found == name), "")


def hmac_of_body(
    header_name: str, *, algorithm: Algorithm = "sha256", encoding: Encoding = "hex", prefix: str = ""
) -> Verify:
    """Returns a `Callback.verify` for an HMAC of the body (of the query string, for a GET) in one header.

    `prefix` stands before the signature in the header, as in "sha256=".
    """

    def verify(head: PushHead, body: bytes, secrets: tuple[str, ...]) -> bool:
        sent = header(head, header_name.lower()).strip()
        if not sent.startswith(prefix):
            return False
        return signs(body, sent.removeprefix(prefix), secrets, algorithm=algorithm, encoding=encoding)

    return verify


def signs(
    message: bytes, sent: str, secrets: tuple[str, ...], *, algorithm: Algorithm = "sha256", encoding: Encoding = "hex"
) -> bool:
    """True when `sent` is the HMAC of `message` by one of the secrets; an empty secret signs nothing.

    Hexadecimal digits count in any case; Base64 in both alphabets, with or without its padding.
    """
    if not sent or len(sent) > _LONGEST:
        return False
    given = (sent.lower() if encoding == "hex" else sent.rstrip("=")).encode("utf-8", "replace")
    matches = False
    for secret in secrets:
        digest = hmac.new(secret.encode("utf-8", "replace"), message, _HASHES[algorithm]).digest()
        for spelt in _spelt(digest, encoding):
            matches |= hmac.compare_digest(spelt, given) and bool(secret)
    return matches


def _spelt(digest: bytes, encoding: Encoding) -> tuple[bytes, ...]:
    """Returns a digest in each spelling that an encoding has."""
    if encoding == "hex":
        return (digest.hex().encode(),)
    return b64encode(digest).rstrip(b"="), urlsafe_b64encode(digest).rstrip(b"=")
