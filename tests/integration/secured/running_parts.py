"""Parts that run as processes on a broker with TLS and logins, each with a user of its own."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import aiohttp

from deploy.process.ports import free_port
from tests.support.kafka.secured_kafka import SecuredKafka
from tests.support.processes.warm_command import COMMAND_LINE, WarmProcess, start_warm

LIMIT_S: Final = 90.0


class Part:
    """A running `callweave NAME`."""

    def __init__(self, process: WarmProcess, log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def text(self) -> str:
        """The log that it wrote so far."""
        return self.log.read_text("utf-8", "replace")


@contextlib.asynccontextmanager
async def part(place: Path, name: str, environment: Mapping[str, str], *, label: str = "") -> AsyncIterator[Part]:
    """Runs a part; `label` tells apart two of one name."""
    log = place / f"{label or name}.log"
    with log.open("wb") as output:
        process = await start_warm(COMMAND_LINE, name, environment=environment, output=output)
    try:
        yield Part(process, log)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(LIMIT_S):
                await process.wait()


def environment(secured: SecuredKafka, place: Path, user: str, port: int = 0) -> dict[str, str]:
    """Returns the variables of a part that logs in as this user; an ingress listens on `port`."""
    return {
        **secured.environment(user),
        "CALLWEAVE_EMBEDDED__DATA_DIR": str(place / "data"),
        "CALLWEAVE_INGRESS__SPOOL_DIR": str(place / "spool"),
        "CALLWEAVE_INGRESS__SPOOL_MIN_FREE_BYTES": "0",
        "CALLWEAVE_INGRESS__LEAVE_S": "0",
        "CALLWEAVE_INGRESS__PORT": str(port or free_port()),
    }


async def readyz(http: aiohttp.ClientSession, port: int) -> dict[str, object]:
    """Returns what an ingress says of itself, {} while it does not answer."""
    try:
        async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return dict(await answer.json())
    except (aiohttp.ClientError, TimeoutError):
        return {}


async def says(http: aiohttp.ClientSession, port: int, text: str) -> dict[str, object]:
    """Waits until /readyz has a text, and returns all of it."""
    async with asyncio.timeout(LIMIT_S):
        while text not in str(found := await readyz(http, port)):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.1)
    return found
