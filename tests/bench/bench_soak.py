"""Growth of memory, and the forgetting of calls: `python -m tests.bench soak` (long form: `SOAK_S=1200 RATE=100`).

The whole stack runs under all vendors' traffic, with repeats and broken bodies, and a horizon so short that calls are
forgotten as fast as they come. The lines show each process's resident memory in the last third of the time beside that
in the second, and all that is still held after the horizon, when no traffic comes any more. Before it, a day of the
record clock in one process shows the calls that the joiner holds at each hour's end.
"""

import asyncio
import gc
import logging
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from deploy.local.stack import Stack
from deploy.local.stats import resident_mib
from deploy.process.ports import free_port
from deploy.process.scrape import total
from deploy.simulator.sending.sender import simulate
from deploy.simulator.sending.simulate_options import SimulateOptions
from deploy.simulator.vendor_contract import PullServerOptions
from processors.store.partition import PartitionState
from schemas.config.settings import JoinSettings, PollAccount
from tests.bench.bench_pure import NOW_MS
from tests.bench.support.bodies import facts, push_requests, pushed
from tests.bench.support.lines import Line, show
from tests.support.whole_stack import samples, whole_stack

SOAK_S: Final = float(os.environ.get("SOAK_S", "60"))
RATE: Final = float(os.environ.get("RATE", "60"))
LOOK_S: Final = 2.0
HOUR_MS: Final = 3_600_000
FORGET: Final = JoinSettings(provisional_after_s=5, close_after_s=10, horizon_s=20)
FORGOTTEN_S: Final = 90.0
PULL: Final = PullServerOptions(delay_s=1.0, recording_delay_s=4.0)
CALLS_AN_HOUR: Final = 900


def a_day() -> list[Line]:
    """Measures 24 hours of the record clock: a call every four seconds, each forgotten after two quiet hours."""
    held = PartitionState(JoinSettings(provisional_after_s=600, close_after_s=1800, horizon_s=7200))
    calls, states, resident = 0, [], []
    for hour in range(24):
        some = facts(pushed(push_requests(CALLS_AN_HOUR, "ytx", "nxcloud", "huawei", seed=hour % 12)))
        calls += len({fact.call_key for fact in some})
        for number, fact in enumerate(some):
            for _ in held.advance(NOW_MS + hour * HOUR_MS + number * HOUR_MS // len(some)):
                pass
            # Every hour other calls, and after half a day the same numbers again: by then the caches are full.
            held.apply(msgspec.structs.replace(fact, call_key=f"{fact.call_key}#{hour}"))
            if number % 100 == 0:
                held.take_changed()
        held.take_changed()
        states.append(len(held))
        gc.collect()
        resident.append(resident_mib(os.getpid()))
    for _ in held.advance(NOW_MS + 27 * HOUR_MS):
        pass
    held.take_changed()
    return [
        Line(bench="soak", what="a day in one partition: calls", value=calls, unit="calls"),
        Line(bench="soak", what="a day: calls held after 4 hours", value=states[3], unit="calls"),
        Line(bench="soak", what="a day: calls held after 24 hours", value=states[-1], unit="calls", limit=states[3]),
        Line(bench="soak", what="a day: resident after 12 hours", value=resident[11], unit="MiB"),
        Line(bench="soak", what="a day: resident after 24 hours", value=resident[-1], unit="MiB", limit=resident[11]),
        Line(bench="soak", what="a day: calls held when all are forgotten", value=len(held), unit="calls"),
    ]  # fmt: skip


def polled(port: int) -> PollAccount:
    return PollAccount(
        vendor="tencent", account="simulator", url=f"http://127.0.0.1:{port}", app_id=PULL.app_id, key_id=PULL.key_id,
        interval_s=2.0, lag_s=2, overlap_s=900, window_s=300, sweep_hour_utc=-1,
    )  # fmt: skip


async def watched(stack: Stack, seconds: float) -> dict[str, list[int]]:
    """Returns the resident MiB of each process, every few seconds."""
    seen: dict[str, list[int]] = {}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.sleep(LOOK_S)
        for name, pid in stack.pids().items():
            seen.setdefault(name, []).append(resident_mib(pid))
    return seen


async def held_now(stack: Stack) -> dict[str, float]:
    metrics = await samples(stack)
    return {
        "calls in the joiner's state": total(metrics, "callweave_join_calls"),
        "bodies in the spool": total(metrics, "callweave_spool_bodies"),
        "bytes waiting in the ingress": total(metrics, "callweave_ingress_waiting_bytes"),
        "records that wait for a part": total(metrics, "callweave_lag_records"),
    }


async def until_forgotten(stack: Stack) -> dict[str, float]:
    deadline = time.monotonic() + FORGOTTEN_S
    while True:
        held = await held_now(stack)
        if not any(held.values()) or time.monotonic() > deadline:
            return held
        await asyncio.sleep(1)


async def soak() -> list[Line]:
    lines: list[Line] = []
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="callweave-bench-") as folder:
        async with whole_stack(Path(folder), polled(port), join=FORGET) as stack:
            options = SimulateOptions(
                url=stack.ingress_url, rate=RATE, seed=5, duration_s=SOAK_S, retry_scale=0.05, pull=PULL,
                pull_port=port, keep_ledger=False, linger_s=30,
            )  # fmt: skip
            traffic = asyncio.create_task(simulate(options, asyncio.Event()))
            seen = await watched(stack, SOAK_S)
            busy = await held_now(stack)
            sent = await traffic
            left = await until_forgotten(stack)
            restarts = sum(stack.restarts().values())
    lines.append(Line(bench="soak", what=f"{SOAK_S:.0f} s: requests sent", value=sent.sent, unit="requests"))
    lines.append(Line(bench="soak", what="given up by vendors", value=sent.lost, unit="requests"))
    lines.append(Line(bench="soak", what="restarts of any process", value=restarts, unit="times"))
    for name, sizes in seen.items():
        third = len(sizes) // 3
        before, after = statistics.median(sizes[third : 2 * third]), statistics.median(sizes[2 * third :])
        lines.append(Line(bench="soak", what=f"resident, second third: {name}", value=before, unit="MiB"))
        lines.append(Line(bench="soak", what=f"resident, last third: {name}", value=after, unit="MiB", limit=before))
    for name, value in busy.items():
        lines.append(Line(bench="soak", what=f"under traffic: {name}", value=value, unit=""))
    for name, value in left.items():
        lines.append(Line(bench="soak", what=f"after the horizon: {name}", value=value, unit=""))
    return lines


def measure() -> list[Line]:
    """Measures the day first: it is alone in its process then."""
    return [*a_day(), *uvloop.run(soak())]


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    show(measure())
