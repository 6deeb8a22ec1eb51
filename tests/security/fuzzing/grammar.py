"""Random connections by a grammar: what callers of HTTP send, bent and broken anywhere. One seed gives one series."""

import random
import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tests.unit.ingress.front.test_proxy_header import V4, V6, header

MARK: Final = "zq7secretmark"
"""Stands wherever a caller's text does: paths, queries, headers, bodies. No log may have it."""
SECRET: Final = "k3vq9xw2mz7rt5hb"
"""The address of an account, which the garbage uses, too; no log may have it either."""
_MARK: Final = MARK.encode()
_TARGETS: Final = tuple(
    target.replace("MARK", MARK).encode()
    for target in (
        "/v1/ytx", "/v1/nxcloud/cdr", "/v1/huawei/ax", f"/v1/a/{SECRET}/ytx", f"/v1/a/{SECRET}/ytx?MARK=1", "/v1/a/MARK/ytx",
        "/v1/ytx?account=MARK", "/v1/ytx?a=%zz&MARK", "/v1/a/MARK%00/ytx", "/v1/MARK", "/", "*", "", "//v1//ytx", "/healthz",
        "/readyz", "/metrics", "/v1/../../MARK", "http://MARK/v1/ytx", "http://[MARK/v1", "http://[::1%MARK]:99999/",
        "MARK:443", "/v1/a/%F0%9F/MARK", "/v1/\xff\xfe/MARK", "/v1/ytx#MARK", "/" + "a/" * 300 + "MARK", "/" + "MARK" * 900,
    )
)  # fmt: skip
_METHODS: Final = (
    b"POST", b"POST", b"POST", b"GET", b"HEAD", b"OPTIONS", b"PUT", b"TRACE", b"CONNECT", b"PRI", b"post", b"P\x00ST", b"",
    b"G" * 300, b"M-SEARCH",
)  # fmt: skip
_VERSIONS: Final = (
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/0.9",
    b"HTTP/2.0",
    b"HTTP/1.",
    b"",
    b"http/1.1",
)
_NAMES: Final = (
    b"Content-Type", b"X-Forwarded-For", b"Authorization", b"Cookie", b"Expect", b"Connection", b"Upgrade", b"TE", b"Trailer",
    b"Content-Encoding", b"Host", b"X " + _MARK, b"", b"X\x00Y", b"x-" + _MARK, b"\xff\xfe", b"Content-Length ", b":", b"Range",
    b"Sec-WebSocket-Key", b"Content-Type",
)  # fmt: skip
_VALUES: Final = (
    b"application/json", b"192.0.2.9", b"Basic " + _MARK, b"100-continue", b"close", b"keep-alive", b"websocket", b"gzip",
    b"Upgrade", b"h2c", b"chunked", _MARK, b"", b"\x00\x01" + _MARK, b"\xff" * 20, b"a" * 9000, b"x\r\n y: " + _MARK, b"\x7f",
)  # fmt: skip
_GOOD_METHODS: Final = (b"POST", b"POST", b"POST", b"GET", b"HEAD", b"OPTIONS", b"PUT")
_GOOD_TARGETS: Final = (*_TARGETS[:7], *_TARGETS[12:16])
_GOOD_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0")
_GOOD_NAMES: Final = _NAMES[:10]
_GOOD_VALUES: Final = _VALUES[:13]
_GOOD_LENGTHS: Final = (b"0", b"1", b"2", b"5", b"2", b"2", b"99999999")
_LENGTHS: Final = (
    b"0", b"1", b"2", b"5", b"-1", b"+2", b"0x2", b"2, 2", b"2, 3", b"99999999", b"9" * 40, b"", b" 2 ", b"2\x00", _MARK, b"1e2",
)  # fmt: skip
_CODINGS: Final = (
    b"chunked", b"chunked", b"chunked", b"gzip, chunked", b"chunked, gzip", b"identity", b"chunked\x00", b" chunked ", b"xchunked",
    b"chunked, chunked", b"",
)  # fmt: skip
_SIZES: Final = (
    b"0",
    b"2",
    b"02",
    b"ff",
    b"-1",
    b"0x2",
    b"",
    b"g",
    b"2;" + _MARK,
    b"2 ",
    b"F" * 17,
    b"7fffffffffffffff",
    b"2\n",
)
_ENDS: Final = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\x00\r\n", b"")
_TLS: Final = (
    b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x03\x40\x00" + b"x" * 400, b"\x15\x03\x01\x00\x02\x02\x28", b"\x80\x2e\x01\x00\x02",
    b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03" + b"x" * 58, b"\x17\x03\x03\x00\x01x",
)  # fmt: skip


class Conversation(NamedTuple):
    """One caller: the pieces that it sends, and the way it leaves."""

    pieces: tuple[bytes, ...]
    leaves: str
    """`waits` for an answer, `resets` the connection, or ends its `half`."""


