"""The publisher over a scripted client: what shares a batch, what waits, what is sent again, and who is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from ingress.kafka.connection import BATCH_BYTES
from ingress.kafka.producer import AckTimeout, KafkaPublisher
from ingress.kafka.sender import ENOUGH, LOOKS
from schemas.config.settings import KafkaSettings
from schemas.errors import Unavailable

TOPIC = "calls.raw"
PATIENCE_S = 30.0


class ScriptedBatch:
    """A batch as aiokafka's, of which the values can be read."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.closed = False

    def append(self, *, value: bytes, **_: Any) -> object:
        self.values.append(value)
        return self

    def close(self) -> None:
        self.closed = True


class ScriptedProducer:
    """A producer whose batches are acknowledged when a test says so."""

    def __init__(self, partitions: int) -> None:
        self.partitions = set(range(partitions))
        self.missing: Exception | None = None
        self.sent: list[tuple[int, ScriptedBatch, asyncio.Future[None]]] = []
        self.client = SimpleNamespace(cluster=SimpleNamespace(available_partitions_for_topic=lambda _: self.partitions))
        self.create_batch = ScriptedBatch

    async def partitions_for(self, _: str) -> set[int]:
        if self.missing:
            raise self.missing
        return self.partitions

    async def send_batch(self, batch: ScriptedBatch, _: str, *, partition: int) -> "asyncio.Future[None]":
        assert batch.closed, "an open batch would linger"
        self.sent.append((partition, batch, asyncio.get_running_loop().create_future()))
        return self.sent[-1][2]

    def values(self) -> list[list[bytes]]:
        return [batch.values for _, batch, _ in self.sent]

    def answer(self, number: int, error: KafkaError | None = None) -> None:
        future = self.sent[number][2]
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


class ScriptedConnection:
    """A connection whose producers come one after the other."""

    def __init__(self) -> None:
        self.current: Any = None
        self.doubts = 0
        self.reasons: list[str] = []

    def connect(self, partitions: int = 3) -> ScriptedProducer:
        self.current = ScriptedProducer(partitions)
        return self.current  # type: ignore[no-any-return]

    async def producer(self) -> ScriptedProducer:
        await until(lambda: self.current is not None)
        return self.current  # type: ignore[no-any-return]

    def replace(self, broken: object, reason: Exception) -> None:
        if self.current is broken:
            self.reasons.append(type(reason).__name__)
            self.current = None

    def doubt(self) -> None:
        self.doubts += 1


class Scene:
    def __init__(self, publisher: KafkaPublisher, connection: ScriptedConnection) -> None:
        self.publisher = publisher
        self.connection = connection

    def nothing_is_left(self) -> bool:
        """True when no byte is counted any more."""
        publisher = self.publisher
        return publisher.waiting_bytes == publisher.late_bytes == 0 and publisher._window.has_room(1 << 40)

    def push(self, *values: bytes, within_s: float = PATIENCE_S) -> "list[asyncio.Task[None]]":
        return [
            asyncio.create_task(self.publisher.publish(TOPIC, value, value, [], within_s=within_s)) for value in values
        ]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    publisher = KafkaPublisher(
        KafkaSettings(bootstrap="unused:1", linger_ms=1),
        deadline_s=PATIENCE_S,
        max_buffer_bytes=1 << 20,
        max_value_bytes=1 << 20,
        spread=(TOPIC,),
    )
    connection = ScriptedConnection()
    publisher._sender._connection = connection  # type: ignore[assignment]
    publisher._health.answered(())
    publisher._sender.start()
    yield Scene(publisher, connection)
    await publisher._sender.stop()


async def settled_crowd(scene: Scene, producer: ScriptedProducer, *, of: int) -> None:
    """Lets so many records wait at once, and acknowledges them."""
    callers = scene.push(*(b"before %d" % number for number in range(of)))
    await until(lambda: len(producer.sent) == 1)
    producer.answer(0)
    await asyncio.gather(*callers)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  # what is waited for are other tasks
            await asyncio.sleep(0.001)


