"""Workers side by side, from a preloaded `calls.raw` to facts and timelines on Kafka: ours, Faust, Quix Streams.

Peers host our own pure functions (`hosted`), so that the framework is what differs. Each worker is one process, starts,
takes a small batch, is halted while the bodies are published, and then works them off. Its outputs are read back: the
bench fails unless every fact and every call is there. Peers keep less: no timeouts of calls, no dead letters, no order
of outputs before states, no record put aside at which a worker died.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.kafka.broker import KafkaServer
from processors.store.partition import PartitionState
from schemas.codec import FACT, TIMELINE
from schemas.config.settings import JoinSettings, KafkaSettings
from tests.bench.peers.environments import ROOT, NotMade, python_command
from tests.bench.peers.processes import cpu_s
from tests.bench.peers.verdicts import medians, skipped_line, target
from tests.bench.support.bodies import AT, Keyed, facts, push_requests, pushed
from tests.bench.support.lines import Line
from tests.support.kafka.new_topics import make_topics

KEEPS: Final = "repeats, join, acks=all, no fsync"
WARM_CALLS: Final = 200
LOOK_S: Final = 0.1
QUIET_S: Final = 4.0
LIMIT_S: Final = 240.0
LAST_WORDS_BYTES: Final = 2000
OUTPUTS: Final = ("normalized", "timelines")


class Bodies:
    """Bodies of some calls, and the ids of the facts and calls that they must give."""

    def __init__(self, calls: int, seed: int) -> None:
        self.raws = pushed(push_requests(calls, "ytx", "nxcloud", seed=seed))
        found = facts(self.raws)
        self.events = len(found)
        self.facts = {fact.fact_id for fact in found}
        held = PartitionState(JoinSettings())
        for _ in held.advance(int(AT.timestamp() * 1000)):
            pass
        self.calls = {timeline.timeline_id for fact in found for timeline in held.apply(fact).timelines}


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """One worker: its command, and the prefix of its topics."""

    name: str
    prefix: str
    command: tuple[str, ...]
    environment: dict[str, str] = {}


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one measurement."""

    rate: float
    cpu_us: float
    broker_us: float


def contenders(kafka: KafkaSettings, folder: Path) -> tuple[list[Contender], list[str]]:
    """Returns who can run here, ours first, and a sentence for each that cannot."""
    ours = {
        "CALLWEAVE_KAFKA__BOOTSTRAP": kafka.bootstrap,
        "CALLWEAVE_KAFKA__PARTITIONS": str(kafka.partitions),
        "CALLWEAVE_EMBEDDED__DATA_DIR": str(folder / "ours"),
    }
    found = [
        Contender(
            name="ours",
            prefix="calls",
            command=(sys.executable, "-m", "deploy.cli.main", "process"),
            environment=ours,
        )
    ]
    skipped = []
    for name, program in (("stock Faust agents", "faust_agent"), ("Quix Streams", "quix_app")):
        prefix = program.replace("_", "-")
        try:
            command = python_command(program)
        except NotMade as why:
            skipped.append(f"{name}: {why}")
        else:
            arguments = (kafka.bootstrap, prefix, str(kafka.partitions), str(folder / prefix))
            found.append(Contender(name=name, prefix=prefix, command=(*command, *arguments)))
    return found, skipped


async def topics_made(kafka: KafkaSettings, found: Sequence[Contender]) -> None:
    """Creates the topics of the peers; ours are there."""
    names = ("raw", "facts", *OUTPUTS)
    topics = [f"{one.prefix}.{name}" for one in found[1:] for name in names]
    await make_topics(kafka.bootstrap, topics, partitions=kafka.partitions)


class Outputs:
    """The outputs of one worker: their number as they grow, and what is in them afterwards."""

    def __init__(self, kafka: KafkaSettings, prefix: str) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, enable_auto_commit=False)
        self._places = [
            TopicPartition(f"{prefix}.{name}", number) for name in OUTPUTS for number in range(kafka.partitions)
        ]
        self._read_up_to: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._places)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def count(self) -> int:
        """Returns the number of records on all output topics."""
        return sum((await self._consumer.end_offsets(self._places)).values())

    async def new_ids(self) -> tuple[set[str], set[str]]:
        """Returns the ids of the facts and of the calls since the last time."""
        found: tuple[set[str], set[str]] = (set(), set())
        ends = await self._consumer.end_offsets(self._places)
        for place in self._places:
            self._consumer.seek(place, self._read_up_to.get(place, 0))
        while any([await self._consumer.position(place) < end for place, end in ends.items()]):
            for place, records in (await self._consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    if place.topic.endswith(OUTPUTS[0]):
                        found[0].add(FACT.decode(record.value).fact_id)
                    else:
                        found[1].add(TIMELINE.decode(record.value).timeline_id)
        self._read_up_to = ends
        return found


async def preload(kafka: KafkaSettings, topic: str, raws: Sequence[Keyed]) -> None:
    """Publishes bodies as the ingress does."""
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, linger_ms=20, max_batch_size=1 << 20, compression_type="snappy"
    ) as producer:
        for each in raws:
            await producer.send(topic, each.raw.body, key=each.key, headers=each.raw.headers())


