"""Asks a part over HTTP: waits until it answers, and reads the metrics that it publishes."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp

_LINE: Final = re.compile(r"^(?P<name>[a-z_]+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

_EVERY_S: Final = 0.1

Sample = tuple[str, Mapping[str, str], float]
"""The name of a metric, its labels and its value."""


def parse(text: str) -> list[Sample]:
    """Returns the samples of a text in Prometheus's exposition format."""
    found = (_LINE.match(line) for line in text.splitlines() if not line.startswith("#"))
    return [(m["name"], dict(_LABEL.findall(m["labels"] or "")), float(m["value"])) for m in found if m]


def total(samples: list[Sample], name: str, **labels: str) -> float:
    """Returns the sum of the samples of one metric that carry these labels."""
    return sum(
        value
        for found, has, value in samples
        if found == name and all(has.get(label) == want for label, want in labels.items())
    )


async def scrape(session: aiohttp.ClientSession, url: str) -> list[Sample] | None:
    """Returns the samples at `url`; None when it does not answer."""
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as response:
            return parse(await response.text())
    except (aiohttp.ClientError, TimeoutError):
        return None


async def until_answers(url: str, limit_s: float, hopeless: Callable[[], bool] = lambda: False) -> bool:
    """Waits until `url` answers 200; False when it did not within `limit_s` seconds, or as soon as `hopeless()`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while loop.time() < deadline and not hopeless():
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return True
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(_EVERY_S)
    return False
