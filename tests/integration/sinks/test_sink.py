"""The sink between a real broker and the real engine: rows arrive exactly, whatever dies, is away, or is wrong."""

import asyncio
import contextlib
import gc
import itertools
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError

from deploy.admin.topic_setup import create_topics
from deploy.clickhouse import passwords
from deploy.clickhouse.config import RESERVE_BYTES
from deploy.clickhouse.launch import ClickHouseServer
from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from schemas.codec import DEAD_LETTER, FACT, TIMELINE
from schemas.config.settings import ClickHouseSettings, KafkaSettings, Settings, SinkSettings
from schemas.dead_letter import DeadLetter
from schemas.errors import SetupError, Unavailable
from schemas.facts import Fact, FactType, Kind
from schemas.metrics import Registry
from schemas.raw import Position
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.consumer import GROUP
from sinks.error_classes import RowsRefused
from sinks.flush.batch import Origin, SinkRow
from sinks.flush.insert import insert_or_bisect
from sinks.main import run
from sinks.migrate import migrate_tables, migrator
from sinks.queries.dead_letter_store import DeadFilter, list_dead, mark_resolved, replay
from sinks.rows import CDR
from sinks.typed_records import TOPICS
from tests.chaos.faults.disk import Disk

PARTITIONS = 4
SMALL_DISK_MB = 800
INSERTING = 8
ROWS_AN_INSERT = 2
FILLED_TIMES = 6
FULL_S = 0.3
"""Longer than an insert takes: what fills a disk and makes room again within one is seen by nobody."""
START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
WORKER = Path(__file__).with_name("sink_worker.py")


@pytest.fixture(scope="module")
async def broker() -> AsyncIterator[KafkaSettings]:
    """A broker of this file's own: the sink's topics and its group have fixed names."""
    with tempfile.TemporaryDirectory(prefix="callweave-sink-") as folder:
        async with KafkaServer(Path(folder)) as server:
            kafka = KafkaSettings(bootstrap=server.bootstrap, partitions=PARTITIONS)
            await create_topics(kafka)
            yield kafka


@pytest.fixture
async def settings(broker: KafkaSettings, clickhouse: ClickHouseSettings) -> Settings:
    """A database of the test's own, and a group that has read everything of the tests before."""
    await forget(broker)
    return Settings(
        kafka=broker,
        clickhouse=msgspec.structs.replace(clickhouse, database=f"sink_{uuid.uuid4().hex[:12]}", insert_timeout_s=5),
        sink=SinkSettings(max_rows=2000, max_age_s=0.1, retry_first_s=0.05, retry_cap_s=0.2, session_timeout_s=6),
    )


def at(server: ClickHouseServer, settings: Settings, **more: Any) -> Settings:
    """The same settings for a server of the test's own."""
    kept = {"database": settings.clickhouse.database, "insert_timeout_s": settings.clickhouse.insert_timeout_s}
    where = msgspec.structs.replace(server.settings(), **{**kept, **more})
    return msgspec.structs.replace(settings, clickhouse=where)


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[ClickHouse]:
    """Of the account that makes and changes tables; the sink itself is another one, which may not."""
    async with ClickHouse(migrator(settings.clickhouse)) as client:
        await migrate_tables(settings)
        yield client
        await client.command(f"DROP DATABASE {client.database}")


async def forget(broker: KafkaSettings) -> None:
    """Commit the ends of all topics for the sink's group, once it has no members: a killed one stays for its session."""
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


