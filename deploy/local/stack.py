"""Everything on one machine: Kafka, ClickHouse, topics, tables and the parts, brought up and down in order.

A server that has an address in the settings is used as it is; only one without an address is embedded.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from deploy.admin.clickhouse_accounts import Login, reader
from deploy.admin.topic_setup import create_topics
from deploy.clickhouse.launch import ClickHouseServer
from deploy.kafka.broker import KafkaServer
from deploy.kafka.jars import StartProgress
from deploy.process import token_key
from deploy.process.data_dir import claim
from deploy.process.part_process import PartSpec, SupervisedPart, supervised_part
from deploy.process.part_states import remove_states, write_states
from deploy.process.ports import admin_url, http_url, ingress_url, native_port, require_free
from deploy.process.scrape import until_answers
from deploy.process.supervisor import Runnable, Supervised
from deploy.runtime import resolved
from schemas.config.listening import has_admin_port, needs_account, who_reaches
from schemas.config.loader import whole
from schemas.config.settings import IngressSettings, PollAccount, Settings
from schemas.errors import SetupError
from sinks.migrate import migrate_tables

log: Final = logging.getLogger(__name__)

SupervisedServer = Supervised[Runnable]
T = TypeVar("T")
U = TypeVar("U")

_FIXED_METRICS_PORTS: Final = 2
"""The ports of the sink and the poller; those of the workers follow."""
_READY_S: Final = 60.0
_HOPELESS: Final = 3
"""After so many failed starts another one would fail in the same way."""


class Stack(msgspec.Struct, kw_only=True):
    """A running stack; only its settings change, when they are read again."""

    settings: Settings
    """The settings in effect, with every address filled in."""
    parts: tuple[SupervisedPart, ...]
    servers: tuple[SupervisedServer, ...]
    """The embedded ones."""
    metrics: Mapping[str, str]
    """The address of each part's metrics."""
    reader: Login | None = None
    """The account for people at the embedded ClickHouse; None at an external one."""

    @property
    def ingress_url(self) -> str:
        """The address that vendors push to."""
        return ingress_url(self.settings.ingress)

    def pids(self) -> dict[str, int]:
        """Returns the id of every running process of the stack."""
        return {one.name: one.pid for one in (*self.servers, *self.parts) if one.pid}

    def restarts(self) -> dict[str, int]:
        """Returns how often each process of the stack was started again."""
        return {one.name: one.restarts for one in (*self.servers, *self.parts)}


@contextlib.asynccontextmanager
async def running_stack(
    settings: Settings,
    progress: StartProgress,
    *,
    poll_also: tuple[PollAccount, ...] = (),
) -> AsyncIterator[Stack]:
    """Brings the stack up, and down at the end; raises `SetupError` or `Unavailable` with what to do."""
    polled = (*settings.poll.accounts, *poll_also)
    settings = replace(settings, poll=replace(settings.poll, accounts=polled))
    async with contextlib.AsyncExitStack() as down:
        # First of all: a second start must fail with this reason, and not with that of a port in use.
        data_dir = _data_dir(down, settings)
        _require_ports(settings)
        if not settings.clickhouse.url and not settings.privacy.key.value:
            token_key.make(data_dir)
        # Each server with its own topics or tables, side by side: a start takes as long as the slower one.
        embedded = await gather_or_cancel(
            _kafka_with_topics(down, settings, data_dir, progress),
            _clickhouse_with_tables(down, settings, data_dir, progress),
        )
        people = reader(settings)
        settings = resolved(settings)
        specs, metrics = part_specs(settings)
        parts = tuple(supervised_part(spec, data_dir / "logs", settings.log) for spec in specs)
        down.callback(remove_states, data_dir)
        for part in parts:
            part.on_change = partial(write_states, data_dir, parts, metrics)
        # Down in the order of the flow: no more input first, then the records on their way are processed.
        for part in reversed(parts):
            down.push_async_callback(part.stop)
        for part in parts:
            progress(f"{part.name}: starting", None)
            await part.start()
        servers = tuple(server for server in embedded if server)
        stack = Stack(settings=settings, parts=parts, servers=servers, metrics=metrics, reader=people)
        await _until_ready(stack, progress)
        yield stack
        progress("stopping", None)


def _data_dir(down: contextlib.AsyncExitStack, settings: Settings) -> Path:
    data_dir = Path(settings.embedded.data_dir).absolute()
    down.enter_context(claim(data_dir, what="callweave up", minimum_free_bytes=0))
    (data_dir / "logs").mkdir(exist_ok=True)
    return data_dir


