"""The checks of `callweave doctor`, one after the other."""

import asyncio
import importlib.metadata
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Literal

import aiohttp
import msgspec

from deploy.admin.schema_registry import describe_registry
from deploy.admin.topic_setup import differences
from deploy.clickhouse import engine, sandbox
from deploy.doctor.books import books
from deploy.doctor.clickhouse import clickhouse, clickhouse_skew_s
from deploy.doctor.finding import Finding
from deploy.doctor.work import parts, work
from deploy.kafka.java import candidates, chosen
from deploy.process.ports import admin_url, ingress_url, require_free, taken
from deploy.runtime import resolved
from schemas.config.listening import has_admin_port
from schemas.config.settings import Settings
from schemas.errors import CallweaveError, SetupError

_FREE_BYTES: Final = 2 * 1024**3
_SKEW_S: Final = 5.0
_ANSWER_S: Final = 5.0


async def examine(settings: Settings) -> tuple[Finding, ...]:
    """Returns the finding of every check; a check that itself fails is a finding."""
    looks: dict[str, Callable[[Settings], Awaitable[Finding]]] = {
        "Python": _python,
        "Java": _java,
        "disk": _disk,
        "ingress": _ingress,
        "Kafka": _kafka,
        "engine": _engine,
        "sandbox": _sandbox,
        "ClickHouse": _clickhouse,
        "ledger": _ledger,
        "work": _work,
        "parts": parts,
        "registry": _registry,
        "clock": _clock,
    }
    found: list[Finding] = []
    for name, look in looks.items():
        if name == "work" and any(one.what == "Kafka" and one.state == "bad" for one in found):
            found.append(Finding(what=name, state="note", detail="not checked: only Kafka knows the workers' offsets"))
            continue
        try:
            found.append(await look(settings))
        except (CallweaveError, OSError) as exc:
            found.append(Finding(what=name, state="bad", detail=str(exc), advice=_ADVICE.get(name, "")))
    return tuple(found)


_ADVICE: Final = {
    "Kafka": "Check kafka.bootstrap and the brokers; `callweave up` starts one where none is set.",
    "work": "Kafka does not tell the workers' offsets: see Kafka.",
    "registry": "Check schema_registry.url and the registry, or leave it empty for the pinned ids.",
}


async def _python(_settings: Settings) -> Finding:
    return Finding(what="Python", state="ok", detail=sys.version.split()[0])


async def _java(settings: Settings) -> Finding:
    if settings.kafka.bootstrap:
        return Finding(what="Java", state="ok", detail="not needed: Kafka runs elsewhere")
    tried = await asyncio.to_thread(candidates)
    found = chosen(tried)
    passed_over = "".join(f"; passed over {one}" for one in tried[:-1])
    return Finding(what="Java", state="ok", detail=f"{found.major} ({found.java}){passed_over}")


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


async def _ingress(settings: Settings) -> Finding:
    host, port = settings.ingress.host, settings.ingress.port
    url = ingress_url(settings.ingress)
    answer = await _asked(f"{admin_url(settings.ingress)}/readyz")
    if answer is None:
        require_free(port, what="The ingress", setting="ingress.port", host=host)
        return Finding(what="ingress port", state="ok", detail=f"{host}:{port} is free")
    if b'"ready"' not in answer.body:
        setting = "admin_port" if has_admin_port(settings.ingress) else "port"
        raise taken(getattr(settings.ingress, setting), what="The ingress", setting=f"ingress.{setting}")
    state: Literal["ok", "bad"] = "ok" if answer.status == 200 else "bad"
    return Finding(
        what="ingress", state=state, detail=f"runs at {url}: {answer.body.decode('utf-8', 'replace').strip()[:200]}"
    )


async def _kafka(settings: Settings) -> Finding:
    if not settings.kafka.bootstrap and (free := _unused(settings.embedded.kafka_port)):
        return Finding(what="Kafka", state="ok", detail=free)
    kafka = resolved(settings).kafka
    if found := await differences(kafka):
        advice = "`callweave topics --create` makes those that are missing."
        return Finding(what="Kafka", state="note", detail="\n      ".join(found), advice=advice)
    return Finding(what="Kafka", state="ok", detail=f"{kafka.bootstrap}: all topics as they should be")


