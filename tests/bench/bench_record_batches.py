"""Record batches beside stock Faust, the outbox beside single sends: `python -m tests.bench record_batches`.

Everything runs in this one process against one embedded broker; records of 300 B. Rates are of one run on whatever
else the machine does: compare the lines with each other, not with other machines.
"""

import asyncio
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from deploy.kafka.broker import KafkaServer
from processors.engine.dispatcher import attach
from processors.engine.faust_app import BatchApp, make_app, run_app
from processors.outbox import Message, Outbox
from processors.records import RecordBatch
from processors.store.restore import ends, restore
from schemas.config.settings import KafkaSettings
from tests.bench.support.lines import Line, show
from tests.support.kafka.new_topics import new_topic

PARTITIONS = 6
RECORDS = 200_000
STOCK_RECORDS = 40_000
BATCH = 500


def some_messages(topic: str, count: int) -> list[Message]:
    return [Message(topic=topic, key=uuid.uuid4().hex.encode(), value=b"v" * 268) for _ in range(count)]


async def filled(bootstrap: str, count: int) -> str:
    topic = await new_topic(bootstrap, partitions=PARTITIONS)
    async with Outbox(KafkaSettings(bootstrap=bootstrap)) as outbox:
        for _ in range(count // BATCH):
            await outbox.publish(some_messages(topic, BATCH))
    return topic


async def read_batches(
    bootstrap: str, topic: str, total: int, work: Callable[[RecordBatch], Awaitable[None]] | None
) -> float:
    """Return the seconds from the first batch to the last record."""
    stop, received, times = asyncio.Event(), 0, list[float]()

    async def step(batch: RecordBatch) -> None:
        nonlocal received
        times.append(time.perf_counter())
        if work is not None:
            await work(batch)
        received += len(batch.records)
        if received == total:
            times.append(time.perf_counter())
            stop.set()

    app = make_app(f"g-{uuid.uuid4().hex}", KafkaSettings(bootstrap=bootstrap))
    attach(app, topic, step)
    await run_app(app, stop=stop, signals=())
    return times[-1] - times[0]


async def read_stock(bootstrap: str, topic: str, total: int, work: Callable[[bytes], Awaitable[Any]] | None) -> float:
    """Return the same through Faust's own transport, one record per event."""
    stop, received, times = asyncio.Event(), 0, list[float]()
    app = BatchApp(
        f"g-{uuid.uuid4().hex}",
        broker=f"kafka://{bootstrap}",
        broker_max_poll_records=5000,
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        value_serializer="raw",
        key_serializer="raw",
    )

    @app.agent(app.topic(topic, value_type=bytes, key_type=bytes))  # type: ignore[untyped-decorator]  # faust has no usable types
    async def agent(stream: Any) -> None:
        nonlocal received
        async for value in stream:
            if not received:
                times.append(time.perf_counter())
            if work is not None:
                await work(value)
            received += 1
            if received == total:
                times.append(time.perf_counter())
                stop.set()

    starting = asyncio.create_task(app.start())
    await stop.wait()
    await app.stop()
    await starting
    return times[-1] - times[0]


async def bench(bootstrap: str) -> list[Line]:
    lines: list[Line] = []

    def say(what: str, records: int, seconds: float) -> None:
        limit = lines[0].value if lines else records / seconds
        lines.append(Line(bench="record_batches", what=what, value=records / seconds, unit="records/s", limit=limit))

    topic = await filled(bootstrap, RECORDS)
    small = await filled(bootstrap, STOCK_RECORDS)
    out = await new_topic(bootstrap, partitions=PARTITIONS)

    async with Outbox(KafkaSettings(bootstrap=bootstrap)) as outbox:

        async def forward(batch: RecordBatch) -> None:
            await outbox.publish([Message(topic=out, key=r.key, value=r.value) for r in batch.records])

        say("batches, read and drop", RECORDS, await read_batches(bootstrap, topic, RECORDS, None))
        say("batches, one message out per record", RECORDS, await read_batches(bootstrap, topic, RECORDS, forward))

        for side_by_side in (1, 4):
            batches = [some_messages(out, BATCH) for _ in range(120)]
            started = time.perf_counter()

            async def publish_some(batches: list[list[Message]] = batches) -> None:
                while batches:
                    await outbox.publish(batches.pop())

            await asyncio.gather(*(publish_some() for _ in range(side_by_side)))
            say(
                f"publish, {BATCH} messages a call, {side_by_side} calls at once",
                120 * BATCH,
                time.perf_counter() - started,
            )

    say("stock faust, read and drop", STOCK_RECORDS, await read_stock(bootstrap, small, STOCK_RECORDS, None))
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=5
    ) as producer:

        async def send(value: bytes) -> None:
            await producer.send(out, value)

        say(
            "stock faust, one awaited send per record",
            STOCK_RECORDS,
            await read_stock(bootstrap, small, STOCK_RECORDS, send),
        )

    started, restored = time.perf_counter(), 0
    async with ends(KafkaSettings(bootstrap=bootstrap)) as end:
        for partition in range(PARTITIONS):
            async for batch in restore(
                KafkaSettings(bootstrap=bootstrap), topic, partition, await end(topic, partition)
            ):
                restored += len(batch.records)
    say("restore, one partition after the other", restored, time.perf_counter() - started)
    return lines


async def with_broker() -> list[Line]:
    with tempfile.TemporaryDirectory(prefix="callweave-bench-") as folder:
        async with KafkaServer(Path(folder) / "kafka") as broker:
            return await bench(broker.bootstrap)


def measure() -> list[Line]:
    """Reading alone is the limit for the others."""
    return asyncio.run(with_broker())


if __name__ == "__main__":
    show(measure())
