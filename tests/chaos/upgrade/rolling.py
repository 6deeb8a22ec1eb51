"""A rolling upgrade and its rollback under the simulator's traffic, judged by the vendors' ledger."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.clickhouse.launch import ClickHouseServer
from deploy.kafka.broker import KafkaServer
from deploy.local.stack import Stack
from deploy.process.ports import free_port
from deploy.process.scrape import until_answers
from deploy.process.supervisor import Supervised
from deploy.simulator.sending.ledger import Ledger
from deploy.simulator.sending.sender import simulate
from deploy.simulator.sending.simulate_options import SimulateOptions
from schemas.config.settings import (
    ClickHouseSettings,
    EmbeddedSettings,
    IngressSettings,
    KafkaSettings,
    Settings,
)
from tests.chaos.judge.judge import by_window, ended_without_fault
from tests.chaos.judge.report import Line, Report
from tests.chaos.judge.verdict import Verdict, verdict
from tests.chaos.judge.watched_run import Log
from tests.chaos.upgrade.balancer import Balancer
from tests.chaos.upgrade.plan import SLOTS, Change
from tests.chaos.upgrade.versions import Version, VersionedPart, run_command
from tests.chaos.upgrade.written import out_of_turn, written
from tests.chaos.world import PULL
from tests.support.http.pull_account import pull_account

PARTITIONS: Final = 6
_READY_S: Final = 90.0
_QUIET_S: Final = 120.0
_LOOK_AGAIN_S: Final = 2.0
_SPOOL_FREE_BYTES: Final = 64 * 1024**2


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run."""

    data_dir: Path
    seed: int
    duration_s: float
    rate: float


class World:
    """The servers, the balancer, and a part in each slot, of one version or the other."""

    def __init__(
        self,
        stack: Stack,
        balancer: Balancer,
        common: Mapping[str, str],
        migrator: Mapping[str, str],
        ports: Mapping[str, int],
    ) -> None:
        self.stack = stack
        self._balancer = balancer
        self._common = common
        self._migrator = migrator
        self._ports = ports
        self._parts: dict[str, Supervised[VersionedPart]] = {}
        self.restarts: Counter[str] = Counter()
        """The ends of parts that nobody asked for."""

    async def make_topics(self, version: Version) -> None:
        """Makes the topics of a version."""
        await run_command(version, self._common, "topics", "--create")

    async def make_tables(self, version: Version) -> None:
        """Makes the tables and views of a version, with the rows that there are."""
        await run_command(version, {**self._common, **self._migrator}, "migrate")

    async def put(self, version: Version, slots: tuple[str, ...]) -> None:
        """Stops what runs in these slots, then starts the version's parts in them and waits until each is ready."""
        for slot in slots:
            await self.end(slot)
        for slot in slots:
            part = Supervised(slot, VersionedPart(version, command_of(slot), self._settings(slot), self._log(slot)))
            self._parts[slot] = part
            await part.start()
        for slot in slots:
            assert await until_answers(self._page(slot), _READY_S), f"{slot} of {version.name} is not ready"
            if slot.startswith("ingress"):
                self._balancer.put_in(self._ports[slot])

    async def end(self, slot: str) -> None:
        """Stops what runs in a slot."""
        if slot not in self._parts:
            return
        if slot.startswith("ingress"):
            self._balancer.take_out(self._ports[slot])
        part = self._parts.pop(slot)
        await part.stop()
        self.restarts[slot] += part.restarts

    def ended(self) -> dict[str, int]:
        """Returns how often each part ended unasked."""
        return {
            slot: self.restarts[slot] + (self._parts[slot].restarts if slot in self._parts else 0) for slot in SLOTS
        }

    def _settings(self, slot: str) -> dict[str, str]:
        command = command_of(slot)
        own = {"PORT": str(self._ports[slot])} if command == "ingress" else {"METRICS_PORT": str(self._ports[slot])}
        if command == "ingress":
            own["SPOOL_DIR"] = str(Path(self.stack.settings.embedded.data_dir) / slot)
        if command in {"process", "sink"}:
            # The replacement takes the partitions of the one before, without a rebalance.
            own["INSTANCE"] = slot
        return {**self._common, **{f"CALLWEAVE_{command.upper()}__{name}": value for name, value in own.items()}}

    def _log(self, slot: str) -> Path:
        folder = Path(self.stack.settings.embedded.data_dir) / "logs"
        return folder / f"{slot}.{len(list(folder.glob(f'{slot}.*')))}.log"

    def _page(self, slot: str) -> str:
        path = "readyz" if slot.startswith("ingress") else "metrics"
        return f"http://127.0.0.1:{self._ports[slot]}/{path}"


