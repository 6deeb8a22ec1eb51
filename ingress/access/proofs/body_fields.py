"""Reads the fields that are signed from the body of an unknown sender: cheaply, within bounds, and in one way only.

The normaliser repairs what it reads; here a field that two readers could read differently (twice, nested, in another
charset, compressed) is not there. Total, and pure: no I/O, no clock.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from ingress.access.request_head import RequestHead

MOST_BYTES: Final = 64 * 1024
"""The largest body that is read for its fields. The worst of this size takes 10 ms, the usual one of 1 KB 0.01 ms."""
_MOST_PARAMETERS: Final = 2000
_FORM: Final = "application/x-www-form-urlencoded"
_SPACE: Final = b" \t\r\n"


class _TwiceError(ValueError):
    """A key that an object has twice."""


class _Number(str):
    """A number as it is spelt in JSON."""

    __slots__ = ()


def is_form(head: RequestHead) -> bool:
    """True for a body that says it is a form."""
    return head.content_type.partition(";")[0].strip(" \t").lower() == _FORM


def fields(head: RequestHead, body: bytes, names: Collection[str]) -> Mapping[str, bytes] | None:
    """Returns the named fields at the top of a JSON object or a form, None unless each of them is there once."""
    if len(body) > MOST_BYTES or head.content_encoding:
        return None
    found = _of_json(body) if body.lstrip(_SPACE)[:1] == b"{" else _of_form(body)
    if found is None or not found.keys() >= set(names):
        return None
    texts = {name: _text(found[name]) for name in names}
    return None if None in texts.values() else {name: text or b"" for name, text in texts.items()}


def parameters(body: bytes) -> list[tuple[bytes, bytes]] | None:
    """Returns the parameters of a form, decoded, in their order; None for a name that is there twice or has no "="."""
    found: dict[bytes, bytes] = {}
    pairs = body.split(b"&", _MOST_PARAMETERS)
    if len(pairs) > _MOST_PARAMETERS:
        return None
    for pair in pairs:
        if not pair:
            continue
        name, equals, value = (unquote_to_bytes(part) for part in pair.replace(b"+", b" ").partition(b"="))
        if name in found or not equals:
            return None
        found[name] = value
    return list(found.items())


def _of_form(body: bytes) -> dict[str, Any] | None:
    read = parameters(body)
    return None if read is None else {name.decode("utf-8", "surrogateescape"): value for name, value in read}


def _of_json(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(
            body.decode("utf-8"), object_pairs_hook=_once_each, parse_int=_Number, parse_float=_Number,
            parse_constant=_Number,
        )  # fmt: skip
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found


def _text(value: Any) -> bytes | None:
    """Returns a scalar as it is spelt, as bytes of UTF-8; None for an object or a list."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if value is None:
        return b""
    return {True: b"true", False: b"false"}[value] if isinstance(value, bool) else None
