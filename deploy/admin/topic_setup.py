"""Creates the topics of `schemas.topics`, and lists where an existing one differs from its contract."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.config.settings import KafkaSettings
from schemas.errors import SetupError, Unavailable
from schemas.kafka import clients
from schemas.kafka.away import away, require
from schemas.kafka.failures import REFUSED
from schemas.kafka.granted import login
from schemas.topics import TOPICS, Topic

_VISIBLE_S: Final = 20.0


async def create_topics(kafka: KafkaSettings) -> tuple[str, ...]:
    """Creates missing topics and returns their names.

    Raises `Unavailable`, or `SetupError` on wrong partitions and where we may not create topics.
    """
    async with _administering(kafka) as admin:
        present = set(await admin.list_topics())
        missing = [topic for topic in TOPICS if topic.name not in present]
        if missing:
            answer = await admin.create_topics([_new(topic, kafka) for topic in missing])
            errors = {name: (for_code(code), rest) for name, code, *rest in answer.topic_errors if code}
            if refused := [name for name, (error, _) in errors.items() if error in REFUSED]:
                raise _may_not_create(kafka, refused)
            for name, (error, rest) in errors.items():
                if error is not TopicAlreadyExistsError:
                    raise SetupError(
                        f"Kafka does not create {name}: {error.__name__} {rest[0] if rest else ''}", code="topic"
                    )
        await _visible(admin, kafka)
        return tuple(topic.name for topic in missing)


@contextlib.asynccontextmanager
async def _administering(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    await require(kafka, "topics")
    admin = clients.admin(kafka, "topics")
    try:
        await admin.start()
        yield admin
    except KafkaError as exc:
        raise await away(kafka, exc, role="topics") from exc
    finally:
        await admin.close()


def _may_not_create(kafka: KafkaSettings, names: list[str]) -> SetupError:
    return SetupError(
        f"Kafka does not let {login(kafka)} create topics: {', '.join(names)}",
        code="kafka_rights",
        advice="Grant Create on them (`callweave topics acls` prints how), or have them made by who administers Kafka: "
        f"{kafka.partitions} partitions each, as `callweave topics` lists them. The parts start when they are there.",
    )


def _new(topic: Topic, kafka: KafkaSettings) -> NewTopic:
    return NewTopic(topic.name, kafka.partitions, kafka.replication, topic_configs=_wanted(topic, kafka))


def _wanted(topic: Topic, kafka: KafkaSettings) -> dict[str, str]:
    days = getattr(kafka, topic.retention_setting) if topic.retention_setting else None
    return {**topic.settings(days), "min.insync.replicas": str(kafka.min_insync_replicas)}


async def _visible(admin: AIOKafkaAdminClient, kafka: KafkaSettings) -> None:
    """Waits until every partition has a leader: a producer that asks earlier gets an unknown topic."""
    deadline = time.monotonic() + _VISIBLE_S
    names = [topic.name for topic in TOPICS]
    while True:
        described = await admin.describe_topics(names)
        unready = [d["topic"] for d in described if d["error_code"] or any(p["leader"] < 0 for p in d["partitions"])]
        if not unready:
            break
        if time.monotonic() > deadline:
            raise Unavailable(f"no leader yet for {', '.join(unready)}")
        await asyncio.sleep(0.1)
    for topic in described:
        count = len(topic["partitions"])
        if count != kafka.partitions:
            raise SetupError(
                f"{topic['topic']} has {count} partitions, the settings say {kafka.partitions}",
                code="topic",
                advice="A call's place hashes on the number of partitions: set kafka.partitions to what the topic has.",
            )


async def differences(kafka: KafkaSettings) -> tuple[str, ...]:
    """Returns a sentence for each difference between the topics and their contract; raises `Unavailable`."""
    async with _administering(kafka) as admin:
        names = set(await admin.list_topics())
        present = [topic for topic in TOPICS if topic.name in names]
        found = [f"{topic.name} is missing: callweave topics --create" for topic in TOPICS if topic not in present]
        described = await admin.describe_topics([topic.name for topic in present]) if present else []
        counts = {one["topic"]: len(one["partitions"]) for one in described}
        for topic in present:
            answer = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
            values = {entry[0]: entry[1] for entry in answer[0].resources[0][4]}
            values["partitions"] = str(counts[topic.name])
            found += [
                f"{topic.name}: {name} is {values.get(name)}, the contract says {wanted}"
                for name, wanted in {**_wanted(topic, kafka), "partitions": str(kafka.partitions)}.items()
                if values.get(name) != wanted
            ]
        return tuple(found)
