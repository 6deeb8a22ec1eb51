"""A caller that says any bytes, and a publisher that takes its time; tests of connections share them."""

import asyncio
import contextlib

from schemas.raw import Headers
from tests.support.http.memory_publisher import MemoryPublisher

_PAUSE_S = 0.01


class Waiting(MemoryPublisher):
    """Holds every body until `go_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        self.begun += 1
        await self.go_on.wait()
        await super().publish(topic, key, value, headers, no_retry=no_retry)


async def said(port: int, *words: bytes, answers: int = 1) -> bytes:
    """Returns all responses to words with pauses between them, up to `answers` or the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    try:
        async with asyncio.timeout(20):
            for part in words:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(_PAUSE_S)
            while heard.count(b"HTTP/1.") < answers and (data := await reader.read(1 << 16)):
                heard += data
    except ConnectionError:
        return heard
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return heard
