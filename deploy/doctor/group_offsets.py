"""Reads the offsets of the consumer groups from Kafka: a worker that is stuck or away cannot report its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
)
from aiokafka.structs import OffsetAndMetadata

from deploy.doctor.stalled_partitions import GroupOffsets, PartitionOffsets
from processors.engine.offsets import GROUP as WORKERS
from schemas.config.settings import KafkaSettings
from schemas.errors import Unavailable
from schemas.kafka import clients
from schemas.kafka.away import away
from schemas.topics import FACTS, RAW
from sinks.consumer import GROUP as SINK
from sinks.typed_records import TOPICS as SINK_TOPICS

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {WORKERS: (RAW.name, FACTS.name), SINK: SINK_TOPICS}
"""The topics that each group reads."""
STAGES: Final[Mapping[str, str]] = {RAW.name: "normalise", FACTS.name: "join", **dict.fromkeys(SINK_TOPICS, "sink")}
_ASK_S: Final = 5.0
_READ_S: Final = 2.0
_AGAIN_S: Final = 0.2


class KafkaOffsets:
    """Two clients that only read; made by `connected_offsets`."""

    def __init__(self, admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer) -> None:
        self._admin = admin
        self._reader = reader

    async def look(self) -> tuple[GroupOffsets, ...]:
        """Returns the present offsets of all groups; raises `Unavailable`."""
        try:
            async with asyncio.timeout(_ASK_S):
                names = set(await self._admin.list_topics())
                return tuple([await self._group(group, topics, names) for group, topics in GROUPS.items()])
        except (KafkaError, TimeoutError) as exc:
            raise Unavailable(f"Kafka does not tell the workers' offsets: {type(exc).__name__}") from exc

    async def _group(self, group: str, topics: Sequence[str], names: set[str]) -> GroupOffsets:
        described = await self._admin.describe_topics([topic for topic in topics if topic in names])
        places = [TopicPartition(one["topic"], p["partition"]) for one in described for p in one["partitions"]]
        if not places:
            return GroupOffsets(name=group, members=0, committed=False, partitions=())
        ends = await self._reader.end_offsets(places)
        begins = await self._reader.beginning_offsets(places)
        found = await self._offsets(group)
        committed = {TopicPartition(*place): at.offset for place, at in found.items() if at.offset >= 0}
        answer = await self._admin.describe_consumer_groups([group])
        members = sum(len(one[5]) for response in answer for one in response.groups)
        partitions = tuple(
            PartitionOffsets(
                group=group,
                topic=place.topic,
                partition=place.partition,
                committed=max(committed.get(place, 0), begins[place]),
                end=ends[place],
            )
            for place in sorted(places)
        )
        return GroupOffsets(name=group, members=members, committed=bool(committed), partitions=partitions)

    async def _offsets(self, group: str) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """Returns the group's committed offsets; waits while Kafka creates its topic for them, at the first request."""
        while True:
            try:
                found: Mapping[TopicPartition, OffsetAndMetadata] = await self._admin.list_consumer_group_offsets(group)
            except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError, GroupLoadInProgressError):
                await asyncio.sleep(_AGAIN_S)
                continue
            return found

    async def appended_at_ms(self, topic: str, partition: int, offset: int) -> int | None:
        """Returns the timestamp of the record at this offset; None when it cannot be read."""
        place = TopicPartition(topic, partition)
        try:
            async with asyncio.timeout(_READ_S):
                self._reader.assign([place])
                self._reader.seek(place, offset)
                for records in (
                    await self._reader.getmany(place, timeout_ms=int(_READ_S * 500), max_records=1)
                ).values():
                    return int(records[0].timestamp)
        except (KafkaError, TimeoutError):
            return None
        return None

    async def close(self) -> None:
        """Disconnects."""
        with contextlib.suppress(KafkaError, TimeoutError):
            await self._admin.close()
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_ASK_S):
                await self._reader.stop()

    @classmethod
    async def connect(cls, kafka: KafkaSettings) -> Self:
        """Connects; raises `Unavailable`."""
        admin, reader = clients.admin(kafka, "offsets"), clients.consumer(kafka, "offsets")
        made = cls(admin, reader)
        try:
            async with asyncio.timeout(_ASK_S):
                await admin.start()
                await reader.start()
        except (KafkaError, TimeoutError) as exc:
            await made.close()
            raise await away(kafka, exc, role="doctor") from exc
        return made


@contextlib.asynccontextmanager
async def connected_offsets(kafka: KafkaSettings) -> AsyncIterator[KafkaOffsets]:
    """Yields connected clients; raises `Unavailable`."""
    offsets = await KafkaOffsets.connect(kafka)
    try:
        yield offsets
    finally:
        await offsets.close()