async def uncommitted(broker: KafkaSettings) -> dict[TopicPartition, int]:
    """Per partition how many records the group has still to commit."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, partition) for topic in TOPICS for partition in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        left = {tp: ends[tp] - (await consumer.committed(tp) or 0) for tp in places}
    finally:
        await consumer.stop()
    return {tp: count for tp, count in left.items() if count}


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
    """The sink in this process; stopped at the end, and whatever it raised is raised."""
    stop, metrics = asyncio.Event(), Registry()
    task = asyncio.create_task(run(settings, stop, metrics))
    try:
        yield metrics
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)


@contextlib.asynccontextmanager
async def process(settings: Settings, errors: Path = Path(os.devnull)) -> AsyncIterator[asyncio.subprocess.Process]:
    """The sink as a process that can be told to stop, its log in `errors`, killed at the end if it still runs."""
    argv = (sys.executable, str(WORKER), msgspec.json.encode(settings).decode())
    with errors.open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            *argv, stdout=asyncio.subprocess.PIPE, stderr=output, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
    try:
        assert child.stdout is not None
        assert await asyncio.wait_for(child.stdout.readline(), 60) == b"can be stopped\n"
        yield child
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(90):
            while not await true():  # noqa: ASYNC110 - a server's state has no event to wait for
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"waited 90 s for: {what}")


async def count(db: ClickHouse, view: str) -> int:
    rows = await db.query(f"SELECT count() FROM {db.database}.{view}")
    return int(rows[0][0])


async def until_count(db: ClickHouse, view: str, expected: int) -> None:
    async def there() -> bool:
        return await count(db, view) == expected

    await until(there, f"{expected} rows in {view}")


async def test_every_kind_of_record_lands_in_its_table_and_then_its_offset_is_committed(
    settings: Settings, db: ClickHouse
) -> None:
    await send_facts(settings.kafka, [fact(n) for n in range(1, 21)])
    await send_facts(settings.kafka, [fact(n, FactType.STATE) for n in range(21, 31)])
    await send_facts(settings.kafka, [fact(31, FactType.BINDING, binding_id="b1")])
    await send_calls(settings.kafka, [call(n, version=v, talk_ms=v) for v in (1, 2, 3) for n in range(10)])
    letter = DeadLetter(
        stage="normalise", code="json", detail="d", topic="calls.raw", partition=0, offset=1, original=b"\xff{", occurred_at=START
    )  # fmt: skip
    await send(settings.kafka, "calls.dead", [("ytx", DEAD_LETTER.encode(letter))])

    async with sinking(settings) as metrics:
        for view, expected in (
            ("v_cdr", 20),
            ("call_events", 10),
            ("v_bindings", 1),
            ("v_timelines", 10),
            ("dead_letters", 1),
        ):
            await until_count(db, view, expected)
        await until(lambda: _all_read(metrics), "the lag to be 0")
        assert await db.query(f"SELECT DISTINCT version, talk_ms FROM {db.database}.v_timelines") == [(3, 3)]
        assert metrics.get("callweave_sink_rows_total", "cdr") == 20
        assert metrics.get("callweave_sink_waiting") == 0
    assert [found.dead_letter for found in await list_dead(db, DeadFilter())] == [letter]
    assert await uncommitted(settings.kafka) == {}


async def _all_read(metrics: Registry) -> bool:
    return 'callweave_lag_records{stage="sink"} 0' in metrics.text()


async def test_what_cannot_be_read_becomes_a_dead_letter_once_and_a_tombstone_nothing(
    settings: Settings, db: ClickHouse
) -> None:
    large = b"junk " * 600_000  # larger than what one fetch asks for
    await send(settings.kafka, "calls.normalized", [("ytx|acc|1", b"junk"), ("ytx|acc|1", large), ("k", None)])
    await send(settings.kafka, "calls.timelines", [("gone", None), ("ytx|acc|2", b"\x00\x00\x00\x00\x01junk")])
    await send(settings.kafka, "calls.dead", [("ytx", b"no letter")])
    await send_facts(settings.kafka, [fact(1)])
    async with sinking(settings):
        await until_count(db, "dead_letters", 5)
        await until_count(db, "v_cdr", 1)
    letters = [found.dead_letter for found in await list_dead(db, DeadFilter())]
    assert {(one.topic, one.original, one.stage, one.code) for one in letters} == {
        ("calls.normalized", b"junk", "sink", "schema"),
        ("calls.normalized", large, "sink", "schema"),
        ("calls.normalized", b"", "sink", "schema"),
        ("calls.timelines", b"\x00\x00\x00\x00\x01junk", "sink", "schema"),
        ("calls.dead", b"no letter", "sink", "schema"),
    }
    async with sinking(settings):  # once more: the letters published above are read too
        await until(lambda: _nothing_left(settings.kafka), "everything to be committed")
    assert await count(db, "dead_letters") == 5


async def test_no_record_ends_the_sink_or_holds_a_partition_up(settings: Settings, db: ClickHouse) -> None:
    """Internal facts, no identity, what no column holds, headers of any kind and size: a letter each, and the good ones land."""
    odd: list[tuple[bytes, dict[str, Any]]] = [
        (FACT.encode(fact(1, FactType.RESOLUTION, keeps="00")), {}),
        (FACT.encode(fact(2, fact_id="")), {}),
        (FACT.encode(fact(3, talk_ms=1 << 32)), {}),
        (FACT.encode(fact(4, billable_s=-1)), {}),
        (FACT.encode(fact(5, raw_offset=(1 << 63) - 1, raw_element=1 << 40)), {}),
        (FACT.encode(fact(6, version=-1)), {}),
        (b"junk", {"headers": [("trace", b"\xff\xfe"), ("vendor", b"\x00" * 300)]}),
        (b"junk of 1970", {"timestamp_ms": 1}),
        (b"junk with large headers", {"headers": [("trace", os.urandom(9 << 20))], "key": b"k" * (3 << 20)}),
    ]
    await forget(settings.kafka)
    async with sinking(settings) as metrics:
        async with producing(settings.kafka) as producer:
            for value, more in odd:
                await producer.send_and_wait("calls.normalized", value, partition=0, **more)
        await send_facts(settings.kafka, [fact(n) for n in range(100, 200)])
        await until_count(db, "dead_letters", len(odd))
        await until_count(db, "v_cdr", 100)
        await until(lambda: _nothing_left(settings.kafka), "everything to be committed")
        assert metrics.get("callweave_sink_waiting") == 0
    found = [one.dead_letter for one in await list_dead(db, DeadFilter())]
    assert sorted(one.code for one in found) == ["row"] * 5 + ["schema"] * 4
    assert {one.stage for one in found} == {"sink"}
    assert len({one.offset for one in found}) == len(odd)


async def test_extremes_of_every_column_are_rows_and_no_letters(settings: Settings, db: ClickHouse) -> None:
    """What the stages before let through is never refused for its range."""
    most = (1 << 32) - 1
    early, late = datetime(1900, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, 23, 59, 59, tzinfo=UTC)
    fields: list[dict[str, Any]] = [
        {"talk_ms": value, "billable_s": value, "vendor_duration_s": value, "ring_ms": value} for value in (0, most)
    ]
    fields += [
        {"cost": Decimal(text), "currency": "CNY"} for text in ("0", "999999999999.999999", "-999999999999.999999")
    ]
    fields += [{"setup_at": at, "end_at": at} for at in (early, datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC), late)]
    await send_facts(settings.kafka, [fact(n, **one) for n, one in enumerate(fields, 1)])
    await send_calls(settings.kafka, [call(n, started_at=early, **one) for n, one in enumerate(fields, 1)])
    async with sinking(settings):
        await until_count(db, "v_cdr", len(fields))
        await until_count(db, "v_timelines", len(fields))
        await until(lambda: _nothing_left(settings.kafka), "everything to be committed")
    assert await count(db, "dead_letters") == 0


async def _nothing_left(broker: KafkaSettings) -> bool:
    return await uncommitted(broker) == {}


async def test_bad_rows_among_many_become_dead_letters_and_all_others_land(settings: Settings, db: ClickHouse) -> None:
    """One that the client cannot write, one that the server refuses."""
    await db.command(f"ALTER TABLE {db.database}.cdr_versions MODIFY COLUMN custom_ref FixedString(5)")
    facts = [fact(n) for n in range(1, 5001)]
    facts[1234] = fact(1235, q850=70_000)
    facts[4321] = fact(4322, custom_ref="refuse me")
    await send_facts(settings.kafka, facts)
    async with sinking(settings):
        await until_count(db, "v_cdr", 4998)
        await until_count(db, "dead_letters", 2)
    found = {one.dead_letter.original: one.dead_letter for one in await list_dead(db, DeadFilter())}
    assert set(found) == {FACT.encode(facts[1234]), FACT.encode(facts[4321])}
    assert {(one.stage, one.code, one.topic) for one in found.values()} == {("sink", "row", "calls.normalized")}
    assert found[FACT.encode(facts[1234])].detail == "column q850: DataError"
    refused = found[FACT.encode(facts[4321])].detail
    assert refused == 'ClickHouse code 131 TOO_LARGE_STRING_SIZE, column "custom_ref"'
    assert await uncommitted(settings.kafka) == {}


TROUBLES = [
    pytest.param(
        "MODIFY SETTING parts_to_throw_insert = 1, inactive_parts_to_throw_insert = 1",
        "RESET SETTING parts_to_throw_insert, inactive_parts_to_throw_insert",
        id="too many parts",
    ),
    pytest.param(
        "MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000",
        "RESET SETTING min_free_disk_bytes_to_perform_insert",
        id="the disk is full",
    ),
    # 32 GB a row, taken in steps: far beyond what the engine may have. An array that just fits is taken, one row at a time.
    pytest.param(
        "ADD CONSTRAINT hungry CHECK length(arrayResize([toUInt256(length(custom_ref))], 1000000000)) > 0",
        "DROP CONSTRAINT hungry",
        id="out of memory",
    ),
    pytest.param("DROP COLUMN custom_ref", "ADD COLUMN custom_ref String", id="a column is missing"),
]


@pytest.mark.parametrize(("harm", "heal"), TROUBLES)
async def test_what_clickhouse_does_not_take_for_its_own_reasons_waits_and_lands_then(
    settings: Settings, db: ClickHouse, harm: str, heal: str
) -> None:
    table = f"ALTER TABLE {db.database}.cdr_versions"
    async with sinking(settings) as metrics:
        await send_facts(settings.kafka, [fact(1)])
        await until_count(db, "v_cdr", 1)
        await db.command(f"{table} {harm}")
        await send_facts(settings.kafka, [fact(n) for n in range(2, 102)])
        await until(lambda: _waits(metrics, 3), "three attempts")
        assert sum((await uncommitted(settings.kafka)).values()) == 100
        await db.command(f"{table} {heal}")
        await until_count(db, "v_cdr", 101)
    assert await uncommitted(settings.kafka) == {}
    assert await count(db, "dead_letters") == 0


async def test_while_the_sinks_password_is_not_taken_it_waits(settings: Settings, tmp_path: Path) -> None:
    """And it goes on by itself when the password is taken again: nothing was started anew."""
    async with ClickHouseServer(tmp_path / "clickhouse") as server:
        here = at(server, settings)
        await migrate_tables(here)
        name, password = here.clickhouse.user, here.clickhouse.password.value
        async with sinking(here) as metrics, ClickHouse(migrator(here.clickhouse)) as db:
            await send_facts(here.kafka, [fact(1)])
            await until_count(db, "v_cdr", 1)
            passwords.change(tmp_path / "clickhouse", name, "another one", keep_old=False)
            await send_facts(here.kafka, [fact(n) for n in range(2, 102)])
            await until(lambda: _waits(metrics, 3), "three attempts")
            assert await count(db, "v_cdr") == 1
            assert sum((await uncommitted(here.kafka)).values()) == 100

            passwords.change(tmp_path / "clickhouse", name, password, keep_old=False)
            await until_count(db, "v_cdr", 101)
            assert await count(db, "dead_letters") == 0
            await until(lambda: _nothing_left(here.kafka), "everything to be committed")


async def test_while_the_sink_has_no_right_to_insert_it_waits(settings: Settings, tmp_path: Path) -> None:
    """Its account is let in, but its rights are those on another database."""
    port = free_port()

    def server(databases: str) -> ClickHouseServer:
        return ClickHouseServer(tmp_path / "clickhouse", port=port, databases=databases)

    async with server("*") as before:
        here = at(before, settings)
        await migrate_tables(here)
    async with sinking(here) as metrics, ClickHouse(migrator(here.clickhouse)) as db:
        await send_facts(here.kafka, [fact(n) for n in range(100)])
        async with server("elsewhere"):
            await until(lambda: _waits(metrics, 3), "three attempts")
            with pytest.raises(SetupError, match="ACCESS_DENIED"):
                await count(db, "v_cdr")
        assert sum((await uncommitted(here.kafka)).values()) == 100
        async with server("*"):
            await until_count(db, "v_cdr", 100)
            assert await count(db, "dead_letters") == 0
            await until(lambda: _nothing_left(here.kafka), "everything to be committed")


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Disk]:
    """A file system that a test can fill, or a skip."""
    disk = Disk(tmp_path / "disk", SMALL_DISK_MB)
    await disk.mount()
    if disk.refusal:
        pytest.skip(disk.refusal)
    yield disk
    await disk.unmount()


async def test_an_insert_after_which_the_disk_has_hardly_room_is_repeated(settings: Settings, small_disk: Disk) -> None:
    """The engine takes the rows each time, and the sink does not believe it: nothing is committed until there is room."""
    async with ClickHouseServer(small_disk.path / "clickhouse") as server:
        here = at(server, settings, min_free_mb=100)
        await migrate_tables(here)
        async with sinking(here) as metrics, ClickHouse(here.clickhouse) as db:
            await send_facts(here.kafka, [fact(1)])
            await until_count(db, "v_cdr", 1)
            await until(lambda: _nothing_left(here.kafka), "everything to be committed")
            small_disk.fill(but=RESERVE_BYTES + (50 << 20))
            await send_facts(here.kafka, [fact(2)])
            await until(lambda: _waits(metrics, 3), "three attempts")
            assert await count(db, "v_cdr") == 2
            assert sum((await uncommitted(here.kafka)).values()) == 1
            small_disk.free()
            await until(lambda: _nothing_left(here.kafka), "everything to be committed")
            assert await count(db, "v_cdr") == 2


async def test_what_the_sink_calls_stored_outlives_a_full_disk_and_a_kill(small_disk: Disk) -> None:
    """Again and again the disk is full from one moment to the next, in the middle of inserts, and then the engine is killed."""
    stored: set[int] = set()
    numbers = itertools.count()
    server = ClickHouseServer(small_disk.path / "clickhouse", port=free_port())

    async def inserting(db: ClickHouse) -> None:
        while True:
            some = [next(numbers) for _ in range(ROWS_AN_INSERT)]
            with contextlib.suppress(Unavailable):
                await db.insert(CDR, [fact(n) for n in some])
                stored.update(some)

    async with server:
        await migrate_tables(at(server, Settings()))
        await many_files_a_part(server)
    for _ in range(FILLED_TIMES):
        async with server, ClickHouse(server.settings()) as db:
            wanted = len(stored) + 2 * INSERTING * ROWS_AN_INSERT
            inserts = [asyncio.create_task(inserting(db)) for _ in range(INSERTING)]

            async def going_on(least: int = wanted) -> bool:
                return len(stored) >= least

            await until(going_on, "inserts that are taken")
            os.kill(server.pid, signal.SIGSTOP)
            small_disk.fill()
            os.kill(server.pid, signal.SIGCONT)
            await asyncio.sleep(FULL_S)
            os.kill(server.pid, signal.SIGKILL)
            for one in inserts:
                one.cancel()
            await asyncio.gather(*inserts, return_exceptions=True)
        small_disk.free()

    async with server, ClickHouse(server.settings()) as db:
        rows = await db.query(f"SELECT record_id FROM {db.database}.v_cdr")
    assert {uuid.UUID(int=n) for n in stored} - {found for (found,) in rows} == set()


async def many_files_a_part(server: ClickHouseServer) -> None:
    """An insert then takes longer after the engine looked for room: two files a column instead of one for all of them."""
    async with ClickHouse(migrator(server.settings())) as db:
        await db.command(
            f"ALTER TABLE {db.database}.cdr_versions MODIFY SETTING min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0"
        )


async def test_one_bad_row_among_two_hundred_thousand_is_found(settings: Settings, db: ClickHouse) -> None:
    facts = [fact(n, q850=70_000 if n == 123_456 else None) for n in range(200_000)]
    origin = Origin(position=Position("calls.normalized", 0, 0), key=None, value=b"")
    refused = await insert_or_bisect(CDR, [SinkRow(one, origin) for one in facts], db.insert, Registry())
    assert [one.row.record for one in refused] == [facts[123_456]]
    assert await count(db, "v_cdr") == 199_999


async def test_killed_again_and_again_the_views_are_exact(settings: Settings, db: ClickHouse) -> None:
    facts = [fact(n, (FactType.RECORD, FactType.STATE)[n % 2]) for n in range(12_000)]
    calls = [call(n % 3000, version=1 + n // 3000, talk_ms=n) for n in range(9000)]
    await asyncio.gather(send_facts(settings.kafka, facts), send_calls(settings.kafka, calls))
    for threshold in (1, 2000, 4000):
        async with process(settings) as child:

            async def underway(least: int = threshold) -> bool:
                return sum([await count(db, view) for view in ("cdr", "call_events", "timelines")]) >= least

            await until(underway, f"{threshold} rows")
            os.kill(child.pid, signal.SIGKILL)
            assert await child.wait() == -signal.SIGKILL
            assert await uncommitted(settings.kafka) != {}
    async with process(settings) as child:
        await until(lambda: _nothing_left(settings.kafka), "everything to be committed")
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 60) == 0

    for view, kind in (("v_cdr", FactType.RECORD), ("call_events", FactType.STATE)):
        shown = [row[0] for row in await db.query(f"SELECT vendor_call_id FROM {db.database}.{view}")]
        assert sorted(shown) == sorted(f.vendor_call_id for f in facts if f.fact_type is kind)
    newest = await db.query(f"SELECT vendor_call_id, version, talk_ms FROM {db.database}.v_timelines")
    assert sorted(newest) == sorted((str(n), 3, n + 6000) for n in range(3000))


async def test_the_sink_carries_no_data_frames(settings: Settings, db: ClickHouse) -> None:
    """ClickHouse's client imports pandas at the first insert when it is let: half of the process's memory, and a late start."""
    await send_facts(settings.kafka, [fact(1)])
    async with process(settings) as child:
        await until_count(db, "v_cdr", 1)
        loaded = await asyncio.to_thread(Path(f"/proc/{child.pid}/maps").read_text)
    assert "msgspec" in loaded
    assert "pandas" not in loaded


@pytest.mark.parametrize(
    ("q850", "answered"),
    [
        pytest.param(16, contextlib.nullcontext(), id="taken"),
        pytest.param(70_000, pytest.raises(RowsRefused), id="refused"),
    ],
)
async def test_an_insert_is_not_held_once_it_is_answered(
    db: ClickHouse, q850: int, answered: contextlib.AbstractContextManager[Any]
) -> None:
    """The library's own record of an insert is a cycle: held until the next search for garbage, which is rare."""
    gc.collect()
    gc.disable()
    try:
        before = _lists()
        with answered:
            await db.insert(CDR, [*(fact(n) for n in range(1, 1000)), fact(1000, q850=q850)])
        assert _lists() - before < 1000, "each row's own lists are still there"
    finally:
        gc.enable()


