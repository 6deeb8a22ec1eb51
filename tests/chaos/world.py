"""The real stack with a network that can fail: three brokers, ClickHouse, all parts, and proxies between them."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from deploy.admin.topic_setup import create_topics
from deploy.clickhouse.launch import ClickHouseServer
from deploy.local.stack import Stack, part_specs
from deploy.process.part_process import PartSpec, SupervisedPart, supervised_part
from deploy.process.scrape import until_answers
from deploy.simulator.vendor_contract import PullServerOptions
from schemas.config.settings import (
    ClickHouseSettings,
    EmbeddedSettings,
    IngressSettings,
    KafkaSettings,
    PollSettings,
    ProcessSettings,
    Settings,
)
from sinks.migrate import migrate_tables
from tests.chaos.faults.cluster import Cluster
from tests.chaos.faults.disk import Disk
from tests.chaos.faults.faults import WORKERS
from tests.chaos.faults.ports import steady_ports, steady_run
from tests.chaos.faults.proxy import Link
from tests.chaos.faults.wall_clocks import WallClocks
from tests.support.http.pull_account import pull_account

PARTITIONS: Final = 6
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "ingress": ("ingress",),
    "poll": ("poll",),
    "workers": WORKERS,
    "sink": ("sink",),
}
"""The parts that share a network to Kafka, by the name of the network."""
PULL: Final = PullServerOptions(delay_s=1.0, recording_delay_s=6.0, hang_s=5.0)
_READY_S: Final = 60.0
_DISK_MB: Final = 600
_DISK_MB_A_MINUTE: Final = 12
"""Room for what a broker keeps of a minute's traffic; it starts only where 512 MiB are free."""
_SPOOL_FREE_BYTES: Final = 64 * 1024**2


class Clock:
    """The vendors' clock."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """Returns the time on the vendors' clock."""
        return datetime.now(UTC) + self.ahead


class World(msgspec.Struct, kw_only=True):
    """Everything that a fault can hit."""

    stack: Stack
    """The stack with addresses that no fault cuts off."""
    parts: Mapping[str, SupervisedPart]
    cluster: Cluster
    clickhouse: ClickHouseServer
    links: Mapping[str, Link]
    disks: Mapping[str, Disk]
    clock: Clock
    walls: WallClocks
    vendors_url: str
    """The address to which the vendors push."""
    vendor_port: int
    """The port on which the pull API must listen."""


@contextlib.asynccontextmanager
async def running_world(data_dir: Path, duration_s: float) -> AsyncIterator[World]:
    """Starts everything and yields it when it is ready; stops it at the end. The disks have room for so much time."""
    async with contextlib.AsyncExitStack() as down:
        (data_dir / "logs").mkdir(parents=True)
        ingress, vendors, clickhouse, sink_ch, vendor, poll_vendor = steady_ports(6)
        metrics_base = steady_run(4)
        disk_mb = _DISK_MB + int(_DISK_MB_A_MINUTE * duration_s / 60)
        disks = {
            "broker-disk": Disk(data_dir / "kafka-3", disk_mb),
            "spool-disk": Disk(data_dir / "spool", disk_mb),
            "clickhouse-disk": Disk(data_dir / "clickhouse", disk_mb),
        }
        for disk in disks.values():
            await disk.mount()
            down.push_async_callback(disk.unmount)
        cluster = Cluster([data_dir / "kafka-1", data_dir / "kafka-2", data_dir / "kafka-3"], tuple(GROUPS))
        down.push_async_callback(cluster.stop)
        await cluster.start()
        server = ClickHouseServer(data_dir / "clickhouse", port=clickhouse)
        down.push_async_callback(server.stop)
        await server.start()
        ways = {
            f"{group}-kafka": [(d.advertised_port, d.port) for d in listeners]
            for group, listeners in cluster.listeners.items()
        }
        ways |= {
            "vendors-ingress": [(vendors, ingress)],
            "sink-clickhouse": [(sink_ch, clickhouse)],
            "poll-vendor": [(poll_vendor, vendor)],
        }
        links = await _links(ways, down)
        settings = _settings(data_dir, cluster.bootstrap, server.settings(), ingress, poll_vendor, metrics_base)
        await create_topics(settings.kafka)
        await migrate_tables(settings)
        walls = WallClocks(data_dir / "clocks", (name for names in GROUPS.values() for name in names))
        specs, pages = _specs(settings, cluster, f"http://127.0.0.1:{sink_ch}", walls)
        parts = {spec.name: supervised_part(spec, data_dir / "logs") for spec in specs}
        for part in reversed(parts.values()):
            down.push_async_callback(part.stop)
        for part in parts.values():
            await part.start()
        stack = Stack(settings=settings, parts=tuple(parts.values()), servers=(), metrics=pages)
        for name, part in parts.items():
            url = f"{stack.ingress_url}/readyz" if name == "ingress" else pages[name]
            assert await until_answers(url, _READY_S), f"{name} is not ready:\n{part.process.last_lines()}"
        yield World(
            stack=stack,
            parts=parts,
            cluster=cluster,
            clickhouse=server,
            links=links,
            disks=disks,
            clock=Clock(),
            walls=walls,
            vendors_url=f"http://127.0.0.1:{vendors}",
            vendor_port=vendor,
        )
        for link in links.values():
            link.mend()


async def _links(ways: Mapping[str, list[tuple[int, int]]], down: contextlib.AsyncExitStack) -> Mapping[str, Link]:
    """Opens the proxies of each network, by its name; each pair is the port to listen on and the port behind it."""
    links = {name: await down.enter_async_context(Link(name)) for name in ways}
    for name, ports in ways.items():
        for port, to in ports:
            await links[name].join(port=port, to=to)
    return links


def _settings(
    data_dir: Path, kafka: str, clickhouse: ClickHouseSettings, ingress: int, poll_vendor: int, metrics: int
) -> Settings:
    account = pull_account(poll_vendor, PULL)
    return Settings(
        kafka=KafkaSettings(bootstrap=kafka, partitions=PARTITIONS, replication=3, min_insync_replicas=2),
        clickhouse=clickhouse,
        ingress=IngressSettings(port=ingress, spool_min_free_bytes=_SPOOL_FREE_BYTES),
        poll=PollSettings(accounts=(account,), timeout_s=5.0),
        process=ProcessSettings(),
        embedded=EmbeddedSettings(data_dir=str(data_dir), workers=len(WORKERS), metrics_base_port=metrics),
    )


def _specs(
    settings: Settings, cluster: Cluster, sink_clickhouse: str, walls: WallClocks
) -> tuple[list[PartSpec], Mapping[str, str]]:
    """Each part as `callweave up` would run it, with the addresses of its own proxies and a clock of its own."""
    chosen: list[PartSpec] = []
    for group, names in GROUPS.items():
        own = replace(settings, kafka=replace(settings.kafka, bootstrap=cluster.bootstrap_of(group)))
        if group == "sink":
            own = replace(own, clickhouse=replace(own.clickhouse, url=sink_clickhouse))
        chosen += [
            replace(spec, env={**spec.env, **walls.env(spec.name)}) for spec in part_specs(own)[0] if spec.name in names
        ]
    return chosen, part_specs(settings)[1]
