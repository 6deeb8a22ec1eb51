"""A replay of a log that changes meanwhile."""

import aiokafka
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from processors.replay import _batches, _reader
from schemas.config.settings import KafkaSettings
from schemas.errors import Unavailable
from tests.support.kafka.new_topics import new_topic


async def read(kafka: str, place: TopicPartition, first: int, end: int) -> None:
    async with _reader(KafkaSettings(bootstrap=kafka)) as consumer:
        consumer.assign([place])
        async for _ in _batches(consumer, place, first, end):
            pass


async def test_a_stretch_that_retention_shortens_while_it_is_read_is_an_error(kafka: str) -> None:
    """A jump to the end instead would look like a finished replay."""
    place = TopicPartition(await new_topic(kafka), 0)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            for number in range(10):
                await producer.send_and_wait(place.topic, b"%d" % number)
        await admin.delete_records({place: RecordsToDelete(before_offset=6)})

        with pytest.raises(Unavailable, match="retention"):
            await read(kafka, place, 3, 10)
    finally:
        await admin.close()
