"""Records that really end workers: each is found after two deaths and put aside, and everything else comes through."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.doctor import work
from deploy.doctor.work import parts
from deploy.kafka.broker import KafkaServer
from processors.engine.offsets import GROUP
from processors.outbox import Message, Outbox
from processors.poison.crashes import crash_dir, read_book
from schemas.backoff import Backoff, RestartPauses
from schemas.codec import DEAD_LETTER, FACT
from schemas.config.settings import EmbeddedSettings, KafkaSettings, ProcessSettings, Settings
from schemas.dead_letter import DeadLetter
from schemas.topics import DEAD, FACTS, NORMALIZED, RAW
from sinks.queries.dead_letter_store import replay
from tests.integration.processors.poison_worker import Order
from tests.support.command import clean_env, encoded
from tests.support.http.pushing import body_of
from tests.support.ingress_process import PARTITIONS
from tests.support.processes.warm_command import start_warm

WORKER = "tests.integration.processors.poison_worker"
LIMIT_S = 120.0
HEADERS = (("vendor", b"nxcloud"), ("callback", b"cdr"), ("request_id", b"r"))


class Workers:
    """Workers that are started again when they end, as by a supervisor."""

    def __init__(self, order: Order, count: int, folder: Path) -> None:
        self._orders = [
            msgspec.structs.replace(
                order,
                settings=msgspec.structs.replace(
                    order.settings,
                    process=msgspec.structs.replace(order.settings.process, instance=f"w-{number}"),
                ),
            )
            for number in range(count)
        ]
        self._folder = folder
        self._stopping = asyncio.Event()
        self.ends: list[int] = []
        """Exit codes of the workers that did not stop by themselves."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Workers"]:
        keeping = [asyncio.create_task(self._keep(number, order)) for number, order in enumerate(self._orders)]
        try:
            yield self
        finally:
            self._stopping.set()
            await asyncio.gather(*keeping)

    async def _keep(self, number: int, order: Order) -> None:
        backoff = RestartPauses(Backoff(first_s=0.5, cap_s=10.0), healthy_after_s=10.0)
        with (self._folder / f"worker-{number}.log").open("ab") as log:
            while not self._stopping.is_set():
                begun = time.monotonic()
                process = await start_warm(WORKER, encoded(order).decode(), environment=clean_env(), output=log)
                ended, asked = asyncio.create_task(process.wait()), asyncio.create_task(self._stopping.wait())
                await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
                if not ended.done():
                    process.terminate()
                    await ended
                    return
                asked.cancel()
                self.ends.append(ended.result())
                await asyncio.sleep(min(1.0, backoff.after(time.monotonic() - begun)))

    def output(self) -> str:
        return "\n".join(path.read_text("utf-8", "replace")[-6000:] for path in self._folder.glob("worker-*.log"))


class Topics:
    """Read the outputs as other services read them."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.calls: set[str] = set()
        self.dead_letters: dict[tuple[str, int, int], DeadLetter] = {}

    async def until(self, calls: set[str], dead_letters: int, workers: Workers) -> None:
        """Return when these calls and this number of dead letters are there; only the deadline ends it otherwise."""
        deadline = time.monotonic() + LIMIT_S
        while not (calls <= self.calls and len(self.dead_letters) >= dead_letters):
            missing = sorted(calls - self.calls)
            assert time.monotonic() < deadline, (
                f"without {missing[:5]}, {len(self.dead_letters)} dead letters\n{workers.output()}"
            )
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    if record.topic == NORMALIZED.name:
                        self.calls.add(FACT.decode(record.value).vendor_call_id)
                    else:
                        dead_letter = DEAD_LETTER.decode(record.value)
                        self.dead_letters[dead_letter.topic, dead_letter.partition, dead_letter.offset] = dead_letter


@contextlib.asynccontextmanager
async def topics(bootstrap: str) -> AsyncIterator[Topics]:
    """Subscribe from the present ends on."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    places = [TopicPartition(topic.name, n) for topic in (NORMALIZED, DEAD) for n in range(PARTITIONS)]
    await consumer.start()
    try:
        consumer.assign(places)
        await consumer.seek_to_end(*places)
        for place in places:
            await consumer.position(place)
        yield Topics(consumer)
    finally:
        await consumer.stop()


def order(bootstrap: str, place: Path, *, normalise: bool = False, join: bool = False, calls: str = "") -> Order:
    settings = Settings(
        kafka=KafkaSettings(bootstrap=bootstrap, partitions=PARTITIONS),
        embedded=EmbeddedSettings(data_dir=str(place)),
        process=ProcessSettings(session_timeout_s=6, blocked_s=4, memory_limit_mb=512, tick_s=1),
    )
    return Order(settings=settings, normalise=normalise, join=join, calls=calls)


def message_of(call: str, partition: int, timestamp_ms: int | None = None) -> Message:
    """The message of one call; a body that hangs is long enough to be read in a thread."""
    body = body_of("nxcloud", call) + (b" " * 16_384 if "kills-by-hang" in call else b"")
    return Message(
        topic=RAW.name, key=None, value=body, headers=HEADERS, partition=partition, timestamp_ms=timestamp_ms
    )


