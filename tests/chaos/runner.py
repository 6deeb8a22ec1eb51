"""A run: the stack under the simulator's traffic, one fault after the other, then a pause, then the comparison."""

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from deploy.simulator.sending.ledger import Ledger
from deploy.simulator.sending.sender import simulate
from deploy.simulator.sending.simulate_options import SimulateOptions, SimulationProgress
from deploy.simulator.traffic import Mix
from tests.chaos.faults.faults import Step
from tests.chaos.faults.inject import impossible, run_fault
from tests.chaos.judge.judge import Finding, by_window, ended_without_fault
from tests.chaos.judge.liveness import back_at_work
from tests.chaos.judge.report import Line, Report
from tests.chaos.judge.verdict import Verdict, verdict
from tests.chaos.judge.watched_run import Log
from tests.chaos.world import PULL, World, running_world

_BACK_S: Final = 90.0
_QUIET_S: Final = 120.0
_LOOK_AGAIN_S: Final = 2.0
_SETTLE_S: Final = 5.0
"""The time after the last fault; a part that ends later was not ended by a fault."""
_WARM_UP_S: Final = 3.0
_MARGIN_S: Final = 15.0
"""The traffic after the last fault, in which the parts are seen at work."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run."""

    data_dir: Path
    seed: int
    duration_s: float
    rate: float = 30.0
    """Requests a second."""
    retry_scale: float = 0.1
    """A factor of the vendors' waiting times between attempts."""
    poison: float = 0.0
    """The share of calls beside which a poison is sent: a request that once stopped, hid or falsified a call."""


class Run:
    """One run and its notes."""

    def __init__(self, options: Options, world: World, log: Log) -> None:
        self._options = options
        self._world = world
        self._log = log
        self._ledger = Ledger()
        self._windows: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._lines: dict[str, Line] = defaultdict(Line)
        self._skipped: dict[str, str] = {}
        self._missing: list[Finding] = []

    async def go(self, steps: Iterator[Step]) -> Report:
        """Runs traffic and faults for the duration, then judges."""
        options = SimulateOptions(
            url=self._world.vendors_url,
            rate=self._options.rate,
            seed=self._options.seed,
            duration_s=self._options.duration_s,
            retry_scale=self._options.retry_scale,
            mix=Mix(poison=self._options.poison),
            pull=PULL,
            pull_port=self._world.vendor_port,
            linger_s=_QUIET_S,
        )
        traffic = asyncio.create_task(simulate(options, asyncio.Event(), ledger=self._ledger, clock=self._world.clock))
        try:
            await self._run_faults(steps, time.monotonic() + self._options.duration_s, traffic)
            self._log("no more faults: waiting for the vendors to finish")
            await asyncio.wait({traffic}, timeout=_SETTLE_S)
            before = self._restarts()
            sent = await traffic
        finally:
            traffic.cancel()
            await asyncio.gather(traffic, return_exceptions=True)
        self._log("waiting for quiet")
        found = await self._quiet()
        self._missing += ended_without_fault(before, self._restarts())
        return self._report(sent, found)

    def _restarts(self) -> dict[str, int]:
        return {name: part.restarts for name, part in self._world.parts.items()}

    async def _run_faults(
        self, steps: Iterator[Step], until: float, traffic: "asyncio.Task[SimulationProgress]"
    ) -> None:
        await asyncio.sleep(_WARM_UP_S)
        for step in steps:
            longest = max(injection.duration_s for injection in step.injections)
            if traffic.done() or time.monotonic() + longest + _MARGIN_S >= until:
                return
            await self._step(step, until)
            await asyncio.sleep(step.calm_s)

    async def _step(self, step: Step, until: float) -> None:
        possible = []
        for injection in step.injections:
            if reason := impossible(self._world, injection):
                self._skipped[injection.fault.name] = reason
            else:
                possible.append(injection)
        if not possible:
            return
        begun = len(self._ledger.entries)
        await asyncio.gather(*(run_fault(self._world, injection) for injection in possible))
        watched = tuple(dict.fromkeys(name for injection in possible for name in injection.watched))
        begun_s = time.monotonic()
        back = await back_at_work(self._world, watched, _BACK_S)
        # A part that has nothing to do any more cannot be seen at work.
        seen = begun_s + _BACK_S < until or all(seconds is not None for seconds in back.values())
        for injection in possible:
            name = injection.fault.name
            line = self._lines[name]
            line.times += 1
            times = [back[part] for part in injection.watched]
            line.worst_s = max(
                line.worst_s, *((_BACK_S if seen else 0.0) if seconds is None else seconds for seconds in times)
            )
            self._windows[name].append((begun, len(self._ledger.entries)))
            where = ", ".join(injection.targets)
            took = ", ".join(f"{part} {'never' if s is None else f'{s:.1f} s'}" for part, s in back.items())
            self._log(f"{name} ({where}) for {injection.duration_s:.1f} s; back: {took}")
            self._missing += [
                Finding(
                    harm="wrong", where=("", part), text=f"{part} was not back at work {_BACK_S:.0f} s after: {name}"
                )
                for part in injection.watched
                if seen and back[part] is None
            ]

    async def _quiet(self) -> Verdict:
        """Returns the verdict once it is clean, or the last one before the deadline."""
        deadline = time.monotonic() + _QUIET_S
        while True:
            found = await verdict(self._world.stack, self._ledger.entries)
            if not found.findings or time.monotonic() > deadline:
                return found
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _report(self, sent: SimulationProgress, found: Verdict) -> Report:
        harms, acked = by_window(found.findings, self._ledger.entries, self._windows)
        for name, count in harms.items():
            self._lines[name].harms = count
        for name, number in acked.items():
            self._lines[name].acked = number
        return Report(
            seed=self._options.seed,
            lines=self._lines,
            acked=sum(entry.acked for entry in self._ledger.entries),
            refused=sent.lost,
            repeated=found.repeated,
            skipped=self._skipped,
            restarts=self._restarts(),
            poisons=Counter(
                entry.label for entry in self._ledger.entries if entry.acked and entry.label.startswith("poison")
            ),
            findings=(*found.findings, *self._missing),
        )


async def chaos(options: Options, steps: Iterator[Step], log: Log) -> Report:
    """Makes one whole run in a directory of its own."""
    log("starting three brokers, ClickHouse and the parts")
    async with contextlib.AsyncExitStack() as stack:
        world = await stack.enter_async_context(running_world(options.data_dir, options.duration_s))
        return await Run(options, world, log).go(steps)
