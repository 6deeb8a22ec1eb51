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
from schemas.topics import TOPICS, Topic

_VISIBLE_S: Final = 20.0


async def create_topics(kafka: KafkaSettings) -> tuple[str, ...]:
    """Creates missing topics and returns their names; raises `Unavailable`, or `SetupError` on wrong partitions."""
    async with _administering(kafka) as admin:
        present = set(await admin.list_topics())
        missing = [topic for topic in TOPICS if topic.name not in present]
        if missing:
            answer = await admin.create_topics([_new(topic, kafka) for topic in missing])
            for name, code, *rest in answer.topic_errors:
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:
                    raise SetupError(
                        f"Kafka does not create {name}: {error.__name__} {rest[0] if rest else ''}", code="topic"
                    )
        await _visible(admin, kafka)
        return tuple(topic.name for topic in missing)


@contextlib.asynccontextmanager
async def _administering(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap, request_timeout_ms=kafka.request_timeout_ms)
    try:
        await admin.start()
        yield admin
    except KafkaError as exc:
        raise Unavailable(f"Kafka at {kafka.bootstrap} does not answer: {type(exc).__name__}") from exc
    finally:
        await admin.close()


def _new(topic: Topic, kafka: KafkaSettings) -> NewTopic:
    return NewTopic(topic.name, kafka.partitions, kafka.replication, topic_configs=_wanted(topic, kafka))


def _wanted(topic: Topic, kafka: KafkaSettings) -> dict[str, str]:
    return {**topic.settings(), "min.insync.replicas": str(kafka.min_insync_replicas)}


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
