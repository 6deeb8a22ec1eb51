"""The sink as a process of its own, for tests that kill it; argv[1] has the settings as JSON."""

import asyncio
import logging
import signal
import sys

import msgspec

from schemas.config.secret import read_secret
from schemas.config.settings import Settings
from schemas.metrics import Registry
from sinks.main import run


async def _run() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("can be stopped", flush=True)  # noqa: T201  # before this, SIGTERM just ends it
    settings = msgspec.json.decode(sys.argv[1], type=Settings, dec_hook=lambda _, given: read_secret(given, {}))
    await run(settings, stop, Registry())


def main() -> None:
    """Runs the sink until SIGTERM."""
    logging.basicConfig(level=logging.INFO)
    asyncio.run(_run())
