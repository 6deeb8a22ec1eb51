"""The way of a vendor's push to a row, through the whole stack on this machine: `python -m tests.bench whole_way`.

The stack of `callweave up` runs on free ports with a worker a core (`WORKERS=` for another number), the callers in this
process. "An event" is one element: a state, a record. The limit is the pure functions alone (see `bench_pure`), which
have one core here, while the stack shares all cores with the broker, the engine and the callers.
"""

import asyncio
import logging
import os
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import uvloop
from aiokafka import AIOKafkaProducer

from deploy.local.stack import Stack
from deploy.local.stats import resident_mib
from processors.store.partition import PartitionState
from schemas.config.settings import JoinSettings
from schemas.topics import RAW
from tests.bench.bench_pure import NOW_MS, costs_us, whole_us
from tests.bench.support.bodies import Keyed, facts, push_requests, pushed
from tests.bench.support.callers import call, checked, wire_requests
from tests.bench.support.lines import Line, show
from tests.bench.support.probes import probed
from tests.support.whole_stack import rows, settings_for, whole_stack

CALLS: Final = 8000
CONNECTIONS: Final = 48
WORKERS: Final = int(os.environ.get("WORKERS", min(2, os.cpu_count() or 1)))
LIMIT_S: Final = 80.0
LATENCY_RATE: Final = int(os.environ.get("LATENCY_RATE", "200"))
LATENCY_S: Final = 15.0
IDLE_S: Final = 20.0
READ_RATE: Final = int(os.environ.get("READ_RATE", "1000"))
READERS: Final = int(os.environ.get("READERS", "8"))
SHOWN: Final = "SELECT count() AS calls, sum(fact_count) AS facts FROM v_timelines"


class Batch:
    """Requests, and the calls and facts that the views must show for them."""

    def __init__(self, seed: int, calls: int = CALLS) -> None:
        # Calls of now: news of calls older than the horizon is rare, and its rows are looked for first.
        now = datetime.now(UTC)
        self.pushes = push_requests(calls, "ytx", "nxcloud", seed=seed, at=now)
        self.requests = wire_requests(self.pushes)
        self.raws = pushed(self.pushes, now)
        found = facts(self.raws)
        self.events = len(found)
        held = PartitionState(JoinSettings())
        for _ in held.advance(NOW_MS):
            pass
        timelines = {timeline.timeline_id: timeline for fact in found for timeline in held.apply(fact).timelines}
        self.calls = len(timelines)
        self.facts = sum(timeline.fact_count for timeline in timelines.values())


async def posted(stack: Stack, batch: Batch) -> None:
    """Posts everything, as fast as it is acknowledged."""
    port = urlsplit(stack.ingress_url).port
    assert port is not None
    callers = await call(port, iter(batch.requests), CONNECTIONS)
    await asyncio.gather(*(caller.done for caller in callers))
    checked(callers)


async def preloaded(stack: Stack, raws: Sequence[Keyed]) -> None:
    """Publishes the records on `calls.raw`."""
    async with AIOKafkaProducer(
        bootstrap_servers=stack.settings.kafka.bootstrap, linger_ms=20, max_batch_size=1 << 20
    ) as producer:
        for each in raws:
            await producer.send(RAW.name, each.raw.body, key=each.key, headers=each.raw.headers())


async def until_shown(stack: Stack, calls: int, merged: int) -> None:
    """Waits until the views show this many calls of this many facts."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        (shown,) = await rows(stack, SHOWN)
        if int(shown["calls"]) >= calls and int(shown["facts"]) >= merged:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"after {LIMIT_S:.0f} s the views show {shown}, not {calls} calls of {merged} facts")
        await asyncio.sleep(0.3)


async def seconds(work: Callable[[], Awaitable[None]]) -> float:
    began = time.monotonic()
    await work()
    return time.monotonic() - began


def facts_of(batch: Batch) -> list[str]:
    """Returns the call id of each request's first element."""
    return [each.key.decode().rsplit("|", 1)[-1] for each in batch.raws]


def cpu_s(stack: Stack) -> dict[str, float]:
    """Returns the CPU seconds of each process until now, this one's (the callers') too."""
    tick = os.sysconf("SC_CLK_TCK")
    used = {"callers": time.process_time()}
    for name, pid in stack.pids().items():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used[name] = (int(fields[11]) + int(fields[12])) / tick
    return used


def used_us(stack: Stack, before: dict[str, float], events: float) -> dict[str, float]:
    """Returns the CPU microseconds that each process has used for an event since `before`, and those of all."""
    used = {name: (now - before[name]) / events * 1e6 for name, now in cpu_s(stack).items()}
    return {**used, "all": sum(used.values())}


