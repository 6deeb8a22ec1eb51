"""The outbox without Kafka: what it puts into batches, and that a stop does not wait for a Kafka that is away."""

import asyncio
import random
from typing import Any, cast

import pytest
from aiokafka.record.memory_records import MemoryRecords

from processors.outbox import Message, Outbox, Place
from schemas.config.settings import KafkaSettings

PLACE: Place = ("t", 0)


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


def some_messages(seed: int, count: int) -> list[Message]:
    """Make messages with and without keys, values, headers and times."""
    made = random.Random(seed)
    return [
        Message(
            topic="t",
            key=made.choice([None, b"", b"key-%d" % number]),
            value=made.choice([None, b"", made.randbytes(made.choice([1, 60, 3000]))]),
            headers=made.choice([(), (("a", b""),), (("a", b"1"), ("b", b"2" * 200))]),
            timestamp_ms=made.choice([0, 1_700_000_000_000, 1_700_000_000_000 - number]),
        )
        for number in range(count)
    ]


def by_the_library(outbox: Outbox, messages: list[Message]) -> list[Any]:
    """Put messages into as few batches as aiokafka's own `append` does."""
    batches = [outbox._producer.create_batch()]
    for message in messages:
        what = {"key": message.key, "value": message.value, "headers": list(message.headers)}
        if batches[-1].append(timestamp=message.timestamp_ms, **what) is None:
            batches.append(outbox._producer.create_batch())
            batches[-1].append(timestamp=message.timestamp_ms, **what)
    return batches


def bytes_of(batches: list[Any]) -> list[tuple[int, bytes]]:
    return [(batch.record_count(), bytes(batch._build())) for batch in batches]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("max_bytes", [1_000, 20_000, 1_000_000], ids="at most {} bytes".format)
async def test_batches_are_those_that_the_library_fills(seed: int, max_bytes: int) -> None:
    """Several publishers share the batches of a round, and a message that is too large for the rest is alone."""
    outbox = Outbox(KafkaSettings(bootstrap="127.0.0.1:9"), max_message_bytes=max_bytes)
    messages = some_messages(seed, 300)
    open_batches: dict[Place, Any] = {}
    filled: dict[int, Any] = {}
    for start, after in ((0, 1), (1, 90), (90, 90), (90, 300)):
        mine = outbox._filled({PLACE: messages[start:after]}, open_batches)
        assert bool(mine) == (start < after)
        assert {place for place, _ in mine.values()} <= {PLACE}
        filled |= {number: batch for number, (_, batch) in mine.items()}

    assert bytes_of(list(filled.values())) == bytes_of(by_the_library(outbox, messages))
    await outbox._producer.stop()


async def test_a_message_that_is_none_leaves_the_batch_to_others() -> None:
    outbox = Outbox(KafkaSettings(bootstrap="127.0.0.1:9"))
    open_batches: dict[Place, Any] = {}
    one, none, other = some_messages(7, 3)
    none = Message(topic="t", key=cast("bytes", "text"), value=none.value)
    with pytest.raises(TypeError):
        outbox._filled({PLACE: [one, none]}, open_batches)
    outbox._filled({PLACE: [other]}, open_batches)

    records = MemoryRecords(bytes(open_batches[PLACE]._build())).next_batch()
    assert [record.offset for record in records] == [0, 1]
    await outbox._producer.stop()
