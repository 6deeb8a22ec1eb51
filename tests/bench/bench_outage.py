"""An outage of Kafka while all vendors go on pushing: `OUTAGE_S=300 RATE=500 python -m tests.bench outage`.

The whole stack with a real broker and the real engine; the broker is killed, and in a second run stopped (SIGSTOP: its
sockets stay open and nothing answers). The lines show how fast huawei, which sends once, had its answers, how the spool
emptied afterwards, whether every acknowledged call is in ClickHouse, and whether every call's bodies are on calls.raw
in the order of their sending.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.kafka.broker import KafkaServer
from deploy.local.stack import Stack
from deploy.process.ports import free_port
from deploy.process.scrape import scrape, total
from schemas.config.settings import IngressSettings, KafkaSettings
from schemas.topics import RAW
from tests.bench.support.bodies import Keyed
from tests.bench.support.lines import Line, show
from tests.bench.support.pusher import Answer, Load, keyed, push
from tests.support.whole_stack import PARTITIONS, rows, whole_stack

OUTAGE_S: Final = float(os.environ.get("OUTAGE_S", "20"))
RATE: Final = int(os.environ.get("RATE", "500"))
SIGNALS: Final = tuple(os.environ.get("SIGNALS", "SIGKILL,SIGSTOP").split(","))
BEFORE_S: Final = 5.0
AFTER_S: Final = 10.0
PATIENCE_MS: Final = 700.0
"""The time after which huawei's relay hangs up."""
LIMIT_S: Final = 900.0
LOOK_S: Final = 0.25
CALLS: Final = "SELECT vendor, vendor_call_id FROM v_timelines GROUP BY ALL"
COUNT: Final = "SELECT uniqExact(vendor, vendor_call_id) AS n FROM v_timelines"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The results of an outage."""

    statuses: dict[str, Counter[int]]
    """Answers by vendor and status."""
    huawei_ms: list[float]
    """The times from the request to the answer, ascending."""
    spooled: int
    most_spooled: int
    drain_s: float
    """The time from the broker's return until the spool was empty, with the traffic going on."""
    rows_s: float
    """The time from the broker's return until every call was in ClickHouse."""
    calls: int
    """The number of calls with an acknowledged request."""
    missing: list[tuple[str, str]]
    """The calls among them that ClickHouse does not show."""
    lost: int
    """The number of acknowledged bodies that are not on calls.raw."""
    keys: int
    """The number of calls with more than one body."""
    disordered: list[bytes]
    """The calls whose bodies are not on calls.raw in the order of their sending."""
    peak_mib: float
    """The ingress's largest resident memory."""
    restarts: dict[str, int]


async def outage(folder: Path, number: signal.Signals, *, outage_s: float, rate: int) -> Outcome:
    """Starts everything, takes the broker away for a while under load, and compares everything afterwards."""
    count = int((BEFORE_S + outage_s + AFTER_S) * rate)
    load = Load(seed=int(number), count=count, rate=rate)
    kafka = KafkaServer(folder / "kafka", port=free_port(), heap="384m")
    async with (
        kafka,
        whole_stack(
            folder / "stack",
            kafka=KafkaSettings(bootstrap=kafka.bootstrap, partitions=PARTITIONS),
            ingress=IngressSettings(port=free_port()),
        ) as stack,
    ):
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            pushing = asyncio.get_running_loop().run_in_executor(pool, push, load, stack.settings.ingress.port)
            while not await counted(stack, "callweave_ingress_requests_total"):  # noqa: ASYNC110  # what is waited for is another process
                await asyncio.sleep(LOOK_S)
            await asyncio.sleep(BEFORE_S)
            await away(kafka, number, outage_s)
            back = time.monotonic()
            most, drain_s = await emptied(stack, back, pushing)
            answers = await pushing
        spooled = int(await counted(stack, "callweave_spool_written_total"))
        requests, raws = keyed(load)
        good = {answer.number for answer in answers if answer.status == 200}
        calls = {
            (one.vendor, one.call)
            for place in good
            for one in requests[place].expected
            if one.fact_type in ("record", "state")
        }
        await until_shown(stack, len(calls))
        rows_s = time.monotonic() - back
        shown = {(row["vendor"], row["vendor_call_id"]) for row in await rows(stack, CALLS)}
        order = await raw_order(kafka.bootstrap)
        lost, keys, disordered = compared(raws, answers, order)
        return Outcome(
            statuses=statuses(answers, [request.vendor for request in requests]),
            huawei_ms=sorted(a.took_ms for a in answers if requests[a.number].vendor == "huawei"),
            spooled=spooled,
            most_spooled=most,
            drain_s=drain_s,
            rows_s=rows_s,
            calls=len(calls),
            missing=sorted(calls - shown),
            lost=lost,
            keys=keys,
            disordered=disordered,
            peak_mib=peak_mib(stack.pids()["ingress"]),
            restarts=stack.restarts(),
        )


async def away(kafka: KafkaServer, number: signal.Signals, outage_s: float) -> None:
    """Takes the broker away and brings it back."""
    os.kill(kafka.pid, number)
    if number is signal.SIGSTOP:
        await asyncio.sleep(outage_s)
        os.kill(kafka.pid, signal.SIGCONT)
    else:
        await kafka.wait()
        await asyncio.sleep(outage_s)
        await kafka.stop()
        await kafka.start()


async def emptied(stack: Stack, back: float, pushing: "asyncio.Future[list[Answer]]") -> tuple[int, float]:
    """Returns the most bodies seen in the spool, and the seconds after the broker's return until it was empty."""
    most = 0
    while time.monotonic() - back < LIMIT_S:
        held = int(await counted(stack, "callweave_spool_bodies"))
        most = max(most, held)
        if not held and most:
            return most, time.monotonic() - back
        if not held and pushing.done():
            return most, 0.0
        await asyncio.sleep(LOOK_S)
    raise RuntimeError(f"{held} bodies are in the spool {LIMIT_S:.0f} s after the broker's return")


