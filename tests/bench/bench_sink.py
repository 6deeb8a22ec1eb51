"""The sink's way from Avro bytes to rows, stage by stage, beside the engine's own limit: `python -m tests.bench sink`.

One embedded ClickHouse and one embedded broker run on this machine. Rates are of one run: compare the lines with each
other, not with other machines.
"""

import asyncio
import gc
import tempfile
import time
import uuid
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from deploy.admin.topic_setup import create_topics
from deploy.clickhouse.launch import ClickHouseServer
from deploy.kafka.broker import KafkaServer
from schemas.codec import FACT, Codecs
from schemas.config.settings import KafkaSettings, Settings
from schemas.facts import Disposition, Fact, FactType, Flag, Kind, Leg, NumberKind, Role
from schemas.metrics import Registry
from schemas.raw import Position
from schemas.topics import NORMALIZED
from sinks.clickhouse import ClickHouse
from sinks.columns import NO_TOKENS
from sinks.flush.batch import Origin
from sinks.main import run
from sinks.migrate import migrate, migrator
from sinks.rows import CDR
from sinks.typed_records import gathered
from sinks.writing.native_block import Block
from sinks.writing.records import Records
from tests.bench.support.lines import Line, show

RECORDS = 100_000
BLOCK = 10_000
START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def record(number: int) -> Fact:
    """Returns a two-way call's record with two legs and all fields that such a record may have."""
    at = START + timedelta(milliseconds=number)
    answered = at + timedelta(seconds=9)
    end = answered + timedelta(seconds=63)
    number_a, number_b = f"+86139{number % 10**8:08}", f"+86138{number % 10**8:08}"
    leg: dict[str, Any] = {
        "number_kind": NumberKind.E164,
        "setup_at": at,
        "answer_at": answered,
        "end_at": end,
        "q850": 16,
    }
    return Fact(
        fact_id=str(uuid.UUID(int=number * 2**64 // 1000003)), call_key=f"ytx|acc|{number}", fact_type=FactType.RECORD,
        vendor="ytx", kind=Kind.CALLBACK_CDR, version=1, account_id="acc", vendor_call_id=f"2018063524028946041536512{number}",
        from_number=number_a, from_raw=number_a, from_kind=NumberKind.E164, to_number=number_b, to_raw=number_b,
        to_kind=NumberKind.E164, setup_at=at, answer_at=answered, end_at=end, time_precision="ms",
        legs=(Leg(role=Role.A, number=number_a, **leg), Leg(role=Role.B, number=number_b, **leg)),
        talk_ms=63_000, ring_ms=9_000, vendor_duration_s=72, billable_s=72, billable_source="vendor",
        disposition=Disposition.ANSWERED, hangup_cause="NORMAL_CLEARING", q850=16, sip_code=200, cost=Decimal("0.15"),
        currency="CNY", cost_source="vendor", custom_ref=str(number), extras={"stateDesc": "应答|正常", "fid": "4"},
        is_final=True, quality_flags=(Flag.TZ_ASSUMED,), received_at=end, raw_topic="calls.raw", raw_offset=number,
        raw_sha256="0" * 64, slot_at=START, slot_certain=True,
    )  # fmt: skip


async def timed(work: Awaitable[object], count: int) -> float:
    """Returns the records per second of `work`."""
    started_s = time.perf_counter()
    await work
    return count / (time.perf_counter() - started_s)


async def in_thread(function: object, *arguments: object) -> object:
    return await asyncio.to_thread(function, *arguments)  # type: ignore[arg-type]  # any function


def records(values: list[bytes]) -> Records:
    """Returns facts as the sink reads them from a topic."""
    origins = [Origin(position=Position(NORMALIZED.name, 0, 0), key=None, value=value) for value in values]
    ((_, found),), _ = gathered({NORMALIZED.name: origins}, Codecs())
    return found


async def inserted(db: ClickHouse, batches: list[Records]) -> None:
    for batch in batches:
        await db.insert(CDR, batch)


async def drained(settings: Settings, db: ClickHouse, values: list[bytes]) -> float:
    """Returns the records per second from Kafka to rows, without the worker's start."""
    await create_topics(settings.kafka)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, linger_ms=20, max_batch_size=1 << 20)
    await producer.start()
    for number, value in enumerate(values):
        await producer.send("calls.normalized", value, partition=number % settings.kafka.partitions)
    await producer.stop()
    stop, metrics = asyncio.Event(), Registry()
    task = asyncio.create_task(run(settings, stop, metrics))
    first_s, first = 0.0, 0.0
    while True:
        done = metrics.get("callweave_sink_rows_total", "cdr")
        if done and not first:
            first_s, first = time.perf_counter(), done
        if done >= len(values):
            break
        await asyncio.sleep(0.01)
    rate = (len(values) - first) / (time.perf_counter() - first_s)
    stop.set()
    await task
    ((rows,),) = await db.query(f"SELECT count() FROM {db.database}.v_cdr")
    if rows != len(values):
        raise RuntimeError(f"{rows} rows of {len(values)}")
    return rate


async def bench(count: int) -> list[Line]:
    gc.set_threshold(200_000)  # as the worker has it
    facts = [record(number) for number in range(count)]
    values = [FACT.encode(fact) for fact in facts]
    lines: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="callweave-bench-") as folder:
        async with ClickHouseServer(Path(folder) / "c") as server, KafkaServer(Path(folder) / "k") as broker:
            settings = Settings(
                kafka=KafkaSettings(bootstrap=broker.bootstrap, partitions=6),
                clickhouse=server.settings(),
            )
            async with ClickHouse(migrator(settings.clickhouse)) as db:
                await migrate(db, settings)
                names = ", ".join(f"`{column.name}`" for column in CDR.columns)
                batches = [values[start : start + BLOCK] for start in range(0, count, BLOCK)]
                read: list[Records] = []
                decoded = timed(in_thread(lambda: list(map(FACT.decode, values))), count)
                scanned = timed(in_thread(lambda: read.extend(map(records, batches))), count)
                lines += [("Avro to objects", await decoded), ("Avro to columns", await scanned)]
                packed = timed(in_thread(Block(facts, NO_TOKENS).of, CDR), count)
                written = timed(in_thread(lambda: [one.block(CDR, NO_TOKENS) for one in read]), count)
                lines += [("objects to Native", await packed), ("columns to Native", await written)]
                lines.append(("columns to rows: Native, HTTP", await timed(inserted(db, read), count)))
                await db.command("CREATE TABLE calls.source ENGINE = Memory AS SELECT * FROM calls.cdr_by_slot")
                await db.command("TRUNCATE TABLE calls.cdr_by_slot")
                copy = f"INSERT INTO calls.cdr_by_slot ({names}) SELECT {names} FROM calls.source"
                lines.insert(0, ("engine's limit: INSERT SELECT from memory", await timed(db.command(copy), count)))
                await db.command("TRUNCATE TABLE calls.cdr_by_slot")
                lines.append(("Kafka to rows: the whole sink", await drained(settings, db, values)))
    return [Line(bench="sink", what=name, value=rate, unit="records/s", limit=lines[0][1]) for name, rate in lines]


def measure() -> list[Line]:
    """Measures the engine's limit first."""
    return asyncio.run(bench(RECORDS))


if __name__ == "__main__":
    show(measure())
