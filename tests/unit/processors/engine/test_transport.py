"""Reading and committing batches, with a scripted fetcher in the place of Kafka."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from faust.exceptions import ImproperlyConfigured
from faust.types import TP

from processors.engine.faust_app import consumer_of, make_app
from processors.engine.fetcher import FetcherThread, ReaderSettings
from processors.engine.gathering import GATHER_BYTES
from processors.engine.transport import BUSY_FETCH_S, BatchConsumer
from processors.records import RecordBatch, cut, interleave, record_of
from schemas.config.settings import KafkaSettings

A, B = TP("calls.raw", 0), TP("calls.raw", 1)


def kafka_records(offsets: Iterable[int]) -> list[Any]:
    return [
        record_of(
            A,
            SimpleNamespace(
                offset=n, timestamp=1_700_000_000_000 + n, key=b"k%d" % n, value=b"v", headers=[("n", b"%d" % n)]
            ),
        )
        for n in offsets
    ]


@pytest.mark.parametrize(
    ("offsets", "bounds"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([7], [(7, 8)], id="one-record"),
        pytest.param(range(3), [(0, 3)], id="exactly-one-batch"),
        pytest.param(range(7), [(0, 3), (3, 6), (6, 7)], id="two-and-a-rest"),
        pytest.param([2, 9, 10, 40], [(2, 11), (40, 41)], id="with-gaps"),
    ],
)
def test_records_are_cut_into_batches(offsets: Iterable[int], bounds: list[tuple[int, int]]) -> None:
    batches = list(cut("calls.raw", 4, kafka_records(offsets), 3))

    assert [(s.first_offset, s.next_offset) for s in batches] == bounds
    assert [record.offset for s in batches for record in s.records] == list(offsets)


def test_a_record_keeps_all_it_came_with() -> None:
    (batch,) = cut("calls.raw", 4, kafka_records([7]), 3)
    (record,) = batch.records

    assert (batch.topic, batch.partition) == ("calls.raw", 4)
    assert (record.key, record.value, record.timestamp_ms) == (b"k7", b"v", 1_700_000_000_007)
    assert record.headers == (("n", b"7"),)


def test_partitions_take_turns() -> None:
    batches = interleave({A: kafka_records(range(5)), B: kafka_records(range(2))}, 2)

    assert [(s.partition, s.first_offset) for s in batches] == [(0, 0), (1, 0), (0, 2), (0, 4)]


class Thread:
    """The consumer thread as a script: each fetch gives the next entry."""

    def __init__(self, *script: tuple[int, Mapping[TP, list[Any]]]) -> None:
        self.script = list(script)
        self.seeks = 0
        self.asked: list[tuple[set[TP], float]] = []
        self.assigned = {A, B}
        self.confirms = True
        self.commits: list[dict[TP, int]] = []
        self.committed: dict[TP, int | None] = {}

    async def seek_to_committed(self) -> dict[TP, int | None]:
        return self.committed

    async def fetch(self, partitions: set[TP], timeout_s: float) -> tuple[int, Mapping[TP, list[Any]]]:
        self.asked.append((partitions, timeout_s))
        return self.script.pop(0)

    async def commit(self, offsets: dict[TP, int]) -> bool:
        self.commits.append(offsets)
        return self.confirms

    def assignment(self) -> set[TP]:
        return self.assigned


@pytest.fixture
async def make_consumer() -> Callable[[Thread], BatchConsumer]:
    def make(thread: Thread) -> BatchConsumer:
        app = make_app(
            "group", KafkaSettings(bootstrap="127.0.0.1:1"), reader=ReaderSettings(batch_records=10, batches_ahead=2)
        )
        consumer = consumer_of(app)
        consumer._thread.thread_loop.close()
        consumer._thread = thread  # type: ignore[assignment]  # a script in its place
        consumer._set_active_tps({A, B})
        return consumer

    return make


async def read(consumer: BatchConsumer) -> list[RecordBatch]:
    return [message.value async for _, message in consumer.getmany(timeout=9.0)]


async def test_batches_come_with_a_ticket_and_move_the_offset_when_finished(make_consumer: Any) -> None:
    thread = Thread((0, {A: kafka_records(range(15))}))
    consumer = make_consumer(thread)
    first, second = await read(consumer)

    assert thread.asked == [({A, B}, 9.0)]
    assert consumer.begin(first)
    consumer.finish(first)
    assert await consumer.commit()
    assert consumer.begin(second)
    assert not await consumer.commit()
    assert thread.commits == [{A: 10}]


async def test_a_partition_with_unfinished_batches_is_left_out(make_consumer: Any) -> None:
    """The others are fetched with a short wait, as it may be ready again at any moment."""
    thread = Thread((0, {A: kafka_records(range(20))}), (0, {B: kafka_records(range(3))}), (0, {}))
    consumer = make_consumer(thread)
    first, second = await read(consumer)
    await read(consumer)

    assert thread.asked[1] == ({B}, BUSY_FETCH_S)

    consumer.begin(first)
    consumer.finish(first)
    await read(consumer)

    assert thread.asked[2] == ({A, B}, 9.0)
    assert second.first_offset == 10


async def test_when_all_are_busy_reading_waits_for_a_finished_batch(make_consumer: Any) -> None:
    thread = Thread((0, {A: kafka_records(range(20)), B: kafka_records(range(20))}))
    consumer = make_consumer(thread)
    (first, *_) = await read(consumer)
    waiting = asyncio.create_task(read(consumer))
    await asyncio.sleep(0)
    consumer.begin(first)
    consumer.finish(first)

    assert await waiting == []
    assert len(thread.asked) == 1


async def test_records_fetched_before_a_seek_are_thrown_away(make_consumer: Any) -> None:
    """They come again: delivering them as well would hand out offsets twice and out of order."""
    thread = Thread((0, {A: kafka_records(range(20))}))
    thread.seeks = 1
    consumer = make_consumer(thread)

    assert await read(consumer) == []
    assert consumer.tracker.in_flight(A) == 0


async def test_nothing_more_is_delivered_once_the_flow_is_stopped(make_consumer: Any) -> None:
    thread = Thread((0, {A: kafka_records(range(30))}))
    consumer = make_consumer(thread)
    got = []
    async for _, message in consumer.getmany(timeout=9.0):
        got.append(message.value)
        consumer.stop_flow()

    assert len(got) == 1
    assert not consumer.begin(got[0]), "what has not begun by then is left for the partition's next owner"


async def test_a_partition_that_others_went_on_with_begins_anew(make_consumer: Any) -> None:
    """The process was frozen between losing and getting the partition: no generation is missed, others went on."""
    thread = Thread()
    consumer = make_consumer(thread)
    consumer.epochs.assign({A, B}, generation=1)
    consumer.tracker.seek({A: 5, B: 5})
    before = consumer.epochs.of(A), consumer.epochs.of(B)
    await consumer.on_partitions_revoked({A, B})
    consumer.epochs.assign({A, B}, generation=2)
    thread.committed = {A: 7, B: 5}

    await consumer.perform_seek()

    assert consumer.epochs.of(A) > max(before)
    assert consumer.epochs.of(B) == before[1]


async def test_a_refused_commit_is_tried_again(make_consumer: Any) -> None:
    thread = Thread((0, {A: kafka_records(range(5))}))
    consumer = make_consumer(thread)
    (batch,) = await read(consumer)
    consumer.begin(batch)
    consumer.finish(batch)
    thread.confirms = False

    assert not await consumer.commit()

    thread.confirms = True

    assert await consumer.commit()
    assert thread.commits == [{A: 5}, {A: 5}]


@pytest.mark.parametrize("why", ["poisoned", "not-assigned"])
async def test_offsets_that_are_not_ours_to_commit(make_consumer: Any, why: str) -> None:
    thread = Thread((0, {A: kafka_records(range(5))}))
    consumer = make_consumer(thread)
    (batch,) = await read(consumer)
    consumer.begin(batch)
    consumer.finish(batch)
    if why == "poisoned":
        consumer.poison()
    else:
        thread.assigned = {B}

    assert not await consumer.commit()
    assert thread.commits == []


class Aiokafka:
    """The part of an aiokafka consumer that a seek and a fetch need."""

    def __init__(self, committed: dict[TP, int | None]) -> None:
        self.offsets = committed
        self._fetch_min_bytes, self._fetch_max_wait_ms = 1, 500
        self._fetcher = SimpleNamespace(_fetch_min_bytes=1, _fetch_max_wait_ms=500)
        self.sought: dict[TP, int | str] = {}

    def assignment(self) -> set[TP]:
        return set(self.offsets)

    async def committed(self, tp: TP) -> int | None:
        return self.offsets[tp]

    def seek(self, tp: TP, offset: int) -> None:
        self.sought[tp] = offset

    async def seek_to_beginning(self, *tps: TP) -> None:
        self.sought |= dict.fromkeys(tps, "beginning")


def bare_thread(consumer: Aiokafka) -> FetcherThread:
    thread = FetcherThread.__new__(FetcherThread)
    thread.seeks = 0
    thread._turn = asyncio.Lock()
    thread._consumer = consumer
    return thread


@pytest.mark.parametrize(
    ("committed", "sought"),
    [
        pytest.param({A: 7, B: 9}, {A: 7, B: 9}, id="all-committed"),
        pytest.param({A: None, B: 9}, {A: "beginning", B: 9}, id="one-without-a-commit"),
        pytest.param({A: 0, B: None}, {A: 0, B: "beginning"}, id="committed-at-zero-is-sought-too"),
        pytest.param({}, {}, id="nothing-assigned"),
    ],
)
async def test_every_partition_is_sought(committed: dict[TP, int | None], sought: dict[TP, int | str]) -> None:
    """Aiokafka's seek leaves a partition where it is when nothing, or zero, was committed: records would be lost."""
    consumer = Aiokafka(committed)
    thread = bare_thread(consumer)

    assert await thread._seek_to_committed() == committed
    assert consumer.sought == sought
    assert thread.seeks == 1


