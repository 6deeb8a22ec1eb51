"""Pushes the simulator's requests at a fixed rate from a process of its own, as vendors do.

Calls go side by side; the next body of a call is sent after the answer to the one before it. A request that is not
acknowledged is sent again as often as the vendor's file declares. Bodies are made beforehand and connections are kept,
because the caller shares the cores with the server.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import Final, cast

import msgspec
import uvloop

from deploy.simulator.requests import PushRequest
from deploy.simulator.traffic import Mix, Traffic
from schemas.vendors import VENDORS
from tests.bench.support.bodies import AT, Keyed, pushed
from tests.bench.support.callers import request

SHARES: Final[Mapping[str, float]] = {"huawei": 6.0, "nxcloud": 3.0, "ytx": 1.0}
"""Calls by vendor: about half of the requests are huawei's, who sends once."""
AGAIN_S: Final = 1.0
TICK_S: Final = 0.004
_HOST: Final = "127.0.0.1"


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The requests to send; the same load gives the same requests in every process."""

    seed: int
    count: int
    rate: int
    """Requests a second."""

    def requests(self) -> list[PushRequest]:
        """Returns the requests: with disorder and repetitions, nothing broken."""
        mix = Mix(broken=0, bad_element=0, compressed=0)
        traffic = Traffic(seed=self.seed, vendors=SHARES, mix=mix, clock=lambda: AT)
        found: list[PushRequest] = []
        for piece in traffic.stream():
            if isinstance(piece, PushRequest):
                found.append(piece)
            if len(found) == self.count:
                return found
        raise AssertionError("the stream has no end")


class Answer(msgspec.Struct, frozen=True):
    """The answer to one request."""

    number: int
    """Its place in the load."""
    status: int
    """The HTTP status; 0 when no answer came."""
    took_ms: float
    """The time of the last attempt."""


class _Job:
    __slots__ = ("key", "number", "request", "tries_left")

    def __init__(self, number: int, push: PushRequest, key: bytes) -> None:
        self.number = number
        self.request = request(push.path, push.body, push.headers)
        self.key = key
        self.tries_left = VENDORS[push.vendor].sends_at_most


class _Connection(asyncio.Protocol):
    """A kept connection with at most one request on it."""

    def __init__(self, pusher: "_Pusher") -> None:
        self._pusher = pusher
        self._transport: asyncio.Transport | None = None
        self._job: _Job | None = None
        self._begun = 0.0
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own type

    def post(self, job: _Job) -> None:
        assert self._transport is not None
        self._job, self._begun, self._got = job, time.perf_counter(), b""
        self._transport.write(job.request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, separator, body = self._got.partition(b"\r\n\r\n")
        if separator and len(body) >= int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or b"0"):
            self._done(int(head[9:12]))
            self._pusher.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._pusher.free:
            self._pusher.free.remove(self)
        self._done(0)

    def _done(self, status: int) -> None:
        job, self._job = self._job, None
        if job is not None:
            self._pusher.answered(job, status, 1000 * (time.perf_counter() - self._begun))


class _Pusher:
    def __init__(self, port: int) -> None:
        self._port = port
        self._turns: dict[bytes, deque[_Job]] = {}
        """The calls with a request on its way, and the requests that wait behind it."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.free: list[_Connection] = []
        self.answers: list[Answer] = []

    async def push(self, jobs: list[_Job], rate: int) -> None:
        begun, count = time.perf_counter(), 0
        while count < len(jobs):
            due = min(len(jobs), int((time.perf_counter() - begun) * rate) + 1)
            for job in jobs[count:due]:
                if job.key in self._turns:
                    self._turns[job.key].append(job)
                else:
                    self._turns[job.key] = deque()
                    self._send(job)
            count = due
            await asyncio.sleep(TICK_S)
        while len(self.answers) < len(jobs):  # noqa: ASYNC110  # what is waited for is another process
            await asyncio.sleep(0.05)

    def answered(self, job: _Job, status: int, took_ms: float) -> None:
        job.tries_left -= 1
        if status != 200 and job.tries_left:
            asyncio.get_running_loop().call_later(AGAIN_S, self._send, job)
            return
        self.answers.append(Answer(job.number, status, took_ms))
        behind = self._turns[job.key]
        if behind:
            self._send(behind.popleft())
        else:
            del self._turns[job.key]

    def _send(self, job: _Job) -> None:
        if self.free:
            self.free.pop().post(job)
        else:
            task = asyncio.create_task(self._open(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, job: _Job) -> None:
        begun = time.perf_counter()
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self), _HOST, self._port
            )
        except OSError:
            self.answered(job, 0, 1000 * (time.perf_counter() - begun))
        else:
            connection.post(job)


def keyed(load: Load) -> tuple[list[PushRequest], list[Keyed]]:
    """Returns the requests, and the callback that the ingress makes of each."""
    requests = load.requests()
    return requests, pushed(requests)


def push(load: Load, port: int) -> list[Answer]:
    """Sends the load to the ingress on this machine and waits for all answers; runs in a process of its own."""
    requests, raws = keyed(load)
    jobs = [_Job(number, push, raw.key) for number, (push, raw) in enumerate(zip(requests, raws, strict=True))]
    pusher = _Pusher(port)
    uvloop.run(pusher.push(jobs, load.rate))
    return pusher.answers
