"""A broker as companies run it: TLS, logins and access control, with requests that change rights and passwords.

Its plain listener is for who set it up, and may do everything.
"""

import asyncio
import contextlib
import hashlib
import itertools
import os
import shlex
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import trustme
from aiokafka import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    String,
    TaggedFields,
)
from cryptography.hazmat.primitives import serialization

from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from schemas.config.kafka.sasl import Sasl
from schemas.config.secret import Secret
from schemas.config.settings import KafkaSettings
from schemas.config.tls import ClientTls
from schemas.kafka.clients import admin
from tests.support.kafka.kafka_listeners import Listener, access_properties, listener_properties, scram_users

HOST: Final = "127.0.0.1"
PARTITIONS: Final = 2
PASSWORDS: Final = {
    f"callweave-{name}": f"password-of-{name}" for name in ("ingress", "poll", "process", "sink", "admin", "nobody")
}
_RESOURCES: Final = {"topic": 2, "group": 3}
_OPERATIONS: Final = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
_LITERAL, _ALLOW, _ANY = 3, 3, 1
_SCRAM_SHA_512: Final = 2
_ITERATIONS: Final = 4096


class Papers:
    """The authority of the broker, and what it signed, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self.other_ca = trustme.CA(), trustme.CA()
        self.ca.cert_pem.write_to_path(self.file("ca.pem"))
        self.other_ca.cert_pem.write_to_path(self.file("other-ca.pem"))
        self.write("broker.pem", self.ca.issue_cert(HOST))
        past = datetime.now(UTC) - timedelta(days=2)
        self.write("expired.pem", self.ca.issue_cert(HOST, not_before=past, not_after=past + timedelta(days=1)))
        self.write("client.pem", self.ca.issue_cert("client.example", common_name="callweave-ingress"))
        self.write("stranger.pem", self.other_ca.issue_cert("client.example", common_name="callweave-ingress"))

    def file(self, name: str) -> str:
        """Returns the path of a file."""
        return str(self.folder / name)

    def write(self, name: str, issued: trustme.LeafCert) -> None:
        """Writes a key, in the form that Kafka reads (PKCS 8), with its certificate."""
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        form = serialization.PrivateFormat.PKCS8
        pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        Path(self.file(name)).write_bytes(pem + b"".join(blob.bytes() for blob in issued.cert_chain_pems))


class SecuredKafka(msgspec.Struct, frozen=True, kw_only=True):
    """A running broker with its ports and papers."""

    server: KafkaServer
    papers: Papers
    ports: dict[str, int]

    def at(self, listener: str, host: str = HOST) -> str:
        """Returns the address of a listener."""
        return f"{host}:{self.ports[listener]}"

    def settings(self, user: str = "callweave-admin", **more: Any) -> KafkaSettings:
        """Returns the settings of a user who comes by TLS and SCRAM."""
        base = KafkaSettings(
            bootstrap=self.at("LOGIN"),
            partitions=PARTITIONS,
            security_protocol="SASL_SSL",
            tls=ClientTls(ca_file=self.papers.file("ca.pem")),
            sasl=Sasl(user=user, password=Secret(PASSWORDS.get(user, "unknown"))),
            request_timeout_ms=5_000,
        )
        return msgspec.structs.replace(base, **more)

    def environment(self, user: str) -> dict[str, str]:
        """Returns the variables of a part that has a user of its own."""
        return {
            **os.environ,
            "CALLWEAVE_KAFKA__BOOTSTRAP": self.at("LOGIN"),
            "CALLWEAVE_KAFKA__PARTITIONS": str(PARTITIONS),
            "CALLWEAVE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "CALLWEAVE_KAFKA__TLS__CA_FILE": self.papers.file("ca.pem"),
            "CALLWEAVE_KAFKA__SASL__USER": user,
            "CALLWEAVE_KAFKA__SASL__PASSWORD": PASSWORDS[user],
        }

    @property
    def plain(self) -> KafkaSettings:
        """The settings of who set it up, and may do everything."""
        return KafkaSettings(bootstrap=self.server.bootstrap, partitions=PARTITIONS)

    async def delete_topic(self, name: str) -> None:
        """Deletes a topic and waits until it is gone."""
        client = admin(self.plain, "tests")
        await client.start()
        try:
            await client.delete_topics([name])
            async with asyncio.timeout(20):
                while name in await client.list_topics():  # noqa: ASYNC110 - the broker's state has no event
                    await asyncio.sleep(0.05)
        finally:
            await client.close()

    async def allow(self, commands: Sequence[str]) -> None:
        """Grants what lines of `kafka-acls.sh` say."""
        rules = [rule for command in commands if not command.startswith("#") for rule in _rules(command)]
        answer = await self._ask(_CreateAcls(rules))
        assert [result[0] for result in answer.results] == [0] * len(rules), answer
        await self._known(lambda held: held >= set(rules))

    async def take(self, user: str, operation: str, resource: Literal["topic", "group"], name: str) -> None:
        """Takes one right away."""
        rule = (_RESOURCES[resource], name, _LITERAL, f"User:{user}", "*", _OPERATIONS[operation], _ALLOW)
        answer = await self._ask(_DeleteAcls([rule]))
        assert [(result[0], len(result[2])) for result in answer.results] == [(0, 1)], answer
        await self._known(lambda held: rule not in held)

    async def _known(self, true: Callable[[set[tuple[Any, ...]]], bool]) -> None:
        """Waits until the broker has heard from its controller of rules that changed."""
        async with asyncio.timeout(20):
            while True:
                found = (await self._ask(_DescribeAcls())).resources
                held = {(*head, *rule) for *head, rules in found for rule in rules}
                if true(held):
                    return
                await asyncio.sleep(0.02)

    async def set_password(self, user: str, password: str) -> None:
        """Gives a user another password."""
        answer = await self._ask(_AlterScram(user, password))
        assert [result[1] for result in answer.results] == [0], answer

    async def _ask(self, request: Request[Any]) -> Any:
        client = AIOKafkaClient(bootstrap_servers=self.server.bootstrap)
        try:
            await client.bootstrap()
            return await client.send(client.get_random_node(), request)
        finally:
            await client.close()


@contextlib.asynccontextmanager
async def secured_kafka(folder: Path) -> AsyncIterator[SecuredKafka]:
    """Yields a broker with a listener of each kind."""
    papers = Papers(folder)
    ports = {name: free_port() for name in ("LOGIN", "OPEN", "EXPIRED", "MUTUAL", "BARE")}
    listeners = (
        Listener(name="LOGIN", port=ports["LOGIN"], advertised_port=ports["LOGIN"], protocol="SASL_SSL"),
        Listener(name="OPEN", port=ports["OPEN"], advertised_port=ports["OPEN"], protocol="SSL"),
        Listener(
            name="EXPIRED",
            port=ports["EXPIRED"],
            advertised_port=ports["EXPIRED"],
            protocol="SSL",
            properties={"ssl.keystore.type": "PEM", "ssl.keystore.location": papers.file("expired.pem")},
        ),
        Listener(
            name="MUTUAL",
            port=ports["MUTUAL"],
            advertised_port=ports["MUTUAL"],
            protocol="SSL",
            properties={
                "ssl.client.auth": "required",
                "ssl.principal.mapping.rules": r"RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
            },
        ),
        Listener(name="BARE", port=ports["BARE"], advertised_port=ports["BARE"], protocol="SASL_PLAINTEXT"),
    )
    port, controller_port = free_port(), free_port()
    properties = {
        **access_properties(papers.file("broker.pem"), papers.file("ca.pem")),
        **listener_properties(listeners, port, controller_port, PASSWORDS),
    }
    async with KafkaServer(
        folder / "kafka",
        port=port,
        controller_port=controller_port,
        heap="256m",
        properties=properties,
        storage=scram_users(PASSWORDS),
    ) as server:
        yield SecuredKafka(server=server, papers=papers, ports=ports)


def _rules(command: str) -> Iterator[tuple[Any, ...]]:
    """Yields the rules of one command, as the broker's request wants them."""
    words = shlex.split(command)
    assert words[0] == "kafka-acls.sh"
    given: dict[str, list[str]] = {}
    for word, value in itertools.pairwise(words):
        if word.startswith("--"):
            given.setdefault(word.removeprefix("--"), []).append(value)
    for resource, code in _RESOURCES.items():
        for name in given.get(resource, ()):
            for operation in given["operation"]:
                (principal,) = given["allow-principal"]
                yield code, name, _LITERAL, principal, "*", _OPERATIONS[operation], _ALLOW