async def test_a_seek_waits_for_the_fetch_in_progress() -> None:
    """Every fetch is then wholly before or wholly after a seek, as its stamp shows."""
    consumer = Aiokafka({A: 7})
    thread = bare_thread(consumer)
    thread.settings = ReaderSettings()
    inside, answer = asyncio.Event(), asyncio.Event()

    async def slow_fetch(*_: Any, **__: Any) -> dict[TP, list[Any]]:
        inside.set()
        await answer.wait()
        return {}

    thread._fetch_records = slow_fetch
    fetch = asyncio.create_task(thread._fetch({A}, 1.0))
    await inside.wait()
    seek = asyncio.create_task(thread._seek_to_committed())
    await asyncio.sleep(0)

    assert consumer.sought == {}

    answer.set()

    assert (await fetch)[0] == 0
    await seek
    assert consumer.sought == {A: 7}
    assert thread.seeks == 1


async def test_records_gather_at_the_broker_while_they_come() -> None:
    """The fetch behind one that brought records waits for more; the one behind none is answered with its first."""
    consumer = Aiokafka({A: 7})
    thread = bare_thread(consumer)
    thread.settings = ReaderSettings()
    script, asked = [{A: kafka_records([7]), B: kafka_records(range(9))}, {}], list[tuple[int, int]]()

    async def fetch_records(*_: Any, **__: Any) -> dict[TP, list[Any]]:
        return script.pop(0)

    thread._fetch_records = fetch_records
    while script:
        await thread._fetch({A}, 1.0)
        asked.append((consumer._fetcher._fetch_min_bytes, consumer._fetcher._fetch_max_wait_ms))

    assert asked == [(GATHER_BYTES, 40), (1, 500)]


async def test_faust_tables_are_refused() -> None:
    """Their recovery would read batches for single changelog events."""
    app = make_app("group", KafkaSettings(bootstrap="127.0.0.1:1"))
    app.Table("t")

    thread = consumer_of(app)._thread
    thread.thread_loop.close()

    with pytest.raises(ImproperlyConfigured, match="restore"):
        thread._create_worker_consumer(app.transport)


async def test_faust_cannot_publish() -> None:
    with pytest.raises(NotImplementedError, match=r"calls\.normalized: publish through"):
        await make_app("group", KafkaSettings(bootstrap="127.0.0.1:1")).producer.send(
            "calls.normalized", None, b"", None, None, None
        )


def test_a_drain_as_long_as_the_session_is_refused() -> None:
    with pytest.raises(ValueError, match="drain_s"):
        make_app(
            "group", KafkaSettings(bootstrap="127.0.0.1:1"), reader=ReaderSettings(drain_s=10), session_timeout_s=10
        )
