"""Undoes the compression around a body within bounds: layers, members, output. All parts open bodies in this way.

A header's encoding is a hint, not the truth: a body that is plain under `gzip` stays plain, and one that is compressed
without a header is opened. Only data that begins like compressed data and then breaks is damaged. Pure.
"""

import base64
import binascii
import re
import zlib
from typing import Final, NamedTuple

from schemas.config.limits import Limits

_GZIP: Final = b"\x1f\x8b"
_ZLIB: Final = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_BASED: Final = {b"eJ": "deflate,base64", b"eA": "deflate,base64", b"eF": "deflate,base64", b"eN": "deflate,base64",
                 b"H4": "gzip,base64"}  # fmt: skip
_COMPRESSED: Final = frozenset({"gzip", "x-gzip", "deflate", "x-deflate", "zlib"})
_NOTHING: Final = frozenset({"", "identity", "none"})
_BY_HEADER: Final = zlib.MAX_WBITS | 32  # gzip or zlib
_BARE: Final = -zlib.MAX_WBITS  # deflate without a header: RFC 9110 does not mean it, clients send it
# No bare deflate stream of JSON begins like JSON, so what does was never compressed.
_LIKE_TEXT: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s{0,1000}[{\["]')
_PADDING: Final = re.compile(rb"\0*")
_PIECE_BYTES: Final = 4096
"""Compressed bytes at a time: at the worst they inflate to four megabytes."""


class DamagedStream(Exception):
    """Compressed data that cannot be undone, or has more layers or members than is allowed."""


class _CutOff(DamagedStream):
    """Compressed data whose end is missing."""


class CapExceeded(Exception):
    """A body that inflates to more than `inflate_bytes`."""


class Inflated(NamedTuple):
    """A body without its compression."""

    body: bytes
    untrue: tuple[str, ...]
    """Encodings that were declared and are not there, or are not known, for example a charset or `br`."""


def opened(body: bytes, encoding: str, limits: Limits, *, undeclared: bool) -> Inflated:
    """Undoes the declared layers and then, with `undeclared`, those that the bytes show.

    Raises DamagedStream or CapExceeded.
    """
    untrue: list[str] = []
    layers = 0
    for name in reversed([part.strip() for part in encoding.lower().split(",")]):
        if name in _NOTHING or not body:
            continue
        if name == "base64" and not _LIKE_TEXT.match(body):
            try:
                body = _unbased(body)
            except binascii.Error as exc:
                raise DamagedStream("the body is not Base64") from exc
        elif name in _COMPRESSED and (inner := _undone(body, name, limits)) is not None:
            layers = _one_more(layers, limits)
            body = inner
        else:
            untrue.append(name)
    while undeclared and (shown := encoding_of(body)):
        try:
            inner = _inflated(_unbased(body) if "base64" in shown else body, _BY_HEADER, limits)
        except (zlib.error, binascii.Error, _CutOff):
            if shown == "gzip":
                raise DamagedStream("the compressed body does not inflate") from None
            break  # text that begins like compressed data by chance
        layers = _one_more(layers, limits)
        body = inner
    return Inflated(body, tuple(untrue))


def encoding_of(body: bytes) -> str:
    """Returns the content encoding that a body's first bytes show, for senders that declare none; "" for none."""
    head = body[:2]
    if head == _GZIP:
        return "gzip"
    return "deflate" if head in _ZLIB else _BASED.get(head, "")


def _undone(body: bytes, name: str, limits: Limits) -> bytes | None:
    """Returns the body without one declared layer; None when it has none."""
    if body[:2] == _GZIP or body[:2] in _ZLIB:
        try:
            return _inflated(body, _BY_HEADER, limits)
        except zlib.error as exc:
            raise DamagedStream("the compressed body does not inflate") from exc
    if "gzip" in name or _LIKE_TEXT.match(body):
        return None
    for bits in (_BY_HEADER, _BARE):
        try:
            return _inflated(body, bits, limits)
        except (zlib.error, DamagedStream):
            continue
    return None


def _one_more(layers: int, limits: Limits) -> int:
    if layers >= limits.inflate_layers:
        raise DamagedStream("more layers of compression than are taken")
    return layers + 1


def _inflated(body: bytes, bits: int, limits: Limits) -> bytes:
    """Inflates all members of one layer; raises zlib.error when it is none, DamagedStream when cut off or too many."""
    out = bytearray()
    whole, at, members = memoryview(body), 0, 0
    while at < len(body):
        members += 1
        if members > limits.inflate_members:
            raise DamagedStream("more compressed members than are taken")
        stream = zlib.decompressobj(bits)
        while not stream.eof and at < len(body):
            piece = whole[at : at + _PIECE_BYTES]
            out += stream.decompress(piece, limits.inflate_bytes + 1 - len(out))
            if len(out) > limits.inflate_bytes:
                raise CapExceeded
            at += len(piece) - len(stream.unused_data)
        if not stream.eof:
            raise _CutOff("the compressed body is cut off")
        padding = _PADDING.match(body, at)
        at = padding.end() if padding else at
    return bytes(out)


def _unbased(body: bytes) -> bytes:
    return base64.b64decode(body, validate=False)
