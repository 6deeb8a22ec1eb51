"""Unwraps a body: the compression around it, and the form around or instead of the JSON.

Must not know a vendor, nor JSON. Pure: no I/O, no clock.
"""

import codecs
import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from schemas.body.inflate import CapExceeded, DamagedStream, Inflated, opened
from schemas.config.limits import Limits
from schemas.errors import Undecodable

_FORM: Final = re.compile(rb"\s{0,1000}[A-Za-z_%][A-Za-z0-9_.\-%+]{0,255}=")
_PIECE_BYTES: Final = 64 * 1024
BEGIN_JSON: Final = frozenset({b"{", b"["})
"""The first bytes of nearly all bodies, which are then JSON and neither a form nor compressed."""
_BEGINS_JSON: Final = re.compile(rb'\s{0,1000}[{\["]')
_BEGINS_UNQUOTED: Final = re.compile(rb"\s{0,1000}[{\[]")


def unwrapped(body: bytes, encoding: str, limits: Limits, *, undeclared: bool = True) -> Inflated:
    """Returns the body without its declared compression and, with `undeclared`, without that which its bytes show.

    Raises Undecodable `inflate`.
    """
    try:
        return opened(body, encoding, limits, undeclared=undeclared)
    except CapExceeded as exc:
        raise Undecodable(f"inflates to more than {limits.inflate_bytes} bytes", code="inflate") from exc
    except DamagedStream as exc:
        raise Undecodable(str(exc), code="inflate") from exc


class Form(NamedTuple):
    """A form body: the JSON that one of its parameters holds, or its parameters."""

    value: bytes | None
    members: tuple[tuple[bytes, bytes], ...]


def form_of(body: bytes, content_type: str, form_fields: tuple[str, ...], most: int) -> Form | None:
    """Reads a form, known by its look or its content type; None for anything else.

    Only the first `most` parameters are read.
    """
    if body[:1] in BEGIN_JSON:  # nearly every body
        return None
    body = body.removeprefix(codecs.BOM_UTF8)
    declared = "urlencoded" in content_type.lower() and b"=" in body[:256]
    if not _FORM.match(body) and (not declared or _BEGINS_JSON.match(body)):
        return None
    at = 0
    found: dict[str, tuple[int, bytes]] = {}
    members: list[tuple[bytes, bytes]] = []
    for pair in body.split(b"&", most)[:most]:
        name, _, value = pair.partition(b"=")
        plain = _unquoted(name).strip()
        found.setdefault(plain.decode("latin-1").lower(), (at + len(name) + 1, value))
        members.append((plain, value))
        at += len(pair) + 1
    for wanted in form_fields:
        if wanted.lower() not in found:
            continue
        start, value = found[wanted.lower()]
        if not _BEGINS_UNQUOTED.match(value):
            return Form(_unquoted(value), ())
        rest = body[start:]  # sent without encoding: its "+", "%" and "&" mean themselves
        return Form(rest[: max(rest.rfind(b"}"), rest.rfind(b"]")) + 1] or rest, ())
    return Form(None, tuple((name, _unquoted(value)) for name, value in members))


def _unquoted(value: bytes) -> bytes:
    """Decodes a percent-encoded value; in pieces, because each percent sign takes the memory of an object meanwhile."""
    out = bytearray()
    at = 0
    while at < len(value):
        end = at + _PIECE_BYTES
        cut = value.find(b"%", end - 2, end)  # none is taken apart
        piece = value[at : end if cut < 0 else cut]
        out += unquote_to_bytes(piece.replace(b"+", b" "))
        at += len(piece)
    return bytes(out)
