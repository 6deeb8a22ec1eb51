"""A series of kills under the simulator's traffic: a sink and two workers at all failpoints, then judged."""

import asyncio
import math
import signal
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import msgspec

from deploy.simulator.sending.ledger import Ledger
from deploy.simulator.sending.sender import simulate
from deploy.simulator.sending.simulate_options import SimulateOptions
from processors.engine.watchdog import EXIT_FATAL
from tests.chaos.judge.judge import Finding, by_window
from tests.chaos.judge.naive import Naive
from tests.chaos.judge.verdict import Verdict, verdict
from tests.chaos.judge.watched_run import Log
from tests.chaos.kills.failpoints import SINK, WORKER
from tests.chaos.kills.kill_plan import Planned, plan
from tests.chaos.kills.kill_report import KillLine, KillReport
from tests.chaos.kills.kill_world import VENDORS, WORKERS, KillWorld, kill_world
from tests.chaos.kills.part_processes import ForkServer, PartProcess

_TRIES: Final = 3
_LIMIT_S: Final = 60.0
"""The longest time for a process to come to its failpoint, and for a part to stop."""
_VISIT_S: Final = 3.0
_LOOK_AGAIN_S: Final = 1.0


class KillOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a series."""

    data_dir: Path
    seed: int
    sink: int
    """Kills of the sink."""
    workers: int
    """Kills of the workers, both together."""
    rate: float = 30.0
    """Requests a second."""
    naive: Naive = ""
    only: Collection[str] = ()
    """The names of the points; empty means all."""
    within_s: float = math.inf
    """The time after which no further process is started, whatever was asked for."""
    quiet_s: float = 120.0
    """The longest time in which the last rows are waited for."""


class _Series:
    """One series and its notes."""

    def __init__(self, options: KillOptions, world: KillWorld, log: Log) -> None:
        self._options = options
        self._world = world
        self._log = log
        self._ledger = Ledger(options.data_dir / "ledger.jsonl")
        self._lines: dict[str, KillLine] = defaultdict(KillLine)
        self._windows: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._findings: list[Finding] = []
        self._one_guest = asyncio.Lock()
        self._until_s = time.monotonic() + options.within_s

    async def go(self) -> KillReport:
        """Sends traffic from the first kill to the last, then judges."""
        enough = asyncio.Event()
        traffic = asyncio.create_task(simulate(self._traffic(), asyncio.Event(), ledger=self._ledger, enough=enough))
        begun_s = time.monotonic()
        try:
            lasting = await self._kill_all()
            took_s = time.monotonic() - begun_s
            self._log(f"no more kills after {took_s:.0f} s: waiting for quiet")
            enough.set()
            await traffic
            found = await self._quiet()
            for process in lasting:
                await self._end(process)
        finally:
            traffic.cancel()
            await asyncio.gather(traffic, return_exceptions=True)
            self._ledger.close()
        return self._report(found, took_s)

    def _traffic(self) -> SimulateOptions:
        options = self._options
        url = self._world.stack.ingress_url
        return SimulateOptions(url=url, vendors=VENDORS, rate=options.rate, seed=options.seed, retry_scale=0.1)

    async def _kill_all(self) -> list[PartProcess]:
        """Carries out both plans at once; returns the processes that run at the end."""
        options, fork_servers = self._options, self._world.fork_servers
        of_sink = plan(SINK, options.sink, options.seed, options.only)
        of_workers = plan(WORKER, options.workers, options.seed, options.only)
        async with asyncio.TaskGroup() as self._visits, asyncio.TaskGroup() as parts:
            series = [parts.create_task(self._kill_repeatedly(fork_servers["sink"], of_sink))]
            series += [parts.create_task(self._kill_repeatedly(fork_servers[name], of_workers)) for name in WORKERS]
        return [one.result() for one in series]

    async def _kill_repeatedly(self, server: ForkServer, planned: Iterator[Planned]) -> PartProcess:
        """Carries out the plan, which both workers share; returns the last process."""
        since = 0
        killed: tuple[str, float] | None = None
        for step in planned:
            if time.monotonic() > self._until_s:
                break
            # A point may not be on a process's way, as with a restore where there are no states: another one tries.
            for _ in range(_TRIES):
                begun = len(self._ledger.entries)
                process = await self._run_to_failpoint(server, step)
                self._time_back(process, killed)
                if process.working.done():
                    since = begun
                name = f"{server.part}: {step.point.name}"
                # Whatever was not committed yet when the process began may be what its end destroys.
                self._windows[name].append((since, len(self._ledger.entries)))
                killed = (name, process.ended.result())
                if process.at_failpoint.done() or process.exit_status != -signal.SIGKILL:
                    break
        process = await server.fork(naive=self._options.naive)
        await asyncio.wait_for(process.working, _LIMIT_S)
        self._time_back(process, killed)
        return process

    def _time_back(self, process: PartProcess, killed: tuple[str, float] | None) -> None:
        """Notes the time from a kill to the successor's first commit, unless the successor ended before it."""
        if killed and process.working.done():
            name, killed_s = killed
            self._lines[name].back_s.append(process.working.result() - killed_s)

    async def _run_to_failpoint(self, server: ForkServer, step: Planned) -> PartProcess:
        """Runs one process to its end."""
        point = step.point
        if point.needs == "migration":
            await self._world.forget_migrations()
        process = await server.fork(
            point=point.name, passage=step.passage, after_commit=step.after_commit, naive=self._options.naive
        )
        try:
            async with asyncio.timeout(_LIMIT_S):
                await self._trigger(process, step)
                await asyncio.shield(process.ended)
        except TimeoutError:
            process.send(signal.SIGKILL)
            await process.ended
        self._note(server, process, step)
        return process

    async def _trigger(self, process: PartProcess, step: Planned) -> None:
        """Triggers the event that the point needs, once the part is at work."""
        needs = step.point.needs
        if needs in ("", "migration"):
            return
        await asyncio.wait({process.working, process.ended}, return_when=asyncio.FIRST_COMPLETED)
        if needs == "refused row":
            await self._world.put_refused_rows(step.passage)
        elif needs == "rebalance":
            self._visits.create_task(self._visit(process))
        else:
            process.send(signal.SIGTERM)

    async def _visit(self, host: PartProcess) -> None:
        """Starts a third worker, and ends it when the host has ended and its successor had time to join."""
        async with self._one_guest:
            guest = await self._world.fork_servers["guest"].fork()
            await asyncio.wait({host.ended}, timeout=_LIMIT_S)
            await asyncio.sleep(_VISIT_S)
            # Its stop may fall into a rebalance that waits for a killed member; then a time limit ends it.
            await self._end(guest, (0, EXIT_FATAL))

    async def _end(self, process: PartProcess, good: Collection[int] = (0,)) -> None:
        """Asks it to stop; an exit status that is not one of `good` is a finding."""
        process.send(signal.SIGTERM)
        done, _ = await asyncio.wait({process.ended}, timeout=_LIMIT_S)
        if not done:
            process.send(signal.SIGKILL)
            await process.ended
        if process.exit_status not in good:
            self._wrong(f"asked to stop, a part ended with {process.exit_status}")

    def _note(self, server: ForkServer, process: PartProcess, step: Planned) -> None:
        line = self._lines[f"{server.part}: {step.point.name}"]
        if process.at_failpoint.done():
            line.kills += 1
        elif process.exit_status == -signal.SIGKILL:
            line.missed += 1
        else:
            self._wrong(f"{server.name} ended by itself with {process.exit_status}, see {server.log_file}")
        made = sum(one.kills for one in self._lines.values())
        self._log(
            f"{made}: {server.name}, {step.point.name}, passage {step.passage}{' after a commit' * step.after_commit}"
        )

    def _wrong(self, text: str) -> None:
        self._findings.append(Finding(harm="wrong", where=("", ""), text=text))

    async def _quiet(self) -> Verdict:
        """Returns the verdict once it is clean, or the last one before the deadline."""
        deadline = time.monotonic() + self._options.quiet_s
        while True:
            found = await verdict(self._world.stack, self._ledger.entries, refused=self._world.refused)
            if not found.findings or time.monotonic() > deadline:
                return found
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _report(self, found: Verdict, took_s: float) -> KillReport:
        harms, _ = by_window(found.findings, self._ledger.entries, self._windows)
        for name, count in harms.items():
            self._lines[name].harms = count
        return KillReport(
            seed=self._options.seed,
            lines=self._lines,
            acked=sum(entry.acked for entry in self._ledger.entries),
            refused=len(self._world.refused),
            took_s=took_s,
            findings=(*found.findings, *self._findings),
        )


async def kill_series(options: KillOptions, log: Log) -> KillReport:
    """Makes one whole series in a directory of its own."""
    log("starting Kafka, ClickHouse and the ingress")
    async with kill_world(options.data_dir) as world:
        return await _Series(options, world, log).go()
