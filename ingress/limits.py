"""Reads a body within its bounds: size, time, and the memory that all bodies in hand may take together.

The bytes are given as they were sent: whoever serves this must have switched off aiohttp's own decompression.
"""

import asyncio
from typing import Final

from aiohttp import StreamReader, web

from schemas.errors import Rejected, Unavailable

HIGH_WATER: Final = 0.8
"""The share of the room that is for all; the rest is for bodies that nobody brings again."""


class BodyReader:
    """Reads bodies; one for all requests of a process."""

    def __init__(self, *, cap_bytes: int, within_s: float, room_bytes: int) -> None:
        """`room_bytes` bounds what all unfinished bodies hold together."""
        self._cap_bytes = cap_bytes
        self._within_s = within_s
        self._room_bytes = room_bytes
        self._held_bytes = 0

    async def read(self, content: StreamReader, declared_bytes: int | None, *, once_only: bool = False) -> bytes:
        """The whole body; raises Rejected 400, 408, 413, and Unavailable `buffer_full`, for `once_only` ones last."""
        if declared_bytes is not None and declared_bytes > self._cap_bytes:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self._within_s):
                while chunk := await content.readany():
                    self._hold(len(chunk), once_only=once_only)
                    body += chunk
                    if len(body) > self._cap_bytes:
                        raise self._too_large()
        except TimeoutError as exc:
            raise Rejected(
                f"the body did not end within {self._within_s:g} s", code="timeout", http_status=408
            ) from exc
        except (web.RequestPayloadError, ConnectionError) as exc:
            raise Rejected(
                "the body broke off or is not framed as it says", code="bad_request", http_status=400
            ) from exc
        finally:
            self._held_bytes -= len(body)
        return bytes(body)

    def _hold(self, size: int, *, once_only: bool) -> None:
        if self._held_bytes + size > self._room_bytes * (1.0 if once_only else HIGH_WATER):
            raise Unavailable(f"{self._held_bytes} bytes of unfinished bodies are held", code="buffer_full")
        self._held_bytes += size

    def _too_large(self) -> Rejected:
        return Rejected(f"a body of at most {self._cap_bytes} bytes is taken", code="too_large", http_status=413)
