"""Sends the traffic over HTTP at a rate, each vendor as patient as it is, and notes every fate in the ledger."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from aiohttp import web

from deploy.process.ports import require_free
from deploy.simulator.requests import Offer, Send
from deploy.simulator.sending.getcdr_server import GetCdr
from deploy.simulator.sending.ledger import Ledger, LedgerEntry, digest_of
from deploy.simulator.sending.options import SHARES, SimulateOptions, SimulationProgress
from deploy.simulator.sending.retries import RETRIES
from deploy.simulator.sending.turns import InTurn
from deploy.simulator.traffic import Traffic

_REPORT_S: Final = 0.25
_BEHIND_S: Final = 0.5
"""A sender that fell behind catches up with this much, not with all."""

Report = Callable[[SimulationProgress], None]


def utc_now() -> datetime:
    """The machine's clock."""
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
    """Run until the calls are made, the time is over, or `enough` or `stop` is set; returns the last progress.

    A set `stop` ends it at once: what is in flight is finished, what waits for a retry is given up. Otherwise everything
    that belongs to the calls made is sent, retries included, and the pull API stays until its last record was pulled.
    """
    own = Ledger(Path(options.ledger) if options.ledger else None, keep=options.keep_ledger) if ledger is None else None
    book = ledger if own is None else own
    assert book is not None
    getcdr = GetCdr(options.getcdr, ledger=book, clock=clock) if "tencent" in options.vendors else None
    try:
        async with _Run(options, stop, enough or asyncio.Event(), book, getcdr, report) as run:
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
        getcdr: GetCdr | None,
        report: Report | None,
    ) -> None:
        self._options = options
        self._stop = stop
        self._enough = enough
        self._ledger = ledger
        self._getcdr = getcdr
        self._report = report
        self._slots = asyncio.Semaphore(options.concurrency)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._turns = InTurn(stop)
        self._runner: web.AppRunner | None = None
        self._started = time.monotonic()
        self.progress = SimulationProgress()

    async def __aenter__(self) -> Self:
        if self._getcdr:
            options = self._options
            if options.getcdr_port:
                require_free(
                    options.getcdr_port,
                    what="The simulator's pull API",
                    setting="--getcdr-port",
                    host=options.getcdr_host,
                )
            self._runner = web.AppRunner(self._getcdr.app(), access_log=None, shutdown_timeout=1.0)
            await self._runner.setup()
            await web.TCPSite(self._runner, self._options.getcdr_host, self._options.getcdr_port).start()
            host, port = self._runner.addresses[0][:2]
            self.progress.getcdr_url = f"http://{host}:{port}"
        timeout = aiohttp.ClientTimeout(total=self._options.timeout_s)
        connector = aiohttp.TCPConnector(limit=self._options.concurrency)
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
        self.progress.done = True
        self._tell()

    async def go(self, clock: Callable[[], datetime]) -> None:
        """Send everything."""
        options = self._options
        shares = {vendor: SHARES[vendor] for vendor in options.vendors}
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
        """Whether no new call is to be made."""
        duration_s = self._options.duration_s
        return self._enough.is_set() or bool(duration_s and time.monotonic() - self._started >= duration_s)

    async def _pace(self, next_at: float) -> float:
        """Wait for the next place in time; the place after it."""
        if not self._options.rate:
            return next_at
        await self._pause(next_at - time.monotonic())
        return max(next_at, time.monotonic() - _BEHIND_S) + 1 / self._options.rate

    async def _take(self, item: Send | Offer) -> None:
        if isinstance(item, Offer):
            if self._getcdr:
                self._getcdr.add(item)
                self.progress.offered += 1
            return
        if item.waits_for:
            self._run(self._in_turn(item))
            return
        await self._first(item)

    async def _first(self, send: Send) -> None:
        """The first attempt, in a slot."""
        self.progress.sent += 1
        labels = self.progress.labels
        labels[send.label] = labels.get(send.label, 0) + 1
        await self._slots.acquire()
        self._spawn(send, attempts=0, lost=0)

    async def _in_turn(self, send: Send) -> None:
        if await self._turns.come(send):
            await self._first(send)

    def _spawn(self, send: Send, *, attempts: int, lost: int) -> None:
        self._run(self._attempt(send, attempts=attempts + 1, lost=lost))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            self._failure = self._failure or task.exception()

    async def _attempt(self, send: Send, *, attempts: int, lost: int) -> None:
        """One attempt in a slot that is already taken; then the ledger, or a later attempt."""
        try:
            status = await self._post(send)
        finally:
            self._slots.release()
        if 200 <= status < 300:
            self._acknowledged(send, lost)
            return
        # A 4xx says that nothing was taken; anything else leaves it open.
        lost += not 400 <= status < 500
        retry = RETRIES[send.vendor]
        if retry.again(attempts, status):
            self.progress.waiting += 1
            await self._pause(retry.delay_s * self._options.retry_scale)
            self.progress.waiting -= 1
            if not self._stop.is_set():
                self.progress.retries += 1
                await self._slots.acquire()
                self._spawn(send, attempts=attempts, lost=lost)
                return
        self.progress.lost += 1
        self._turns.settle(send, acked=False)
        if lost:
            self._note(send, acked=False, lost=lost)

    async def _post(self, send: Send) -> int:
        """The answer's status; 0 when none came."""
        url = self._options.url.rstrip("/") + send.path
        try:
            async with self._session.request(
                send.method, url, data=send.body, headers=dict(send.headers), allow_redirects=False
            ) as response:
                await response.read()
                name, status = str(response.status), response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            name, status = type(exc).__name__, 0
        self.progress.statuses[name] = self.progress.statuses.get(name, 0) + 1
        return status

    def _acknowledged(self, send: Send, lost: int) -> None:
        self.progress.acked += 1
        self._turns.settle(send, acked=True)
        elements = self.progress.elements
        elements[send.vendor] = elements.get(send.vendor, 0) + len(send.told)
        self._note(send, acked=True, lost=lost)

    def _note(self, send: Send, *, acked: bool, lost: int) -> None:
        digest = digest_of(send.body)
        self._ledger.add(
            LedgerEntry(
                vendor=send.vendor, label=send.label, told=send.told, acked=acked, lost_answers=lost, digest=digest
            )
        )

    async def _finish(self) -> None:
        """Wait for what is under way, and for those who still pull."""
        while self._tasks:
            await asyncio.wait(self._tasks)
            # A task's successor is spawned before the task ends; the loop sees it.
        if self._failure:
            raise self._failure
        until = time.monotonic() + self._options.linger_s
        while self._getcdr and self._getcdr.pending and not self._stop.is_set() and time.monotonic() < until:
            await self._pause(0.1)

    async def _pause(self, delay_s: float) -> None:
        """Sleep, but no longer than until `stop`."""
        if delay_s <= 0 or self._stop.is_set():
            return
        try:
            await asyncio.wait_for(self._stop.wait(), delay_s)
        except TimeoutError:
            return

    async def _report_often(self) -> None:
        while True:
            self._tell()
            self._ledger.flush()
            await asyncio.sleep(_REPORT_S)

    def _tell(self) -> None:
        progress = self.progress
        progress.elapsed_s = time.monotonic() - self._started
        if self._getcdr:
            progress.pulled, progress.pull_errors = self._getcdr.records, self._getcdr.errors
            progress.unpulled = self._getcdr.pending
        if self._report:
            self._report(progress)