def _require_ports(settings: Settings) -> None:
    embedded, ingress = settings.embedded, settings.ingress
    require_free(ingress.port, what="The ingress", setting="ingress.port", host=ingress.host)
    if has_admin_port(ingress):
        require_free(ingress.admin_port, what="The ingress", setting="ingress.admin_port", host=ingress.admin_host)
    if not settings.kafka.bootstrap:
        require_free(embedded.kafka_port, what="Kafka", setting="embedded.kafka_port")
    if not settings.clickhouse.url:
        require_free(embedded.clickhouse_port, what="ClickHouse", setting="embedded.clickhouse_port")
        native = native_port(embedded)
        require_free(native, what="ClickHouse's native protocol", setting="embedded.clickhouse_tcp_port")
    for port in range(embedded.metrics_base_port, embedded.metrics_base_port + _FIXED_METRICS_PORTS + embedded.workers):
        require_free(
            port, what="The metrics page of a part", setting="embedded.metrics_base_port", host=settings.metrics.host
        )


async def _kafka_with_topics(
    down: contextlib.AsyncExitStack, settings: Settings, data_dir: Path, progress: StartProgress
) -> SupervisedServer | None:
    embedded = settings.embedded
    server = None
    if not settings.kafka.bootstrap:
        kafka = KafkaServer(
            data_dir / "kafka",
            port=embedded.kafka_port,
            heap=f"{embedded.kafka_heap_mb}m",
            cache_dir=Path(embedded.cache_dir) if embedded.cache_dir else None,
            progress=lambda stage, fraction: progress(f"Kafka: {stage}", fraction),
        )
        server = await _started(down, "kafka", kafka)
    progress("Kafka: topics", None)
    await create_topics(resolved(settings).kafka)
    return server


async def _clickhouse_with_tables(
    down: contextlib.AsyncExitStack, settings: Settings, data_dir: Path, progress: StartProgress
) -> SupervisedServer | None:
    server = None
    if not settings.clickhouse.url:
        progress("ClickHouse: starting", None)
        clickhouse = ClickHouseServer(
            data_dir / "clickhouse",
            port=settings.embedded.clickhouse_port,
            tcp_port=native_port(settings.embedded),
            given=settings.clickhouse,
            databases=settings.clickhouse.database,
            memory_mib=settings.embedded.clickhouse_memory_mb,
        )
        server = await _started(down, "clickhouse", clickhouse)
    progress("ClickHouse: tables", None)
    await migrate_tables(resolved(settings))
    return server


async def _started(down: contextlib.AsyncExitStack, name: str, server: Runnable) -> SupervisedServer:
    kept = Supervised(name, server)
    # Registered first: a start that is cancelled half way is stopped too.
    down.push_async_callback(kept.stop)
    await kept.start()
    return kept


async def gather_or_cancel(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Returns both results; when one fails, the other is cancelled and the failure is raised as it is."""
    tasks = (asyncio.ensure_future(one), asyncio.ensure_future(other))
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return tasks[0].result(), tasks[1].result()


def part_specs(settings: Settings) -> tuple[tuple[PartSpec, ...], Mapping[str, str]]:
    """Returns the parts to run, in the order of the flow, and the address of each one's metrics."""
    base = settings.embedded.metrics_base_port
    specs: list[PartSpec] = []
    metrics: dict[str, str] = {}

    def add(name: str, command: str, own: Settings, url: str) -> None:
        specs.append(PartSpec(name=name, arguments=tuple(command.split()), settings=whole(own)))
        metrics[name] = f"{url}/metrics"

    def beside(section: str, port: int, **changes: object) -> tuple[Settings, str]:
        changed = replace(getattr(settings, section), metrics_port=port, **changes)
        return replace(settings, **{section: changed}), http_url(settings.metrics.host, port)

    add("ingress", _ingress_command(settings.ingress), settings, admin_url(settings.ingress))
    if settings.poll.accounts:
        add("poll", "poll", *beside("poll", base + 1))
    for number in range(settings.embedded.workers):
        own = beside("process", base + _FIXED_METRICS_PORTS + number, instance=f"up-{number + 1}")
        add(f"process-{number + 1}", "process", *own)
    add("sink", "sink", *beside("sink", base, instance="up"))
    return tuple(specs), metrics


def _ingress_command(ingress: IngressSettings) -> str:
    """Returns the command and its option: `callweave up --open` starts an open ingress."""
    return "ingress --open" if who_reaches(ingress) and not needs_account(ingress) else "ingress"


def _given_up(part: SupervisedPart) -> bool:
    return part.given_up or part.restarts >= _HOPELESS


async def _until_ready(stack: Stack, progress: StartProgress) -> None:
    addresses = {**stack.metrics, "ingress": f"{admin_url(stack.settings.ingress)}/readyz"}
    for part in stack.parts:
        progress(f"{part.name}: getting ready", None)
        if not await until_answers(addresses[part.name], _READY_S, partial(_given_up, part)):
            raise SetupError(
                f"{part.name} does not get ready (restarts: {part.restarts}, last exit: {part.process.last_exit}); it said last:\n"
                f"{part.process.last_lines()}",
                code="part",
                advice=f"Its log is {part.process.log_file}.",
            )
