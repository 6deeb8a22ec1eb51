"""`callweave doctor`: look at everything the stack needs, and say what to do about what is missing."""

import asyncio
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Literal

import aiohttp
import msgspec

from deploy.java import find_java, java_major
from deploy.ports import require_free
from deploy.topics import differences
from schemas.errors import CallweaveError
from schemas.settings import Settings

_FREE_BYTES: Final = 2 * 1024**3
_SKEW_S: Final = 5.0
_MINIMUM_PYTHON: Final = (3, 11)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found."""

    what: str
    state: Literal["ok", "note", "bad"]
    detail: str
    advice: str = ""


async def examine(settings: Settings) -> tuple[Finding, ...]:
    """Every look, each with its own verdict; a look that itself fails is a finding."""
    looks: tuple[tuple[str, Callable[[Settings], Awaitable[Finding]]], ...] = (
        ("Python", _python),
        ("Java", _java),
        ("disk", _disk),
        ("ingress port", _ingress_port),
        ("Kafka", _kafka),
        ("ClickHouse", _clickhouse),
        ("clock", _clock),
    )
    found = []
    for name, look in looks:
        try:
            found.append(await look(settings))
        except CallweaveError as exc:
            found.append(Finding(what=name, state="bad", detail=str(exc)))
    return tuple(found)


async def _python(_settings: Settings) -> Finding:
    version = sys.version.split()[0]
    good = sys.version_info[:2] >= _MINIMUM_PYTHON
    return Finding(
        what="Python",
        state="ok" if good else "bad",
        detail=version,
        advice="" if good else "Install Python 3.11 or newer.",
    )


async def _java(settings: Settings) -> Finding:
    if settings.kafka.bootstrap:
        return Finding(what="Java", state="ok", detail="not needed: Kafka runs elsewhere")
    java = await asyncio.to_thread(find_java)
    return Finding(what="Java", state="ok", detail=f"{await asyncio.to_thread(java_major, java)} ({java})")


async def _disk(settings: Settings) -> Finding:
    free = await asyncio.to_thread(_free_bytes, settings.embedded.data_dir)
    good = free >= _FREE_BYTES
    advice = "" if good else "Free some space, or set embedded.data_dir to a larger disk."
    return Finding(
        what="disk",
        state="ok" if good else "bad",
        detail=f"{free / 1e9:.1f} GB free for {settings.embedded.data_dir}",
        advice=advice,
    )


def _free_bytes(directory: str) -> int:
    place = Path(directory).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


async def _ingress_port(settings: Settings) -> Finding:
    where = f"{settings.ingress.host}:{settings.ingress.port}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
            session.get(f"http://{where}/readyz") as answer,
        ):
            text = (await answer.text()).strip()
            return Finding(
                what="ingress", state="ok" if answer.status == 200 else "bad", detail=f"runs at {where}: {text[:200]}"
            )
    except (aiohttp.ClientError, TimeoutError):
        require_free(settings.ingress.port, what="The ingress", setting="ingress.port", host=settings.ingress.host)
        return Finding(what="ingress port", state="ok", detail=f"{where} is free")


async def _kafka(settings: Settings) -> Finding:
    if settings.kafka.bootstrap:
        found = await differences(settings.kafka)
        if found:
            return Finding(
                what="Kafka",
                state="note",
                detail="\n".join(found),
                advice="callweave topics --create makes what is missing.",
            )
        return Finding(what="Kafka", state="ok", detail=f"{settings.kafka.bootstrap}: all topics as they should be")
    return _embedded("Kafka", settings.embedded.kafka_port, "embedded.kafka_port")


async def _clickhouse(settings: Settings) -> Finding:
    url = settings.clickhouse.url
    if not url:
        return _embedded("ClickHouse", settings.embedded.clickhouse_port, "embedded.clickhouse_port")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"{url.rstrip('/')}/ping") as answer,
        ):
            good = answer.status == 200
            return Finding(what="ClickHouse", state="ok" if good else "bad", detail=f"{url} answers {answer.status}")
    except (aiohttp.ClientError, TimeoutError) as exc:
        return Finding(
            what="ClickHouse",
            state="bad",
            detail=f"{url}: {type(exc).__name__}",
            advice="Check clickhouse.url and the server.",
        )


def _embedded(what: str, port: int, setting: str) -> Finding:
    try:
        require_free(port, what=f"The embedded {what}", setting=setting)
    except CallweaveError as exc:
        return Finding(what=what, state="note", detail=str(exc), advice="That is right while callweave up runs.")
    return Finding(what=what, state="ok", detail=f"embedded; port {port} is free")


async def _clock(settings: Settings) -> Finding:
    """Compare with the ClickHouse server's clock; alone on a machine there is nothing to compare with."""
    if not settings.clickhouse.url:
        return Finding(what="clock", state="ok", detail="one machine: one clock")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"{settings.clickhouse.url.rstrip('/')}/ping") as answer,
        ):
            told = answer.headers.get("Date", "")
    except (aiohttp.ClientError, TimeoutError):
        return Finding(what="clock", state="note", detail="not compared: ClickHouse does not answer")
    if not told:
        return Finding(what="clock", state="note", detail="not compared: ClickHouse does not tell its time")
    skew_s = abs(parsedate_to_datetime(told).timestamp() - time.time())
    good = skew_s <= _SKEW_S
    return Finding(
        what="clock",
        state="ok" if good else "bad",
        detail=f"{skew_s:.0f} s from ClickHouse's",
        advice="" if good else "Set the clock (NTP): received_at and the pollers' windows come from it.",
    )
