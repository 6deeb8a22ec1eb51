"""The sink's process: connects to Kafka and ClickHouse, puts the worker together and runs it until it is stopped."""

import asyncio
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.backoff import Backoff
from schemas.codec import Codecs
from schemas.config.figures.zones import account_zones
from schemas.config.keep import KeepSettings
from schemas.config.settings import Settings
from schemas.erasing.following import followed
from schemas.kafka.away import away
from schemas.kafka.watch import watch
from schemas.metrics import Registry
from schemas.privacy.tokens import NumberTokens
from schemas.topics import DEAD, MAX_MESSAGE_BYTES, TIMELINES
from sinks.clickhouse import ClickHouse
from sinks.consumer import member
from sinks.flush.batch import BatchPolicy
from sinks.flush.erasing import erasing
from sinks.flush.flusher import Flusher, publisher
from sinks.flush.placing import Places, placing
from sinks.rollups.marks import Marks, marking
from sinks.rollups.roller import Roller
from sinks.rollups.zones import Zones
from sinks.worker import Sink

_HEADROOM_BYTES: Final = 64 * 1024
"""Left below the broker's limit for the headers and the framing of a dead letter."""

_ROLLER: Final = TopicPartition(TIMELINES.name, 0)
"""The partition whose owner computes figures."""


async def run(settings: Settings, stop: asyncio.Event, metrics: Registry, codecs: Codecs | None = None) -> None:
    """Runs the sink until `stop` is set. Raises `Unavailable` when Kafka is away, and any other failure of the work."""
    codecs = codecs or Codecs()
    metrics.put("callweave_sink_waiting", value=0)
    sink = settings.sink
    async with (
        ClickHouse(settings.clickhouse, NumberTokens(settings.privacy.key.value)) as clickhouse,
        member(settings.kafka, sink) as (consumer, rebalances, producer),
        followed(settings.kafka, NumberTokens(settings.privacy.key.value), role="sink") as erasures,
    ):
        publish = publisher(producer, codecs, DEAD.name, MAX_MESSAGE_BYTES - _HEADROOM_BYTES)
        backoff = Backoff(first_s=sink.retry_first_s, cap_s=sink.retry_cap_s)
        marks = Marks(clickhouse)
        roller = Roller(
            clickhouse,
            marks,
            metrics,
            zones=Zones(account_zones(settings)),
            keep_days=_kept_days(settings.keep),
            keep_rows_days=_least(settings.keep.kpi_5m_days, settings.keep.kpi_days),
            replicas=bool(settings.clickhouse.cluster),
        )
        insert = placing(marking(clickhouse.insert, marks.set), Places(clickhouse.query, clickhouse.database))
        flusher = Flusher(erasing(insert, erasures), publish, backoff, metrics, clickhouse.require_room)
        policy = BatchPolicy(max_rows=sink.max_rows, max_bytes=sink.max_bytes, max_age_s=sink.max_age_s)
        worker = Sink(consumer, rebalances, flusher, codecs, policy, metrics)
        metrics.before_read(worker.measure)
        beside = (
            asyncio.create_task(watch(settings.kafka, "sink")),
            asyncio.create_task(roller.run(lambda: _ROLLER in consumer.assignment())),
        )
        try:
            await worker.work(stop)
        except KafkaError as exc:
            raise await away(settings.kafka, exc, role="sink") from exc
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)


def _kept_days(keep: KeepSettings) -> int:
    """Returns for how many days figures can be computed again; 0 for ever."""
    return _least(keep.timelines_days, keep.kpi_5m_days, keep.kpi_days)


def _least(*days: int) -> int:
    return min(filter(None, days), default=0)
