"""Reads values that hold other values: one or many in the place of a list, Base64 of a text.

Must not know a vendor. Pure: no I/O, no clock.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from schemas.body.scalars import blank
from schemas.errors import Undecodable


def listed(value: Any, expected: str, path: str = "") -> tuple[Any, ...]:
    """Returns the elements of a list, or the one object in its place; none when blank.

    Raises Undecodable `shape`, or `json` for a text that is not JSON.
    """
    if isinstance(value, list):
        return tuple(value)
    if type(value) is dict or isinstance(value, Mapping):
        return (value,)
    if blank(value) and path:
        return ()
    if isinstance(value, str) and path:  # a text that is JSON was read by the decoder
        raise Undecodable("a text that is not JSON", code="json", path=path)
    raise Undecodable(f"{expected} is expected", code="shape", path=path)


def decoded(text: str) -> str:
    """Returns the plain text of Base64 that holds CJK; "" for anything else: an id of digits is legal Base64, too."""
    if text.isdecimal() or len(text) % 4:
        return ""
    try:
        plain = base64.b64decode(text, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return plain if plain.isprintable() and any(char >= "\u2e80" for char in plain) else ""