async def test_inserts_leave_nothing_behind(db: ClickHouse) -> None:
    await db.insert(CDR, [fact(1)])
    gc.collect()
    for number in range(20):
        await db.insert(CDR, [fact(number)])
    assert gc.collect() == 0
    assert await count(db, "v_cdr") == 20


async def test_inserts_into_one_table_at_the_same_time_do_not_mix(db: ClickHouse) -> None:
    """One that was given up goes on in its thread while the next begins."""
    for first in range(0, 5000, 1000):
        await asyncio.gather(
            *(db.insert(CDR, [fact(n) for n in range(first + part, first + 1000, 4)]) for part in range(4))
        )
    assert await count(db, "v_cdr") == 5000


def _lists() -> int:
    return sum(type(held) is list for held in gc.get_objects())


async def test_killed_with_an_insert_in_flight_nothing_is_lost(settings: Settings, tmp_path: Path) -> None:
    """ClickHouse stands still in the middle of an insert, the sink dies, both go on: the rows are there, each once."""
    errors = tmp_path / "stderr"
    async with ClickHouseServer(tmp_path / "clickhouse") as server:
        here = at(server, settings, insert_timeout_s=1)
        await migrate_tables(here)
        async with ClickHouse(here.clickhouse) as db:
            async with process(here, errors) as child:
                await send_facts(here.kafka, [fact(n) for n in range(10)])
                await until_count(db, "v_cdr", 10)
                await until(lambda: _nothing_left(here.kafka), "the first ten to be committed")
                os.kill(server.pid, signal.SIGSTOP)
                try:
                    await send_facts(here.kafka, [fact(n) for n in range(10, 1500)])
                    await until(lambda: _said(errors, "waiting for ClickHouse"), "an insert to time out")
                    child.kill()
                    await child.wait()
                    assert sum((await uncommitted(here.kafka)).values()) == 1490
                finally:
                    os.kill(server.pid, signal.SIGCONT)
            async with process(here):
                await until_count(db, "v_cdr", 1500)
                await until(lambda: _nothing_left(here.kafka), "everything to be committed")


