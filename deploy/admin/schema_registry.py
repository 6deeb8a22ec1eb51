"""Registers the schemas at a Confluent-compatible registry, and reads the ids that it gives them."""

import asyncio
from typing import Any, Final

import aiohttp
from yarl import URL

from schemas.codec import PREVIOUS, PUBLISHED, Codecs, PublishedSchema, codecs_for, schema_text
from schemas.config.kafka.registry import SchemaRegistrySettings
from schemas.config.settings import Settings
from schemas.errors import SetupError, Unavailable
from schemas.tls import client_context
from schemas.tls.faults import fault, greeted, speaks_tls

_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_NO_LOGIN: Final = {
    401: "does not let us in: schema_registry.user and password, or token, are wrong or missing",
    403: "refuses us a right: the user of schema_registry may not read or write its subjects",
}
_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)


async def codecs_from(settings: Settings) -> Codecs:
    """Returns codecs that write what `kafka.avro_release` says; without a registry their ids are the pinned ones.

    Raises `Unavailable` or `SetupError`.
    """
    versions = PREVIOUS if settings.kafka.avro_release == "previous" else {}
    return codecs_for(await _ids(settings.schema_registry), versions)


async def _ids(registry: SchemaRegistrySettings) -> dict[int, int]:
    """Registers every version, also those that are not written yet, and returns the registry's id of each."""
    if not registry.url:
        return {}
    async with _session(registry) as session:
        return {
            published.schema_id: await _registered(session, registry, subject, published)
            for published in PUBLISHED
            for subject in published.subjects
        }


async def describe_registry(registry: SchemaRegistrySettings) -> str:
    """Returns a sentence on the registry; raises `Unavailable` or `SetupError` when it is none."""
    url = f"{registry.url.rstrip('/')}/subjects"
    async with _session(registry) as session:
        status, answer = await _answer(session, registry, "GET", url)
    if status != 200 or not isinstance(answer, list):
        raise SetupError(f"what answers at {_shown(url)} is no schema registry (status {status})", code="registry")
    return f"{_shown(registry.url)}: {len(answer)} subjects"


async def _registered(
    session: aiohttp.ClientSession, registry: SchemaRegistrySettings, subject: str, published: PublishedSchema
) -> int:
    """Registers a schema and returns its id."""
    url = f"{registry.url.rstrip('/')}/subjects/{subject}/versions"
    body = {"schema": schema_text(published), "schemaType": "AVRO"}
    status, answer = await _answer(session, registry, "POST", url, json=body, headers={"Content-Type": _TYPE})
    if status == 200 and isinstance(answer, dict) and isinstance(answer.get("id"), int):
        return int(answer["id"])
    reason = answer.get("message", "") if isinstance(answer, dict) else ""
    raise SetupError(
        f"the schema registry refuses {subject} with status {status}: {reason or 'it does not say why'}",
        code="registry",
        advice=f"It was asked at {_shown(url)}; schema_registry.url names it.",
    )


def _session(registry: SchemaRegistrySettings) -> aiohttp.ClientSession:
    """Returns a client with the registry's login and certificates."""
    headers = {"Accept": f"{_TYPE}, application/json"}
    if registry.user:
        headers["Authorization"] = aiohttp.encode_basic_auth(registry.user, registry.password.value)
    elif registry.token.value:
        headers["Authorization"] = f"Bearer {registry.token.value}"
    secured = registry.url.startswith("https:")
    connector = aiohttp.TCPConnector(ssl=client_context(registry.tls, "$.schema_registry.tls") if secured else True)
    return aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers, connector=connector)


async def _answer(
    session: aiohttp.ClientSession, registry: SchemaRegistrySettings, method: str, url: str, **more: Any
) -> tuple[int, Any]:
    server = f"the schema registry at {_shown(url)}"
    try:
        # A redirect would take the login to another address.
        async with session.request(method, url, allow_redirects=False, **more) as response:
            if response.status in _NO_LOGIN:
                raise Unavailable(f"{server} {_NO_LOGIN[response.status]}", code="registry_login")
            return response.status, await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        raise await _why_not(registry, server, exc) from exc
    except ValueError as exc:
        raise SetupError(f"what answers at {_shown(url)} is no schema registry: not JSON", code="registry") from exc


async def _why_not(registry: SchemaRegistrySettings, server: str, error: Exception) -> Unavailable:
    """Returns the failure in words: a certificate, TLS on one side alone, or no answer."""
    url, has_tls = URL(registry.url), registry.url.startswith("https:")
    untrusted = fault(error, server, registry.tls, "schema_registry.tls")
    if has_tls and not untrusted:
        context = client_context(registry.tls, "$.schema_registry.tls")
        if refusal := await asyncio.to_thread(greeted, url.host or "", url.port or 0, context, waits=True):
            untrusted = fault(refusal, server, registry.tls, "schema_registry.tls")
    if untrusted:
        return Unavailable(untrusted.sentence, code="registry_certificate")
    speaks = await speaks_tls(url.host or "", url.port or 0)
    if speaks is not None and speaks != has_tls:
        wanted = "https" if speaks else "http"
        return Unavailable(
            f"{server} speaks {'TLS' if speaks else 'no TLS'}: write {wanted}:// in schema_registry.url, or use another port",
            code="registry_protocol",
        )
    return Unavailable(f"{server} does not answer: {type(error).__name__}")


def _shown(url: str) -> str:
    """Returns an address without the login that may stand in it."""
    return str(URL(url).with_user(None))
