"""The outbox against a real broker: a return means durable, and anything less is an error."""

import asyncio
import uuid
from typing import Any, Literal

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from processors.outbox import Message, Outbox, Oversize
from processors.store import restore as restoring
from processors.store.restore import restore
from schemas.config.settings import KafkaSettings
from schemas.errors import Unavailable
from tests.support.kafka.new_topics import new_topic

PARTITIONS = 4


@pytest.fixture
async def topic(kafka: str) -> str:
    return await new_topic(kafka, partitions=PARTITIONS)


async def ends(bootstrap: str, topic: str) -> int:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        offsets = await consumer.end_offsets([TopicPartition(topic, p) for p in range(PARTITIONS)])
    return sum(offsets.values())


async def read(bootstrap: str, topic: str) -> dict[int, list[tuple[bytes | None, bytes | None]]]:
    async with restoring.ends(KafkaSettings(bootstrap=bootstrap)) as end:
        return {
            partition: [
                (r.key, r.value)
                async for batch in restore(
                    KafkaSettings(bootstrap=bootstrap), topic, partition, await end(topic, partition)
                )
                for r in batch.records
            ]
            for partition in range(PARTITIONS)
        }


async def test_the_end_of_a_partition_can_be_asked_again_and_again(kafka: str, topic: str) -> None:
    """The end moves with new records and is 0 for an empty partition; an unknown topic is a passing error."""
    async with Outbox(KafkaSettings(bootstrap=kafka)) as outbox, restoring.ends(KafkaSettings(bootstrap=kafka)) as end:
        before = await end(topic, 1)
        await outbox.publish([Message(topic=topic, key=b"k", value=b"v", partition=1) for _ in range(3)])

        assert (before, await end(topic, 1), await end(topic, 2)) == (0, 3, 0)
        with pytest.raises(Unavailable):
            await end(f"{topic}-none", 0)


async def test_a_partition_is_read_back_below_an_end(kafka: str, topic: str) -> None:
    async with Outbox(KafkaSettings(bootstrap=kafka)) as outbox:
        await outbox.publish([Message(topic=topic, key=b"k", value=b"%d" % n, partition=1) for n in range(5)])
    batches = [batch async for batch in restore(KafkaSettings(bootstrap=kafka), topic, 1, 3, batch_records=2)]
    assert [[record.value for record in batch.records] for batch in batches] == [[b"0", b"1"], [b"2"]]


@pytest.mark.parametrize("compression", ["none", "gzip", "lz4", "snappy", "zstd"])
async def test_everything_is_on_the_topic_when_publish_returns(
    kafka: str, topic: str, compression: Literal["none", "gzip", "lz4", "snappy", "zstd"]
) -> None:
    messages = [
        Message(topic=topic, key=b"call-%d" % n, value=b"v" * n, headers=(("n", b"%d" % n),)) for n in range(1000)
    ]
    async with Outbox(KafkaSettings(bootstrap=kafka, compression=compression)) as outbox:
        await outbox.publish(messages)

        assert await ends(kafka, topic) == 1000


async def test_a_key_goes_where_aiokafka_sends_it_and_keeps_its_order(kafka: str, topic: str) -> None:
    """Order holds over several calls, and where a batch is too small for all: 3 MB of one key."""
    async with Outbox(KafkaSettings(bootstrap=kafka)) as outbox:
        for turn in range(3):
            await outbox.publish(
                [Message(topic=topic, key=b"one call", value=bytes([turn, n]) * 50_000) for n in range(10)]
            )
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        place = (await producer.send_and_wait(topic, b"last", key=b"one call")).partition

    found = [value[:2] if value else value for _, value in (await read(kafka, topic))[place]]
    assert found == [bytes([turn, n]) for turn in range(3) for n in range(10)] + [b"la"]


async def test_a_given_partition_wins_and_no_key_is_spread(kafka: str, topic: str) -> None:
    async with Outbox(KafkaSettings(bootstrap=kafka)) as outbox:
        await outbox.publish([Message(topic=topic, key=b"k", value=b"pinned", partition=2)] * 3)
        await outbox.publish([Message(topic=topic, key=None, value=b"spread") for _ in range(PARTITIONS)])

    found = await read(kafka, topic)
    assert found[2].count((b"k", b"pinned")) == 3
    assert all((None, b"spread") in records for records in found.values())


async def test_deletions_are_restored_as_such(kafka: str, topic: str) -> None:
    async with Outbox(KafkaSettings(bootstrap=kafka)) as outbox:
        await outbox.publish([Message(topic=topic, key=b"k", value=value, partition=0) for value in (b"state", None)])

    assert (await read(kafka, topic))[0] == [(b"k", b"state"), (b"k", None)]


async def test_an_oversize_message_is_refused_before_anything_is_sent(kafka: str, topic: str) -> None:
    big = Message(topic=topic, key=b"k", value=b"v" * 1_000_000)
    async with Outbox(KafkaSettings(bootstrap=kafka)) as outbox:
        with pytest.raises(Oversize, match="1000101 bytes, the limit is 1000000") as refused:
            await outbox.publish([Message(topic=topic, key=b"k", value=b"v"), big])

    assert refused.value.message is big
    assert await ends(kafka, topic) == 0