async def publish(bootstrap: str, partition: int, *calls: str) -> None:
    async with Outbox(KafkaSettings(bootstrap=bootstrap)) as outbox:
        await outbox.publish([message_of(one, partition) for one in calls])


def around(kind: str, name: str) -> tuple[list[str], set[str]]:
    """Forty calls with a killing one in the middle, and those that must come through."""
    good = [f"{name}-{kind}-{number:02}" for number in range(40)]
    return [*good[:20], f"{name}-kills-by-{kind}", *good[20:]], set(good)


async def test_the_doctor_sees_who_works_and_what_stands(
    broker: KafkaServer, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The progress of the group as Kafka knows it: a member that does nothing reports nothing itself."""
    monkeypatch.setattr(work, "LOOK_AGAIN_S", 1.0)
    settings = order(broker.bootstrap, place).settings
    reader = AIOKafkaConsumer(
        RAW.name, FACTS.name, bootstrap_servers=broker.bootstrap, group_id=GROUP, enable_auto_commit=False
    )
    await publish(broker.bootstrap, 0, "nobody-takes-it")
    idle = await work.work(settings)
    assert (idle.state, "nobody works for callweave-process" in idle.detail) == ("bad", True), idle.detail

    await reader.start()
    try:
        for topic in (RAW.name, FACTS.name):
            places = [TopicPartition(topic, n) for n in range(PARTITIONS)]
            await reader.commit(await reader.end_offsets(places))
        caught_up = await work.work(settings)
        assert (caught_up.state, "callweave-sink" in caught_up.detail) == ("note", True), caught_up.detail

        old_ms = int(1000 * (time.time() - 300))
        async with Outbox(KafkaSettings(bootstrap=broker.bootstrap)) as outbox:
            await outbox.publish([message_of(one, 3, timestamp_ms=old_ms) for one in ("old-1", "old-2")])
        stands = await work.work(settings)
    finally:
        await reader.stop()

    assert stands.state == "bad"
    assert re.search(r"partition 3 of calls.raw has not moved for 30\d s with 2 records waiting", stands.detail), (
        stands.detail
    )


def quoted_in(place: Path) -> list[str]:
    """Returns the files in which something stands that the records said: logs and crash notes have only places."""
    files = [path for path in place.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"book.json", "worker-0.log"}
    return [path.name for path in files if any(said in path.read_bytes() for said in (b"kills-by", b"6298881888"))]


CODES = {"signal": -9, "memory": 70, "hang": 1}


@pytest.mark.parametrize(
    ("stage", "kinds", "count"),
    [
        pytest.param("normalise", ("memory", "hang"), 1, id="bodies, one worker"),
        pytest.param("join", ("signal", "memory"), 2, id="facts, two workers"),
    ],
)
async def test_what_kills_is_put_aside_and_the_rest_goes_on(
    broker: KafkaServer, place: Path, stage: str, kinds: tuple[str, ...], count: int
) -> None:
    """This takes less than a minute, though several kinds come at once."""
    name = f"{stage}{count}"
    armed = order(broker.bootstrap, place, normalise=stage == "normalise", join=stage == "join", calls=name)
    wanted: set[str] = set()
    for partition, kind in enumerate(kinds):
        ids, good = around(kind, name)
        await publish(broker.bootstrap, partition, *ids)
        wanted |= good

    async with topics(broker.bootstrap) as out, Workers(armed, count, place).running() as workers:
        await out.until(wanted, len(kinds), workers)
        # None of them comes again: the workers go on with new calls.
        await publish(broker.bootstrap, 0, f"{name}-after")
        await out.until({f"{name}-after"}, len(kinds), workers)

    dead_letters = out.dead_letters.values()
    assert {(dead_letter.stage, dead_letter.code, dead_letter.vendor) for dead_letter in dead_letters} == {
        (stage, "poison", "nxcloud")
    }
    # On a slow machine memory that grows for long counts as a hang. A death while both are computed counts for both.
    slow = {CODES["hang"]} if "memory" in kinds else set()
    assert 2 <= len(workers.ends) <= 2 * len(kinds), workers.output()
    assert set(workers.ends) <= slow | {CODES[kind] for kind in kinds}, workers.output()
    assert not {one for one in out.calls if "kills-by" in one}
    for dead_letter in dead_letters:
        assert dead_letter.detail.startswith("workers died at this record 2 times"), dead_letter.detail
        if b"kills-by-memory" in dead_letter.original and stage == "normalise":
            assert "MemoryError" in dead_letter.detail
    assert read_book(crash_dir(armed.settings)).suspects == ()
    found = await parts(armed.settings)
    assert f"{len(kinds)} records are put aside" in found.detail
    assert (found.state == "bad") == any(f"worker w-{number} ended" in found.detail for number in range(count))

    # After a fix the same bytes are processed.
    mended = Workers(order(broker.bootstrap, place), 1, place)
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        async with topics(broker.bootstrap) as again, mended.running():
            assert await replay(list(dead_letters), producer) == len(kinds)
            await again.until({f"{name}-kills-by-{kind}" for kind in kinds}, 0, mended)
    finally:
        await producer.stop()
    assert mended.ends == []
    assert again.dead_letters == {}
    assert quoted_in(place) == []
