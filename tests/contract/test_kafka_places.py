"""The partitions of a topic, asked of a real broker."""

import uuid

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from deploy.process.ports import free_port
from schemas.config.settings import KafkaSettings
from schemas.errors import SetupError
from schemas.kafka.places import places
from tests.contract.test_publisher import make_topic


async def test_a_topic_is_in_all_its_partitions(kafka: str) -> None:
    topic = await make_topic(kafka, partitions=3)
    found = await places(KafkaSettings(bootstrap=kafka), "test", topic, without="nothing can be tested")
    assert sorted(found) == [TopicPartition(topic, number) for number in range(3)]


async def test_a_topic_that_is_missing_is_a_sentence_and_what_to_do(kafka: str) -> None:
    topic = f"missing-{uuid.uuid4().hex[:8]}"
    with pytest.raises(SetupError) as caught:
        await places(KafkaSettings(bootstrap=kafka), "test", topic, without="nothing can be tested")
    assert str(caught.value).split("\n") == [
        f"the topic {topic} is missing: nothing can be tested",
        "  Create it: callweave topics --create.",
    ]
    assert caught.value.code == "topic"


async def test_kafka_that_is_away_is_left_to_who_asks() -> None:
    with pytest.raises(KafkaError):
        await places(KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}"), "test", "t", without="")