async def _said(file: Path, text: str) -> bool:
    return text in await asyncio.to_thread(file.read_text)


async def test_while_clickhouse_is_away_the_sink_waits_in_its_group_and_loses_nothing(settings: Settings) -> None:
    with tempfile.TemporaryDirectory(prefix="callweave-sink-") as folder:
        server = ClickHouseServer(Path(folder))
        await server.start()
        here = at(server, settings)
        again = ClickHouseServer(Path(folder), port=server.port)
        try:
            await migrate_tables(here)
            async with ClickHouse(here.clickhouse) as db:
                async with sinking(here) as metrics:
                    await send_facts(here.kafka, [fact(n) for n in range(100)])
                    await until_count(db, "v_cdr", 100)
                    await server.stop()
                    await send_facts(here.kafka, [fact(n) for n in range(100, 300)])
                    await until(lambda: _waits(metrics, 5), "five attempts")
                    assert metrics.get("callweave_sink_waiting") == 1
                    assert sum((await uncommitted(here.kafka)).values()) == 200

                    await again.start()
                    await until_count(db, "v_cdr", 300)
                    await until(lambda: _waits_no_more(metrics), "the end of waiting")
                assert await uncommitted(here.kafka) == {}
        finally:
            await server.stop()
            await again.stop()


async def _waits(metrics: Registry, attempts: int) -> bool:
    return metrics.get("callweave_sink_inserts_total", "cdr", "retry") >= attempts