_RULE: Final = (
    ("resource_type", Int8),
    ("resource_name", String("utf-8")),
    ("pattern_type", Int8),
    ("principal", String("utf-8")),
    ("host", String("utf-8")),
    ("operation", Int8),
    ("permission", Int8),
)


class _CreateAclsResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 30
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", Array(("error_code", Int16), ("error_message", String("utf-8")))),
    )


class _CreateAclsStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 30
    API_VERSION = 1
    RESPONSE_TYPE = _CreateAclsResponse
    SCHEMA = Schema(("creations", Array(*_RULE)))


class _CreateAcls(Request[_CreateAclsStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 30

    def __init__(self, rules: Sequence[tuple[Any, ...]]) -> None:
        self._rules = list(rules)

    def build(self, request_struct_class: Any) -> Any:
        """Returns the message."""
        return request_struct_class(self._rules)


class _DescribeAclsResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 29
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("error_message", String("utf-8")),
        ("resources", Array(*_RULE[:3], ("rules", Array(*_RULE[3:])))),
    )


class _DescribeAclsStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 29
    API_VERSION = 1
    RESPONSE_TYPE = _DescribeAclsResponse
    SCHEMA = Schema(*_RULE)


class _DescribeAcls(Request[_DescribeAclsStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 29

    def build(self, request_struct_class: Any) -> Any:
        """Returns the message that asks for all rules."""
        return request_struct_class(_ANY, None, _ANY, None, None, _ANY, _ANY)


class _DeleteAclsResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 31
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("matching", Array(("error_code", Int16), ("error_message", String("utf-8")), *_RULE)),
            ),
        ),
    )


class _DeleteAclsStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 31
    API_VERSION = 1
    RESPONSE_TYPE = _DeleteAclsResponse
    SCHEMA = Schema(("filters", Array(*_RULE)))


class _DeleteAcls(Request[_DeleteAclsStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 31

    def __init__(self, filters: Sequence[tuple[Any, ...]]) -> None:
        self._filters = list(filters)

    def build(self, request_struct_class: Any) -> Any:
        """Returns the message."""
        return request_struct_class(self._filters)


class _AlterScramResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScramStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    FLEXIBLE_VERSION = True
    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = _AlterScramResponse
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScram(Request[_AlterScramStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 51

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._password = password

    def build(self, request_struct_class: Any) -> Any:
        """Returns the message."""
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha512", self._password.encode(), salt, _ITERATIONS)
        return request_struct_class([], [(self._user, _SCRAM_SHA_512, _ITERATIONS, salt, salted, {})], {})


async def until(true: Any, limit_s: float = 30.0) -> None:
    """Waits until a condition is true."""
    async with asyncio.timeout(limit_s):
        while not true():  # noqa: ASYNC110 - another process's state has no event to wait for
            await asyncio.sleep(0.05)
