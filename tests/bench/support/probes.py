"""Times from a record's post to its row, while other records come at a fixed rate and people ask the views."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec

from deploy.local.stack import Stack
from deploy.simulator.requests import PushRequest
from tests.support.whole_stack import rows

PROBES: Final = 60
ASKED_EVERY_S: Final = 1.0
LOOK_EVERY_S: Final = 0.05
LIMIT_S: Final = 80.0
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


async def probed(
    stack: Stack, pushes: Sequence[PushRequest], ids: Sequence[str], *, rate: int, seconds: float, readers: int = 0
) -> Probed:
    """Posts `rate` events a second for some seconds, looks for the rows of some of them, and asks beside it.

    `ids` are the call ids of the pushes. Each reader asks a query a second.
    """
    few = [push for push in pushes if push.path == "/v1/nxcloud/cdr" and push.label == "record"]
    probing = {id(push) for push in few[:: max(1, len(few) // PROBES)][:PROBES]}
    found: list[float] = []
    asked: list[float] = []
    tasks: list[asyncio.Task[None]] = []
    async with aiohttp.ClientSession() as session:

        async def post(push: PushRequest, call_id: str) -> None:
            began = time.monotonic()
            async with session.post(
                stack.ingress_url + push.path, data=push.body, headers=dict(push.headers)
            ) as answer:
                if answer.status != 200:
                    raise RuntimeError(f"the ingress answered {answer.status}")
            if id(push) in probing:
                query = f"SELECT count() AS n FROM v_timelines WHERE vendor_call_id = '{call_id}'"
                async with asyncio.timeout(LIMIT_S):
                    while (await rows(stack, query))[0]["n"] == 0:  # noqa: ASYNC110  # what is waited for is another process
                        await asyncio.sleep(LOOK_EVERY_S)
                found.append(time.monotonic() - began)

        async def read(first: int) -> None:
            for sql in itertools.islice(itertools.cycle(ASKED), first, None):
                began = time.monotonic()
                await rows(stack, sql)
                asked.append(time.monotonic() - began)
                await asyncio.sleep(max(0.0, began + ASKED_EVERY_S - time.monotonic()))

        reading = [asyncio.create_task(read(number)) for number in range(readers)]
        began, sent = time.monotonic(), 0
        for push, call_id in zip(pushes, ids, strict=True):
            await asyncio.sleep(began + sent / rate - time.monotonic())
            tasks.append(asyncio.create_task(post(push, call_id)))
            sent += len(push.expected)
            if sent > rate * seconds:
                break
        await asyncio.gather(*tasks)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    return Probed(to_row_s=sorted(found), asked_s=sorted(asked))
