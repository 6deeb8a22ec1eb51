"""The doctor's checks of the work itself: partitions move, parts answer, and no process dies again and again.

Each verdict is a pure function of what was collected.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import aiohttp
import msgspec

from deploy.doctor.finding import Finding
from deploy.doctor.group_offsets import KafkaOffsets, connected_offsets
from deploy.doctor.stalled_partitions import GroupOffsets, StallDetector, StalledPartition, sentences
from deploy.process.part_states import PartState, read_states
from deploy.process.ports import http_url
from deploy.process.scrape import parse, total
from processors.poison.crashes import LATELY_MS, OFTEN, crash_dir, read_book
from processors.poison.suspects import Book
from schemas.config.settings import Settings

LOOK_AGAIN_S: Final = 5.0
"""The pause between the two looks; commits come every second."""
PATIENCE_S: Final = 20.0
"""A partition may stand still for this long: a restart with its rebalance takes less."""
ANSWER_S: Final = 5.0
_BLOCKED_S: Final = 5.0
_AGED: Final = 6
"""The number of records whose age is read."""


async def work(settings: Settings) -> Finding:
    """Checks in two looks at Kafka that groups have members and partitions move; raises `Unavailable`."""
    loop, detector = asyncio.get_running_loop(), StallDetector()
    async with connected_offsets(settings.kafka) as kafka:
        groups = await kafka.look()
        if any(group.waiting for group in groups):
            detector.observe(groups, loop.time())
            await asyncio.sleep(LOOK_AGAIN_S)
            groups = await kafka.look()
        detector.observe(groups, loop.time())
        stalled = detector.stalled(groups, loop.time(), longer_than_s=LOOK_AGAIN_S / 2)
        return verdict_on_work(groups, await _with_ages(kafka, groups, stalled))


async def _with_ages(
    kafka: KafkaOffsets, groups: Sequence[GroupOffsets], stalled: list[StalledPartition]
) -> list[StalledPartition]:
    """Adds the age of the oldest record, which says more than the time between two looks."""
    committed = {(one.topic, one.partition): one.committed for group in groups for one in group.partitions}
    aged = []
    for one in stalled[:_AGED]:
        since_ms = await kafka.appended_at_ms(one.topic, one.partition, committed[one.topic, one.partition])
        for_s = max(one.for_s, time.time() - since_ms / 1000) if since_ms else one.for_s
        aged.append(msgspec.structs.replace(one, for_s=for_s))
    return sorted((*aged, *stalled[_AGED:]), key=lambda one: -one.for_s)


def verdict_on_work(groups: Sequence[GroupOffsets], stalled: list[StalledPartition]) -> Finding:
    """Judges the groups; bad: a group without members, or a partition that stands still longer than a restart."""
    alone = [group for group in groups if not group.members]
    if left := [group for group in alone if group.committed or group.waiting]:
        detail = "; ".join(f"nobody works for {group.name}: {group.waiting:,} records wait" for group in left)
        advice = "Start `callweave process` and `callweave sink`, or look why they end: their logs."
        return Finding(what="work", state="bad", detail=detail, advice=advice)
    if stalled:
        state: Literal["bad", "note"] = "bad" if stalled[0].for_s > PATIENCE_S else "note"
        advice = "The log of the worker that has it; `callweave dead list --code poison` once it goes on."
        return Finding(what="work", state=state, detail="; ".join(sentences(stalled)), advice=advice)
    if alone:
        names = " and ".join(group.name for group in alone)
        return Finding(what="work", state="note", detail=f"nobody has worked yet for {names}", advice="")
    waiting = sum(group.waiting for group in groups)
    return Finding(what="work", state="ok", detail=f"{waiting:,} records wait, and every partition moves")


async def parts(settings: Settings) -> Finding:
    """Checks that the parts answer and do not die again and again."""
    directory, crashes = Path(settings.embedded.data_dir), crash_dir(settings)
    states = await asyncio.to_thread(read_states, directory)
    known = states.parts if states else parts_by_port(settings)
    held = {part.name: await _held_s(part) for part in known if part.metrics}
    book = await asyncio.to_thread(read_book, crashes)
    return verdict_on_parts(known if states else (), held, book, now_s=time.time())


def parts_by_port(settings: Settings) -> tuple[PartState, ...]:
    """Returns the parts that run without `callweave up`, as far as this machine's settings tell."""
    ports = {name: getattr(settings, name).metrics_port for name in ("poll", "process", "sink")}
    return tuple(
        PartState(
            name=name, pid=0, restarts=(), last_exit=None, metrics=f"{http_url(settings.metrics.host, port)}/metrics"
        )
        for name, port in ports.items()
        if port
    )


async def _held_s(part: PartState) -> float:
    """Returns for how long its event loop was blocked lately; infinite when it connects and does not answer."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(part.metrics) as answer:
            return total(parse(await answer.text()), "callweave_loop_blocked_seconds")
    except TimeoutError:
        return math.inf
    except aiohttp.ClientError:
        return 0.0  # it is not running, or still starting


def verdict_on_parts(states: Sequence[PartState], held_s: Mapping[str, float], book: Book, *, now_s: float) -> Finding:
    """Judges the parts; bad: a blocked event loop, three restarts or three ends of a worker in ten minutes."""
    bad = [_blocked(name, seconds) for name, seconds in held_s.items() if seconds >= _BLOCKED_S]
    since_s = now_s - LATELY_MS / 1000
    for part in states:
        lately = [at_s for at_s in part.restarts if at_s >= since_s]
        if len(lately) >= OFTEN:
            bad.append(
                f"{part.name} was started again {len(lately)} times in the last 10 minutes (exit {part.last_exit})"
            )
    ends = book.ends_since(int(1000 * since_s))
    workers = sorted({end.worker for end in ends if sum(end.worker == one.worker for one in ends) >= OFTEN})
    for worker in workers:
        count = sum(end.worker == worker for end in ends)
        bad.append(f"worker {worker} ended {count} times in the last 10 minutes without being asked to")
    suspects = [f"workers died at {one.place} {one.deaths} times: it is tried alone" for one in book.suspects[:3]]
    aside = [f"{len(book.poison)} records are put aside, the last is {book.poison[-1].place}"] if book.poison else []
    text = "; ".join((*bad, *suspects, *aside))
    if bad:
        advice = "Their logs; memory (process.memory_limit_mb); `callweave dead list --code poison`."
        return Finding(what="parts", state="bad", detail=text, advice=advice)
    if text:
        advice = "`callweave dead list --code poison`: mend what they died of, then `callweave dead replay`."
        return Finding(what="parts", state="note", detail=text, advice=advice)
    return Finding(what="parts", state="ok", detail="none of those that are known here ended lately")


def _blocked(name: str, held_s: float) -> str:
    if math.isinf(held_s):
        return f"{name} does not answer within {ANSWER_S:g} s: its event loop is blocked"
    return f"{name}'s event loop was blocked for {held_s:.0f} s in the last minute"
