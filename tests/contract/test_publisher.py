"""The contract of every publisher, tested on the one in memory and on the one with a real broker."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from ingress.kafka.producer import KafkaPublisher
from ingress.kafka.publisher import Publisher
from schemas.config.settings import KafkaSettings
from schemas.errors import Unavailable
from tests.support.http.memory_publisher import MemoryPublisher, PublishedBody
from tests.support.kafka.new_topics import new_topic

MAX_BYTES = 12 * 1024 * 1024
Reader = Callable[[int], Awaitable[Sequence[PublishedBody]]]


async def make_topic(bootstrap: str, *, partitions: int = 3, **config: str) -> str:
    return await new_topic(bootstrap, partitions=partitions, config={"max.message.bytes": str(2 * MAX_BYTES), **config})


async def read(bootstrap: str, topic: str, count: int, partitions: int = 3) -> list[PublishedBody]:
    """Returns the first `count` records of a topic; fails after half a minute."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_partition_fetch_bytes=2 * MAX_BYTES
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
        found: list[PublishedBody] = []
        async with asyncio.timeout(30):
            while len(found) < count:
                record = await consumer.getone()
                found.append(
                    PublishedBody(topic=topic, key=record.key, value=record.value, headers=tuple(record.headers))
                )
        return found
    finally:
        await consumer.stop()


def over(
    bootstrap: str,
    *topics: str,
    deadline_s: float = 10,
    max_buffer_bytes: int = 64 * 1024 * 1024,
    linger_ms: int = 5,
    spread: tuple[str, ...] = (),
) -> KafkaPublisher:
    return KafkaPublisher(
        KafkaSettings(bootstrap=bootstrap, linger_ms=linger_ms),
        deadline_s=deadline_s,
        max_buffer_bytes=max_buffer_bytes,
        max_value_bytes=MAX_BYTES,
        topics=topics,
        spread=spread,
    )


@pytest.fixture(params=["memory", "kafka", "kafka, any partition"])
async def subject(request: pytest.FixtureRequest, kafka: str) -> AsyncIterator[tuple[Publisher, str, Reader]]:
    if request.param == "memory":
        memory = MemoryPublisher(max_value_bytes=MAX_BYTES)

        async def kept(count: int) -> Sequence[PublishedBody]:
            return memory.records[:count]

        yield memory, "memory", kept
        return
    topic = await make_topic(kafka)
    async with over(kafka, topic, spread=(topic,) if "any" in request.param else ()) as publisher:
        yield publisher, topic, lambda count: read(kafka, topic, count)


Subject = tuple[Publisher, str, Reader]


async def test_it_is_ready_and_says_nothing_else(subject: Subject) -> None:
    publisher, _, _ = subject
    assert publisher.why_not() == ""


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b'{"requestid":"1"}', id="JSON"),
        pytest.param(b"", id="no bytes at all"),
        pytest.param(bytes(range(256)), id="every byte"),
        pytest.param(b"\x00" * (10 * 1024 * 1024), id="the largest body that is taken"),
    ],
)
async def test_a_record_is_there_when_publish_returns(subject: Subject, value: bytes) -> None:
    publisher, topic, reader = subject
    headers = [("vendor", b"nxcloud"), ("account", "名".encode()), ("empty", b"")]
    await publisher.publish(topic, b"nxcloud||1", value, headers)
    assert await reader(1) == [PublishedBody(topic=topic, key=b"nxcloud||1", value=value, headers=tuple(headers))]


async def test_whoever_submits_hears_of_the_fate_once(subject: Subject) -> None:
    publisher, topic, reader = subject
    told: list[tuple[int, str]] = []
    for number, value in enumerate((b"small", bytes(MAX_BYTES + 1), b"last")):

        def settled(error: Unavailable | None, number: int = number) -> None:
            told.append((number, error.code if error else "durable"))

        publisher.submit(topic, b"k", value, [], settled)
    async with asyncio.timeout(20):
        while len(told) < 3:  # noqa: ASYNC110  # what is waited for is the broker
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert sorted(told) == [(0, "durable"), (1, "oversize"), (2, "durable")]
    assert {record.value for record in await reader(2)} == {b"small", b"last"}


