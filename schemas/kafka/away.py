"""Finds out why Kafka does not answer: aiokafka's clients keep the reason to themselves and say "unable to bootstrap".

It is asked after a failure alone: one more connection, made by hand, fails with the reason.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from schemas.config.settings import KafkaSettings
from schemas.errors import CallweaveError, Unavailable
from schemas.kafka.clients import connection
from schemas.kafka.failures import REFUSED, explained, mismatch, token_refused, unknown, wants_login
from schemas.kafka.granted import lacking, refused, require_rights
from schemas.tls.faults import speaks_tls

_ASK_MS: Final = 3_000
_LIMIT_S: Final = 10.0
_MOST_BROKERS: Final = 6
DEFAULT_PORT: Final = 9092


async def away(kafka: KafkaSettings, error: BaseException, *, role: str = "") -> Unavailable:
    """Returns a client's failure in words, after asking the brokers; `role` is a name of the rights' table."""
    if found := explained(error, kafka, kafka.bootstrap):
        return found
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LIMIT_S):
            if isinstance(error, REFUSED):
                return await _refused(kafka, error, role)
            if found := await _reason(kafka):
                return found
    return unknown(error, kafka.bootstrap)


async def require(kafka: KafkaSettings, role: str, topics: Sequence[str] = ()) -> None:
    """Raises `Unavailable` in words when Kafka is away, or the own user lacks a right of the role.

    With `topics`, only the rights on these count.
    """
    try:
        await require_rights(kafka, role, topics)
    except (KafkaError, OSError, TimeoutError) as exc:
        raise await away(kafka, exc, role=role) from exc


async def _refused(kafka: KafkaSettings, error: BaseException, role: str) -> Unavailable:
    with contextlib.suppress(KafkaError, OSError):
        if role and (missing := await lacking(kafka, role)):
            return Unavailable(refused(kafka, role, missing), code="kafka_rights")
    text = f"Kafka refuses us a right: {type(error).__name__} (`callweave topics acls` prints what each part needs)"
    return Unavailable(text, code="kafka_rights")


async def _reason(kafka: KafkaSettings) -> Unavailable | None:
    """Returns why the first broker that says so cannot be used; None when none says anything, or all is well."""
    waiting = [_split(address) for address in kafka.bootstrap.split(",")]
    asked: set[tuple[str, int]] = set()
    while waiting and len(asked) < _MOST_BROKERS:
        host, port = waiting.pop(0)
        if (host, port) in asked:
            continue
        asked.add((host, port))
        try:
            waiting += await _others(kafka, host, port)
        except CallweaveError as exc:
            return exc if isinstance(exc, Unavailable) else Unavailable(str(exc), code=exc.code)
        except (KafkaError, OSError, TimeoutError) as exc:
            if found := explained(exc, kafka, f"{host}:{port}") or await _one_sided(kafka, host, port, exc):
                return found
    return None


async def _others(kafka: KafkaSettings, host: str, port: int) -> list[tuple[str, int]]:
    """Returns the addresses of all brokers by one of them."""
    connected = await connection(kafka, host, port, _ASK_MS)
    try:
        brokers = (await connected.send(MetadataRequest([]))).brokers
    except KafkaError as exc:
        if explained(exc, kafka, ""):
            raise
        if kafka.security_protocol.startswith("SASL"):
            raise
        raise wants_login(kafka, f"{host}:{port}") from exc
    finally:
        connected.close()
    if not brokers and kafka.sasl.mechanism == "OAUTHBEARER":
        # aiokafka takes the refusal of a token for a welcome, and the first answer after it is empty.
        raise token_refused(kafka, f"{host}:{port}")
    return [(broker[1], broker[2]) for broker in brokers]


async def _one_sided(kafka: KafkaSettings, host: str, port: int, error: BaseException) -> Unavailable | None:
    """Returns the failure when only one side speaks TLS, which the end of a connection does not say by itself."""
    if isinstance(error, ConnectionRefusedError):
        return None
    speaks = await speaks_tls(host, port)
    if speaks is None or speaks == kafka.security_protocol.endswith("SSL"):
        return None
    return mismatch(kafka, f"{host}:{port}", speaks_tls=speaks)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.strip().rpartition(":")
    if not host:
        return port, DEFAULT_PORT
    return host.strip("[]"), int(port)
