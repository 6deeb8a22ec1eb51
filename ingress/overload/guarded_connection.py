"""One connection of aiohttp's, which counts what it brings and may be turned away before it is parsed.

It knows of aiohttp's handler what the handler shows in no public way: whether it waits for a request. It must not know vendors.
"""

import asyncio
import logging
from typing import Any, Final, Protocol, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from ingress.admission import AdmissionControl
from ingress.http.heads import mended
from ingress.http.responses import malformed

LARGEST_HEAD_BYTES: Final = 64 * 1024
"""aiohttp bounds each line and their number, which together are a megabyte: too much for each of many connections."""

PAUSE_S: Final = 0.5
"""Who was turned away and comes back at once is not listened to for this long: else refusing alone would fill the day."""

_log: Final = logging.getLogger("callweave.ingress")


class Gate(Protocol):
    """What a connection asks before it reads on."""

    admission: AdmissionControl

    def refuse(self, data: bytes) -> bytes | None:
        """The answer for a request that there is no room for, counted; None when it goes on."""

    def cut(self, transport: asyncio.Transport, reason: str) -> None:
        """Close a connection, counted."""

    def unreadable(self) -> None:
        """Count what is no request."""


class GuardedHandler(RequestHandler):
    """A connection and what it has in hand."""

    __slots__ = ("_forgetting", "_gate", "_half_a_head", "_held_bytes", "_open_request", "_queued")

    def __init__(self, manager: Any, *, gate: Gate, **options: Any) -> None:
        super().__init__(manager, **options)
        self._gate = gate
        self._half_a_head = False
        self._held_bytes = 0
        self._open_request = False
        """From a head's end to its answer."""
        self._forgetting = False
        """The answer came before the body's end: the rest of it is read and forgotten."""
        self._queued = False

    def data_received(self, data: bytes) -> None:
        """Take bytes: between two requests they can be refused, then they are counted and parsed."""
        if not data or self._force_close or self._close or self._forgets():
            super().data_received(data)
            return
        waits = not self._open_request
        transport = cast("asyncio.Transport", self.transport)
        if waits and not self._half_a_head and not transport.get_write_buffer_size():
            answer = self._gate.refuse(data)
            if answer is not None:
                self._request_count += 1
                self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
                transport.write(answer)
                transport.pause_reading()
                self._loop.call_later(PAUSE_S, self._read_on)
                return
        if waits and not self._half_a_head:
            data = mended(data)
        self._gate.admission.received_bytes += len(data)
        self._held_bytes += len(data)
        if self._gate.admission.bursting:
            self._gate.cut(transport, "no_room")
            return
        before = self._request_count
        super().data_received(data)
        if not waits:
            return
        self._half_a_head = self._request_count == before
        if not self._half_a_head:
            self._begin()
        elif self._held_bytes > LARGEST_HEAD_BYTES:
            self._gate.cut(transport, "large_head")

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # quotes what came, in which a secret may stand
    ) -> web.StreamResponse:
        """Answer what aiohttp could not read, or what our handler never had; nothing of it is logged but the kind of error."""
        self._gate.unreadable()
        kind = type(exc).__name__ if exc else "unknown"
        _log.log(
            logging.ERROR if status >= 500 else logging.INFO,
            "no request could be read: status=%d error=%s",
            status,
            kind,
        )
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        return malformed(status, kind)

    def _read_on(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def taken_up(self) -> None:
        """The request that waited has its turn."""
        if self._queued:
            self._queued = False
            self._gate.admission.queued -= 1

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go of what only the connection held; a request that has its turn ends by itself."""
        if self._current_request is None:
            self.taken_up()
            self._free()
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Answer, and let go of the request."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._free()
            self._forgetting = not request.content.is_eof()
            if self._messages:  # the next one came with this one
                self._begin()

    def _forgets(self) -> bool:
        if self._forgetting and self._waiter is not None:  # it waits again: the rest has come
            self._forgetting = False
        return self._forgetting

    def _begin(self) -> None:
        self._open_request = True
        if self._messages and self._messages[0][1].is_eof():  # whole: nothing but its turn is missing
            self._queued = True
            self._gate.admission.queued += 1

    def _free(self) -> None:
        self._gate.admission.received_bytes -= self._held_bytes
        self._held_bytes = 0
        self._open_request = False
