"""What HTTP and forms wrap around a body, taken off again: compression under a cap, and the form parameter that holds JSON.

Must not know a vendor, nor JSON. Pure: no I/O, no clock.
"""

import base64
import binascii
import re
import zlib
from typing import Final
from urllib.parse import unquote_to_bytes

from schemas.errors import Undecodable

_FORM: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_.\-]*=")
_WINDOW_BITS: Final = (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS)  # gzip or zlib by their header; then headless deflate


def inflated(body: bytes, encoding: str, cap_bytes: int) -> bytes:
    """Undo the body's content encoding, to at most `cap_bytes`; raises Undecodable `inflate`."""
    for name in reversed(
        [part for part in encoding.lower().replace(" ", "").split(",") if part not in ("", "identity")]
    ):
        if name == "base64":
            body = _unbased(body)
        elif name in ("gzip", "x-gzip", "deflate"):
            body = _inflate(body, cap_bytes)
        else:
            raise Undecodable("the content encoding is not one of gzip, deflate and base64", code="inflate")
    return body


def encoding_of(body: bytes) -> str:
    """The content encoding that a body's first bytes give away, for senders that do not say; "" for none."""
    head = body[:4]
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if head[:2] in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"):
        return "deflate"
    return {b"eJ": "deflate,base64", b"eA": "deflate,base64", b"eF": "deflate,base64", b"eN": "deflate,base64",
            b"H4": "gzip,base64"}.get(head[:2], "")  # fmt: skip


def _unbased(body: bytes) -> bytes:
    try:
        return base64.b64decode(body, validate=False)
    except binascii.Error as exc:
        raise Undecodable("the body is not Base64", code="inflate") from exc


def _inflate(body: bytes, cap_bytes: int) -> bytes:
    for bits in _WINDOW_BITS:
        try:
            whole = _inflate_as(body, bits, cap_bytes)
        except zlib.error:
            continue
        if whole is not None:
            return whole
    raise Undecodable("the compressed body does not inflate", code="inflate")


def _inflate_as(body: bytes, bits: int, cap_bytes: int) -> bytes | None:
    """None when the body is cut off."""
    out = bytearray()
    while body:  # gzip members may follow one another
        stream = zlib.decompressobj(bits)
        out += stream.decompress(body, cap_bytes + 1 - len(out))
        if len(out) > cap_bytes:
            raise Undecodable(f"inflates to more than {cap_bytes} bytes", code="inflate")
        if not stream.eof:
            return None
        body = stream.unused_data.lstrip(b"\0")
    return bytes(out)


def form_value(body: bytes, content_type: str, form_fields: tuple[str, ...]) -> bytes:
    """The JSON inside a form body, by its look or its content type; else the body itself."""
    head = body.lstrip()[:256]
    declared = "urlencoded" in content_type.lower() and b"=" in head
    if not _FORM.match(head) and (not declared or head[:1] in (b"{", b"[", b'"')):
        return body
    at = 0
    found: dict[str, tuple[int, bytes]] = {}
    for pair in body.split(b"&"):
        name, _, value = pair.partition(b"=")
        found.setdefault(_unquoted(name).decode("latin-1").strip(), (at + len(name) + 1, value))
        at += len(pair) + 1
    for wanted in form_fields:
        if wanted not in found:
            continue
        start, value = found[wanted]
        if value.lstrip()[:1] not in (b"{", b"["):
            return _unquoted(value)
        rest = body[start:]  # sent without encoding: its "+", "%" and "&" mean themselves
        return rest[: max(rest.rfind(b"}"), rest.rfind(b"]")) + 1] or rest
    return body


def _unquoted(value: bytes) -> bytes:
    return unquote_to_bytes(value.replace(b"+", b" "))
