"""The work of each role on Kafka, and a user who has the rights of one role and no other."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from deploy.admin.audit import entries
from deploy.admin.erasing.tables import Sought
from deploy.admin.erasing.topic_search import SEARCHED, count, kept_until, reading
from deploy.admin.producing import producing
from deploy.admin.topic_setup import create_topics, differences
from deploy.doctor.group_offsets import connected_offsets
from deploy.kafka.acl_commands import acl_commands
from deploy.reconcile.raw_bodies import BodyPlace, Gone, body_at
from ingress.kafka.producer import KafkaPublisher
from ingress.poll.checkpoints import read_checkpoints
from processors.replay import replay
from schemas.codec import ERASURE, Codecs
from schemas.config.settings import KafkaSettings, Settings
from schemas.kafka.rights import Role
from schemas.privacy.erasures import Erasure, Erasures
from schemas.privacy.tokens import NumberTokens
from schemas.raw import Position
from schemas.topics import (
    AUDIT,
    DEAD,
    ERASURES,
    FACTS,
    LEDGER,
    NORMALIZED,
    POLLS,
    RAW,
    SINK_GROUP,
    TIMELINES,
    WORKERS_GROUP,
)
from sinks.consumer import member
from tests.support.kafka.secured_kafka import SecuredKafka

NOBODY: Final = "callweave-nobody"


@asynccontextmanager
async def playing(secured: SecuredKafka, role: Role) -> AsyncIterator[KafkaSettings]:
    """Yields the settings of a user who has the rights of one role and no other."""
    await secured.allow(acl_commands([role], {role.name: NOBODY}, bootstrap="k:1", command_config="admin.properties"))
    try:
        yield secured.settings(NOBODY)
    finally:
        for right in role.rights:
            await secured.take(NOBODY, right.operation, right.resource, right.name)


def publisher(kafka: KafkaSettings, role: str, *topics: str) -> KafkaPublisher:
    return KafkaPublisher(
        kafka, deadline_s=10, max_buffer_bytes=1 << 20, max_value_bytes=1 << 20, topics=topics, role=role
    )


async def publish(kafka: KafkaSettings, role: str, *topics: str) -> None:
    async with publisher(kafka, role, *topics) as out:
        for topic in topics:
            await out.publish(topic, b"key", b"{}", [])


async def poll(kafka: KafkaSettings) -> None:
    await read_checkpoints(kafka)
    await publish(kafka, "poll", RAW.name)
    async with publisher(kafka, "poll", POLLS.name) as out:
        await out.publish(POLLS.name, f"x|{uuid.uuid4()}".encode(), b"", [])


async def sink(kafka: KafkaSettings) -> None:
    async with member(kafka, Settings().sink) as (consumer, _rebalances, producer):
        await producer.send_and_wait(DEAD.name, b"")
        async with asyncio.timeout(20):
            while not (found := await consumer.getmany(timeout_ms=500)):
                continue
        await consumer.commit({tp: records[-1].position.offset for tp, records in found.items()})


async def doctor(kafka: KafkaSettings) -> None:
    await differences(kafka)
    async with connected_offsets(kafka) as offsets:
        looked = await offsets.look()
        assert [group.name for group in looked] == [WORKERS_GROUP, SINK_GROUP]
        assert await offsets.appended_at_ms(RAW.name, 0, 0)


async def send(kafka: KafkaSettings, role: str, *topics: str) -> None:
    async with producing(kafka, role) as producer:
        for topic in topics:
            await producer.send_and_wait(topic, b"", key=b"key", partition=0)


async def compare(kafka: KafkaSettings) -> None:
    assert await differences(kafka) == ()


async def create(kafka: KafkaSettings) -> None:
    assert await create_topics(kafka) == ()


async def again(kafka: KafkaSettings) -> None:
    now = datetime.now(UTC)
    await replay(Settings(kafka=kafka), now.replace(year=now.year - 1), now, "")


async def erase(kafka: KafkaSettings) -> None:
    entry = Erasure(subject="account", account="nobody")
    sought = Sought(erasure=entry, erasures=Erasures(NumberTokens(""), [entry]))
    async with producing(kafka, "erase") as producer:
        await producer.send_and_wait(ERASURES.name, ERASURE.encode(entry), key=entry.topic_key)
        await producer.send_and_wait(TIMELINES.name, None, key=b"key", partition=0)
        await producer.send_and_wait(AUDIT.name, b"", key=b"key", partition=0)
    async with reading(kafka) as reader:
        for topic in SEARCHED:
            await count(reader, topic, sought, Codecs(), 10, lambda _: None)
            await kept_until(kafka, topic, datetime.now(UTC))


async def show(kafka: KafkaSettings) -> None:
    """Reads the first body of calls.raw that is there, as the roles before published some."""
    for number in range(kafka.partitions):
        with contextlib.suppress(Gone):
            place = BodyPlace(position=Position(RAW.name, number, 0), element=0, sha256="", table="cdr")
            await body_at(kafka, place)


async def audited(kafka: KafkaSettings) -> None:
    await entries(kafka)


WORK: Final[dict[str, Callable[[KafkaSettings], Awaitable[None]]]] = {
    "ingress": lambda kafka: publish(kafka, "ingress", RAW.name, AUDIT.name),
    "audit list": audited,
    "poll": poll,
    "sink": sink,
    "erase": erase,
    "export": lambda kafka: send(kafka, "export", AUDIT.name),
    "topics": compare,
    "topics --create": create,
    "doctor": doctor,
    "replay": again,
    "dead replay": lambda kafka: send(
        kafka, "dead replay", RAW.name, FACTS.name, NORMALIZED.name, TIMELINES.name, DEAD.name, LEDGER.name, AUDIT.name
    ),
    "conflicts resolve": lambda kafka: send(kafka, "conflicts resolve", RAW.name, AUDIT.name),
    "import": lambda kafka: send(kafka, "import", RAW.name, AUDIT.name),
    "raw show": show,
    "spool drain": lambda kafka: publish(kafka, "spool drain", RAW.name),
}
"""The use that each role makes of Kafka; the workers' is in the test of the whole way."""