def codes(results: list[BaseException | None]) -> list[str]:
    return [getattr(each, "code", "durable") for each in results]


async def test_enough_records_leave_at_once_where_no_batch_is_under_way(scene: Scene) -> None:
    """Fewer gather, because as many as lately may still come."""
    scene.publisher._sender.linger_s = 1000
    producer = scene.connection.connect()
    await settled_crowd(scene, producer, of=2 * ENOUGH)
    few = scene.push(*(b"%d" % number for number in range(ENOUGH - 1)))
    await asyncio.sleep(0.01)
    assert len(producer.sent) == 1
    last = scene.push(b"last")
    await until(lambda: len(producer.sent) == 2)
    assert len(producer.values()[1]) == ENOUGH
    producer.answer(1)
    await asyncio.gather(*few, *last)


async def test_those_that_gather_beside_a_batch_leave_with_its_acknowledgement_if_they_are_enough(scene: Scene) -> None:
    scene.publisher._sender.linger_s = 1000
    producer = scene.connection.connect()
    await settled_crowd(scene, producer, of=4 * ENOUGH)
    callers = scene.push(*(b"%d" % number for number in range(ENOUGH)))
    await until(lambda: len(producer.sent) == 2)
    callers += scene.push(*(b"beside %d" % number for number in range(ENOUGH + 3)))
    await asyncio.sleep(0.01)
    assert len(producer.sent) == 2
    producer.answer(1)
    await until(lambda: len(producer.sent) == 3)
    assert len(producer.values()[2]) == ENOUGH + 3
    too_few = scene.push(*(b"later %d" % number for number in range(ENOUGH - 1)))
    await asyncio.sleep(0)
    producer.answer(2)
    await asyncio.gather(*callers)
    assert len(producer.sent) == 3
    for each in too_few:
        each.cancel()


async def test_what_comes_in_one_moment_is_one_batch_and_everyone_is_told(scene: Scene) -> None:
    producer = scene.connection.connect()
    callers = scene.push(b"a", b"b", b"c")
    await until(lambda: bool(producer.sent))
    assert producer.values() == [[b"a", b"b", b"c"]]
    assert not any(each.done() for each in callers)
    producer.answer(0)
    await asyncio.gather(*callers)
    assert scene.nothing_is_left()


async def test_records_gather_as_long_as_more_come_but_not_for_ever(scene: Scene) -> None:
    producer = scene.connection.connect()
    sender = scene.publisher._sender
    sender.linger_s = 1000.0
    await settled_crowd(scene, producer, of=9)
    scene.push(b"first")
    await asyncio.sleep(0)
    for looks_left in (LOOKS - 1, 2, 1):
        sender._gather(sender._gathered_bytes - 1, looks_left)
        assert not sender._due.is_set()
    sender._gather(sender._gathered_bytes, 1)
    await until(lambda: len(producer.sent) == 2)
    scene.push(b"second")
    await asyncio.sleep(0)
    sender._gather(sender._gathered_bytes - 1, 0)
    await until(lambda: len(producer.sent) == 3)
    assert producer.values()[1:] == [[b"first"], [b"second"]]


async def test_no_more_are_waited_for_than_lately_waited_at_once(scene: Scene) -> None:
    producer = scene.connection.connect()
    scene.publisher._sender.linger_s = 1000.0
    await settled_crowd(scene, producer, of=3)
    scene.push(b"a", b"b")
    await asyncio.sleep(0.05)
    assert len(producer.sent) == 1
    scene.push(b"c")
    await until(lambda: len(producer.sent) == 2)
    assert producer.values()[1] == [b"a", b"b", b"c"]


