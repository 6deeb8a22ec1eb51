"""Replay: normalise a stretch of `calls.raw` again and publish the results, while the workers run.

Each fact keeps the position of its raw record, so the joiner distinguishes a replay from a duplicate, and a reading by
a corrected mapping from a vendor's correction.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from processors.main import outbox
from processors.normalise import directory
from processors.records import RecordBatch, cut, record_of
from processors.stages.normalise_stage import NormaliseStage
from schemas.codec import Codecs
from schemas.config.settings import KafkaSettings, Settings
from schemas.erasing.following import followed
from schemas.errors import Unavailable
from schemas.kafka import clients
from schemas.kafka.away import away, require
from schemas.metrics import Registry
from schemas.privacy.tokens import NumberTokens
from schemas.topics import MAX_MESSAGE_BYTES, RAW

_BATCH_RECORDS: Final = 500
_IDLE_MS: Final = 1000


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """The amounts that were normalised again."""

    bodies: int
    facts: int
    dead: int


async def replay(
    settings: Settings, since: datetime, until: datetime, vendor: str, codecs: Codecs | None = None
) -> Replayed:
    """Normalise the raw records appended from `since` to `until`, of one vendor or all (""); raises `Unavailable`."""
    metrics = Registry()
    bodies = 0
    await require(settings.kafka, "replay")
    async with (
        _reader(settings.kafka) as consumer,
        outbox(settings.kafka, settings.process.publish_timeout_s, role="replay") as out,
        followed(settings.kafka, NumberTokens(settings.privacy.key.value), role="replay") as erasures,
    ):
        accounts = directory(settings.accounts)
        stage = NormaliseStage(
            out, codecs or Codecs(), accounts, settings.limits, metrics, erasures=erasures, again=True
        )
        for number in range(settings.kafka.partitions):
            place = TopicPartition(RAW.name, number)
            consumer.assign([place])
            first, end = await _stretch(consumer, place, since, until)
            async with contextlib.aclosing(_batches(consumer, place, first, end)) as batches:
                async for batch in batches:
                    chosen = _of_vendor(batch, vendor)
                    bodies += len(chosen.records)
                    await stage.step(chosen)
    return Replayed(bodies=bodies, facts=stage.facts, dead=stage.dead)


@contextlib.asynccontextmanager
async def _reader(kafka: KafkaSettings) -> AsyncIterator[Any]:
    consumer = clients.consumer(
        kafka,
        "replay",
        make=record_of,
        auto_offset_reset="none",  # what retention removes meanwhile must be an error, not a jump over the rest
        max_partition_fetch_bytes=2 * MAX_MESSAGE_BYTES,
    )
    try:
        await consumer.start()
        yield consumer
    except OffsetOutOfRangeError as exc:
        raise Unavailable("retention removed records of the stretch while they were read: begin later") from exc
    except KafkaError as exc:
        raise await away(kafka, exc, role="replay") from exc
    finally:
        await consumer.stop()


async def _stretch(consumer: Any, place: TopicPartition, since: datetime, until: datetime) -> tuple[int, int]:
    """Find the first offset of the stretch and the one after its last."""
    end = (await consumer.end_offsets([place]))[place]
    bounds = []
    for at in (since, until):
        found = (await consumer.offsets_for_times({place: int(at.timestamp() * 1000)}))[place]
        bounds.append(found.offset if found else end)
    return bounds[0], bounds[1]


async def _batches(consumer: Any, place: TopicPartition, first: int, end: int) -> AsyncGenerator[RecordBatch, None]:
    consumer.seek(place, first)
    while first < end and await consumer.position(place) < end:
        for records in (await consumer.getmany(place, timeout_ms=_IDLE_MS, max_records=_BATCH_RECORDS)).values():
            inside = [record for record in records if record.offset < end]
            for batch in cut(place.topic, place.partition, inside, _BATCH_RECORDS):
                yield batch


def _of_vendor(batch: RecordBatch, vendor: str) -> RecordBatch:
    if not vendor:
        return batch
    wanted = ("vendor", vendor.encode())
    return msgspec.structs.replace(batch, records=tuple(r for r in batch.records if wanted in r.headers))