async def _clickhouse(settings: Settings) -> Finding:
    if not settings.clickhouse.url and (free := _unused(settings.embedded.clickhouse_port)):
        return Finding(what="ClickHouse", state="ok", detail=free)
    return await clickhouse(resolved(settings), embedded=not settings.clickhouse.url)


async def _ledger(settings: Settings) -> Finding:
    if not settings.clickhouse.url and (free := _unused(settings.embedded.clickhouse_port)):
        return Finding(what="ledger", state="ok", detail=free)
    return await books(resolved(settings).clickhouse)


async def _engine(settings: Settings) -> Finding:
    """Checks that the embedded engine is one that the test suite has run on."""
    if settings.clickhouse.url:
        return Finding(what="engine", state="ok", detail="not needed: ClickHouse runs elsewhere")
    wanted = " or ".join(engine.SEEN)
    try:
        installed = importlib.metadata.version("chdb-core")
    except importlib.metadata.PackageNotFoundError:
        installed = "none"
    good = installed in engine.SEEN
    return Finding(
        what="engine",
        state="ok" if good else "bad",
        detail=f"chdb-core {installed}" if good else f"chdb-core {wanted} is needed, {installed} is installed",
        advice="" if good else "`make run` installs what is needed; or set clickhouse.url to a ClickHouse of your own.",
    )


async def _sandbox(settings: Settings) -> Finding:
    """Checks that the kernel can restrict the embedded engine to its own files and ports."""
    if settings.clickhouse.url:
        return Finding(what="sandbox", state="ok", detail="not needed: ClickHouse runs elsewhere")
    version = await asyncio.to_thread(sandbox.version)
    if not version:
        return Finding(
            what="sandbox",
            state="note",
            detail="this kernel has no Landlock: every account of the embedded ClickHouse can read the files that this user can read",
            advice="Linux 5.13 or newer with landlock among its security modules (lsm=) closes that; or give the passwords only to "
            "people who may read those files.",
        )
    has_ports = version >= sandbox.PORTS_SINCE
    reach = (
        "no file but its own and no port but its own" if has_ports else "no file but its own (ports since version 4)"
    )
    return Finding(
        what="sandbox", state="ok", detail=f"Landlock version {version}: the embedded ClickHouse reaches {reach}"
    )


async def _work(settings: Settings) -> Finding:
    if not settings.kafka.bootstrap and _unused(settings.embedded.kafka_port):
        return Finding(what="work", state="ok", detail="nothing runs yet")
    return await work(resolved(settings))


async def _registry(settings: Settings) -> Finding:
    if not settings.schema_registry.url:
        return Finding(what="registry", state="ok", detail="none is set: the pinned ids")
    return Finding(what="registry", state="ok", detail=await describe_registry(settings.schema_registry))


async def _clock(settings: Settings) -> Finding:
    """Compares the clock with the ClickHouse server's; an embedded one has the same clock."""
    if not settings.clickhouse.url:
        return Finding(what="clock", state="ok", detail="one machine: one clock")
    skew_s = await clickhouse_skew_s(settings.clickhouse)
    if skew_s is None:
        return Finding(what="clock", state="note", detail="not compared: ClickHouse does not tell its time")
    good = skew_s <= _SKEW_S
    return Finding(
        what="clock",
        state="ok" if good else "bad",
        detail=f"{skew_s:.0f} s from ClickHouse's",
        advice="" if good else "Set the clock (NTP): received_at and the pollers' windows come from it.",
    )


def _unused(port: int) -> str:
    """Returns a sentence on an embedded server's port when it is free; "" when a process listens on it."""
    try:
        require_free(port, what="It", setting="its port")
    except SetupError:
        return ""
    return f"embedded: `callweave up` starts it on port {port}, which is free"


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of an address."""

    status: int
    body: bytes


async def _asked(url: str) -> _Answer | None:
    """Returns the answer of an address; None when there is none."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_S)) as session,
            session.get(url) as answer,
        ):
            return _Answer(status=answer.status, body=await answer.read())
    except (aiohttp.ClientError, TimeoutError):
        return None