async def test_the_largest_allowed_message_is_taken(kafka: str, topic: str) -> None:
    async with Outbox(KafkaSettings(bootstrap=kafka, compression="none")) as outbox:
        message = Message(topic=topic, key=b"k", value=b"v" * 999_899)
        assert message.size_bytes == 1_000_000
        await outbox.publish([message])

    assert await ends(kafka, topic) == 1


async def test_what_the_broker_refuses_is_unavailable(kafka: str) -> None:
    """The broker refuses a batch for a topic with a lower limit than ours, and the whole call fails."""
    topic = await new_topic(kafka, partitions=PARTITIONS, config={"max.message.bytes": "100000"})
    async with Outbox(KafkaSettings(bootstrap=kafka, compression="none")) as outbox:
        with pytest.raises(Unavailable, match="refused 1 of 2 batches"):
            await outbox.publish(
                [
                    Message(topic=topic, key=b"k", value=b"v" * 200_000, partition=0),
                    Message(topic=topic, key=b"k", value=b"v", partition=1),
                ]
            )


async def test_an_unknown_topic_is_unavailable(kafka: str) -> None:
    async with Outbox(KafkaSettings(bootstrap=kafka), deadline_s=1) as outbox:
        with pytest.raises(Unavailable):
            await outbox.publish([Message(topic=f"t-{uuid.uuid4().hex}", key=b"k", value=b"v")])


async def test_a_broker_that_is_not_there_is_unavailable_by_its_address() -> None:
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:9 does not answer"):
        await Outbox(KafkaSettings(bootstrap="127.0.0.1:9")).start()


async def test_nothing_to_publish_is_done_at_once(kafka: str) -> None:
    async with Outbox(KafkaSettings(bootstrap=kafka)) as outbox:
        await outbox.publish([])


async def test_many_calls_side_by_side(kafka: str, topic: str) -> None:
    """Partitions publish at the same time through one producer; every call waits for its own messages only."""
    async with Outbox(KafkaSettings(bootstrap=kafka)) as outbox:
        await asyncio.gather(
            *(
                outbox.publish([Message(topic=topic, key=b"%d-%d" % (c, n), value=b"v") for n in range(100)])
                for c in range(20)
            )
        )

        assert await ends(kafka, topic) == 2000


async def test_what_is_published_at_the_same_moment_leaves_together(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch for each partition, whoever publishes: and the messages of a publisher keep their order in it."""
    async with Outbox(KafkaSettings(bootstrap=kafka)) as outbox:
        send, sent = outbox._producer.send_batch, list[int]()

        async def counted(batch: Any, name: str, *, partition: int) -> Any:
            sent.append(partition)
            return await send(batch, name, partition=partition)

        monkeypatch.setattr(outbox._producer, "send_batch", counted)
        await asyncio.gather(
            *(
                outbox.publish(
                    [
                        Message(topic=topic, key=b"%d" % c, value=b"%d" % n, partition=p)
                        for n in range(5)
                        for p in (1, 3)
                    ]
                )
                for c in range(10)
            )
        )

    assert sorted(sent) == [1, 3]
    found = await read(kafka, topic)
    for p in (1, 3):
        for c in range(10):
            assert [value for key, value in found[p] if key == b"%d" % c] == [b"%d" % n for n in range(5)]


async def test_publishers_of_one_moment_share_no_failure_and_no_end(kafka: str, topic: str) -> None:
    """One is refused, one waits no more and one asks for a topic that is not there: the others' messages arrive."""
    narrow = await new_topic(kafka, partitions=1, config={"max.message.bytes": "100000"})
    async with Outbox(KafkaSettings(bootstrap=kafka, compression="none"), deadline_s=5) as outbox:
        await outbox.publish([Message(topic=topic, key=b"k", value=b"before", partition=0)])
        tired = asyncio.create_task(
            outbox.publish([Message(topic=topic, key=b"k", value=b"of one who waits no more", partition=0)])
        )
        others = asyncio.gather(
            outbox.publish([Message(topic=narrow, key=b"k", value=b"v" * 200_000, partition=0)]),
            outbox.publish([Message(topic=f"t-{uuid.uuid4().hex}", key=b"k", value=b"v")]),
            outbox.publish([Message(topic=topic, key=b"k", value=b"after", partition=0)]),
            return_exceptions=True,
        )
        await asyncio.sleep(0)
        tired.cancel()
        refused, unknown, arrived = await others

    assert isinstance(refused, Unavailable)
    assert isinstance(unknown, Unavailable)
    assert arrived is None
    assert [value for _, value in (await read(kafka, topic))[0]] == [b"before", b"after"]


async def test_a_crowd_at_one_partition_does_not_time_out(kafka: str, topic: str) -> None:
    """Sixty calls want the same partition at once, again and again: each gets its turn before its deadline."""
    async with Outbox(KafkaSettings(bootstrap=kafka), deadline_s=30) as outbox:

        async def publish_some(caller: int) -> None:
            for turn in range(20):
                await outbox.publish(
                    [Message(topic=topic, key=b"%d-%d" % (caller, turn), value=b"v" * 5000, partition=0)]
                )

        await asyncio.gather(*(publish_some(caller) for caller in range(60)))

        assert await ends(kafka, topic) == 1200
