"""Runs a sink in this process or in one of its own, sends it records, and waits for their rows."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError

from deploy.clickhouse.launch import ClickHouseServer
from schemas.codec import FACT, TIMELINE
from schemas.config.settings import KafkaSettings, Settings
from schemas.facts import Fact, FactType, Kind
from schemas.metrics import Registry
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.consumer import GROUP
from sinks.main import run
from sinks.typed_records import TOPICS
from tests.support.command import encoded
from tests.support.processes.looking import pauses
from tests.support.processes.warm_command import WarmProcess, start_warm

PARTITIONS = 4


START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


WORKER = "tests.integration.sinks.sink_worker"


def settings_of(server: ClickHouseServer, settings: Settings, **more: Any) -> Settings:
    """Returns the same settings for a server of the test's own."""
    kept = {"database": settings.clickhouse.database, "insert_timeout_s": settings.clickhouse.insert_timeout_s}
    where = msgspec.structs.replace(server.settings(), **{**kept, **more})
    return msgspec.structs.replace(settings, clickhouse=where)


async def forget(broker: KafkaSettings) -> None:
    """Commits the ends of all topics for the sink's group once it is empty: a killed member stays for its session."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, partition) for topic in TOPICS for partition in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        async with asyncio.timeout(60):
            while not await _commits(consumer, ends):  # noqa: ASYNC110 - a group's state has no event to wait for
                await asyncio.sleep(0.2)
    finally:
        await consumer.stop()


async def _commits(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    try:
        await consumer.commit(ends)
    except CommitFailedError:
        return False
    return True


@contextlib.asynccontextmanager
async def _watching(broker: KafkaSettings) -> AsyncIterator[Callable[[], Awaitable[dict[TopicPartition, int]]]]:
    """Yields a function that returns for each partition the number of records that the group has still to commit."""
    # The group's offsets all at once, which a consumer would ask for one by one.
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, enable_auto_commit=False)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    places = [TopicPartition(topic, partition) for topic in TOPICS for partition in range(PARTITIONS)]

    async def left() -> dict[TopicPartition, int]:
        ends = await consumer.end_offsets(places)
        committed = await admin.list_consumer_group_offsets(GROUP, partitions=places)
        behind = {tp: ends[tp] - max(committed[tp].offset, 0) for tp in places}
        return {tp: count for tp, count in behind.items() if count}

    await consumer.start()
    await admin.start()
    try:
        yield left
    finally:
        await admin.close()
        await consumer.stop()


async def uncommitted(broker: KafkaSettings) -> dict[TopicPartition, int]:
    """Returns for each partition the number of records that the group has still to commit."""
    async with _watching(broker) as left:
        return await left()


@contextlib.asynccontextmanager
async def producing(broker: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", linger_ms=5, max_request_size=16 << 20)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(broker: KafkaSettings, topic: str, values: Iterable[tuple[str, bytes | None]]) -> None:
    async with producing(broker) as producer:
        waiting = [await producer.send(topic, value, key=key.encode()) for key, value in values]
        await asyncio.gather(*waiting)


async def send_facts(broker: KafkaSettings, facts: Sequence[Fact]) -> None:
    await send(broker, "calls.normalized", [(fact.vendor_call_id, FACT.encode(fact)) for fact in facts])


async def send_calls(broker: KafkaSettings, calls: Sequence[Timeline]) -> None:
    await send(broker, "calls.timelines", [(call.timeline_id, TIMELINE.encode(call)) for call in calls])


def fact(number: int, kind: FactType = FactType.RECORD, **fields: Any) -> Fact:
    default: dict[str, Any] = {
        "fact_id": str(uuid.UUID(int=number)), "fact_type": kind, "vendor": "ytx", "kind": Kind.CALLBACK_CDR,
        "account_id": "acc", "vendor_call_id": f"call-{number}", "received_at": START, "version": 1,
    }  # fmt: skip
    return Fact(**{**default, **fields})


def call(number: int, **fields: Any) -> Timeline:
    name = f"ytx|acc|{number}"
    return Timeline(
        timeline_id=name, call_key=name, vendor="ytx", account_id="acc", vendor_call_id=str(number), **fields
    )


@contextlib.asynccontextmanager
async def sinking(settings: Settings) -> AsyncIterator[Registry]:
    """Runs the sink in this process and stops it at the end; what it raised is raised here."""
    stop, metrics = asyncio.Event(), Registry()
    task = asyncio.create_task(run(settings, stop, metrics))
    try:
        yield metrics
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)


@contextlib.asynccontextmanager
async def process(settings: Settings, errors: Path = Path(os.devnull)) -> AsyncIterator[WarmProcess]:
    """Runs the sink as a process of its own with its log in `errors`; kills it at the end if it still runs."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as output, errors.open("wb") as log:
        child = await start_warm(
            WORKER, encoded(settings).decode(), environment=dict(os.environ), output=output, errors=log
        )
    try:
        with os.fdopen(reading, "rb") as said:
            assert await asyncio.wait_for(asyncio.to_thread(said.readline), 60) == b"can be stopped\n"
        yield child
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def until(true: Callable[[], Awaitable[bool]], what: str, *, cap_s: float = 0.4) -> None:
    try:
        async with asyncio.timeout(90):
            for pause_s in pauses(cap_s=cap_s):
                if await true():
                    return
                await asyncio.sleep(pause_s)
    except TimeoutError:
        pytest.fail(f"waited 90 s for: {what}")


async def count(db: ClickHouse, view: str) -> int:
    rows = await db.query(f"SELECT count() FROM {db.database}.{view}")
    return int(rows[0][0])


async def until_count(db: ClickHouse, view: str, expected: int) -> None:
    async def there() -> bool:
        return await count(db, view) == expected

    await until(there, f"{expected} rows in {view}")


async def until_committed(broker: KafkaSettings, what: str) -> None:
    async with _watching(broker) as left:

        async def nothing() -> bool:
            return await left() == {}

        await until(nothing, what)


async def attempted(metrics: Registry, attempts: int) -> bool:
    return metrics.get("callweave_sink_inserts_total", "cdr", "retry") >= attempts


async def logged(file: Path, text: str) -> bool:
    return text in await asyncio.to_thread(file.read_text)