async def counted(stack: Stack, metric: str) -> float:
    """Returns a metric of the ingress; a page that did not come in time is asked for again, it is not a zero."""
    async with aiohttp.ClientSession() as session:
        while not (samples := await scrape(session, stack.metrics["ingress"])):  # noqa: ASYNC110  # likewise
            await asyncio.sleep(LOOK_S)
        return total(samples, metric)


async def until_shown(stack: Stack, calls: int) -> None:
    """Waits for so many calls in ClickHouse, or for the limit; the comparison then finds the missing ones."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline and (await rows(stack, COUNT))[0]["n"] < calls:  # noqa: ASYNC110  # likewise
        await asyncio.sleep(1)


async def raw_order(bootstrap: str) -> dict[bytes, list[bytes]]:
    """Returns the bodies of each key in the order in which they first went to calls.raw, on whichever partition."""
    found: list[tuple[int, int, int, bytes, bytes]] = []
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        parts = [TopicPartition(RAW.name, number) for number in range(PARTITIONS)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        while any([await consumer.position(part) < ends[part] for part in parts]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [(each.timestamp, each.partition, each.offset, each.key, each.value) for each in records]
    order: dict[bytes, dict[bytes, None]] = {}
    for *_, key, value in sorted(found):
        order.setdefault(key, {})[value] = None
    return {key: list(values) for key, values in order.items()}


def compared(
    raws: Sequence[Keyed], answers: Sequence[Answer], order: dict[bytes, list[bytes]]
) -> tuple[int, int, list[bytes]]:
    """Returns the number of lost bodies, the number of calls with several bodies, and those that are out of order."""
    good = {answer.number for answer in answers if answer.status == 200}
    sent: dict[bytes, dict[bytes, None]] = {}
    for number, each in enumerate(raws):
        if number in good:
            sent.setdefault(each.key, {})[each.raw.body] = None
    lost = sum(len(bodies.keys() - set(order.get(key, ()))) for key, bodies in sent.items())
    several = [key for key, bodies in sent.items() if len(bodies) > 1]
    disordered = [
        key for key in several if [body for body in order.get(key, ()) if body in sent[key]] != list(sent[key])
    ]
    return lost, len(several), disordered


def statuses(answers: Sequence[Answer], vendors: Sequence[str]) -> dict[str, Counter[int]]:
    found: dict[str, Counter[int]] = {}
    for answer in answers:
        found.setdefault(vendors[answer.number], Counter())[answer.status] += 1
    return found


def peak_mib(pid: int) -> float:
    """Returns the largest resident memory that a process ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def lines_of(name: str, found: Outcome, *, outage_s: float, rate: int) -> list[Line]:
    took = found.huawei_ms
    sent = sum(sum(counts.values()) for counts in found.statuses.values())
    refused = sum(n for counts in found.statuses.values() for status, n in counts.items() if status != 200)
    figures: list[tuple[str, float, str, float]] = [
        ("requests", sent, "requests", 0.0),
        ("not acknowledged, any vendor", refused, "requests", 0.0),
        ("huawei: pushes", len(took), "requests", 0.0),
        ("huawei: acknowledged", found.statuses["huawei"][200], "requests", len(took)),
        ("huawei: answer p50", took[len(took) // 2], "ms", PATIENCE_MS),
        ("huawei: answer p99", took[int(len(took) * 0.99)], "ms", PATIENCE_MS),
        ("huawei: slowest answer", took[-1], "ms", PATIENCE_MS),
        (f"huawei: answers above {PATIENCE_MS:.0f} ms", sum(ms > PATIENCE_MS for ms in took), "requests", 0.0),
        ("spooled", found.spooled, "bodies", 0.0),
        ("most in the spool at once, after the outage", found.most_spooled, "bodies", 0.0),
        ("drained after the broker's return", found.drain_s, "s", 0.0),
        (
            "drain rate, the load going on",
            found.most_spooled / found.drain_s if found.drain_s else 0.0,
            "bodies/s",
            0.0,
        ),
        ("all in ClickHouse after the broker's return", found.rows_s, "s", 0.0),
        ("calls acknowledged", found.calls, "calls", 0.0),
        ("of them in ClickHouse", found.calls - len(found.missing), "calls", found.calls),
        ("acknowledged bodies not on calls.raw", found.lost, "bodies", 0.0),
        ("calls of several bodies", found.keys, "calls", 0.0),
        ("of them out of order on calls.raw", len(found.disordered), "calls", 0.0),
        ("ingress: peak resident", found.peak_mib, "MiB", 0.0),
        *((f"restarts of {part}", count, "times", 0.0) for part, count in found.restarts.items()),
    ]
    head = f"{name} {outage_s:.0f} s at {rate}/s"
    return [
        Line(bench="outage", what=f"{head}: {what}", value=value, unit=unit, limit=limit)
        for what, value, unit, limit in figures
    ]


async def bench() -> list[Line]:
    lines: list[Line] = []
    for name in SIGNALS:
        with tempfile.TemporaryDirectory(prefix="callweave-bench-") as folder:
            found = await outage(Path(folder), signal.Signals[name], outage_s=OUTAGE_S, rate=RATE)
            lines += lines_of(name, found, outage_s=OUTAGE_S, rate=RATE)
    return lines


def measure() -> list[Line]:
    """Measures one outage for each signal."""
    return uvloop.run(bench())


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    show(measure())