async def _waits_no_more(metrics: Registry) -> bool:
    return metrics.get("callweave_sink_waiting") == 0


async def test_a_stop_while_clickhouse_is_away_is_bounded_and_commits_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.worker.DRAIN_S", 0.5)
    away = msgspec.structs.replace(
        settings, clickhouse=msgspec.structs.replace(settings.clickhouse, url="http://127.0.0.1:9")
    )
    await send_facts(settings.kafka, [fact(1)])
    async with sinking(away) as metrics:
        await until(lambda: _waits(metrics, 2), "two attempts")
    assert sum((await uncommitted(settings.kafka)).values()) == 1


async def test_without_its_tables_the_sink_waits_for_the_migration(settings: Settings) -> None:
    async with ClickHouse(migrator(settings.clickhouse)) as db, sinking(settings) as metrics:
        await send_facts(settings.kafka, [fact(n) for n in range(10)])
        await until(lambda: _waits(metrics, 2), "two attempts")
        await migrate_tables(settings)
        await until_count(db, "v_cdr", 10)
        await db.command(f"DROP DATABASE {db.database}")


async def test_workers_that_come_and_go_lose_nothing(settings: Settings, db: ClickHouse) -> None:
    """A second one joins in the middle, the first one leaves, a third one comes: the partitions change hands each time."""
    facts = [fact(n) for n in range(9000)]
    await send_facts(settings.kafka, facts[:3000])
    async with process(settings) as second:
        async with process(settings) as first:
            await until(lambda: _at_least(db, 500), "500 rows")
            await send_facts(settings.kafka, facts[3000:6000])
            first.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(first.wait(), 60) == 0
        async with process(settings) as third:
            await send_facts(settings.kafka, facts[6000:])
            await until_count(db, "v_cdr", 9000)
            third.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(third.wait(), 60) == 0
        await until(lambda: _nothing_left(settings.kafka), "everything to be committed")
        second.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(second.wait(), 60) == 0
    shown = [row[0] for row in await db.query(f"SELECT vendor_call_id FROM {db.database}.cdr")]
    assert sorted(shown) == sorted(one.vendor_call_id for one in facts)


