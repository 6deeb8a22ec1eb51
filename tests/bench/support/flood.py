"""Offers requests at a rate whatever becomes of them, from a process of its own: callers do not wait for each other.

Each crowd has its own connections, as a vendor has; who finds none of them free has nobody to ask, and is counted. Cheap: the
flood shares its cores with what it floods.
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
    """As they go over the wire, sent in turn."""
    rate: float
    """A second."""
    connections: int


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a crowd got."""

    name: str
    offered: int
    no_connection: int
    statuses: dict[int, int]
    took_ms: list[float]
    """Of all answers, ascending."""
    accepted_ms: list[float]
    """Of those that said 200, ascending."""
    hung_up: int
    """Connections that the other side closed."""
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
        """So many callers more."""
        self.offered += count
        sent = min(count, len(self.free))
        self.no_connection += count - sent
        for _ in range(sent):
            connection = self.free.pop()
            connection.begun = time.perf_counter()
            assert connection.transport is not None
            connection.transport.write(next(self.waiting))

    def told(self, took_s: float) -> Told:
        return Told(
            name=self.crowd.name,
            offered=self.offered,
            no_connection=self.no_connection,
            statuses={int(status): count for status, count in self.statuses.items()},
            took_ms=sorted(1000 * took for took in self.took),
            accepted_ms=sorted(1000 * took for took in self.accepted),
            hung_up=self.hung_up,
            took_s=took_s,
        )


async def _flood(port: int, crowds: Sequence[Crowd], seconds: float) -> list[Told]:
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
    return [each.told(passed) for each in callers]


def flood(port: int, crowds: Sequence[Crowd], seconds: float) -> list[Told]:
    """Offer for some seconds, then wait a little for what was sent; call it in a process of its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return uvloop.run(_flood(port, crowds, seconds))