def command_of(slot: str) -> str:
    """Returns the command that a slot runs."""
    return slot.partition("-")[0]


@contextlib.asynccontextmanager
async def running_world(data_dir: Path) -> AsyncIterator[tuple[World, int, int]]:
    """Yields the world without parts, the port that vendors push to, and the port of the pull API."""
    (data_dir / "logs").mkdir(parents=True)
    ports = {slot: free_port() for slot in SLOTS}
    vendors, pull = free_port(), free_port()
    async with (
        KafkaServer(data_dir / "kafka", port=free_port(), heap="384m") as kafka,
        _clickhouse(data_dir / "clickhouse") as clickhouse,
        Balancer(vendors) as balancer,
    ):
        settings = Settings(
            kafka=KafkaSettings(bootstrap=kafka.bootstrap, partitions=PARTITIONS),
            clickhouse=clickhouse,
            ingress=IngressSettings(port=vendors),
            embedded=EmbeddedSettings(data_dir=str(data_dir)),
        )
        metrics = {slot: f"http://127.0.0.1:{port}/metrics" for slot, port in ports.items()}
        stack = Stack(settings=settings, parts=(), servers=(), metrics=metrics)
        # The first versions have no setting for the account that makes tables: it is the user of `migrate`.
        login = {"USER": clickhouse.migrator, "PASSWORD": clickhouse.migrator_password.value}
        migrator = {f"CALLWEAVE_CLICKHOUSE__{name}": value for name, value in login.items()}
        world = World(stack, balancer, _common(settings, pull), migrator, ports)
        try:
            yield world, vendors, pull
        finally:
            for slot in reversed(SLOTS):
                await world.end(slot)


@contextlib.asynccontextmanager
async def _clickhouse(data_dir: Path) -> AsyncIterator[ClickHouseSettings]:
    server = ClickHouseServer(data_dir, port=free_port(), tcp_port=free_port())
    await server.start()
    try:
        yield server.settings()
    finally:
        await server.stop()


def _common(settings: Settings, pull_port: int) -> dict[str, str]:
    """Returns what every part is told, in settings that each version knows: a new name would be an error to the old."""
    account = pull_account(pull_port, PULL)
    said = {
        field.name: getattr(account, field.name)
        for field in msgspec.structs.fields(account)
        if getattr(account, field.name) != field.default
    }
    clickhouse = settings.clickhouse
    told = {
        "KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "KAFKA__PARTITIONS": PARTITIONS,
        "CLICKHOUSE__URL": clickhouse.url,
        "CLICKHOUSE__USER": clickhouse.user,
        "CLICKHOUSE__PASSWORD": clickhouse.password.value,
        "INGRESS__SPOOL_MIN_FREE_BYTES": _SPOOL_FREE_BYTES,
        "EMBEDDED__DATA_DIR": settings.embedded.data_dir,
        "POLL__ACCOUNTS": json.dumps([said]),
        "POLL__TIMEOUT_S": 5,
    }
    return {f"CALLWEAVE_{name}": str(value) for name, value in told.items()}


