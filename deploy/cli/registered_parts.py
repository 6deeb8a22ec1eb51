"""The parts that write or read Avro, with the ids of the configured schema registry."""

import asyncio

from deploy.admin.schema_registry import codecs_from
from processors.main import run as run_process
from schemas.config.settings import Settings
from schemas.metrics import Registry
from sinks.main import run as run_sink


async def process_part(settings: Settings, stop: asyncio.Event, metrics: Registry) -> None:
    """Run the worker that normalises and joins."""
    await run_process(settings, stop, metrics, await codecs_from(settings.schema_registry))


async def sink_part(settings: Settings, stop: asyncio.Event, metrics: Registry) -> None:
    """Run the sink."""
    await run_sink(settings, stop, metrics, await codecs_from(settings.schema_registry))