class Grammar:
    """A series of conversations."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def conversation(self, *, proxied: bool, raw_tls: bool) -> Conversation:
        """Returns the next one; `proxied` ones mostly begin with a PROXY header, `raw_tls` ones with broken TLS."""
        draw = self._random
        data = b"".join(self._message() for _ in range(draw.choice((1, 1, 1, 2, 3, 12))))
        if draw.random() < 0.25:
            data = self._bent(data)
        if raw_tls:
            data = draw.choice(_TLS) + data
        if proxied:
            data = self._proxy_header() + data
        return Conversation(self._split(data), draw.choice(("waits", "waits", "waits", "resets", "half")))

    def _message(self) -> bytes:
        draw = self._random
        if draw.random() < 0.02:
            return draw.randbytes(draw.randrange(400))
        # A head that is refused at its first byte hides whatever is wrong behind it, so most parts are right.
        odd = draw.random() < 0.3
        line = b" ".join(
            (self._mostly(_GOOD_METHODS, _METHODS, odd), self._mostly(_GOOD_TARGETS, _TARGETS, odd),
             self._mostly(_GOOD_VERSIONS, _VERSIONS, odd))
        )  # fmt: skip
        headers = [b"Host: x"] if draw.random() < 0.97 else []
        for _ in range(draw.choice((0, 0, 1, 2, 5, 100 if odd else 3))):
            name, value = self._mostly(_GOOD_NAMES, _NAMES, odd), self._mostly(_GOOD_VALUES, _VALUES, odd)
            headers.append(name + b": " + value)
        framing, body = self._framed(odd=odd)
        headers += framing
        draw.shuffle(headers)
        end: Callable[[], bytes] = (lambda: draw.choice(_ENDS)) if draw.random() < 0.04 else (lambda: b"\r\n")
        return line + end() + b"".join(each + end() for each in headers) + end() + body

    def _mostly(self, good: Sequence[bytes], any_: Sequence[bytes], odd: bool) -> bytes:  # noqa: FBT001 - a table's column
        return self._random.choice(any_ if odd and self._random.random() < 0.4 else good)

    def _framed(self, *, odd: bool) -> tuple[list[bytes], bytes]:
        """Returns the headers that frame a body, and the body, which may be another one than they say."""
        draw, headers, body = self._random, list[bytes](), b""
        kind = draw.random()
        if kind < 0.45:
            length = self._mostly(_GOOD_LENGTHS, _LENGTHS, odd)
            headers.append(b"Content-Length: " + length)
            right = int(length) if length.isdigit() and len(length) < 4 else 2
            body = draw.choice((b'{"' + _MARK + b'":1}', b"x" * right, b"x" * right, b"x" * right, b""))
        if 0.42 < kind < 0.85:
            headers.append(b"Transfer-Encoding: " + self._mostly(_CODINGS[:1], _CODINGS, odd))
            body = self._chunks()
        return headers, body

    def _chunks(self) -> bytes:
        draw = self._random
        if draw.random() < 0.4:
            return b"2\r\n{}\r\n0\r\n\r\n"
        chunks = [
            draw.choice(_SIZES) + draw.choice(_ENDS) + draw.choice((b"{}", _MARK, b"")) + draw.choice(_ENDS)
            for _ in range(draw.randrange(4))
        ]
        trailers = draw.choice((b"0\r\n\r\n", b"0\r\nX: " + _MARK + b"\r\n\r\n", b"0\r\n" + _MARK, b""))
        return b"".join(chunks) + trailers

    def _proxy_header(self) -> bytes:
        draw = self._random
        good = header(
            command=draw.choice((0x21, 0x21, 0x21, 0x20, 0x22, 0x11)),
            family=draw.choice((0x11, 0x11, 0x11, 0x21, 0x00, 0x31, 0x12)),
            rest=draw.choice((V4, V4, V6)) + draw.choice((b"", b"\x04\x00\x03abc", _MARK, b"\xff" * 300)),
            length=draw.choice((None, None, None, None, 12, 0, 0xFFFF)),
        )
        if draw.random() < 0.7:
            return header() if draw.random() < 0.8 else header(command=0x20, family=0x00, rest=b"")
        return self._bent(good) if draw.random() < 0.4 else draw.choice((good, good, good, b"PROXY UNKNOWN\r\n", b""))

    def _bent(self, data: bytes) -> bytes:
        """Returns the bytes with some of them changed, lost, doubled or put in."""
        draw, bent = self._random, bytearray(data)
        for _ in range(draw.choice((1, 1, 2, 8))):
            at = draw.randrange(len(bent) + 1)
            until = at + draw.choice((1, 1, 2, 30))
            bent[at:until] = draw.choice(
                (
                    b"",
                    bytes(bent[at:until]) * 2,
                    draw.randbytes(1),
                    b"\r\n",
                    b"\x00",
                    b" ",
                    struct.pack("!I", at),
                    _MARK,
                )
            )
        return bytes(bent)

    def _split(self, data: bytes) -> tuple[bytes, ...]:
        draw = self._random
        cuts: Sequence[int] = sorted(draw.randrange(len(data) + 1) for _ in range(draw.choice((0, 0, 0, 1, 2, 9))))
        return tuple(data[one:other] for one, other in zip((0, *cuts), (*cuts, len(data)), strict=True))
