"""Sends the traffic over HTTP at a rate, repeats as each vendor does, and notes every outcome in the ledger."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from aiohttp import web

from deploy.process.ports import require_free
from deploy.simulator.requests import Offer, PushRequest
from deploy.simulator.sending.ledger import Ledger, LedgerEntry, digest_of
from deploy.simulator.sending.ordering import AckOrder
from deploy.simulator.sending.pull_server import PullServer
from deploy.simulator.sending.simulate_options import SimulateOptions, SimulationProgress
from deploy.simulator.traffic import Traffic
from deploy.simulator.vendors import SIMULATED_VENDORS

_REPORT_S: Final = 0.25
_BEHIND_S: Final = 0.5
"""A sender that fell behind its rate makes up for this much, not for all."""
_AT_ONCE: Final = 32
"""Requests in flight."""
_HOST: Final = "127.0.0.1"
"""The interface of the pull API."""

Report = Callable[[SimulationProgress], None]


def utc_now() -> datetime:
    """Returns the machine's time."""
    return datetime.now(UTC)


async def simulate(
    options: SimulateOptions,
    stop: asyncio.Event,
    *,
    report: Report | None = None,
    ledger: Ledger | None = None,
    clock: Callable[[], datetime] = utc_now,
    enough: asyncio.Event | None = None,
) -> SimulationProgress:
    """Runs until the calls are made, the time is over, or `enough` or `stop` is set; returns the last progress.

    A set `stop` ends it at once: attempts in flight are finished, those that wait for a retry are given up. Otherwise
    everything that belongs to the calls made is sent, retries included, and the pull API stays until its last record
    was pulled.
    """
    own = Ledger(Path(options.ledger) if options.ledger else None, keep=options.keep_ledger) if ledger is None else None
    book = ledger if own is None else own
    assert book is not None
    servers = {
        name: PullServer(name, api, options.pull, ledger=book, clock=clock)
        for name in options.vendors
        if (api := SIMULATED_VENDORS[name].pull)
    }
    try:
        async with _Run(options, stop, enough or asyncio.Event(), book, servers, report) as run:
            await run.go(clock)
            return run.progress
    finally:
        if own is not None:
            own.close()