async def test_a_full_batch_leaves_at_once(scene: Scene) -> None:
    producer = scene.connection.connect()
    scene.publisher._sender.linger_s = 1000.0
    scene.push(b"a" * (BATCH_BYTES // 2), b"b" * (BATCH_BYTES // 2))
    await until(lambda: len(producer.sent) == 1)


async def test_a_partition_that_does_not_answer_holds_up_no_other(scene: Scene) -> None:
    producer = scene.connection.connect(partitions=2)
    scene.push(b"stuck")
    await until(lambda: len(producer.sent) == 1)
    for number in (1, 2, 3):
        (caller,) = scene.push(b"%d" % number)
        await until(lambda wanted=number: len(producer.sent) > wanted)  # type: ignore[misc]
        producer.answer(number)
        await caller
    stuck, *others = [partition for partition, _, _ in producer.sent]
    assert set(others) == {0, 1} - {stuck}


async def test_while_every_partition_has_a_batch_under_way_records_gather_for_the_next(scene: Scene) -> None:
    producer = scene.connection.connect(partitions=1)
    first = scene.push(b"first")
    await until(lambda: len(producer.sent) == 1)
    others: list[asyncio.Task[None]] = []
    for number in range(5):
        others += scene.push(b"%d" % number)
        await asyncio.sleep(0.003)
    assert len(producer.sent) == 1
    producer.answer(0)
    await until(lambda: len(producer.sent) == 2)
    assert producer.values()[1] == [b"0", b"1", b"2", b"3", b"4"]
    producer.answer(1)
    await asyncio.gather(*first, *others)


async def test_a_record_given_up_before_it_left_is_not_sent(scene: Scene) -> None:
    (given_up,) = scene.push(b"given up", within_s=0.01)
    (waits,) = scene.push(b"waits")
    with pytest.raises(AckTimeout) as late:
        await given_up
    assert late.value.later is None
    producer = scene.connection.connect()
    await until(lambda: bool(producer.sent))
    assert producer.values() == [[b"waits"]]
    producer.answer(0)
    await waits


@pytest.mark.parametrize("error", [None, OutOfOrderSequenceNumber()], ids=["acknowledged late", "failed late"])
async def test_a_record_given_up_under_way_counts_until_its_fate_is_known(scene: Scene, error: KafkaError) -> None:
    producer = scene.connection.connect()
    (given_up,) = scene.push(b"given up", within_s=0.05)
    (gone, waits) = scene.push(b"gone", b"waits")
    await until(lambda: bool(producer.sent))
    gone.cancel()
    with pytest.raises(AckTimeout) as late:
        await given_up
    later = late.value.later
    assert later is not None
    assert not later.done()
    assert 0 < scene.publisher.late_bytes < scene.publisher.waiting_bytes
    producer.answer(0, error)
    await asyncio.wait({later})
    assert (later.exception() is None) == (error is None)
    if error:
        after = scene.connection.connect()
        await until(lambda: bool(after.sent))
        assert after.values() == [[b"waits"]]
        after.answer(0)
    await waits
    assert scene.nothing_is_left()


async def test_a_broken_producer_is_replaced_and_its_records_go_with_the_next_one(scene: Scene) -> None:
    broken = scene.connection.connect()
    callers = scene.push(b"a", b"b")
    await until(lambda: bool(broken.sent))
    broken.answer(0, OutOfOrderSequenceNumber())
    await until(lambda: scene.connection.current is None)
    callers += scene.push(b"c")
    await asyncio.sleep(0)
    producer = scene.connection.connect()
    await until(lambda: bool(producer.sent))
    assert producer.values() == [[b"a", b"b", b"c"]]
    producer.answer(0)
    await asyncio.gather(*callers)
    assert scene.connection.reasons == ["OutOfOrderSequenceNumber"]


async def test_a_closed_producer_leaves_nobody_waiting_and_holds_up_no_partition_of_the_next(scene: Scene) -> None:
    old = scene.connection.connect(partitions=1)
    (stuck,) = scene.push(b"stuck")
    await until(lambda: bool(old.sent))
    new = scene.connection.connect(partitions=1)
    (other,) = scene.push(b"other")
    await until(lambda: bool(new.sent))
    new.answer(0)
    await other
    assert not stuck.done()
    scene.publisher._cut(old)
    await until(lambda: len(new.sent) == 2)
    new.answer(1)
    await stuck
    assert new.values() == [[b"other"], [b"stuck"]]


async def test_a_record_that_fails_again_and_again_goes_back_to_its_caller(scene: Scene) -> None:
    callers = scene.push(b"a")
    for _ in range(3):
        producer = scene.connection.connect()
        await until(lambda each=producer: bool(each.sent))  # type: ignore[misc]
        producer.answer(0, OutOfOrderSequenceNumber())
        await until(lambda: scene.connection.current is None)
    assert codes(await asyncio.gather(*callers, return_exceptions=True)) == ["kafka"]


async def test_of_a_batch_that_is_too_large_each_record_goes_alone_and_only_the_large_one_fails(scene: Scene) -> None:
    first = scene.connection.connect()
    callers = scene.push(b"a", b"large", b"c")
    await until(lambda: bool(first.sent))
    first.answer(0, MessageSizeTooLargeError())
    await until(lambda: scene.connection.current is None)
    second = scene.connection.connect()
    await until(lambda: len(second.sent) == 3)
    assert second.values() == [[b"a"], [b"large"], [b"c"]]
    second.answer(1, MessageSizeTooLargeError())
    second.answer(0)
    second.answer(2)
    assert codes(await asyncio.gather(*callers, return_exceptions=True)) == ["durable", "oversize", "durable"]
    assert scene.nothing_is_left()


@pytest.mark.parametrize(
    ("error", "doubts"),
    [(TopicAuthorizationFailedError(TOPIC), 1), (UnknownTopicOrPartitionError(), 0)],
    ids=["no right", "no topic"],
)
@pytest.mark.parametrize("by_broker", [False, True], ids=["before it is sent", "by the broker"])
async def test_what_another_producer_would_not_mend_is_refused(
    scene: Scene, *, error: KafkaError, doubts: int, by_broker: bool
) -> None:
    producer = scene.connection.connect()
    producer.missing = None if by_broker else error
    callers = scene.push(b"a", b"b")
    if by_broker:
        await until(lambda: bool(producer.sent))
        producer.answer(0, error)
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert codes(results) == ["kafka", "kafka"]
    assert scene.connection.doubts == doubts
    assert scene.connection.current is producer


async def test_a_caller_that_fails_when_it_is_told_harms_none_of_its_batch(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    producer = scene.connection.connect(partitions=1)
    told: list[bytes] = []
    for name in (b"a", b"bad", b"c"):

        def settled(error: Unavailable | None, name: bytes = name) -> None:
            assert error is None
            if name == b"bad":
                raise LookupError("nobody expects it")
            told.append(name)

        scene.publisher.submit(TOPIC, name, name, [], settled)
    await until(lambda: bool(producer.sent))
    producer.answer(0)
    await until(lambda: len(told) == 2)
    (caller,) = scene.push(b"after")
    await until(lambda: len(producer.sent) == 2)
    producer.answer(1)
    await caller
    assert told == [b"a", b"c"]
    assert scene.nothing_is_left()
    assert "LookupError" in caplog.text


async def test_an_unknown_failure_ends_neither_the_sending_nor_the_callers_hope(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    producer = scene.connection.connect()
    producer.missing = ArithmeticError("nobody expects it")
    (refused,) = scene.push(b"a")
    with pytest.raises(Unavailable):
        await refused
    producer.missing = None
    (caller,) = scene.push(b"b")
    await until(lambda: bool(producer.sent))
    producer.answer(0)
    await caller
    assert "unknown way" in caplog.text
