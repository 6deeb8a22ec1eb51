"""Dead letters sent again: once, with their bytes, headers, topic and partition."""

import asyncio
from datetime import timedelta

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import DEAD_LETTER
from schemas.config.settings import Settings
from schemas.dead_letter import DeadLetter
from sinks.clickhouse import ClickHouse
from sinks.queries.dead_letter_store import DeadFilter, list_dead, mark_resolved, replay
from tests.integration.sinks.driving import START, producing, send, sinking, until_count


async def test_a_body_is_sent_again_once_with_its_bytes_headers_and_place(settings: Settings, db: ClickHouse) -> None:
    place = TopicPartition("calls.raw", 2)
    headers = {"vendor": "ytx", "request_id": "r1", "received_at": "1772352000000"}
    dead_letters = [
        DeadLetter(
            stage="normalise", code="field", detail="d", topic=place.topic, partition=place.partition, offset=41,
            element=element, original=b"[\xff]" if element == 0 else b"", headers=headers,
            occurred_at=START + timedelta(seconds=element),
        )
        for element in range(3)
    ]  # fmt: skip
    await send(settings.kafka, "calls.dead", [("ytx", DEAD_LETTER.encode(one)) for one in dead_letters])
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap)
    await consumer.start()
    try:
        consumer.assign([place])
        await consumer.seek_to_end(place)
        await consumer.position(place)
        async with sinking(settings):
            await until_count(db, "dead_letters", 3)
        chosen = [found.dead_letter for found in await list_dead(db, DeadFilter(code="field"))]
        async with producing(settings.kafka) as producer:
            assert await replay(chosen, producer) == 1
        await mark_resolved(db, chosen)

        record = await asyncio.wait_for(consumer.getone(), 30)
        assert record.value == b"[\xff]"
        assert dict(record.headers) == {
            **{name: value.encode() for name, value in headers.items()},
            "replay_of": b"calls.raw/2/41",
        }
        assert await consumer.getmany(place, timeout_ms=300) == {}
    finally:
        await consumer.stop()
    assert await list_dead(db, DeadFilter()) == []
    assert len(await list_dead(db, DeadFilter(resolved_too=True))) == 3
