"""Opens a compressed body as far as its key needs it; the bytes that are stored stay as they came. Pure."""

import zlib
from typing import Final

_WINDOW_BITS: Final = {
    "gzip": (31,),
    "x-gzip": (31,),
    "deflate": (15, -15),  # RFC 9110 means zlib's format; clients that send the bare one are common
}


class PastCap(Exception):
    """A body that inflates to more than the cap."""


def opened(body: bytes, encoding: str, cap_bytes: int) -> bytes | None:
    """The inflated body; None when it cannot be read; raises `PastCap` when it is larger than `cap_bytes`."""
    if not encoding:
        return body
    for bits in _WINDOW_BITS.get(encoding, ()):
        try:
            return _inflated(body, bits, cap_bytes)
        except zlib.error:
            continue
    return None


def _inflated(body: bytes, bits: int, cap_bytes: int) -> bytes | None:
    out = bytearray()
    rest = body
    while rest:  # gzip files may be several members one after another
        stream = zlib.decompressobj(bits)
        out += stream.decompress(rest, cap_bytes + 1 - len(out))
        if len(out) > cap_bytes:
            raise PastCap
        if not stream.eof:
            return None
        rest = stream.unused_data.lstrip(b"\0")
    return bytes(out)
