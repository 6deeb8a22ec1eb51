"""An ingress that answers before Kafka has the body: a wrong way, for the test that must catch it."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from aiokafka import AIOKafkaProducer

from ingress.app import SERVER_OPTIONS, create_app
from ingress.kafka.publisher import Settled
from schemas.config.settings import Settings
from schemas.metrics import Registry
from schemas.raw import Headers
from schemas.vendors import VENDORS
from tests.support.http.submitting import by_task

_LINGER_MS: Final = 300


class HastyPublisher:
    """Calls a record durable as soon as the client has it in memory."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        """Hands the record to the client and does not wait."""
        await self._producer.send(topic, value, key=key, headers=headers)

    def submit(
        self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, *, no_retry: bool = False
    ) -> None:
        """Begins what `publish` does."""
        by_task(self.publish(topic, key, value, headers, no_retry=no_retry), settled)

    def why_not(self) -> str:
        """Returns nothing: there is never a reason."""
        return ""

    def note(self) -> str:
        """Returns nothing: there is nothing to report."""
        return ""


async def main(bootstrap: str, port: int) -> None:
    """Serves for ever."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=_LINGER_MS)
    await producer.start()
    app = create_app(Settings(), VENDORS, HastyPublisher(producer), Registry(), lambda: datetime.now(UTC))
    runner = web.AppRunner(app, **SERVER_OPTIONS)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
