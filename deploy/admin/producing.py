"""A producer for commands that send a few records, each acknowledged by all in-sync replicas."""

import contextlib
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.config.settings import KafkaSettings
from schemas.kafka import clients
from schemas.kafka.away import away, require
from schemas.topics import MAX_MESSAGE_BYTES


@contextlib.asynccontextmanager
async def producing(kafka: KafkaSettings, role: str) -> AsyncIterator[AIOKafkaProducer]:
    """Yields a started producer and stops it afterwards; raises `Unavailable`. `role` names the command's rights."""
    await require(kafka, role)
    producer = clients.producer(kafka, role.replace(" ", "-"), linger_ms=0, max_request_size=MAX_MESSAGE_BYTES)
    try:
        try:
            await producer.start()
        except KafkaError as exc:
            raise await away(kafka, exc, role=role) from exc
        yield producer
    finally:  # a producer that did not start holds connections too
        await producer.stop()
