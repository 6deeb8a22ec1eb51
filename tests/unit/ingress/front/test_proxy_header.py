"""The PROXY protocol, version 2: an address comes out, or the connection ends."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.front.proxy_header import (
    FIXED_BYTES,
    MOST_BYTES,
    SIGNATURE,
    Address,
    ProxyHeaderError,
    may_begin,
    rest_bytes,
    sender,
)

V4 = bytes((192, 0, 2, 9, 203, 0, 113, 1)) + struct.pack("!HH", 51000, 443)
V6 = ipaddress.ip_address("2001:db8::9").packed + ipaddress.ip_address("2001:db8::1").packed + struct.pack("!HH", 1, 2)


def header(command: int = 0x21, family: int = 0x11, rest: bytes = V4, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest) if length is None else length) + rest


def read(data: bytes) -> Address | None:
    fixed, rest = data[:FIXED_BYTES], data[FIXED_BYTES:]
    return sender(fixed, rest[: rest_bytes(fixed)])


@pytest.mark.parametrize(
    ("data", "address"),
    [
        pytest.param(header(), ("192.0.2.9", 51000), id="IPv4"),
        pytest.param(header(family=0x21, rest=V6), ("2001:db8::9", 1), id="IPv6"),
        pytest.param(header(rest=V4 + b"\x04\x00\x03abc"), ("192.0.2.9", 51000), id="with a TLV"),
        pytest.param(header(rest=V4 + b"\x00\xff" * 900), ("192.0.2.9", 51000), id="with TLVs that break off"),
        pytest.param(header(command=0x20, family=0x00, rest=b""), None, id="the proxy's own check"),
        pytest.param(header(command=0x20), None, id="the proxy's own check, with addresses"),
        pytest.param(header() + b"POST / HTTP/1.1", ("192.0.2.9", 51000), id="a request behind it"),
    ],
)
def test_the_sender_comes_out(data: bytes, address: tuple[str, int] | None) -> None:
    assert read(data) == address


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"PROXY TCP4 192.0.2.9 203.0.113.1 51000 443\r\n", id="version 1"),
        pytest.param(b"POST /v1/ytx HTTP/1.1\r\nHost: x\r\n\r\n", id="a request"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 20, id="TLS"),
        pytest.param(SIGNATURE, id="the signature alone"),
        pytest.param(header(command=0x11), id="version 1 in binary"),
        pytest.param(header(command=0x31), id="version 3"),
        pytest.param(header(command=0x22), id="an unknown command"),
        pytest.param(header(family=0x00, rest=b""), id="a sender of no family"),
        pytest.param(header(family=0x31, rest=b"/" * 216), id="a Unix socket"),
        pytest.param(header(family=0x12), id="UDP"),
        pytest.param(header(family=0x41), id="an unknown family"),
        pytest.param(header(rest=V4[:-1]), id="addresses that break off"),
        pytest.param(header(length=13), id="a header that breaks off"),
        pytest.param(header(family=0x21), id="IPv6 with the addresses of IPv4"),
        pytest.param(header(length=MOST_BYTES + 1), id="longer than any"),
        pytest.param(header(length=0xFFFF), id="the longest"),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        read(data)


@given(st.binary(max_size=80), st.integers(0, 15))
def test_garbage_gives_an_address_or_the_one_error(garbage: bytes, kept: int) -> None:
    """Behind any part of a good header, any bytes may follow."""
    try:
        found = read(header()[:kept] + garbage)
    except ProxyHeaderError:
        return
    assert found is None or str(ipaddress.ip_address(found.host)) == found.host


@pytest.mark.parametrize("at", range(len(SIGNATURE)))
def test_garbage_is_known_at_its_first_byte(at: int) -> None:
    assert may_begin(SIGNATURE[:at])
    assert not may_begin(SIGNATURE[:at] + b"P")
