"""Times from a record's post to its row, while other records come at a fixed rate and people ask the views."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from deploy.local.stack import Stack
from deploy.simulator.requests import PushRequest
from tests.bench.support.callers import Pool, wire_requests
from tests.support.whole_stack import rows

PROBES: Final = 300
ASKED_EVERY_S: Final = 1.0
LOOK_EVERY_S: Final = 0.05
LIMIT_S: Final = 80.0
LOOK: Final = "SELECT DISTINCT vendor_call_id AS id FROM timelines_by_slot WHERE slot_at >= now() - INTERVAL 2 HOUR"
"""A row that is there is what the view shows; to plan the view so often would take a tenth of a core."""
ASKED: Final = (
    "SELECT vendor, count(), sum(talk_ms) FROM v_timelines WHERE started_at >= now() - INTERVAL 1 HOUR GROUP BY vendor",
    "SELECT slot_at, sum(attempts), sum(answered), sum(cost) FROM v_kpi_5m WHERE slot_at >= now() - INTERVAL 1 DAY GROUP BY slot_at",
    "SELECT * FROM v_timelines ORDER BY started_at DESC LIMIT 50",
    "SELECT slot_at, vendor, sum(attempts), sum(talk_total_ms) FROM v_kpi_day GROUP BY slot_at, vendor",
    "SELECT count(), sum(talk_ms) FROM v_timelines WHERE account_id != '' AND started_at >= now() - INTERVAL 1 DAY",
)
"""Queries of a dashboard."""


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """The times that were found, sorted, in seconds."""

    to_row_s: list[float]
    """Times from the post of a record until the view shows its row."""
    asked_s: list[float]
    """Times from a reader's query until its whole answer."""

    @staticmethod
    def at(times: Sequence[float], part: float) -> float:
        """Returns the time that this part of them does not exceed."""
        return times[int(len(times) * part)]


class _Crowd:
    """A vendor who posts, somebody who waits for rows, and people who ask."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        port = urlsplit(stack.ingress_url).port
        assert port is not None
        self.pool = Pool(port)
        self.waiting: dict[str, float] = {}
        """The call ids whose rows are waited for, and when they were posted."""
        self.found: list[float] = []
        self.asked: list[float] = []

    async def post(self, posted: bytes, call_id: str, *, is_probe: bool) -> None:
        began = time.monotonic()
        await self.pool.post(posted)
        if is_probe:
            self.waiting[call_id] = began

    async def look(self) -> None:
        """Asks for all that are waited for at once: a question for each would be the load that is measured."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self.waiting:
                listed = ", ".join(f"'{call_id}'" for call_id in self.waiting)
                query = f"{LOOK} AND vendor_call_id IN ({listed})"
                shown = await rows(self._stack, query)
                self.found += [time.monotonic() - self.waiting.pop(row["id"]) for row in shown]

    async def read(self, first: int) -> None:
        """Asks a query a second, and the next one from then on."""
        for sql in itertools.islice(itertools.cycle(ASKED), first, None):
            began = time.monotonic()
            await rows(self._stack, sql)
            self.asked.append(time.monotonic() - began)
            await asyncio.sleep(max(0.0, began + ASKED_EVERY_S - time.monotonic()))


async def probed(
    stack: Stack, pushes: Sequence[PushRequest], ids: Sequence[str], *, rate: int, seconds: float, readers: int = 0
) -> Probed:
    """Posts `rate` events a second for some seconds, looks for the rows of some of them, and asks beside it.

    `ids` are the call ids of the pushes. Each reader asks a query a second.
    """
    few = [push for push in pushes if push.path == "/v1/nxcloud/cdr" and push.label == "record"]
    probing = {id(push) for push in few[:: max(1, len(few) // PROBES)][:PROBES]}
    crowd = _Crowd(stack)
    with contextlib.closing(crowd.pool):
        people = [asyncio.create_task(crowd.look()), *(asyncio.create_task(crowd.read(n)) for n in range(readers))]
        posting: list[asyncio.Task[None]] = []
        began, sent = time.monotonic(), 0
        for push, posted, call_id in zip(pushes, wire_requests(pushes), ids, strict=True):
            await asyncio.sleep(began + sent / rate - time.monotonic())
            posting.append(asyncio.create_task(crowd.post(posted, call_id, is_probe=id(push) in probing)))
            sent += len(push.expected)
            if sent > rate * seconds:
                break
        await asyncio.gather(*posting)
        async with asyncio.timeout(LIMIT_S):
            while crowd.waiting:  # noqa: ASYNC110 - what is waited for is another process
                await asyncio.sleep(LOOK_EVERY_S)
        for task in people:
            task.cancel()
        await asyncio.gather(*people, return_exceptions=True)
    return Probed(to_row_s=sorted(crowd.found), asked_s=sorted(crowd.asked))