@pytest.mark.parametrize("subject", ["memory", "kafka"], indirect=True)
async def test_one_key_keeps_its_order(subject: Subject) -> None:
    publisher, topic, reader = subject
    for number in range(20):
        await publisher.publish(topic, b"key", str(number).encode(), [])
    assert [record.value for record in await reader(20)] == [str(number).encode() for number in range(20)]


async def test_many_at_once_all_arrive_once(subject: Subject) -> None:
    publisher, topic, reader = subject
    values = {f"{number}".encode() for number in range(300)}
    await asyncio.gather(*(publisher.publish(topic, value, value, []) for value in values))
    assert sorted(record.value for record in await reader(300)) == sorted(values)


async def test_a_value_that_is_too_large_is_refused_with_that_code(subject: Subject) -> None:
    publisher, topic, reader = subject
    with pytest.raises(Unavailable) as refused:
        await publisher.publish(topic, b"k", bytes(MAX_BYTES + 1), [])
    assert refused.value.code == "oversize"
    await publisher.publish(topic, b"k", b"next", [])
    assert [record.value for record in await reader(1)] == [b"next"]


async def test_a_missing_topic_is_named_and_ready_comes_with_it(kafka: str) -> None:
    missing = f"missing-{uuid.uuid4().hex[:8]}"
    async with over(kafka, missing) as publisher:
        assert missing in publisher.why_not()
        with pytest.raises(Unavailable) as refused:
            await publisher.publish(missing, b"k", b"v", [])
        assert refused.value.code == "kafka"


async def test_without_kafka_it_starts_and_refuses_at_once() -> None:
    async with over("127.0.0.1:1", "any", deadline_s=600) as publisher:
        assert "does not answer" in publisher.why_not()
        with pytest.raises(Unavailable) as refused:
            await publisher.publish("any", b"k", b"v", [])
        assert refused.value.code == "kafka"


async def test_more_bytes_than_the_buffer_are_refused_and_taken_again_later(kafka: str) -> None:
    topic = await make_topic(kafka)
    async with over(kafka, topic, max_buffer_bytes=3_000_000) as publisher:
        results = await asyncio.gather(
            *(publisher.publish(topic, bytes([number]), bytes(1_000_000), []) for number in range(8)),
            return_exceptions=True,
        )
        assert [getattr(result, "code", "taken") for result in results] == ["taken"] * 2 + ["buffer_full"] * 6
        await publisher.publish(topic, b"k", bytes(1_000_000), [])
        assert publisher.waiting_bytes == 0


async def test_more_large_bodies_than_one_broker_request_holds_all_arrive(kafka: str) -> None:
    """Ten MiB for each of 13 partitions would be a request of 130 MiB; a broker closes the connection at 100."""
    topic = await make_topic(kafka, partitions=13)
    body = os.urandom(10 * 1024 * 1024)  # random bytes, so that compression does not help
    async with over(kafka, topic, deadline_s=60, max_buffer_bytes=256 * 1024 * 1024) as publisher:
        await asyncio.gather(*(publisher.publish(topic, bytes([number]), body, []) for number in range(13)))
    found = await read(kafka, topic, 13, partitions=13)
    assert {record.value for record in found} == {body}


