"""Reads the pollers' checkpoints: the compacted topic `calls.poll-checkpoints`, read whole at a start.

It must not know what a checkpoint says. Checkpoints are written through the pollers' `Publisher`, so that they are
durable when it returns.
"""

import msgspec
from aiokafka.errors import KafkaError

from ingress.poll.planner import Checkpoint
from schemas.config.settings import KafkaSettings
from schemas.errors import SetupError, Unavailable
from schemas.kafka import clients
from schemas.kafka.away import away, require
from schemas.topics import POLLS


async def read_checkpoints(kafka: KafkaSettings) -> dict[bytes, Checkpoint]:
    """Returns the last checkpoint of each key.

    Raises `Unavailable` while Kafka is away, and `SetupError` for one that cannot be read: going on without it would
    leave a gap that nobody sees.
    """
    found: dict[bytes, bytes | None] = {}
    await require(kafka, "poll")
    consumer = clients.consumer(kafka, "poll", POLLS.name)
    try:
        await consumer.start()
        for partition, end in (await consumer.end_offsets(list(consumer.assignment()))).items():
            while await consumer.position(partition) < end:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found |= {record.key or b"": record.value for record in records}
    except (KafkaError, OSError, TimeoutError) as exc:
        found_out = await away(kafka, exc, role="poll")
        raise Unavailable(f"the pollers' checkpoints cannot be read: {found_out}", code=found_out.code) from exc
    finally:
        await consumer.stop()
    return {key: _decoded(key, value) for key, value in found.items() if value}


def _decoded(key: bytes, value: bytes) -> Checkpoint:
    try:
        return msgspec.json.decode(value, type=Checkpoint)
    except msgspec.DecodeError as exc:
        raise SetupError(
            f"the checkpoint {key.decode(errors='replace')} cannot be read: {exc}",
            code="checkpoint",
            advice="Write a null value for this key to calls.poll-checkpoints, and set start_at to where to begin.",
        ) from exc