class _Run:
    """One simulation with its session, its tasks and its pull API."""

    def __init__(
        self,
        options: SimulateOptions,
        stop: asyncio.Event,
        enough: asyncio.Event,
        ledger: Ledger,
        servers: Mapping[str, PullServer],
        report: Report | None,
    ) -> None:
        self._options = options
        self._stop = stop
        self._enough = enough
        self._ledger = ledger
        self._servers = servers
        self._report = report
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._order = AckOrder(stop)
        self._runner: web.AppRunner | None = None
        self._started = time.monotonic()
        self.progress = SimulationProgress()

    async def __aenter__(self) -> Self:
        if self._servers:
            await self._serve()
        timeout = aiohttp.ClientTimeout(total=self._options.timeout_s)
        connector = aiohttp.TCPConnector(limit=_AT_ONCE)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        self._reporter = asyncio.create_task(self._report_often())
        return self

    async def __aexit__(self, failed: type[BaseException] | None, *_: object) -> None:
        self._reporter.cancel()
        if failed:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(self._reporter, *self._tasks, return_exceptions=True)
        await self._session.close()
        if self._runner:
            await self._runner.cleanup()
        self._ledger.flush()
        self._report_now()

    async def _serve(self) -> None:
        """Opens the pull APIs of all vendors on one port."""
        if self._options.pull_port:
            require_free(self._options.pull_port, what="The simulator's pull API", setting="--getcdr-port")
        app = web.Application()
        for server in self._servers.values():
            server.add_routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, self._options.pull_port).start()
        host, port = self._runner.addresses[0][:2]
        self.progress.pull_url = f"http://{host}:{port}"

    async def go(self, clock: Callable[[], datetime]) -> None:
        """Sends everything."""
        options = self._options
        shares = {vendor: SIMULATED_VENDORS[vendor].share for vendor in options.vendors}
        traffic = Traffic(seed=options.seed, vendors=shares, mix=options.mix, clock=clock)
        next_at = self._started
        stream = traffic.stream(options.calls)
        over = False
        while not self._stop.is_set() and self._failure is None:
            if not over and self._has_enough():
                stream, over = traffic.rest(), True
            item = next(stream, None)
            if item is None:
                break
            next_at = await self._pace(next_at)
            await self._take(item)
            self.progress.calls = traffic.calls
            self.progress.scenarios = {str(scenario): count for scenario, count in traffic.scenarios.items()}
        await self._finish()

    def _has_enough(self) -> bool:
        """True when no new call is to be made."""
        duration_s = self._options.duration_s
        return self._enough.is_set() or bool(duration_s and time.monotonic() - self._started >= duration_s)

    async def _pace(self, next_at: float) -> float:
        """Waits for the next time to send; returns the time after it."""
        if not self._options.rate:
            return next_at
        await self._pause(next_at - time.monotonic())
        return max(next_at, time.monotonic() - _BEHIND_S) + 1 / self._options.rate

    async def _take(self, item: PushRequest | Offer) -> None:
        if isinstance(item, Offer):
            self._servers[item.vendor].add(item)
            self.progress.offered += 1
            return
        if item.waits_for:
            self._run(self._in_order(item))
            return
        await self._first(item)

    async def _first(self, request: PushRequest) -> None:
        """Makes the first attempt, in a slot."""
        self.progress.sent += 1
        await self._slots.acquire()
        self._spawn(request, attempts=0, lost=0)

    async def _in_order(self, request: PushRequest) -> None:
        if await self._order.wait(request):
            await self._first(request)

    def _spawn(self, request: PushRequest, *, attempts: int, lost: int) -> None:
        self._run(self._attempt(request, attempts=attempts + 1, lost=lost))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            self._failure = self._failure or task.exception()

    async def _attempt(self, request: PushRequest, *, attempts: int, lost: int) -> None:
        """Makes one attempt in a slot that is already taken; then follows the ledger, or a later attempt."""
        try:
            status = await self._post(request)
        finally:
            self._slots.release()
        if 200 <= status < 300:
            self._acknowledged(request, lost)
            return
        # After a 4xx nothing was stored; after anything else it may have been.
        lost += not 400 <= status < 500
        retry = SIMULATED_VENDORS[request.vendor].retry
        if retry.again(attempts, status):
            await self._pause(retry.delay_s * self._options.retry_scale)
            if not self._stop.is_set():
                self.progress.retries += 1
                await self._slots.acquire()
                self._spawn(request, attempts=attempts, lost=lost)
                return
        self.progress.lost += 1
        self._order.settle(request, acked=False)
        if lost:
            self._note(request, acked=False, lost=lost)

    async def _post(self, request: PushRequest) -> int:
        """Returns the answer's status, 0 when none came."""
        url = self._options.url.rstrip("/") + request.path
        try:
            async with self._session.request(
                request.method, url, data=request.body, headers=dict(request.headers), allow_redirects=False
            ) as response:
                await response.read()
                name, status = str(response.status), response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            name, status = type(exc).__name__, 0
        self.progress.statuses[name] = self.progress.statuses.get(name, 0) + 1
        return status

    def _acknowledged(self, request: PushRequest, lost: int) -> None:
        self.progress.acked += 1
        self._order.settle(request, acked=True)
        self._note(request, acked=True, lost=lost)

    def _note(self, request: PushRequest, *, acked: bool, lost: int) -> None:
        digest = digest_of(request.body)
        self._ledger.add(
            LedgerEntry(
                vendor=request.vendor,
                label=request.label,
                expected=request.expected,
                acked=acked,
                lost_answers=lost,
                digest=digest,
            )
        )

    async def _finish(self) -> None:
        """Waits for attempts in flight, and for those who still pull."""
        while self._tasks:
            await asyncio.wait(self._tasks)
            # A task's successor is spawned before the task ends; the loop sees it.
        if self._failure:
            raise self._failure
        until = time.monotonic() + self._options.linger_s
        while self._pending() and not self._stop.is_set() and time.monotonic() < until:
            await self._pause(0.1)

    def _pending(self) -> int:
        """Records of the pull APIs that nobody has pulled."""
        return sum(server.pending for server in self._servers.values())

    async def _pause(self, delay_s: float) -> None:
        """Sleeps, but no longer than until `stop`."""
        if delay_s <= 0 or self._stop.is_set():
            return
        try:
            await asyncio.wait_for(self._stop.wait(), delay_s)
        except TimeoutError:
            return

    async def _report_often(self) -> None:
        while True:
            self._report_now()
            self._ledger.flush()
            await asyncio.sleep(_REPORT_S)

    def _report_now(self) -> None:
        progress = self.progress
        progress.elapsed_s = time.monotonic() - self._started
        progress.pulled = sum(server.records for server in self._servers.values())
        if self._report:
            self._report(progress)
