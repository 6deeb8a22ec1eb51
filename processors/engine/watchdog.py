"""Notices a partition that has work and makes no progress, which Faust itself only logs.

`Stalls` decides and `watch` asks. The lag comes from the broker, not from the last fetch, so that a fetcher that died
unnoticed is found as well. When the broker cannot be asked, everything counts as lagging: a worker that can neither
read nor commit for that long is better started anew.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from faust.exceptions import ConsumerNotStarted

from processors.engine.fatal import Fatal, end_process
from processors.records import Partition

log = logging.getLogger(__name__)


class Stalls:
    """Since when each lagging partition has had the same committed offset; times in seconds of any steady clock."""

    def __init__(self, *, limit_s: float) -> None:
        self.limit_s = limit_s
        self._since: dict[Partition, tuple[int | None, float]] = {}

    def observe(self, now_s: float, *, lagging: Mapping[Partition, int | None]) -> list[Partition]:
        """Take in the lagging partitions with what is committed there, and return those stalled beyond the limit."""
        self._since = {
            tp: known if (known := self._since.get(tp)) is not None and known[0] == committed else (committed, now_s)
            for tp, committed in lagging.items()
        }
        return sorted(tp for tp, (_, since_s) in self._since.items() if now_s - since_s >= self.limit_s)


async def lagging(consumer: Any, *, timeout_s: float) -> dict[Partition, int | None]:
    """Return what is committed on each partition with records unread or unfinished (all, if Kafka does not answer)."""
    try:
        assigned = list(consumer.assignment())
    except ConsumerNotStarted:  # at a stop not any more
        return {}
    tracker = consumer.tracker
    try:
        unread: Mapping[Partition, int] = await asyncio.wait_for(consumer.lag(assigned), timeout_s)
    except Exception as error:  # noqa: BLE001  # any failure to ask means the same
        log.warning("cannot ask Kafka for the lag: %r", error)
        unread = dict.fromkeys(assigned, 1)
    return {tp: tracker.position(tp) for tp in assigned if unread.get(tp, 0) > 0 or tracker.in_flight(tp)}


async def watch(consumer: Any, *, limit_s: float = 60.0, fatal: Fatal = end_process) -> None:
    """Look every twelfth of the limit, for ever, and end the process when a partition has stalled for `limit_s`."""
    stalls = Stalls(limit_s=limit_s)
    pause_s = limit_s / 12
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(pause_s)
        stalled = stalls.observe(loop.time(), lagging=await lagging(consumer, timeout_s=pause_s * 2))
        if stalled:
            consumer.poison()
            fatal(f"no progress for {limit_s:g} s on " + ", ".join(f"{t}[{p}]" for t, p in stalled), None)
            return
