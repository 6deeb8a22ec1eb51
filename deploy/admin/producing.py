"""A producer for commands that send a few records, each acknowledged by all in-sync replicas."""

import contextlib
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.config.settings import KafkaSettings
from schemas.errors import Unavailable
from schemas.topics import MAX_MESSAGE_BYTES


@contextlib.asynccontextmanager
async def producing(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    """Yields a started producer and stops it afterwards; raises `Unavailable`."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, acks="all", enable_idempotence=True, max_request_size=MAX_MESSAGE_BYTES
    )
    try:
        try:
            await producer.start()
        except KafkaError as exc:
            raise Unavailable(f"Kafka at {kafka.bootstrap} does not answer: {type(exc).__name__}") from exc
        yield producer
    finally:  # a producer that did not start holds connections too
        await producer.stop()
