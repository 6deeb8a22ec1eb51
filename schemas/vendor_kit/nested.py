"""Values that hold other values: one or many where a list belongs, Base64 of a text.

Must not know a vendor. Pure: no I/O, no clock.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from schemas.body.scalars import blank
from schemas.errors import Undecodable


def listed(value: Any, expected: str, path: str = "") -> tuple[Any, ...]:
    """The elements of a list, or the one object that stands in its place; none when blank; raises Undecodable `shape`."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, Mapping):
        return (value,)
    if blank(value) and path:
        return ()
    if isinstance(value, str) and path:
        raise Undecodable(
            "a text that is not JSON", code="json", path=path
        )  # what is JSON in it was read by the decoder
    raise Undecodable(f"{expected} is expected", code="shape", path=path)


def decoded(text: str) -> str:
    """The plain text of Base64 that holds CJK; "" for anything else: an id of digits is legal Base64, too."""
    if text.isdecimal() or len(text) % 4:
        return ""
    try:
        plain = base64.b64decode(text, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return plain if plain.isprintable() and any(char >= "\u2e80" for char in plain) else ""
