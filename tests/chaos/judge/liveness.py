"""The test of a part at work: it answers, and the counter of its work goes up while there is traffic."""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp

from deploy.process.scrape import scrape, total
from tests.chaos.world import World

_COUNTERS: Final[Mapping[str, tuple[tuple[str, Mapping[str, str]], ...]]] = {
    "ingress": (("callweave_ingress_requests_total", {"outcome": "accepted"}),),
    "poll": (("callweave_poll_pages_total", {}),),
    # A worker may own partitions of one topic alone.
    "process": (("callweave_normalise_elements_total", {}), ("callweave_join_outcomes_total", {})),
    "sink": (("callweave_sink_rows_total", {}),),
}
_EVERY_S: Final = 0.2


async def back_at_work(world: World, names: tuple[str, ...], limit_s: float) -> dict[str, float | None]:
    """Returns the seconds until each part was seen at work; None for one that was not within `limit_s`."""
    async with aiohttp.ClientSession() as session:
        times = await asyncio.gather(*(_until_at_work(session, world, name, limit_s) for name in names))
    return dict(zip(names, times, strict=True))


async def _until_at_work(session: aiohttp.ClientSession, world: World, name: str, limit_s: float) -> float | None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    counters = _COUNTERS[name.split("-", maxsplit=1)[0]]
    before: float | None = None
    while loop.time() - begun < limit_s:
        samples = await scrape(session, world.stack.metrics[name]) or []
        now = sum(total(samples, metric, **labels) for metric, labels in counters) if samples else None
        if now is not None and before is not None and now > before:
            return loop.time() - begun
        # A restarted process counts from nothing.
        before = now
        await asyncio.sleep(_EVERY_S)
    return None
