"""The contract of every publisher, tested on the one in memory and on the one with a real broker."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ingress.kafka.producer import KafkaPublisher
from ingress.kafka.publisher import Publisher
from schemas.config.settings import KafkaSettings
from schemas.errors import Unavailable
from tests.support.http.memory_publisher import MemoryPublisher, PublishedBody

MAX_BYTES = 12 * 1024 * 1024
Reader = Callable[[int], Awaitable[Sequence[PublishedBody]]]


async def make_topic(bootstrap: str, *, partitions: int = 3, **config: str) -> str:
    name = f"publisher-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name, partitions, 1, topic_configs={"max.message.bytes": str(2 * MAX_BYTES), **config})]
        )
    finally:
        await admin.close()
    return name


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
    bootstrap: str, *topics: str, deadline_s: float = 10, max_buffer_bytes: int = 64 * 1024 * 1024
) -> KafkaPublisher:
    return KafkaPublisher(
        KafkaSettings(bootstrap=bootstrap),
        deadline_s=deadline_s,
        max_buffer_bytes=max_buffer_bytes,
        max_value_bytes=MAX_BYTES,
        topics=topics,
    )


@pytest.fixture(params=["memory", "kafka"])
async def subject(request: pytest.FixtureRequest, kafka: str) -> AsyncIterator[tuple[Publisher, str, Reader]]:
    if request.param == "memory":
        memory = MemoryPublisher(max_value_bytes=MAX_BYTES)

        async def kept(count: int) -> Sequence[PublishedBody]:
            return memory.records[:count]

        yield memory, "memory", kept
        return
    topic = await make_topic(kafka)
    async with over(kafka, topic) as publisher:
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
