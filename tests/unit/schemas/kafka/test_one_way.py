"""No Kafka client is made without the options that all share."""

import ast
import inspect
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from schemas.config.kafka.sasl import CLOSED, OPEN, Sasl
from schemas.config.secret import Secret
from schemas.config.settings import KafkaSettings
from schemas.errors import SetupError
from schemas.kafka import clients
from schemas.kafka.tokens import TokenProvider

ROOT: Final = Path(__file__).parents[4]
PARTS: Final = ("deploy", "ingress", "processors", "schemas", "sinks")
MAKERS: Final = {"AIOKafkaProducer", "AIOKafkaConsumer", "AIOKafkaAdminClient", "AIOKafkaClient", "create_conn"}
KINDS: Final = (AIOKafkaProducer, AIOKafkaConsumer, AIOKafkaAdminClient)


def made(path: Path) -> set[str]:
    """The constructors of clients that a file names other than as a type of an annotation."""
    tree = ast.parse(path.read_text("utf-8"))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    passed = [each for node in ast.walk(tree) if isinstance(node, ast.Call) for each in node.args]
    return {
        name
        for node in (*calls, *passed)
        if (name := node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")) in MAKERS
    }


def test_only_one_module_makes_clients() -> None:
    makers = {
        str(path.relative_to(ROOT)): found
        for part in PARTS
        for path in (ROOT / part).rglob("*.py")
        if (found := made(path))
    }

    assert set(makers) == {"schemas/kafka/clients.py"}
    assert makers["schemas/kafka/clients.py"] == MAKERS


def test_a_client_that_is_made_elsewhere_is_found(tmp_path: Path) -> None:
    for number, text in enumerate(
        ("aiokafka.AIOKafkaProducer(**x)", "AIOKafkaConsumer('t')", "partial(AIOKafkaClient)")
    ):
        (tmp_path / f"{number}.py").write_text(text)

        assert made(tmp_path / f"{number}.py")


def parameters(kind: type[Any]) -> set[str]:
    return {name for name in inspect.signature(kind.__init__).parameters if name not in {"self", "topics"}}


def test_every_option_of_the_client_is_open_or_closed_with_a_reason() -> None:
    taken = set().union(*map(parameters, KINDS))

    assert OPEN | set(CLOSED) == taken
    assert not OPEN & set(CLOSED)


@pytest.mark.parametrize("name", ["acks", "enable_idempotence", "enable_auto_commit", "group_id", "isolation_level"])
def test_what_the_guarantees_need_cannot_be_set(name: str) -> None:
    assert CLOSED[name].startswith("it may not be set, because ")


async def test_all_clients_have_the_same_address_and_login() -> None:
    kafka = KafkaSettings(
        bootstrap="kafka-1:9093, [::1]:9094",
        security_protocol="SASL_SSL",
        sasl=Sasl(mechanism="PLAIN", user="me", password=Secret("sesame")),
        client_id="ours",
        rack="rack-7",
        client={"metadata_max_age_ms": 1234, "fetch_min_bytes": 77},
    )
    producer = clients.producer(kafka, "ingress", max_request_size=1 << 20)
    consumer = clients.consumer(kafka, "sink", group_id="g", metadata_max_age_ms=3000)
    admin = clients.admin(kafka, "topics")
    try:
        inner = [producer.client, consumer._client, admin._client]
        for client in (*inner, clients.asking(kafka, "rights", 1000)):
            assert client._bootstrap_servers == ["kafka-1:9093", "[::1]:9094"]
            assert client._security_protocol == "SASL_SSL"
            assert (client._sasl_mechanism, client._sasl_plain_username) == ("PLAIN", "me")
            assert client._sasl_plain_password == "sesame"
            assert client._ssl_context is inner[0]._ssl_context
            assert client._ssl_context.check_hostname
            assert client._metadata_max_age_ms == 1234
        assert [client._client_id for client in inner] == ["ours-ingress", "ours-sink", "ours-topics"]
        assert consumer._client_rack == "rack-7"
        assert consumer._fetch_min_bytes == 77
        assert not consumer._enable_auto_commit
        assert producer._sender._acks == -1
        assert producer._txn_manager is not None  # idempotent
    finally:
        await producer.stop()
        await consumer.stop()
        await admin.close()


async def test_a_caller_cannot_take_the_guarantees_away() -> None:
    kafka = KafkaSettings(bootstrap="127.0.0.1:1")
    producer = clients.producer(kafka, "x", acks=1, enable_idempotence=False)
    consumer = clients.consumer(kafka, "x", enable_auto_commit=True)
    try:
        assert producer._sender._acks == -1
        assert producer._txn_manager is not None
        assert not consumer._enable_auto_commit
    finally:
        await producer.stop()
        await consumer.stop()


async def test_kerberos_without_its_package_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiokafka.conn.gssapi", None)
    kafka = KafkaSettings(bootstrap="k:1", security_protocol="SASL_PLAINTEXT", sasl=Sasl(mechanism="GSSAPI"))

    with pytest.raises(SetupError, match="needs a package that is not installed: gssapi"):
        clients.admin(kafka, "x")


async def test_kerberos_with_its_package_gets_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """The login itself needs a realm, and is aiokafka's."""
    monkeypatch.setattr("aiokafka.conn.gssapi", object())
    sasl = Sasl(mechanism="GSSAPI", kerberos_service="broker", kerberos_domain="example")
    client = clients.asking(KafkaSettings(bootstrap="k:1", security_protocol="SASL_PLAINTEXT", sasl=sasl), "x", 1000)

    assert client._sasl_mechanism == "GSSAPI"
    assert (client._sasl_kerberos_service_name, client._sasl_kerberos_domain_name) == ("broker", "example")


async def test_a_token_comes_from_the_provider_of_the_settings() -> None:
    sasl = Sasl(mechanism="OAUTHBEARER", token_command=("echo", "x"))
    client = clients.asking(KafkaSettings(bootstrap="k:1", security_protocol="SASL_PLAINTEXT", sasl=sasl), "x", 1000)

    assert isinstance(client._sasl_oauth_token_provider, TokenProvider)
