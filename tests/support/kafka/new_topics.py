"""Topics of a test's own, which a client finds as soon as they are made."""

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

_VISIBLE_S = 20


async def make_topics(
    bootstrap: str, names: Iterable[str], *, partitions: int = 1, config: Mapping[str, str] | None = None
) -> None:
    """Makes topics and returns when each partition has a leader; raises what Kafka refuses one for.

    Kafka answers as soon as the controller has them. Until the broker has them too, a client that asks for one is told
    that it does not exist.
    """
    wanted = list(names)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics(
            [NewTopic(name, partitions, 1, topic_configs=dict(config or {})) for name in wanted]
        )
        for name, code, *_ in answer.topic_errors:
            if code:
                raise for_code(code)(name)
        async with asyncio.timeout(_VISIBLE_S):
            while not all(map(_has_leaders, await admin.describe_topics(wanted))):  # noqa: ASYNC110  # Kafka tells nobody
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


def _has_leaders(described: Mapping[str, Any]) -> bool:
    return not described["error_code"] and all(each["leader"] >= 0 for each in described["partitions"])


async def new_topic(bootstrap: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
    """Makes a topic with a name of its own and returns the name."""
    name = f"t-{uuid.uuid4().hex}"
    await make_topics(bootstrap, [name], partitions=partitions, config=config)
    return name