async def _at_least(db: ClickHouse, least: int) -> bool:
    return await count(db, "cdr") >= least


async def test_without_kafka_the_process_ends_with_an_error(settings: Settings) -> None:
    lost = msgspec.structs.replace(settings, kafka=KafkaSettings(bootstrap="127.0.0.1:9"))
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:9 does not answer"):
        await run(lost, asyncio.Event(), Registry())


async def test_a_body_is_sent_again_once_with_its_bytes_headers_and_place(settings: Settings, db: ClickHouse) -> None:
    place = TopicPartition("calls.raw", 2)
    headers = {"vendor": "ytx", "request_id": "r1", "received_at": "1772352000000"}
    letters = [
        DeadLetter(
            stage="normalise", code="field", detail="d", topic=place.topic, partition=place.partition, offset=41,
            element=element, original=b"[\xff]" if element == 0 else b"", headers=headers,
            occurred_at=START + timedelta(seconds=element),
        )
        for element in range(3)
    ]  # fmt: skip
    await send(settings.kafka, "calls.dead", [("ytx", DEAD_LETTER.encode(one)) for one in letters])
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap)
    await consumer.start()
    try:
        consumer.assign([place])
        await consumer.seek_to_end(place)
        await consumer.position(place)
        async with sinking(settings):
            await until_count(db, "dead_letters", 3)
        chosen = [found.dead_letter for found in await list_dead(db, DeadFilter(code="field"))]
        async with producing(settings.kafka) as producer:
            assert await replay(chosen, producer) == 1
        await mark_resolved(db, chosen)

        record = await asyncio.wait_for(consumer.getone(), 30)
        assert record.value == b"[\xff]"
        assert dict(record.headers) == {
            **{name: value.encode() for name, value in headers.items()},
            "replay_of": b"calls.raw/2/41",
        }
        assert await consumer.getmany(place, timeout_ms=300) == {}
    finally:
        await consumer.stop()
    assert await list_dead(db, DeadFilter()) == []
    assert len(await list_dead(db, DeadFilter(resolved_too=True))) == 3
