"""Compressed bodies, both ways and in pieces: what `Content-Encoding` and `Accept-Encoding` may name.

lz4 means the LZ4 frame format and deflate the zlib one, as ClickHouse has it.
"""

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import lz4.frame  # type: ignore[import-untyped] # ships no types

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PIECE_BYTES: Final = 1 << 20

# In the order in which one is chosen when a client takes several: the cheapest first, on a loopback interface.
_CODECS: Final[dict[str, tuple[Callable[[], Any], Callable[[], Any]]]] = {
    "lz4": (lz4.frame.LZ4FrameCompressor, lz4.frame.LZ4FrameDecompressor),
    "zstd": (lambda: zstd.ZstdCompressor(level=1), zstd.ZstdDecompressor),
    "gzip": (lambda: zlib.compressobj(3, wbits=31), lambda: zlib.decompressobj(wbits=47)),
    "deflate": (lambda: zlib.compressobj(3), lambda: zlib.decompressobj(wbits=47)),
}


class DamagedBody(ValueError):
    """A body that is not what its Content-Encoding says, or one we do not know."""


def choose_encoding(accept: str) -> str | None:
    """The encoding for an answer, of those that an Accept-Encoding header takes."""
    taken = {
        part.split(";")[0].strip().lower() for part in accept.split(",") if not part.replace(" ", "").endswith(";q=0")
    }
    return next((name for name in _CODECS if name in taken), None)


def compressed(pieces: Iterable[bytes], encoding: str | None) -> Iterator[bytes]:
    """The same bytes in this encoding (None: as they are)."""
    if encoding is None:
        yield from pieces
        return
    codec = _CODECS[encoding][0]()
    if encoding == "lz4":
        yield codec.begin()
    for piece in pieces:
        if small := codec.compress(piece):
            yield small
    yield codec.flush()


def inflated(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The bytes that `pieces` hold, never more than a piece at a time; raises DamagedBody."""
    if encoding in ("", "identity"):
        yield from pieces
        return
    if encoding not in _CODECS:
        raise DamagedBody(f"Unknown compression method '{encoding}': use {', '.join(_CODECS)}")
    make = _CODECS[encoding][1]
    grow = _zlib_pieces if encoding in ("gzip", "deflate") else _frame_pieces
    try:
        yield from grow(pieces, make)
    except (zlib.error, zstd.ZstdError, RuntimeError, EOFError) as exc:
        raise DamagedBody(f"The body is not {encoding}: {exc}") from exc


def _zlib_pieces(pieces: Iterable[bytes], make: Callable[[], Any]) -> Iterator[bytes]:
    codec = make()
    for piece in pieces:
        rest = piece
        while rest:
            if codec.eof:  # one member ended: another may follow
                codec = make()
            yield codec.decompress(rest, _PIECE_BYTES)
            rest = codec.unused_data if codec.eof else codec.unconsumed_tail
    if not codec.eof:
        raise EOFError("it ends too early")


def _frame_pieces(pieces: Iterable[bytes], make: Callable[[], Any]) -> Iterator[bytes]:
    codec = make()
    for piece in pieces:
        rest: bytes = piece
        while rest or not codec.needs_input:
            if codec.eof:
                if not rest:
                    break
                codec = make()
            yield codec.decompress(rest, _PIECE_BYTES)
            rest = (codec.unused_data or b"") if codec.eof else b""
            if codec.eof and not rest:
                break
    if not codec.eof:
        raise EOFError("it ends too early")
