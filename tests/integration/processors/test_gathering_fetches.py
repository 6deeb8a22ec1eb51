"""Records gather at a real broker while they come, and one that comes alone waits for nothing."""

import asyncio
from typing import Any

import pytest

from processors.engine.gathering import GATHER_BYTES, LEAST_MS, gather
from processors.outbox import Message, Outbox
from schemas.config.settings import KafkaSettings
from schemas.kafka import clients
from tests.support.kafka.new_topics import new_topic

QUIET = (1, 500)
GATHERING = (GATHER_BYTES, LEAST_MS)


async def test_the_fetch_behind_a_record_waits_for_more(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = await new_topic(kafka, partitions=2)
    settings = KafkaSettings(bootstrap=kafka)
    asked: list[tuple[int, int]] = []
    consumer = clients.consumer(settings, "test", topic)
    send = consumer._client.send

    async def watched(node: int, request: Any, **further: Any) -> Any:
        if hasattr(request, "_min_bytes"):
            asked.append((request._min_bytes, request._max_wait_ms))
        return await send(node, request, **further)

    monkeypatch.setattr(consumer._client, "send", watched)
    found: list[bytes | None] = []

    async def next_records(timeout_ms: int) -> None:
        records = [each for some in (await consumer.getmany(timeout_ms=timeout_ms)).values() for each in some]
        gather(consumer, len(records))
        found.extend(record.value for record in records)

    async with Outbox(settings) as outbox, consumer, asyncio.timeout(60):
        for number in range(3):
            await outbox.publish([Message(topic=topic, key=None, value=b"%d" % number, partition=number % 2)])
            while len(found) <= number:
                await next_records(500)
        while asked[-1] != QUIET:
            await next_records(50)

    assert found == [b"0", b"1", b"2"]
    assert asked[0] == QUIET
    assert set(asked) == {QUIET, GATHERING}
