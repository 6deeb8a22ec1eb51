"""Offers requests at a fixed rate from a process of its own: callers do not wait for each other or for answers.

Each crowd has its own connections, as a vendor has; a caller that finds none of them free is counted and sends nothing.
The code is cheap, because it shares the cores with the server.
"""

import asyncio
import itertools
import resource
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final, cast

import msgspec
import uvloop

TICK_S: Final = 0.002
_HOST: Final = "127.0.0.1"
_OPEN_AT_ONCE: Final = 200


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """The callers of one vendor."""

    name: str
    requests: tuple[bytes, ...]
    """The requests as they go over the wire, sent in turn."""
    rate: float
    """Requests a second."""
    connections: int


class CrowdResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to one crowd."""

    name: str
    offered: int
    no_connection: int
    statuses: dict[int, int]
    took_ms: list[float]
    """The times of all answers, ascending."""
    accepted_ms: list[float]
    """The times of the answers with status 200, ascending."""
    hung_up: int
    """The number of connections that the server closed."""
    took_s: float


class _Connection(asyncio.Protocol):
    """A kept connection with at most one request on it; answers are small and come in one piece."""

    __slots__ = ("begun", "crowd", "transport")

    def __init__(self, crowd: "_Callers") -> None:
        self.crowd = crowd
        self.transport: asyncio.Transport | None = None
        self.begun = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own type
        self.crowd.free.append(self)

    def data_received(self, data: bytes) -> None:
        crowd = self.crowd
        took = time.perf_counter() - self.begun
        status = data[9:12]
        crowd.statuses[status] += 1
        crowd.took.append(took)
        if status == b"200":
            crowd.accepted.append(took)
        crowd.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.crowd.over:
            self.crowd.hung_up += 1
            if self in self.crowd.free:
                self.crowd.free.remove(self)


class _Callers:
    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.waiting = itertools.cycle(crowd.requests)
        self.free: list[_Connection] = []
        self.statuses: Counter[bytes] = Counter()
        self.took: list[float] = []
        self.accepted: list[float] = []
        self.offered = self.no_connection = self.hung_up = 0
        self.over = False

    async def connect(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        for start in range(0, self.crowd.connections, _OPEN_AT_ONCE):
            count = min(_OPEN_AT_ONCE, self.crowd.connections - start)
            await asyncio.gather(
                *(loop.create_connection(lambda: _Connection(self), _HOST, port) for _ in range(count))
            )

    def offer(self, count: int) -> None:
        """Adds `count` callers."""
        self.offered += count
        sent = min(count, len(self.free))
        self.no_connection += count - sent
        for _ in range(sent):
            connection = self.free.pop()
            connection.begun = time.perf_counter()
            assert connection.transport is not None
            connection.transport.write(next(self.waiting))

    def result(self, took_s: float) -> CrowdResult:
        return CrowdResult(
            name=self.crowd.name,
            offered=self.offered,
            no_connection=self.no_connection,
            statuses={int(status): count for status, count in self.statuses.items()},
            took_ms=sorted(1000 * took for took in self.took),
            accepted_ms=sorted(1000 * took for took in self.accepted),
            hung_up=self.hung_up,
            took_s=took_s,
        )


async def _flood(port: int, crowds: Sequence[Crowd], seconds: float) -> list[CrowdResult]:
    callers = [_Callers(crowd) for crowd in crowds]
    for each in callers:
        await each.connect(port)
    begun = time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds:
        for each in callers:
            each.offer(int(passed * each.crowd.rate) - each.offered)
        await asyncio.sleep(TICK_S)
    deadline = time.perf_counter() + 5
    while time.perf_counter() < deadline and any(  # noqa: ASYNC110  # what is waited for is another process
        len(each.free) < each.crowd.connections - each.hung_up for each in callers
    ):
        await asyncio.sleep(0.02)
    for each in callers:
        each.over = True
    return [each.result(passed) for each in callers]


def flood(port: int, crowds: Sequence[Crowd], seconds: float) -> list[CrowdResult]:
    """Offers requests for some seconds, then waits a little for answers; call it in a process of its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return uvloop.run(_flood(port, crowds, seconds))
