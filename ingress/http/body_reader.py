"""Reads a body within its bounds: size, time, and the memory that the process may hold.

Bytes are returned as they were sent: the server must have switched off aiohttp's own decompression.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from aiohttp import StreamReader, web

from ingress.admission import AdmissionControl
from schemas.errors import Rejected


class BodyReader:
    """Reads bodies; one reader serves all requests of a process."""

    def __init__(self, *, cap_bytes: int, within_s: float, admission: AdmissionControl) -> None:
        self._cap_bytes = cap_bytes
        self._within_s = within_s
        self._admission = admission

    async def read(
        self,
        content: StreamReader,
        declared_bytes: int | None,
        *,
        no_retry: bool = False,
        invite: Callable[[], Awaitable[None]] | None = None,
    ) -> bytes:
        """Returns the whole body; raises Rejected 400, 408, 413, and Unavailable `overload` or `buffer_full`.

        Bodies with `no_retry` are refused last, because their sender does not send them again. `invite` is called when
        the body is wanted, after everything that can refuse it unread.
        """
        if declared_bytes is not None and declared_bytes > self._cap_bytes:
            raise self._too_large()
        self._admission.require_turn(no_retry=no_retry)
        try:
            # Most bodies come with their head: there is nothing to wait for, and a timer would cost more than reading.
            async with contextlib.nullcontext() if content.is_eof() else asyncio.timeout(self._within_s):
                if invite is not None:
                    await invite()
                return await self._whole(content, no_retry=no_retry)
        except TimeoutError as exc:
            raise Rejected(
                f"the body did not end within {self._within_s:g} s", code="timeout", http_status=408
            ) from exc
        except (web.RequestPayloadError, OSError) as exc:  # of the connection, or of its TLS
            raise broken_off() from exc

    async def _whole(self, content: StreamReader, *, no_retry: bool) -> bytes:
        chunks: list[bytes] = []
        size_bytes = 0
        while chunk := await content.readany():
            chunks.append(chunk)
            size_bytes += len(chunk)
            if size_bytes > self._cap_bytes:
                raise self._too_large()
            self._admission.require_bytes(no_retry=no_retry)
        return b"".join(chunks)

    def take(self, body: bytes, *, no_retry: bool = False) -> None:
        """Takes a body that came with its head; raises as `read` does."""
        if len(body) > self._cap_bytes:
            raise self._too_large()
        self._admission.require_turn(no_retry=no_retry)

    def read_query(self, query: str, *, no_retry: bool = False) -> bytes:
        """Returns the query string of a GET as its body; raises as `read` does."""
        self._admission.require_turn(no_retry=no_retry)
        body = query.encode("utf-8", "surrogateescape")
        if len(body) > self._cap_bytes:
            raise self._too_large()
        return body

    def _too_large(self) -> Rejected:
        return Rejected(f"a body of at most {self._cap_bytes} bytes is taken", code="too_large", http_status=413)


def broken_off() -> Rejected:
    """Returns the refusal of a body of which the rest does not come."""
    return Rejected("the body broke off or is not framed as it says", code="bad_request", http_status=400)
