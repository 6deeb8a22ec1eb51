"""Asks the broker which rights of the table the own user lacks.

Kafka tells a client the operations that it may do on a topic (metadata since 2.3) and on a group. aiokafka asks for
neither, so the two requests are declared here. A broker that does not say (an older one) is taken at its word: nothing
is then missing until something is refused.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaClient
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.admin import DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from schemas.config.settings import KafkaSettings
from schemas.errors import Unavailable
from schemas.kafka.clients import asking
from schemas.kafka.rights import ROLE, Operation, Right

_CODES: Final[Mapping[Operation, int]] = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
"""Kafka's numbers of operations (AclOperation), which are the places of bits."""
_NOT_SAID: Final = -(2**31)
_ASK_MS: Final = 5_000
_COORDINATOR_S: Final = 2.0
_AGAIN_S: Final = 0.1


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
        ("cluster_operations", Int32),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc]  # aiokafka has no types
    """Metadata of topics with the operations that are allowed on them; creates none."""

    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: Any) -> Any:
        """Returns the message."""
        return request_struct_class(self._topics, False, False, True)


class _GroupsRequestStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_operations", Boolean))


class _GroupsRequest(Request[_GroupsRequestStruct]):  # type: ignore[misc]  # aiokafka has no types
    """Groups with the operations that are allowed on them; aiokafka reads the answer of version 3 as version 2."""

    API_KEY = 15

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: Any) -> Any:
        """Returns the message."""
        return request_struct_class(self._groups, True)


async def lacking(kafka: KafkaSettings, role: str, topics: Sequence[str] = ()) -> tuple[Right, ...]:
    """Returns the rights of a role that the own user lacks, as far as the broker says; raises `KafkaError`.

    With `topics`, only the rights on these are looked at.
    """
    rights = tuple(right for right in ROLE[role].rights if not topics or right.name in topics)
    client = asking(kafka, "rights", _ASK_MS)
    try:
        await client.bootstrap()
        return await _lacking(client, rights)
    finally:
        await client.close()


async def require_rights(kafka: KafkaSettings, role: str, topics: Sequence[str] = ()) -> None:
    """Raises `Unavailable` `kafka_rights` with all rights that are missing, and `KafkaError` when Kafka is away."""
    if missing := await lacking(kafka, role, topics):
        raise Unavailable(refused(kafka, role, missing), code="kafka_rights")


def refused(kafka: KafkaSettings, role: str, missing: Sequence[Right]) -> str:
    """Returns the sentence on missing rights, with the command that gives them."""
    alike: dict[tuple[str, str], list[str]] = {}
    for right in missing:
        alike.setdefault((right.operation, right.resource), []).append(right.name)
    named = "; ".join(f"{operation} on {resource} {', '.join(names)}" for (operation, resource), names in alike.items())
    return f"Kafka refuses {login(kafka)} what `callweave {role}` needs: {named} (`callweave topics acls` prints how to grant it)"


def login(kafka: KafkaSettings) -> str:
    """Returns how the own user is called in a sentence."""
    if not kafka.security_protocol.startswith("SASL"):
        return "this certificate's user" if kafka.tls.certificate_file or kafka.tls.certificate_pem.value else "us"
    return f"user {kafka.sasl.user}" if kafka.sasl.user else f"the user of this {kafka.sasl.mechanism} login"


async def _lacking(client: AIOKafkaClient, rights: Sequence[Right]) -> tuple[Right, ...]:
    found: dict[tuple[str, str], int] = {}
    topics = sorted({right.name for right in rights if right.resource == "topic"})
    groups = sorted({right.name for right in rights if right.resource == "group"})
    try:
        found |= {("topic", name): bits for name, bits in (await _topics(client, topics)).items()}
        for group in groups:
            found["group", group] = await _group(client, group)
    except (IncompatibleBrokerVersion, NotImplementedError):  # aiokafka's words for an older broker
        return ()
    return tuple(right for right in rights if not _granted(found.get((right.resource, right.name), _NOT_SAID), right))


def _granted(bits: int, right: Right) -> bool:
    return bits == _NOT_SAID or bool(bits >> _CODES[right.operation] & 1)


async def _topics(client: AIOKafkaClient, topics: Sequence[str]) -> dict[str, int]:
    """Returns the operations on each topic; a topic that is not there, and is not hidden from us, is left out."""
    answer = await client.send(_node(client), _MetadataRequest(topics))
    found = {}
    for code, name, _internal, _partitions, bits in answer.topics:
        if code == TopicAuthorizationFailedError.errno:
            found[name] = 0
        elif code == 0:
            found[name] = bits
    return found


async def _group(client: AIOKafkaClient, group: str) -> int:
    """Returns the operations on a group; not said while Kafka has no coordinator for it yet."""
    try:
        async with asyncio.timeout(_COORDINATOR_S):
            while True:
                try:
                    node = await client.coordinator_lookup(CoordinationType.GROUP, group)
                    ((code, *_, bits),) = (await client.send(node, _GroupsRequest([group]))).groups
                except GroupAuthorizationFailedError:
                    return 0
                except KafkaError as exc:
                    if not exc.retriable:
                        raise
                else:
                    if code == 0:
                        return int(bits)
                    if code == GroupAuthorizationFailedError.errno:
                        return 0
                # At the first use of groups Kafka makes its topic for them.
                await asyncio.sleep(_AGAIN_S)
    except TimeoutError:
        return _NOT_SAID


def _node(client: AIOKafkaClient) -> Any:
    node = client.get_random_node()
    return "bootstrap" if node is None else node
