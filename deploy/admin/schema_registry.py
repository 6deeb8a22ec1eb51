"""Publish the schemas at a Confluent-compatible registry and learn its ids."""

from typing import Any, Final

import aiohttp

from schemas.codec import PUBLISHED, Codecs, Published, codecs_for, schema_text
from schemas.config.settings import SchemaRegistrySettings
from schemas.errors import SetupError, Unavailable

_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)


async def codecs_from(registry: SchemaRegistrySettings) -> Codecs:
    """Codecs with the registry's ids, or the pinned ones where no registry is set; raises `Unavailable`, `SetupError`."""
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
    """A sentence on the registry at its address; raises `Unavailable`, `SetupError`."""
    url = f"{registry.url.rstrip('/')}/subjects"
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        status, said = await _answer(session, "GET", url)
    if status != 200 or not isinstance(said, list):
        raise SetupError(f"what answers at {url} is no schema registry (status {status})", code="registry")
    return f"{registry.url}: {len(said)} subjects"


async def _registered(session: aiohttp.ClientSession, registry: str, subject: str, published: Published) -> int:
    """The id that the registry has for a schema, which it is given first."""
    url = f"{registry.rstrip('/')}/subjects/{subject}/versions"
    body = {"schema": schema_text(published), "schemaType": "AVRO"}
    status, said = await _answer(session, "POST", url, json=body, headers={"Content-Type": _TYPE})
    if status == 200 and isinstance(said, dict) and isinstance(said.get("id"), int):
        return int(said["id"])
    reason = said.get("message", "") if isinstance(said, dict) else ""
    raise SetupError(
        f"the schema registry refuses {subject} with status {status}: {reason or 'it does not say why'}",
        code="registry",
        advice=f"It was asked at {url}; schema_registry.url names it.",
    )


async def _answer(session: aiohttp.ClientSession, method: str, url: str, **more: Any) -> tuple[int, Any]:
    try:
        async with session.request(method, url, **more) as answer:
            return answer.status, await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise Unavailable(f"the schema registry at {url} does not answer: {type(exc).__name__}") from exc
    except ValueError as exc:
        raise SetupError(f"what answers at {url} is no schema registry: not JSON", code="registry") from exc
