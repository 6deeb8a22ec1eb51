"""Cheap callers, as they share the cores with the server: keep-alive connections that post prepared bytes."""

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from typing import Final, cast

from deploy.simulator.requests import PushRequest

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END: Final = b"\r\n\r\n"


def request(
    path: str, body: bytes, headers: Sequence[tuple[str, str]] = (("Content-Type", "application/json"),)
) -> bytes:
    """Returns a POST as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: bench", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def wire_requests(pushes: Sequence[PushRequest]) -> list[bytes]:
    """Returns the simulator's requests as they go over the wire."""
    return [request(push.path, push.body, push.headers) for push in pushes]


class Caller(asyncio.Protocol):
    """One connection that posts the next request as soon as the last is answered, until there is none."""

    def __init__(self, waiting: Iterator[bytes]) -> None:
        self._waiting = waiting
        self._transport: asyncio.Transport | None = None
        self._answer = b""
        self._begun_s = 0.0
        self.took_s: list[float] = []
        self.refused = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Set when nothing waits any more; fails when the server hangs up before."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own type
        self._post()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, rest = self._answer.partition(_HEAD_END)
        length = _LENGTH.search(head)
        if not end or len(rest) < int(length[1] if length else 0):
            return
        if head.startswith(b"HTTP/1.1 200"):
            self.took_s.append(time.perf_counter() - self._begun_s)
        else:
            self.refused += 1
        self._post()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server hung up"))

    def abort(self) -> None:
        """Aborts the connection."""
        if not self.done.done():
            self.done.set_result(None)
        assert self._transport is not None
        self._transport.abort()

    def _post(self) -> None:
        assert self._transport is not None
        self._answer = b""
        self._begun_s = time.perf_counter()
        if (following := next(self._waiting, None)) is None:
            self.abort()
        else:
            self._transport.write(following)


class Pool:
    """Kept connections to one port, as many as requests are under way at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.free: list[_Kept] = []

    async def post(self, posted: bytes) -> None:
        """Returns after the answer; raises `RuntimeError` when it is not 200."""
        if not self.free:
            loop = asyncio.get_running_loop()
            self.free.append((await loop.create_connection(lambda: _Kept(self), "127.0.0.1", self._port))[1])
        status = await self.free.pop().post(posted)
        if status != b"200":
            raise RuntimeError(f"the ingress answered {status.decode()}")

    def close(self) -> None:
        """Closes the connections, of which none may be in use."""
        for kept in tuple(self.free):
            kept.close()


class _Kept(asyncio.Protocol):
    """A connection of a pool with one request at a time; answers are small and come in one piece."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._status: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own type

    def post(self, posted: bytes) -> "asyncio.Future[bytes]":
        assert self._transport is not None
        self._status = asyncio.get_running_loop().create_future()
        self._transport.write(posted)
        return self._status

    def data_received(self, data: bytes) -> None:
        if self._status is not None:
            self._status.set_result(data[9:12])
            self._status = None
            self._pool.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._pool.free:
            self._pool.free.remove(self)
        if self._status is not None:
            self._status.set_exception(exc or ConnectionResetError("the server hung up"))

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


async def call(port: int, waiting: Iterator[bytes], connections: int) -> list[Caller]:
    """Opens the connections; they share `waiting`."""
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(lambda: Caller(waiting), "127.0.0.1", port))[1] for _ in range(connections)]


def checked(callers: Sequence[Caller]) -> list[float]:
    """Returns the seconds that the answers took, in order; raises `RuntimeError` when a request was refused."""
    took_s = sorted(value for caller in callers for value in caller.took_s)
    if refused := sum(caller.refused for caller in callers):
        raise RuntimeError(f"{refused} of {len(took_s) + refused} requests were refused")
    return took_s
