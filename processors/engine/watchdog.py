"""The watchdog ends a process when a partition has work and makes no progress, which Faust itself only logs.

`Stalls` decides and `watch` asks. The lag comes from the broker, not from the last fetch, so that a fetcher that died
unnoticed is found as well. When the broker cannot be asked, everything counts as lagging: a worker that can neither
read nor commit for that long is better started anew.

`end_process` is the way out wherever going on could lose data. An orderly shutdown would run Faust's own stop sequence,
which commits; and its threads can hang. So nothing is unwound: the supervisor starts a new process, which begins at the
last committed offset.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from faust.exceptions import ConsumerNotStarted

from processors.records import Partition
from schemas.errors import CallweaveError
from schemas.kafka.failures import REFUSED

log = logging.getLogger(__name__)

EXIT_FATAL: Final = 70
"""Exit status of a process that ended itself (EX_SOFTWARE of sysexits.h)."""

Fatal = Callable[[str, BaseException | None], None]
"""Called with the reason in one sentence, and the exception if there was one."""


def end_process(reason: str, error: BaseException | None = None) -> None:
    """Log the reason and end this process with `EXIT_FATAL`, without unwinding anything.

    What is expected, as a server that is away or refuses, is said in a line; the rest needs its place in the code.
    """
    try:
        if isinstance(error, (CallweaveError, *REFUSED)):
            log.critical("ending the process: %s: %s", reason, error)
        else:
            log.critical("ending the process: %s", reason, exc_info=error)
        logging.shutdown()
    finally:  # without memory even a line in the log may fail
        os._exit(EXIT_FATAL)


async def or_end(work: Awaitable[object], name: str, fatal: Fatal = end_process) -> None:
    """Await work that runs beside the agents and end the process if it fails: nobody awaits its task."""
    try:
        await work
    except Exception as error:  # noqa: BLE001  # after any error the worker would go on without it
        fatal(f"{name} failed", error)


class Stalls:
    """Time since which each lagging partition has had the same committed offset; in seconds of any steady clock."""

    def __init__(self, *, limit_s: float) -> None:
        self.limit_s = limit_s
        self._since: dict[Partition, tuple[int | None, float]] = {}

    def observe(self, now_s: float, *, lagging: Mapping[Partition, int | None]) -> list[Partition]:
        """Take in the lagging partitions with their committed offsets; returns those stalled beyond the limit."""
        self._since = {
            tp: known if (known := self._since.get(tp)) is not None and known[0] == committed else (committed, now_s)
            for tp, committed in lagging.items()
        }
        return sorted(tp for tp, (_, since_s) in self._since.items() if now_s - since_s >= self.limit_s)


async def lagging(consumer: Any, *, timeout_s: float) -> dict[Partition, int | None]:
    """Return the committed offset of each partition with unread or unfinished records; of all, if Kafka is silent."""
    try:
        assigned = list(consumer.assignment())
    except ConsumerNotStarted:  # no longer, at a stop
        return {}
    tracker = consumer.tracker
    try:
        unread: Mapping[Partition, int] = await asyncio.wait_for(consumer.lag(assigned), timeout_s)
    except Exception as error:  # noqa: BLE001  # every failure to ask means the same
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
