"""A series: under the simulator's traffic a sink and two workers die at one failpoint after the other; then the judgement."""

import asyncio
import math
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

import msgspec

from deploy.simulator.sending.ledger import Ledger
from deploy.simulator.sending.options import SimulateOptions
from deploy.simulator.sending.sender import simulate
from processors.engine.watchdog import EXIT_FATAL
from tests.chaos.judge.judge import Finding, by_window
from tests.chaos.judge.naive import Naive
from tests.chaos.judge.verdict import Verdict, verdict
from tests.chaos.kills.failpoints import SINK, WORKER
from tests.chaos.kills.kill_plan import Planned, plan
from tests.chaos.kills.kill_report import KillLine, KillReport
from tests.chaos.kills.kill_world import VENDORS, WORKERS, KillWorld, kill_world
from tests.chaos.kills.lives import Cradle, Life

Say = Callable[[str], None]

_LIMIT_S: Final = 60.0
"""For a life to come to its failpoint, and for a part to stop."""
_VISIT_S: Final = 3.0
_LOOK_AGAIN_S: Final = 1.0


class KillOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a series."""

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
    """Names of the points; empty: all."""
    within_s: float = math.inf
    """After this long no further life is begun, whatever was asked for."""
    quiet_s: float = 120.0
    """How long the last rows are waited for."""


class _Series:
    """The notes of a series."""

    def __init__(self, options: KillOptions, world: KillWorld, say: Say) -> None:
        self._options = options
        self._world = world
        self._say = say
        self._ledger = Ledger(options.data_dir / "ledger.jsonl")
        self._lines: dict[str, KillLine] = defaultdict(KillLine)
        self._windows: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._findings: list[Finding] = []
        self._one_guest = asyncio.Lock()
        self._until_s = time.monotonic() + options.within_s

    async def go(self) -> KillReport:
        """Traffic from the first kill to the last, then the judgement."""
        enough = asyncio.Event()
        traffic = asyncio.create_task(simulate(self._traffic(), asyncio.Event(), ledger=self._ledger, enough=enough))
        begun_s = time.monotonic()
        try:
            lasting = await self._kill_all()
            took_s = time.monotonic() - begun_s
            self._say(f"no more kills after {took_s:.0f} s: waiting for quiet")
            enough.set()
            await traffic
            found = await self._quiet()
            for life in lasting:
                await self._end(life)
        finally:
            traffic.cancel()
            await asyncio.gather(traffic, return_exceptions=True)
            self._ledger.close()
        return self._report(found, took_s)

    def _traffic(self) -> SimulateOptions:
        options = self._options
        url = self._world.stack.ingress_url
        return SimulateOptions(url=url, vendors=VENDORS, rate=options.rate, seed=options.seed, retry_scale=0.1)

    async def _kill_all(self) -> list[Life]:
        """Both plans at once; returns the lives that are left alive at the end."""
        options, cradles = self._options, self._world.cradles
        of_sink = plan(SINK, options.sink, options.seed, options.only)
        of_workers = plan(WORKER, options.workers, options.seed, options.only)
        async with asyncio.TaskGroup() as self._visits, asyncio.TaskGroup() as parts:
            series = [parts.create_task(self._die_again_and_again(cradles["sink"], of_sink))]
            series += [parts.create_task(self._die_again_and_again(cradles[name], of_workers)) for name in WORKERS]
        return [one.result() for one in series]

    async def _die_again_and_again(self, cradle: Cradle, planned: Iterator[Planned]) -> Life:
        """Through the plan, which both workers share; returns the last life."""
        since = 0
        killed: tuple[str, float] | None = None
        for step in planned:
            if time.monotonic() > self._until_s:
                break
            begun = len(self._ledger.entries)
            life = await self._live(cradle, step)
            self._time_back(life, killed)
            if life.at_work.done():
                since = begun
            name = f"{cradle.part}: {step.point.name}"
            # Whatever was not committed yet when the life began may be what its end destroys.
            self._windows[name].append((since, len(self._ledger.entries)))
            killed = (name, life.dead.result())
        life = await cradle.bear(naive=self._options.naive)
        await asyncio.wait_for(life.at_work, _LIMIT_S)
        self._time_back(life, killed)
        return life

    def _time_back(self, life: Life, killed: tuple[str, float] | None) -> None:
        """From a kill to its successor's first commit; not of a successor that died before."""
        if killed and life.at_work.done():
            name, killed_s = killed
            self._lines[name].back_s.append(life.at_work.result() - killed_s)

    async def _live(self, cradle: Cradle, step: Planned) -> Life:
        """One life to its end."""
        point = step.point
        if point.needs == "migration":
            await self._world.forget_migrations()
        life = await cradle.bear(point=point.name, passage=step.passage, ripe=step.ripe, naive=self._options.naive)
        try:
            async with asyncio.timeout(_LIMIT_S):
                await self._bring_about(life, step)
                await asyncio.shield(life.dead)
        except TimeoutError:
            life.send(signal.SIGKILL)
            await life.dead
        self._note(cradle, life, step)
        return life

    async def _bring_about(self, life: Life, step: Planned) -> None:
        """What the point needs, once the part is at work."""
        needs = step.point.needs
        if needs in ("", "migration"):
            return
        await asyncio.wait({life.at_work, life.dead}, return_when=asyncio.FIRST_COMPLETED)
        if needs == "refused row":
            await self._world.put_refused_rows(step.passage)
        elif needs == "rebalance":
            self._visits.create_task(self._visit(life))
        else:
            life.send(signal.SIGTERM)

    async def _visit(self, host: Life) -> None:
        """A third worker comes, and goes when the host is dead and its successor had time to join."""
        async with self._one_guest:
            guest = await self._world.cradles["guest"].bear()
            await asyncio.wait({host.dead}, timeout=_LIMIT_S)
            await asyncio.sleep(_VISIT_S)
            # Its stop may fall into a rebalance that waits for somebody dead, and is bounded then.
            await self._end(guest, (0, EXIT_FATAL))

    async def _end(self, life: Life, well: Collection[int] = (0,)) -> None:
        """Ask it to stop; that it does not end well is a finding."""
        life.send(signal.SIGTERM)
        done, _ = await asyncio.wait({life.dead}, timeout=_LIMIT_S)
        if not done:
            life.send(signal.SIGKILL)
            await life.dead
        if life.exit_status not in well:
            self._wrong(f"asked to stop, a part ended with {life.exit_status}")

    def _note(self, cradle: Cradle, life: Life, step: Planned) -> None:
        line = self._lines[f"{cradle.part}: {step.point.name}"]
        if life.at_the_point.done():
            line.kills += 1
        elif life.exit_status == -signal.SIGKILL:
            line.missed += 1
        else:
            self._wrong(f"{cradle.name} ended by itself with {life.exit_status}, see {cradle.log_file}")
        made = sum(one.kills for one in self._lines.values())
        self._say(f"{made}: {cradle.name}, {step.point.name}, passage {step.passage}{' after a commit' * step.ripe}")

    def _wrong(self, text: str) -> None:
        self._findings.append(Finding(harm="wrong", where=("", ""), text=text))

    async def _quiet(self) -> Verdict:
        """The verdict once it is clean, or the last one before the deadline."""
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


async def kill_series(options: KillOptions, say: Say) -> KillReport:
    """One whole series in a directory of its own."""
    say("starting Kafka, ClickHouse and the ingress")
    async with kill_world(options.data_dir) as world:
        return await _Series(options, world, say).go()