async def upgrade(options: Options, versions: Mapping[str, Version], steps: tuple[Change, ...], log: Log) -> Report:
    """Makes one whole run in a directory of its own."""
    async with running_world(options.data_dir) as (world, vendors, pull):
        log("starting the old parts")
        await world.make_topics(versions["old"])
        await world.make_tables(versions["old"])
        for slot in SLOTS:
            await world.put(versions["old"], (slot,))
        ledger, windows, lines = Ledger(), dict[str, list[tuple[int, int]]](), dict[str, Line]()
        sending = SimulateOptions(
            url=f"http://127.0.0.1:{vendors}",
            rate=options.rate,
            seed=options.seed,
            duration_s=options.duration_s,
            retry_scale=0.1,
            pull=PULL,
            pull_port=pull,
            linger_s=_QUIET_S,
        )
        traffic = asyncio.create_task(simulate(sending, asyncio.Event(), ledger=ledger))
        newest_ms: int | None = None
        old_alone_until_ms: int | None = None
        try:
            for step, until_s in _timed(steps, options.duration_s):
                begun, at_s = len(ledger.entries), time.monotonic()
                if step.version == "newest" and newest_ms is None:
                    newest_ms = time.time_ns() // 1_000_000
                if step.version == "new" and step.slots and old_alone_until_ms is None:
                    old_alone_until_ms = time.time_ns() // 1_000_000
                await _change(world, versions[step.version], step)
                log(f"{step.text} ({time.monotonic() - at_s:.1f} s)")
                lines[step.text] = Line(times=1, worst_s=time.monotonic() - at_s)
                await asyncio.wait({traffic}, timeout=max(0.0, until_s - time.monotonic()))
                windows[step.text] = [(begun, len(ledger.entries))]
            log("waiting for the vendors to finish")
            sent = await traffic
        finally:
            traffic.cancel()
            await asyncio.gather(traffic, return_exceptions=True)
        log("waiting for quiet")
        found = await _quiet(world.stack, ledger)
        ended = ended_without_fault(dict.fromkeys(SLOTS, 0), world.ended())
        stands = await written(world.stack)
        log("written: " + "; ".join(map(str, stands)))
        wrong = (*found.findings, *ended, *out_of_turn(stands, newest_ms, old_alone_until_ms=old_alone_until_ms or 0))
        judged = msgspec.structs.replace(found, findings=wrong)
        return _report(options, ledger, sent.lost, judged, windows, lines, world.ended())


async def _change(world: World, version: Version, step: Change) -> None:
    if step.setup == "topics":
        await world.make_topics(version)
    if step.setup == "tables":
        await world.make_tables(version)
    if step.slots:
        await world.put(version, step.slots)


def _timed(steps: tuple[Change, ...], duration_s: float) -> list[tuple[Change, float]]:
    """Returns each step with the time at which the next one begins."""
    begun_s = time.monotonic()
    return [(step, begun_s + duration_s * (number + 1) / len(steps)) for number, step in enumerate(steps)]


async def _quiet(stack: Stack, ledger: Ledger) -> Verdict:
    """Returns the verdict once it is clean, or the last one before the deadline."""
    deadline = time.monotonic() + _QUIET_S
    while True:
        found = await verdict(stack, ledger.entries, whole_ledger=False)
        if not found.findings or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_LOOK_AGAIN_S)


def _report(
    options: Options,
    ledger: Ledger,
    refused: int,
    found: Verdict,
    windows: Mapping[str, list[tuple[int, int]]],
    lines: dict[str, Line],
    restarts: Mapping[str, int],
) -> Report:
    harms, acked = by_window(found.findings, ledger.entries, windows)
    for name, count in harms.items():
        lines.setdefault(name, Line()).harms = count
    for name, number in acked.items():
        lines[name].acked = number
    return Report(
        seed=options.seed,
        lines=lines,
        acked=sum(entry.acked for entry in ledger.entries),
        refused=refused,
        repeated=found.repeated,
        skipped={},
        restarts=restarts,
        findings=found.findings,
    )
