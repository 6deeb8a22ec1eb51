"""Publish the schemas at a Confluent-compatible registry and learn its ids."""

from typing import Final

import aiohttp

from schemas.codec import PUBLISHED, Codecs, codecs_for, schema_text
from schemas.errors import SetupError, Unavailable
from schemas.settings import SchemaRegistrySettings

_TYPE: Final = "application/vnd.schemaregistry.v1+json"


async def codecs_from(registry: SchemaRegistrySettings) -> Codecs:
    """Codecs with the registry's ids, or the pinned ones where no registry is set; raises `Unavailable`, `SetupError`."""
    if not registry.url:
        return Codecs()
    ids: dict[int, int] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        for published in PUBLISHED:
            for subject in published.subjects:
                url = f"{registry.url.rstrip('/')}/subjects/{subject}/versions"
                body = {"schema": schema_text(published), "schemaType": "AVRO"}
                try:
                    async with session.post(url, json=body, headers={"Content-Type": _TYPE}) as answer:
                        said = await answer.json(content_type=None)
                except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
                    raise Unavailable(f"the schema registry does not answer: {type(exc).__name__}") from exc
                if answer.status != 200 or not isinstance(said.get("id"), int):
                    raise SetupError(
                        f"the registry refuses {subject}: {said.get('message', answer.status)}", code="registry"
                    )
                ids[published.schema_id] = said["id"]
    return codecs_for(ids)
