"""The very bytes behind a row: finds where a record came from, and reads that body from `calls.raw`, and no other."""

import hashlib
import uuid
from collections.abc import Sequence
from typing import Final

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.config.settings import KafkaSettings, Settings
from schemas.errors import CallweaveError
from schemas.kafka import clients
from schemas.kafka.away import away, require
from schemas.raw import Position
from sinks.clickhouse import ClickHouse

_TABLES: Final = ("cdr", "call_events", "bindings")
_FETCH_MS: Final = 1_000
_TRIES: Final = 20
_ROW_BYTES: Final = 16


class Gone(CallweaveError):
    """A body that is not on its topic any more, or a record that nobody has."""

    code = "gone"


class BodyPlace(msgspec.Struct, frozen=True, kw_only=True):
    """The place of the body that a record came from."""

    position: Position
    element: int
    """The number of the record in its body, from 0."""
    sha256: str
    table: str


class RawBody(msgspec.Struct, frozen=True, kw_only=True):
    """A body as it stands on its topic."""

    place: BodyPlace
    body: bytes
    headers: Sequence[tuple[str, bytes]]
    key: bytes


async def place_of(client: ClickHouse, record_id: str) -> BodyPlace:
    """Returns the place of a record's body; raises `Gone`, `Unavailable`, `SetupError`."""
    try:
        wanted = uuid.UUID(record_id)
    except ValueError as exc:
        raise CallweaveError(
            f"{record_id!r} is no record's id: the column record_id of v_cdr, v_call_events and v_bindings has them",
            code="usage",
        ) from exc
    for table in _TABLES:
        rows = await client.query(
            f"SELECT raw_topic, raw_partition, raw_offset, raw_element, raw_sha256 FROM {client.database}.{table} "  # noqa: S608 - our own names
            "WHERE record_id = {record:UUID} LIMIT 1",
            {"record": str(wanted)},
        )
        for topic, partition, offset, element, sha256 in rows:
            return BodyPlace(position=Position(topic, partition, offset), element=element, sha256=sha256, table=table)
    raise Gone(f"no row has the record {wanted}")


async def body_at(kafka: KafkaSettings, place: BodyPlace) -> RawBody:
    """Returns the body at a place; raises `Gone` when it is not there any more, and `Unavailable`."""
    at = place.position
    await require(kafka, "raw show", [at.topic])
    consumer = clients.consumer(kafka, "raw-show")
    try:
        await consumer.start()
        known = consumer.partitions_for_topic(at.topic)
        if known is not None and at.partition not in known:
            raise Gone(f"the topic {at.topic} has no partition {at.partition} any more: it was created anew")
        partition = TopicPartition(at.topic, at.partition)
        consumer.assign([partition])
        first = (await consumer.beginning_offsets([partition]))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        if at.offset < first:
            raise Gone(f"{at} is gone: the topic's retention has taken all before offset {first}")
        if at.offset >= end:
            raise Gone(f"{at} is not there: the topic ends at offset {end}, so it was created anew")
        consumer.seek(partition, at.offset)
        for _ in range(_TRIES):
            found = (await consumer.getmany(partition, timeout_ms=_FETCH_MS, max_records=1)).get(partition, [])
            if found:
                break
        else:
            raise Gone(f"{at} cannot be read: Kafka gives no record from there on")
    except KafkaError as exc:
        raise await away(kafka, exc, role="raw show") from exc
    finally:
        await consumer.stop()
    record = found[0]
    if record.offset != at.offset:
        raise Gone(f"{at} is gone: the next record that is still there has offset {record.offset}")
    body = record.value or b""
    if place.sha256 and hashlib.sha256(body).hexdigest() != place.sha256:
        raise Gone(f"{at} has another body than the record's: the topic was created anew since")
    return RawBody(place=place, body=body, headers=tuple(record.headers), key=record.key or b"")


async def shown(settings: Settings, record_id: str) -> RawBody:
    """Returns the body that a record came from; raises as the two above."""
    async with ClickHouse(settings.clickhouse) as client:
        place = await place_of(client, record_id)
    return await body_at(settings.kafka, place)


def hex_lines(body: bytes) -> list[str]:
    """Returns bytes as lines for people: the place, sixteen bytes, and those of them that are letters."""
    lines = []
    for at in range(0, len(body), _ROW_BYTES):
        row = body[at : at + _ROW_BYTES]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:08x}  {row.hex(' '):{3 * _ROW_BYTES}} {letters}")
    return lines
