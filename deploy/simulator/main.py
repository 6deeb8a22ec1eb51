"""The simulator as a command, and as the traffic of `callweave up`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import click
import uvloop

from deploy.process.part_process import EXIT_FAILED
from deploy.process.ports import free_port
from deploy.runtime import stop_on_signals
from deploy.simulator.sending.sender import simulate
from deploy.simulator.sending.simulate_options import SimulateOptions, SimulationProgress
from deploy.simulator.traffic import Mix
from deploy.simulator.vendors import SIMULATED_VENDORS
from schemas.config.settings import PollAccount
from schemas.errors import CallweaveError, Unavailable

_STOP_S: Final = 5.0
_PULLED: Final = tuple(name for name, vendor in SIMULATED_VENDORS.items() if vendor.pull)


class Simulation:
    """The simulator beside a stack: its pull API is polled, its pushes go to the ingress."""

    def __init__(self, rate: float, seed: int | None, poison: float = 0.0) -> None:
        self._rate = rate
        self._poison = poison
        self._seed = int(time.time()) if seed is None else seed
        self._pull_port = free_port()
        self._progress = SimulationProgress()
        self._failure: BaseException | None = None

    def poll_accounts(self) -> tuple[PollAccount, ...]:
        """Returns the poller's accounts at the simulated pull API; short intervals make calls show up quickly."""
        options = SimulateOptions().pull
        url = f"http://127.0.0.1:{self._pull_port}"
        return tuple(
            PollAccount(
                vendor=vendor,
                account="simulator",
                url=url,
                app_id=options.app_id,
                key_id=options.key_id,
                interval_s=2.0,
                lag_s=5,
                window_s=300,
                overlap_s=600,
                sweep_hour_utc=-1,
            )
            for vendor in _PULLED
        )

    @contextlib.asynccontextmanager
    async def sending_to(self, url: str) -> AsyncIterator[None]:
        """Sends to `url` until the block ends."""
        stop = asyncio.Event()
        options = SimulateOptions(
            url=url,
            rate=self._rate,
            seed=self._seed,
            mix=Mix(poison=self._poison),
            keep_ledger=False,
            pull_port=self._pull_port,
            retry_scale=0.05,
        )
        task = asyncio.create_task(simulate(options, stop, report=self._reported))
        task.add_done_callback(self._ended)
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait({task}, timeout=_STOP_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def note(self) -> str:
        """Returns a line on what was sent, or on why the simulator ended."""
        if self._failure:
            return f"simulator: it ended: {self._failure}"
        now = self._progress
        return (
            f"simulator: {now.calls:,} calls, {now.sent:,} requests sent, {now.acked:,} acknowledged,"
            f" {now.retries:,} retries, {now.lost:,} given up"
        )

    def _reported(self, progress: SimulationProgress) -> None:
        self._progress = progress

    def _ended(self, task: "asyncio.Task[SimulationProgress]") -> None:
        self._failure = None if task.cancelled() else task.exception()


def run_simulator(
    *,
    url: str,
    vendors: str,
    rate: float,
    calls: int,
    seed: int,
    getcdr_port: int,
    ledger: str | None,
    poison: float = 0.0,
) -> int:
    """Runs `callweave simulate`; returns the exit code, 1 when requests were given up.

    Raises `CallweaveError` on wrong options.
    """
    if ledger and not Path(ledger).absolute().parent.is_dir():
        raise CallweaveError(f"--ledger: there is no directory {Path(ledger).absolute().parent}", code="usage")
    options = SimulateOptions(
        url=url,
        vendors=chosen_vendors(vendors, pulled=bool(getcdr_port)),
        rate=rate,
        calls=calls,
        seed=seed,
        mix=Mix(poison=poison),
        pull_port=getcdr_port,
        ledger=ledger or "",
        keep_ledger=False,
    )
    done = uvloop.run(_simulate(options))
    click.echo(
        f"{done.calls} calls, {done.sent} requests, {done.acked} acknowledged, {done.retries} retries, {done.lost} given up, "
        f"{done.pulled} records pulled, in {done.elapsed_s:.1f} s"
    )
    return EXIT_FAILED if done.lost else 0


def chosen_vendors(names: str, *, pulled: bool) -> tuple[str, ...]:
    """Returns the vendors that a comma-separated list names, all by default.

    With `pulled` false, those that are pulled from are left out.

    Raises `CallweaveError` for a name that is none of them.
    """
    named = tuple(name.strip() for name in names.split(",") if name.strip())
    if unknown := sorted(set(named) - set(SIMULATED_VENDORS)):
        there = ", ".join(SIMULATED_VENDORS)
        raise CallweaveError(f"no simulated vendor {', '.join(unknown)}: there are {there}", code="usage")
    # Nobody would pull from a port that nobody knows.
    if not pulled and (unserved := [name for name in named if name in _PULLED]):
        raise CallweaveError(f"{', '.join(unserved)} is pulled from: give --getcdr-port and poll it", code="usage")
    return named or tuple(name for name in SIMULATED_VENDORS if pulled or name not in _PULLED)


async def _simulate(options: SimulateOptions) -> SimulationProgress:
    await _require_answer(options.url)
    return await simulate(options, stop_on_signals())


async def _require_answer(url: str) -> None:
    """Raises `Unavailable` when nobody answers: the vendors' retries would go on for minutes without a message."""
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session, session.get(url):
            return
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise Unavailable(
            f"nobody answers at {url} ({type(exc).__name__}): start `callweave up`, or set --url"
        ) from exc
