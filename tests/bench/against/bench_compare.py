"""The one figure for people who compare: small JSON bodies from HTTP to rows on this machine, with everything on.

`make bench ARGS=compare` posts 150,000 bodies; `BODIES=20000000` is the whole comparison, which takes hours. Every
tenth body is an earlier one again; calls are remembered for 8 hours; broker, engine, workers, ingress and callers share
the cores. It fails unless the ledger is at zero: bodies accepted = facts + duplicates + dead, and a row for each fact.
Bytes and memory are those from which `deploy/CAPACITY.md` is worked out.
"""

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import uvloop

from deploy.local.stack import Stack
from deploy.process.scrape import total
from schemas.config.settings import JoinSettings
from schemas.topics import FACTS, NORMALIZED, RAW, STATE, TIMELINES
from tests.bench.bench_whole_way import CONNECTIONS, WORKERS, cpu_s, memory_mib
from tests.bench.support.callers import call, checked, request
from tests.bench.support.lines import Line, show
from tests.bench.support.small_bodies import PATH, bodies, body, distinct
from tests.oracle.expected import Counts
from tests.support.whole_stack import counted, rows, samples, settings_for, whole_stack

BODIES: Final = int(os.environ.get("BODIES", "150000"))
MEMORY_S: Final = 8 * 3600
VENDOR: Final = "nxcloud"
KEEPS: Final = "repeats, join, acks=all, no fsync"
VIEWS: Final = ("v_cdr", "v_timelines")
STUCK_S: Final = 90.0
LOOK_S: Final = 1.0
LOOKING: Final = 10
"""Pauses between two looks are so many times as long as a look: looking is not what is measured."""


class NotBalanced(Exception):
    """The ledger is not at zero, or rows are missing: no figure is worth anything."""


async def posted(stack: Stack, count: int) -> int:
    """Posts all bodies as fast as they are acknowledged; returns the number that was."""
    port = urlsplit(stack.ingress_url).port
    assert port is not None
    callers = await call(port, (request(PATH, each) for each in bodies(count, int(time.time()))), CONNECTIONS)
    await asyncio.gather(*(caller.done for caller in callers))
    return len(checked(callers))


async def until_all(stack: Stack, calls: int) -> None:
    """Waits until all calls are shown; raises `NotBalanced` when no more come for a long time."""
    shown, moved = 0, time.monotonic()
    while shown < calls:
        began = time.monotonic()
        (found,) = await rows(stack, "SELECT count() AS calls FROM v_timelines")
        now = time.monotonic()
        if int(found["calls"]) > shown:
            shown, moved = int(found["calls"]), now
        elif now > moved + STUCK_S:
            raise NotBalanced(f"{shown} of {calls} calls are shown, and no more come")
        if shown < calls:
            await asyncio.sleep(max(LOOK_S, LOOKING * (now - began)))


def unsettled(ledger: Counts, accepted: int, spooled: int) -> bool:
    """True while the books do not balance, or do not have every accepted body.

    A body that Kafka acknowledges too late for `ingress.spool_after_ms` is in the spool too, and so comes twice.
    """
    return not ledger.balanced or not accepted <= ledger.elements <= accepted + spooled


def fault(ledger: Counts, accepted: int, spooled: int, stored: Mapping[str, int]) -> str:
    """Returns why the ledger is not at zero, or which rows are missing; "" when all is well."""
    if unsettled(ledger, accepted, spooled):
        return f"{accepted} bodies were accepted, {spooled} of them spooled, and the ledger says {ledger}"
    if ledger.facts != distinct(accepted) or ledger.dead or ledger.filtered:
        return f"{distinct(accepted)} different bodies were accepted, and the ledger says {ledger}"
    if wrong := {view: rows for view, rows in stored.items() if rows != ledger.facts}:
        return f"{ledger.facts} facts have other numbers of rows: {wrong}"
    return ""


async def balanced(stack: Stack, accepted: int) -> Counts:
    """Returns the ledger; raises `NotBalanced` unless it has every accepted body, and every fact has its rows."""
    deadline = time.monotonic() + STUCK_S
    while True:
        spooled = int(total(await samples(stack), "callweave_spool_written_total"))
        ledger = (await counted(stack, [VENDOR], restarted=False))[VENDOR]
        if not unsettled(ledger, accepted, spooled) or time.monotonic() > deadline:
            break
        await asyncio.sleep(LOOK_S)
    stored = {view: int((await rows(stack, f"SELECT count() AS n FROM {view}"))[0]["n"]) for view in VIEWS}
    if why := fault(ledger, accepted, spooled, stored):
        raise NotBalanced(why)
    return ledger


async def bytes_an_event(stack: Stack, events: int) -> dict[str, float]:
    """Returns the bytes on disk for each event, of each topic and of the tables."""
    log = Path(stack.settings.embedded.data_dir) / "kafka" / "log"
    found = {
        topic.name: sum(file.stat().st_size for file in log.glob(f"{topic.name}-*/*.log")) / events
        for topic in (RAW, FACTS, NORMALIZED, TIMELINES, STATE)
    }
    (tables,) = await rows(
        stack, "SELECT sum(bytes_on_disk) AS n FROM system.parts WHERE active AND database = 'calls'"
    )
    return {**found, "ClickHouse": int(tables["n"]) / events}


async def bench() -> list[Line]:
    lines: list[Line] = []

    def add(what: str, value: float, unit: str) -> None:
        lines.append(Line(bench="compare", what=what, value=value, unit=unit, keeps=KEEPS))

    fresh = distinct(BODIES)
    with tempfile.TemporaryDirectory(prefix="callweave-bench-") as folder:
        base = settings_for(Path(folder))
        embedded = msgspec.structs.replace(base.embedded, workers=WORKERS)
        join = JoinSettings(horizon_s=MEMORY_S, close_after_s=MEMORY_S)
        async with whole_stack(Path(folder), embedded=embedded, join=join) as stack:
            await asyncio.sleep(3)
            memory, before, began = memory_mib(stack), cpu_s(stack), time.monotonic()
            accepted = await posted(stack, BODIES)
            posting_s = time.monotonic() - began
            await until_all(stack, fresh)
            whole_s = time.monotonic() - began
            used = {name: (now - before[name]) / BODIES * 1e6 for name, now in cpu_s(stack).items()}
            grown = {name: now - memory[name] for name, now in memory_mib(stack).items()}
            ledger = await balanced(stack, accepted)
            stored = await bytes_an_event(stack, BODIES)
    add(f"{BODIES:,} bodies of {len(body(0, int(time.time())))} B, from HTTP to rows", accepted / whole_s, "bodies/s")
    add("until all are acknowledged", accepted / posting_s, "bodies/s")
    twice = ledger.elements - accepted
    missing = accepted + twice - ledger.facts - ledger.duplicates - ledger.dead
    add("stored twice: Kafka was slow, so the spool had them too", twice, "bodies")
    add("accepted or stored twice, less facts, duplicates, dead", missing, "bodies")
    for name, value in used.items():
        add(f"CPU of {name}", value, "us/body")
    add("CPU of all", sum(used.values()), "us/body")
    add("on the wire: a request", len(request(PATH, body(0, int(time.time())))), "B")
    for name, value in stored.items():
        add(f"on disk: {name}", value, "B/body")
    workers = sum(value for name, value in grown.items() if name.startswith("process"))
    add("memory of the workers", workers * 2**20 / fresh, "B/call")
    return lines


def measure() -> list[Line]:
    """Starts the stack, posts, and judges what came out."""
    return uvloop.run(bench())


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    show(measure())
