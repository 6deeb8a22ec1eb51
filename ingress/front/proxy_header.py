"""Reads the header that a load balancer of TCP sends before a connection's own bytes: PROXY protocol, version 2.

Source: haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2. Only what a proxy of HTTP can say is taken: TCP
over IPv4 or IPv6, and LOCAL, with which the proxy itself checks that we are there. A connection that it names as one of
a Unix socket, or of nothing known, is refused: the proxy's own address would stand for a sender whom nobody knows.
Pure: bytes in, an address out.
"""

import ipaddress
import struct
from typing import Final, NamedTuple

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
FIXED_BYTES: Final = 16
MOST_BYTES: Final = 2048
"""Longest rest of a header. Addresses take 36 bytes; a certificate's subject and the like come in TLVs, which are
skipped."""
_VERSION_2: Final = 0x20
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_ADDRESS_BYTES: Final = {0x11: 4, 0x21: 16}
"""Bytes of one address, by family and transport: TCP over IPv4, and over IPv6."""


class Address(NamedTuple):
    """The sender of a connection."""

    host: str
    port: int


class ProxyHeaderError(Exception):
    """Bytes that are no header of a sender's connection."""


def may_begin(data: bytes) -> bool:
    """True while `data` can be the beginning of a header."""
    return data[: len(SIGNATURE)] == SIGNATURE[: len(data)]


def rest_bytes(fixed: bytes) -> int:
    """Returns the bytes that follow the first sixteen; raises ProxyHeaderError."""
    if len(fixed) != FIXED_BYTES or not fixed.startswith(SIGNATURE):
        raise ProxyHeaderError("no header of the PROXY protocol, version 2")
    if fixed[12] & 0xF0 != _VERSION_2:
        raise ProxyHeaderError("another version of the PROXY protocol")
    (length,) = struct.unpack_from("!H", fixed, 14)
    if length > MOST_BYTES:
        raise ProxyHeaderError(f"a header of more than {MOST_BYTES} bytes")
    return int(length)


def sender(fixed: bytes, rest: bytes) -> Address | None:
    """Returns the sender, None where the proxy itself is the sender (LOCAL); raises ProxyHeaderError."""
    if len(rest) != rest_bytes(fixed):
        raise ProxyHeaderError("a header that breaks off")
    command, family = fixed[12], fixed[13]
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise ProxyHeaderError("an unknown command")
    size = _ADDRESS_BYTES.get(family)
    if size is None:
        raise ProxyHeaderError("neither TCP over IPv4 nor over IPv6")
    if len(rest) < 2 * size + 4:
        raise ProxyHeaderError("addresses that break off")
    (port,) = struct.unpack_from("!H", rest, 2 * size)
    return Address(str(ipaddress.ip_address(rest[:size])), port)
