"""Makes every Kafka client of ours, so that address, protocol, login, certificates and options are the same in all.

No other module calls the constructors of aiokafka's clients (`tests/unit/schemas/kafka/test_one_way.py`). What the
guarantees need stands here: acknowledgement by all in-sync replicas, idempotent batches, no commits by themselves, no
record jumped over.
"""

import functools
import inspect
import ssl
from collections.abc import Mapping
from typing import Any, Final

import aiokafka.conn
from aiokafka import AIOKafkaClient, AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from schemas.config.kafka.sasl import Sasl
from schemas.config.settings import KafkaSettings
from schemas.config.tls import ClientTls
from schemas.errors import SetupError
from schemas.kafka.taking import Make, TakingConsumer
from schemas.kafka.tokens import token_provider
from schemas.tls import client_context

_CONNECTION: Final = frozenset(inspect.signature(aiokafka.conn.create_conn).parameters)


def producer(kafka: KafkaSettings, name: str, **own: Any) -> AIOKafkaProducer:
    """Returns a producer that is not started; `own` are the options of this place alone."""
    guarantees = {"acks": "all", "enable_idempotence": True}
    compression = None if kafka.compression == "none" else kafka.compression
    options = {"compression_type": compression, "linger_ms": kafka.linger_ms, **own, **guarantees}
    return AIOKafkaProducer(**_options(AIOKafkaProducer, kafka, name, options))


def consumer(kafka: KafkaSettings, name: str, *topics: str, make: Make | None = None, **own: Any) -> AIOKafkaConsumer:
    """Returns a consumer that is not started, with records of the form that `make` gives them, or with aiokafka's.

    `own` are the options of this place alone.
    """
    options = {"auto_offset_reset": "earliest", **own, "enable_auto_commit": False}
    if kafka.rack:
        options["client_rack"] = kafka.rack
    options = _options(AIOKafkaConsumer, kafka, name, options)
    return AIOKafkaConsumer(*topics, **options) if make is None else TakingConsumer(*topics, make=make, **options)


def admin(kafka: KafkaSettings, name: str) -> AIOKafkaAdminClient:
    """Returns a client that administers; it is not started."""
    return AIOKafkaAdminClient(**_options(AIOKafkaAdminClient, kafka, name, {}))


def asking(kafka: KafkaSettings, name: str, request_timeout_ms: int) -> AIOKafkaClient:
    """Returns a client for single requests; it is not started."""
    return AIOKafkaClient(**_options(AIOKafkaClient, kafka, name, {"request_timeout_ms": request_timeout_ms}))


async def connection(
    kafka: KafkaSettings, host: str, port: int, request_timeout_ms: int
) -> aiokafka.conn.AIOKafkaConnection:
    """Connects to one broker and logs in; raises what is in the way, which clients keep to themselves."""
    options = {**_address(kafka, "asks"), "request_timeout_ms": request_timeout_ms}
    return await aiokafka.conn.create_conn(
        host, port, **{name: value for name, value in options.items() if name in _CONNECTION}
    )


def _options(kind: type[Any], kafka: KafkaSettings, name: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all options of a client; those of `kafka.client` that it takes come last."""
    taken = inspect.signature(kind.__init__).parameters
    further = {option: value for option, value in kafka.client.items() if option in taken}
    return {**_address(kafka, name), **own, **further}


def _address(kafka: KafkaSettings, name: str) -> dict[str, Any]:
    """Returns what every connection needs: address, name, protocol, certificates, login."""
    options: dict[str, Any] = {
        "bootstrap_servers": [address.strip() for address in kafka.bootstrap.split(",")],
        "client_id": f"{kafka.client_id}-{name}",
        "request_timeout_ms": kafka.request_timeout_ms,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = _context(kafka.tls)
    if kafka.security_protocol.startswith("SASL"):
        options |= _login(kafka.sasl)
    return options


@functools.lru_cache(maxsize=4)
def _context(tls: ClientTls) -> ssl.SSLContext:
    """Returns the context of these certificates, which all clients share: it reads them again when they change."""
    return client_context(tls, "$.kafka.tls")


def _login(sasl: Sasl) -> dict[str, Any]:
    options: dict[str, Any] = {"sasl_mechanism": sasl.mechanism}
    if sasl.mechanism == "GSSAPI":
        if aiokafka.conn.gssapi is None:
            raise SetupError(
                "kafka.sasl.mechanism GSSAPI needs a package that is not installed: gssapi",
                code="kafka_gssapi",
                advice="Install it with the Kerberos library of this system: pip install gssapi",
            )
        options["sasl_kerberos_service_name"] = sasl.kerberos_service
        options["sasl_kerberos_domain_name"] = sasl.kerberos_domain or None
    elif sasl.mechanism == "OAUTHBEARER":
        options["sasl_oauth_token_provider"] = token_provider(sasl)
    else:
        options["sasl_plain_username"] = sasl.user
        options["sasl_plain_password"] = sasl.password.value
    return options
