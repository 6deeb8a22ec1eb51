"""Compares secrets in constant time: always hashes of one length, and always with all that would be right.

Pure: no I/O, no clock.
"""

import hashlib
import hmac
from collections.abc import Iterable

from schemas.config.secret import Secret


def hashed(secret: bytes) -> bytes:
    """Returns the hash by which a secret is compared, which hides its length."""
    return hashlib.sha256(secret).digest()


def set_ones(*secrets: Secret) -> tuple[bytes, ...]:
    """Returns the secrets that are set, as bytes: an empty one lets nobody in."""
    return tuple(secret.value.encode("utf-8", "surrogatepass") for secret in secrets if secret.value)


def is_any(given: bytes, wanted: Iterable[bytes]) -> bool:
    """True when `given` is one of the secrets whose hashes are `wanted`; it takes as long for each of them."""
    known = hashed(given)
    found = False
    for each in wanted:
        found |= hmac.compare_digest(known, each)
    return found
