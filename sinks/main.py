"""The sink's process: connects to Kafka and ClickHouse, puts the worker together and runs it until it is stopped."""

import asyncio
from typing import Final

from aiokafka.errors import KafkaError

from schemas.backoff import Backoff
from schemas.codec import Codecs
from schemas.config.settings import Settings
from schemas.errors import Unavailable
from schemas.metrics import Registry
from schemas.topics import DEAD, MAX_MESSAGE_BYTES
from sinks.clickhouse import ClickHouse
from sinks.consumer import member
from sinks.flush.batch import BatchPolicy
from sinks.flush.flusher import Flusher, publisher
from sinks.worker import Sink

_HEADROOM_BYTES: Final = 64 * 1024
"""Left below the broker's limit for the headers and the framing of a dead letter."""


async def run(settings: Settings, stop: asyncio.Event, metrics: Registry, codecs: Codecs | None = None) -> None:
    """Runs the sink until `stop` is set. Raises `Unavailable` when Kafka is away, and any other failure of the work."""
    codecs = codecs or Codecs()
    metrics.put("callweave_sink_waiting", value=0)
    sink = settings.sink
    async with (
        ClickHouse(settings.clickhouse) as clickhouse,
        member(settings.kafka, sink) as (consumer, rebalances, producer),
    ):
        publish = publisher(producer, codecs, DEAD.name, MAX_MESSAGE_BYTES - _HEADROOM_BYTES)
        backoff = Backoff(first_s=sink.retry_first_s, cap_s=sink.retry_cap_s)
        flusher = Flusher(clickhouse.insert, publish, backoff, metrics)
        policy = BatchPolicy(max_rows=sink.max_rows, max_bytes=sink.max_bytes, max_age_s=sink.max_age_s)
        worker = Sink(consumer, rebalances, flusher, codecs, policy, metrics)
        metrics.before_read(worker.measure)
        try:
            await worker.work(stop)
        except KafkaError as exc:
            raise Unavailable(f"Kafka at {settings.kafka.bootstrap}: {type(exc).__name__}") from exc
