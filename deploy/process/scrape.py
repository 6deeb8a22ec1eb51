"""Read the numbers that the parts publish, for the terminal view and for tests."""

import re
from collections.abc import Mapping
from typing import Final

import aiohttp

_LINE: Final = re.compile(r"^(?P<name>[a-z_]+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Sample = tuple[str, Mapping[str, str], float]


def parse(text: str) -> list[Sample]:
    """The samples of a page in Prometheus's text format."""
    found = (_LINE.match(line) for line in text.splitlines() if not line.startswith("#"))
    return [(m["name"], dict(_LABEL.findall(m["labels"] or "")), float(m["value"])) for m in found if m]


def total(samples: list[Sample], name: str, **labels: str) -> float:
    """The sum of the samples of one metric that carry these labels."""
    return sum(
        value
        for found, has, value in samples
        if found == name and all(has.get(label) == want for label, want in labels.items())
    )


async def scrape(session: aiohttp.ClientSession, url: str) -> list[Sample]:
    """The samples at `url`; none when it does not answer."""
    return await scraped(session, url) or []


async def scraped(session: aiohttp.ClientSession, url: str) -> list[Sample] | None:
    """The samples at `url`; None when it does not answer."""
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
            return parse(await answer.text())
    except (aiohttp.ClientError, TimeoutError):
        return None