@contextlib.asynccontextmanager
async def running(one: Contender) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a worker; its last words are in the error when it ends by itself."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **one.environment}
    with tempfile.TemporaryFile() as said:
        process = await asyncio.create_subprocess_exec(
            *one.command, env=environment, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            async with stopped_afterwards(process):
                yield process
        except RuntimeError as error:
            said.seek(max(0, said.seek(0, os.SEEK_END) - LAST_WORDS_BYTES))
            raise RuntimeError(f"{one.name}: {error}\n{said.read().decode(errors='replace')}") from error


@contextlib.asynccontextmanager
async def stopped_afterwards(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """Stops a process at the end, by force after a while."""
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 15)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def worked_off(
    process: asyncio.subprocess.Process, broker: int, outputs: Outputs, before: int, least: int
) -> tuple[float, float, float]:
    """Waits until nothing comes any more; returns the time of the last output, and both processes' CPU seconds then."""
    count, changed = before, (time.monotonic(), cpu_s(process.pid), cpu_s(broker))
    deadline = time.monotonic() + LIMIT_S
    while count - before < least or time.monotonic() < changed[0] + QUIET_S:
        await asyncio.sleep(LOOK_S)
        if process.returncode is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{count - before} of at least {least} outputs; the exit code is {process.returncode}")
        if (now := await outputs.count()) != count:
            count, changed = now, (time.monotonic(), cpu_s(process.pid), cpu_s(broker))
    return changed


async def measured(kafka: KafkaSettings, broker: int, one: Contender, warm: Bodies, bodies: Bodies) -> Figures:
    """Measures one worker; raises RuntimeError unless all facts and calls come out."""
    topic = f"{one.prefix}.raw"
    async with Outputs(kafka, one.prefix) as outputs, running(one) as process:
        await preload(kafka, topic, warm.raws)
        before = await outputs.count()
        await worked_off(process, broker, outputs, before, len(warm.facts))
        process.send_signal(signal.SIGSTOP)
        await outputs.new_ids()
        before = await outputs.count()
        await preload(kafka, topic, bodies.raws)
        began, used, used_by_broker = time.monotonic(), cpu_s(process.pid), cpu_s(broker)
        process.send_signal(signal.SIGCONT)
        ended, used_then, by_broker_then = await worked_off(process, broker, outputs, before, len(bodies.facts))
        found = await outputs.new_ids()
    for what, missing in (("facts", bodies.facts - found[0]), ("calls", bodies.calls - found[1])):
        if missing:
            raise RuntimeError(f"{one.name}: {len(missing)} {what} did not come out")
    per_event = 1e6 / bodies.events
    return Figures(
        rate=bodies.events / (ended - began),
        cpu_us=(used_then - used) * per_event,
        broker_us=(by_broker_then - used_by_broker) * per_event,
    )


async def compared(kafka: KafkaServer, settings: KafkaSettings, folder: Path, calls: int, rounds: int) -> list[Line]:
    """Returns the lines of all that can run, each the median of its rounds, beside ours."""
    found, skipped = await asyncio.to_thread(contenders, settings, folder)
    await topics_made(settings, found)
    taken: dict[str, list[Figures]] = {one.name: [] for one in found}
    for number in range(rounds):
        warm, bodies = Bodies(WARM_CALLS, seed=100 + number), Bodies(calls, seed=200 + number)
        for one in found:
            taken[one.name].append(await measured(settings, kafka.pid, one, warm, bodies))
    middle = {name: medians(some) for name, some in taken.items()}
    ours = middle[found[0].name]
    lines = []
    for one in found:
        for what, unit, part in (
            ("calls.raw to timelines", "events/s", "rate"),
            ("CPU", "us/event", "cpu_us"),
            ("broker CPU", "us/event", "broker_us"),
        ):
            named, value = f"{one.name}: {what}", getattr(middle[one.name], part)
            lines.append(
                Line(bench="peers", what=named, value=value, unit=unit, limit=getattr(ours, part), keeps=KEEPS)
            )
    lines += [target(f"{one.name}: its CPU of ours", middle[one.name].cpu_us / ours.cpu_us, 1.0) for one in found[1:]]
    return lines + [skipped_line(why) for why in skipped]
