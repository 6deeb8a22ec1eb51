"""The outbox at a stop: it does not wait for a Kafka that is away."""

import asyncio

import pytest

from processors.outbox import Outbox
from schemas.config.settings import KafkaSettings


async def test_a_stop_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that was given up stays in aiokafka's producer, which waits at its stop until Kafka takes it."""
    outbox = Outbox(KafkaSettings(bootstrap="127.0.0.1:9"))
    stop = outbox._producer.stop
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    monkeypatch.setattr("processors.outbox.STOP_S", 0.01)
    monkeypatch.setattr(outbox._producer, "stop", hang)

    await asyncio.wait_for(outbox.stop(), 60)

    assert cancelled.is_set()
    await stop()