def memory_mib(stack: Stack) -> dict[str, int]:
    return {name: resident_mib(pid) for name, pid in stack.pids().items()}


async def to_rows(stack: Stack) -> list[Line]:
    """Returns the times from a post to its row, at a low rate and at a high one beside people who ask."""
    lines = []
    for seed, rate, readers in ((4, LATENCY_RATE, 0), (5, READ_RATE, READERS)):
        batch, before = Batch(seed, calls=6 * rate), cpu_s(stack)
        took = await probed(stack, batch.pushes, facts_of(batch), rate=rate, seconds=LATENCY_S, readers=readers)
        beside = f" beside {readers} readers" if readers else ""
        for part in (0.5, 0.99):
            what = f"post to row at {rate} events/s{beside}, p{part * 100:.0f}"
            lines.append(Line(bench="whole way", what=what, value=took.at(took.to_row_s, part), unit="s"))
        # The posting itself takes LATENCY_S; what is idle in it counts, as it does for whoever pays for the machine.
        for name, value in used_us(stack, before, rate * LATENCY_S).items():
            what = f"at {rate} events/s{beside}: CPU of {name}"
            lines.append(Line(bench="whole way", what=what, value=value, unit="us/event"))
        if readers:
            what = f"a reader's query beside {rate} events/s, median"
            lines.append(Line(bench="whole way", what=what, value=took.at(took.asked_s, 0.5), unit="s"))
    return lines


async def without_calls(stack: Stack) -> list[Line]:
    """Returns what each process takes of a core while nothing comes."""
    before = cpu_s(stack)
    await asyncio.sleep(IDLE_S)
    return [
        Line(
            bench="whole way",
            what=f"without calls: CPU of {name}",
            value=(now - before[name]) / IDLE_S * 100,
            unit="% of a core",
        )
        for name, now in cpu_s(stack).items()
        if name != "callers"
    ]


async def bench() -> list[Line]:
    lines: list[Line] = []

    def add(what: str, value: float, unit: str, limit: float = 0.0) -> None:
        lines.append(Line(bench="whole way", what=what, value=value, unit=unit, limit=limit))

    batches = [Batch(seed) for seed in (1, 2, 3)]
    pure = 1e6 / whole_us(costs_us([batch.raws[:1500] for batch in batches]))
    add("the pure functions alone, one core", pure, "events/s", pure)
    shown_calls = shown_facts = 0
    with tempfile.TemporaryDirectory(prefix="callweave-bench-") as folder:
        embedded = msgspec.structs.replace(settings_for(Path(folder)).embedded, workers=WORKERS)
        async with whole_stack(Path(folder), embedded=embedded) as stack:
            await asyncio.sleep(3)
            idle = memory_mib(stack)
            lines += await without_calls(stack)
            for batch, way in ((batches[0], "cold"), (batches[1], "warm")):
                shown_calls, shown_facts = shown_calls + batch.calls, shown_facts + batch.facts
                before, began = cpu_s(stack), time.monotonic()
                posting_s = await seconds(partial(posted, stack, batch))
                await until_shown(stack, shown_calls, shown_facts)
                whole_s = time.monotonic() - began
                add(f"HTTP to rows, {way}: until acknowledged", batch.events / posting_s, "events/s", pure)
                add(f"HTTP to rows, {way}: until all rows are shown", batch.events / whole_s, "events/s", pure)
                used = used_us(stack, before, batch.events)
            for name, value in used.items():
                add(f"HTTP to rows, warm: CPU of {name}", value, "us/event", 1e6 / pure)
            batch = batches[2]
            shown_calls, shown_facts = shown_calls + batch.calls, shown_facts + batch.facts
            workers = [pid for name, pid in stack.pids().items() if name.startswith("process-")]
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)  # so that the clock starts with everything in place
            try:
                await preloaded(stack, batch.raws)
            finally:
                for pid in workers:
                    os.kill(pid, signal.SIGCONT)
            before = cpu_s(stack)
            took_s = await seconds(lambda: until_shown(stack, shown_calls, shown_facts))
            for name, value in used_us(stack, before, batch.events).items():
                add(f"calls.raw to rows: CPU of {name}", value, "us/event", 1e6 / pure)
            add("calls.raw to rows", batch.events / took_s, "events/s", pure)
            lines += await to_rows(stack)
            after = memory_mib(stack)
    for name in idle:
        add(f"resident, idle: {name}", idle[name], "MiB")
        add(f"resident, after: {name}", after[name], "MiB")
    add("resident, idle: all", sum(idle.values()), "MiB", 1200)
    add("resident, after: all", sum(after.values()), "MiB")
    return lines


def measure() -> list[Line]:
    """Starts the stack, measures, and stops it."""
    return uvloop.run(bench())


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    show(measure())
