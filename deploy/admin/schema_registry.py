"""Registers the schemas at a Confluent-compatible registry, and reads the ids that it gives them."""

from typing import Any, Final

import aiohttp

from schemas.codec import PUBLISHED, Codecs, PublishedSchema, codecs_for, schema_text
from schemas.config.settings import SchemaRegistrySettings
from schemas.errors import SetupError, Unavailable

_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)


async def codecs_from(registry: SchemaRegistrySettings) -> Codecs:
    """Returns codecs with the registry's ids, or the pinned ones if none is set; raises `Unavailable`, `SetupError`."""
    if not registry.url:
        return Codecs()
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        return codecs_for(
            {
                published.schema_id: await _registered(session, registry.url, subject, published)
                for published in PUBLISHED
                for subject in published.subjects
            }
        )


async def describe_registry(registry: SchemaRegistrySettings) -> str:
    """Returns a sentence on the registry; raises `Unavailable` or `SetupError` when it is none."""
    url = f"{registry.url.rstrip('/')}/subjects"
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        status, answer = await _answer(session, "GET", url)
    if status != 200 or not isinstance(answer, list):
        raise SetupError(f"what answers at {url} is no schema registry (status {status})", code="registry")
    return f"{registry.url}: {len(answer)} subjects"


async def _registered(session: aiohttp.ClientSession, registry: str, subject: str, published: PublishedSchema) -> int:
    """Registers a schema and returns its id."""
    url = f"{registry.rstrip('/')}/subjects/{subject}/versions"
    body = {"schema": schema_text(published), "schemaType": "AVRO"}
    status, answer = await _answer(session, "POST", url, json=body, headers={"Content-Type": _TYPE})
    if status == 200 and isinstance(answer, dict) and isinstance(answer.get("id"), int):
        return int(answer["id"])
    reason = answer.get("message", "") if isinstance(answer, dict) else ""
    raise SetupError(
        f"the schema registry refuses {subject} with status {status}: {reason or 'it does not say why'}",
        code="registry",
        advice=f"It was asked at {url}; schema_registry.url names it.",
    )


async def _answer(session: aiohttp.ClientSession, method: str, url: str, **more: Any) -> tuple[int, Any]:
    try:
        async with session.request(method, url, **more) as response:
            return response.status, await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise Unavailable(f"the schema registry at {url} does not answer: {type(exc).__name__}") from exc
    except ValueError as exc:
        raise SetupError(f"what answers at {url} is no schema registry: not JSON", code="registry") from exc
