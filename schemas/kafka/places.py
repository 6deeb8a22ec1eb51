"""Asks Kafka where a topic's records are, for parts that read all of a topic and belong to no group."""

from aiokafka import TopicPartition

from schemas.config.settings import KafkaSettings
from schemas.errors import SetupError
from schemas.kafka import clients


async def places(kafka: KafkaSettings, name: str, topic: str, *, without: str) -> list[TopicPartition]:
    """Returns a topic's partitions as client `name`; raises `KafkaError`, and `SetupError` when it is missing.

    `without` says what the topic is needed for: what is so, or cannot be done, without it.
    """
    admin = clients.admin(kafka, name)
    try:
        await admin.start()
        (described,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    if not described["partitions"]:
        raise SetupError(
            f"the topic {topic} is missing: {without}", code="topic", advice="Create it: callweave topics --create."
        )
    return [TopicPartition(topic, one["partition"]) for one in described["partitions"]]
