"""A broker, ClickHouse and an ingress, and fork servers for a sink, two workers and a guest among them.

One worker keeps calls in memory, the other and the guest on disk, and partitions go from one to the other. The pull API
is left out: the poller decides how often it asks for a page, and the poller is killed in `make chaos`.
"""

import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import aiokafka
import msgspec
from msgspec.structs import replace

from deploy.admin.topic_setup import create_topics
from deploy.clickhouse.launch import ClickHouseServer
from deploy.kafka.broker import KafkaServer
from deploy.local.stack import Stack, part_specs
from deploy.process.part_process import supervised_part
from deploy.process.scrape import until_answers
from schemas.codec import FACT
from schemas.config.settings import (
    EmbeddedSettings,
    IngressSettings,
    JoinSettings,
    KafkaSettings,
    ProcessSettings,
    Settings,
    SinkSettings,
)
from schemas.errors import CallweaveError
from schemas.facts import Fact, FactType, Kind
from schemas.topics import NORMALIZED
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrator
from tests.chaos.faults.ports import steady_ports, steady_run
from tests.chaos.judge.verdict import REFUSED_VENDOR
from tests.chaos.kills.part_processes import ForkServer
from tests.support.processes.formatted import formatted

PARTITIONS: Final = 6
WORKERS: Final = ("process-1", "process-2")
VENDORS: Final = ("nxcloud", "ytx", "huawei")
_TOO_LARGE_Q850: Final = 70_000
_READY_S: Final = 60.0
_HEAP: Final = "256m"


class KillWorld(msgspec.Struct, kw_only=True):
    """The processes and addresses of a series of kills."""

    stack: Stack
    fork_servers: Mapping[str, ForkServer]
    """The fork servers by part; `guest` is a worker that comes and goes."""
    producer: aiokafka.AIOKafkaProducer
    refused: set[str]
    """The ids of facts that were put on the public topic for ClickHouse to refuse."""

    async def put_refused_rows(self, number: int) -> None:
        """Publishes readable records whose rows cannot be inserted: each must become one dead letter, and no row."""
        for _ in range(number):
            fact = Fact(
                fact_id=str(uuid.uuid4()),
                fact_type=FactType.RECORD,
                vendor=REFUSED_VENDOR,
                kind=Kind.SOFTPHONE_CDR,
                version=1,
                q850=_TOO_LARGE_Q850,
            )
            self.refused.add(fact.fact_id)
            await self.producer.send_and_wait(NORMALIZED.name, FACT.encode(fact), key=f"{REFUSED_VENDOR}|a|c".encode())

    async def forget_migrations(self) -> None:
        """Makes the next migration run whole, over tables that are there and filled."""
        async with ClickHouse(migrator(self.stack.settings.clickhouse)) as client:
            # Before the first migration there is nothing to forget.
            with contextlib.suppress(CallweaveError):
                await client.command(f"TRUNCATE TABLE {client.database}.schema_migrations")


@contextlib.asynccontextmanager
async def kill_world(data_dir: Path) -> AsyncIterator[KillWorld]:
    """Starts all servers, with nothing migrated, no sink and no worker yet; stops them at the end."""
    async with contextlib.AsyncExitStack() as up:
        logs = data_dir / "logs"
        logs.mkdir(parents=True)
        broker = await up.enter_async_context(KafkaServer(formatted(data_dir / "kafka"), heap=_HEAP))
        clickhouse = await up.enter_async_context(ClickHouseServer(data_dir / "clickhouse"))
        settings = Settings(
            kafka=KafkaSettings(bootstrap=broker.bootstrap, partitions=PARTITIONS),
            clickhouse=clickhouse.settings(),
            ingress=IngressSettings(port=steady_ports(1)[0]),
            embedded=EmbeddedSettings(data_dir=str(data_dir), metrics_base_port=steady_run(1 + len(WORKERS))),
        )
        await create_topics(settings.kafka)
        specs, pages = part_specs(settings)
        ingress = supervised_part(next(spec for spec in specs if spec.name == "ingress"), logs)
        up.push_async_callback(ingress.stop)
        await ingress.start()
        made = [
            _sink(settings, logs),
            *(_worker(settings, logs, n) for n in range(len(WORKERS))),
            _guest(settings, logs),
        ]
        fork_servers = {server.name: await up.enter_async_context(server) for server in made}
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all")
        await up.enter_async_context(producer)
        stack = Stack(
            settings=settings,
            parts=(ingress,),
            servers=(),
            metrics={"ingress": pages["ingress"]}
            | {name: _page(server) for name, server in fork_servers.items() if name != "guest"},
        )
        assert await until_answers(f"{stack.ingress_url}/readyz", _READY_S), ingress.process.last_lines()
        yield KillWorld(stack=stack, fork_servers=fork_servers, producer=producer, refused=set())


def _sink(settings: Settings, logs: Path) -> ForkServer:
    own = SinkSettings(instance="up", metrics_port=settings.embedded.metrics_base_port)
    return ForkServer("sink", "sink", replace(settings, sink=own), logs / "sink.log")


def _worker(settings: Settings, logs: Path, number: int) -> ForkServer:
    port = settings.embedded.metrics_base_port + 1 + number
    own = ProcessSettings(instance=f"up-{number + 1}", metrics_port=port)
    settings = replace(settings, process=own, join=JoinSettings(store="memory" if number else "rocksdb"))
    return ForkServer(WORKERS[number], "worker", settings, logs / f"{WORKERS[number]}.log")


def _guest(settings: Settings, logs: Path) -> ForkServer:
    """A worker without an instance id, so that its start and its end are rebalances."""
    settings = replace(settings, join=JoinSettings(store="rocksdb"))
    return ForkServer("guest", "worker", settings, logs / "guest.log")


def _page(server: ForkServer) -> str:
    settings = server.settings
    port = settings.sink.metrics_port if server.part == "sink" else settings.process.metrics_port
    return f"http://127.0.0.1:{port}/metrics"
