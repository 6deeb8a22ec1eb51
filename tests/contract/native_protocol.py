"""ClickHouse's native protocol as far as tests need it: numbers, texts, compressed frames, and packets over TCP.

Structures: the engine's `CompressedReadBufferBase`, `NativeWriter` and `TCPHandler`; the revisions are
`ProtocolDefines.h`'s.
"""

import asyncio
import struct
from typing import Final

import cramjam
import msgspec

HELLO, QUERY, DATA, PING = 0, 1, 2, 4
"""The numbers of a client's packets."""
IS_HELLO, IS_DATA, IS_EXCEPTION, IS_PROGRESS, IS_PONG, IS_END, IS_PROFILE = 0, 1, 2, 3, 4, 5, 6
"""The numbers of a server's packets."""
WITH_NAME: Final = 54372
"""The oldest revision whose server's hello has its time zone and name, and no further fields."""
OLD: Final = 54028
"""A revision before clients had to describe themselves with each query: the shortest query there is."""
EMPTY_BLOCK: Final = b"\x01\x00\x02\xff\xff\xff\xff\x00\x00\x00"
"""An empty block: its information, no columns and no rows."""
LZ4: Final = 0x82
_HASH: Final = 16
_HEAD: Final = struct.Struct("<BII")


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One frame of a compressed stream."""

    method: int
    data: bytes
    """Returns the frame's data, decompressed."""


def frames(stream: bytes) -> list[Frame]:
    """Returns the frames of an answer to `compress=1`: hash, method, both sizes, data. The engine checks the hash."""
    found = []
    while stream:
        method, packed, plain = _HEAD.unpack_from(stream, _HASH)
        data = stream[_HASH + _HEAD.size : _HASH + packed]
        found.append(Frame(method=method, data=bytes(cramjam.lz4.decompress_block(data, plain))))
        stream = stream[_HASH + packed :]
    return found


def number(value: int) -> bytes:
    """A number of variable length."""
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*written, value))


def text(value: str) -> bytes:
    """A text with its length before it."""
    raw = value.encode()
    return number(len(raw)) + raw


def hello(user: str, password: str, *, revision: int = WITH_NAME) -> bytes:
    """Returns the packet with which a client begins."""
    names = text("a test") + number(1) + number(0) + number(revision)
    return number(HELLO) + names + text("default") + text(user) + text(password)


def query(sql: str, query_id: str = "") -> bytes:
    """Returns a query of a client of revision `OLD`, without external tables."""
    no_settings, whole, plain = text(""), number(2), number(0)
    return (
        number(QUERY) + text(query_id) + no_settings + whole + plain + text(sql) + number(DATA) + text("") + EMPTY_BLOCK
    )


class Answer:
    """Reads a server's packets, field by field."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def exactly(self, size: int) -> bytes:
        """Reads this many bytes."""
        return await self._reader.readexactly(size)

    async def number(self) -> int:
        """Returns a number as a varint."""
        value = shift = 0
        while True:
            (byte,) = await self.exactly(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    async def text(self) -> str:
        """Returns a text with its length before it."""
        return (await self.exactly(await self.number())).decode()

    async def exception(self) -> tuple[int, str]:
        """Reads the number and the text of an exception, after the number of its packet."""
        (code,) = struct.unpack("<i", await self.exactly(4))
        await self.text()  # the class
        message = await self.text()
        await self.text()  # the stack
        await self.exactly(1)  # whether another one follows
        return code, message