async def test_a_producer_out_of_sequence_is_replaced_and_the_record_arrives(kafka: str) -> None:
    topic = await make_topic(kafka, partitions=1)
    async with over(kafka, topic) as publisher:
        await publisher.publish(topic, b"k", b"before", [])
        wedged = await publisher._connection.producer()
        wedged._txn_manager.increment_sequence_number(TopicPartition(topic, 0), 7)
        await publisher.publish(topic, b"k", b"after", [])
        assert await publisher._connection.producer() is not wedged
    assert [record.value for record in await read(kafka, topic, 2, partitions=1)] == [b"before", b"after"]


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("any_partition", [False, True], ids=["by key", "any partition"])
async def test_one_record_that_is_too_large_fails_none_of_those_beside_it(
    kafka: str, *, partitions: int, any_partition: bool
) -> None:
    topic = await make_topic(kafka, partitions=partitions, **{"max.message.bytes": "2000"})
    values = [os.urandom(9000) if number == 7 else os.urandom(100) for number in range(40)]
    async with over(kafka, topic, spread=(topic,) if any_partition else ()) as publisher:
        results = await asyncio.gather(
            *(publisher.publish(topic, value[:4], value, []) for value in values), return_exceptions=True
        )
        assert publisher.waiting_bytes == 0
    assert {number: getattr(each, "code", each) for number, each in enumerate(results) if each} == {7: "oversize"}
    found = await read(kafka, topic, 39, partitions=partitions)
    assert {record.value for record in found} == {value for value in values if len(value) == 100}


async def test_a_caller_who_goes_takes_none_of_the_others_along(kafka: str) -> None:
    topic = await make_topic(kafka)
    async with over(kafka, topic, linger_ms=100, spread=(topic,)) as publisher:
        # As many at once before, so that those after them are gathered.
        await asyncio.gather(*(publisher.publish(topic, b"k", b"before", []) for _ in range(20)))
        callers = [asyncio.create_task(publisher.publish(topic, b"k", b"%d" % number, [])) for number in range(9)]
        await asyncio.sleep(0)
        callers[3].cancel()
        while not publisher._sender._busy:  # noqa: ASYNC110  # until they are under way
            await asyncio.sleep(0)
        callers[5].cancel()
        results = await asyncio.gather(*callers, return_exceptions=True)
        assert [number for number, each in enumerate(results) if each is not None] == [3, 5]
        await publisher.publish(topic, b"k", b"after", [])
        assert (publisher.waiting_bytes, publisher.late_bytes) == (0, 0)
    found = {record.value for record in await read(kafka, topic, 29)}
    assert found == {b"before", b"after", *(b"%d" % number for number in range(9) if number != 3)}


@pytest.mark.parametrize("partitions", [1, 3])
async def test_windows_share_the_partitions_and_wait_for_a_free_one(kafka: str, partitions: int) -> None:
    topic = await make_topic(kafka, partitions=partitions)
    values = [b"%d" % number for number in range(200)]
    async with over(kafka, topic, linger_ms=0, spread=(topic,)) as publisher:
        callers = []
        for value in values:
            callers.append(asyncio.create_task(publisher.publish(topic, b"one key", value, [])))
            await asyncio.sleep(0)
        await asyncio.gather(*callers)
    assert sorted(each.value for each in await read(kafka, topic, 200, partitions)) == sorted(values)
    assert await filled(kafka, topic, partitions) == partitions


async def filled(bootstrap: str, topic: str, partitions: int) -> int:
    """Returns the number of partitions that hold something."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        ends = await consumer.end_offsets([TopicPartition(topic, number) for number in range(partitions)])
        return sum(end > 0 for end in ends.values())


async def test_a_record_that_only_the_broker_finds_too_large_blocks_nobody(kafka: str) -> None:
    topic = await make_topic(kafka, partitions=1, **{"max.message.bytes": "2000"})
    async with over(kafka, topic) as publisher:
        await publisher.publish(topic, b"k", b"before", [])
        with pytest.raises(Unavailable) as refused:
            await publisher.publish(topic, b"k", os.urandom(9000), [])
        assert refused.value.code == "oversize"
        await publisher.publish(topic, b"k", b"after", [])
        assert publisher.waiting_bytes == 0
    assert [record.value for record in await read(kafka, topic, 2, partitions=1)] == [b"before", b"after"]
