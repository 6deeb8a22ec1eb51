"""Guarded connection: an aiohttp connection that counts the bytes it brings and can refuse them before they are parsed.

It uses attributes of aiohttp's handler that are not public, such as whether it waits for a request; `tests/contract`
holds them. It must not know vendors.
"""

import asyncio
import logging
from typing import Any, Final, Protocol, cast

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from ingress.admission import AdmissionControl
from ingress.http.handlers import WholePush
from ingress.http.heads import mended
from ingress.http.responses import SERVER_NAME, Answer, malformed
from ingress.overload.whole_pushes import WholePushHandler

LARGEST_HEAD_BYTES: Final = 64 * 1024
"""aiohttp bounds each line and their number, which together allow a megabyte: too much for each of many connections."""

PAUSE_S: Final = 0.5
"""Pause in reading after a refusal: a sender that repeats at once would otherwise keep the process busy with refusing
alone."""

_log: Final = logging.getLogger("callweave.ingress")


class Gate(Protocol):
    """The decisions that a connection asks for before it reads further."""

    admission: AdmissionControl
    takes_whole: bool
    """True where whole pushes are taken (`take`)."""
    leaving: asyncio.Event
    """Set when each answer ends its connection."""

    def take(self, push: WholePush, connection: "GuardedHandler") -> None:
        """Takes a whole push in its turn, and answers the connection (`begin_turn`, `answer`)."""

    def lose(self, push: WholePush) -> None:
        """Counts a push whose sender left before the end of its body."""

    def refuse(self, data: bytes) -> bytes | None:
        """Returns the response of a request that there is no room for, counted; None when it may go on."""

    def cut(self, transport: asyncio.Transport, reason: str) -> None:
        """Closes a connection and counts it."""

    def unreadable(self) -> None:
        """Counts bytes that are no request."""

    def broke(self) -> None:
        """Counts a connection that is closed because its bytes went wrong behind the head of a request."""


class GuardedHandler(WholePushHandler):
    """A connection, and the bytes and requests that it holds."""

    __slots__ = (
        "_discarding", "_gate", "_half_a_head", "_held_bytes", "_named", "_open_request", "_queued",
    )  # fmt: skip

    def __init__(self, manager: Any, *, gate: Gate, peer: tuple[str, int] | None = None, **options: Any) -> None:
        """`peer` is the sender where a PROXY header named one: the connection itself comes from the proxy."""
        super().__init__(manager, **options)
        self._gate = gate
        self._named = peer
        self._half_a_head = False
        self._held_bytes = 0
        self._open_request = False
        """True from the end of a request's head to its response."""
        self._discarding = False
        """True when the response came before the body's end: the rest of the body is read and discarded."""
        self._queued = False

    def data_received(self, data: bytes) -> None:
        """Takes bytes: between two requests they can be refused, otherwise they are counted and parsed."""
        if not data or self._force_close or self._close or self._discards():
            super().data_received(data)
            return
        waits = not self._open_request
        transport = cast("asyncio.Transport", self.transport)
        if self._under_way:
            self._gate.admission.received_bytes += len(data)
            self.hold(data)
            return
        if waits and not self._half_a_head and not transport.get_write_buffer_size():
            response = self._gate.refuse(data)
            if response is not None:
                self._request_count += 1
                self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
                transport.write(response)
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
        if not self._gate.takes_whole or not (waits or self.awaits_rest):
            super().data_received(data)
        elif (push := self.read(data)) is not None:
            self._half_a_head = False
            self._open_request = self._queued = True
            self._gate.admission.queued += 1
            self._gate.take(push, self)
            return
        if waits:
            self._count_head(before)

    def _count_head(self, before: int) -> None:
        """Counts a request whose head has ended, and cuts a connection whose head is too large."""
        self._half_a_head = self._request_count == before
        if not self._half_a_head:
            self._begin()
        elif self._held_bytes > LARGEST_HEAD_BYTES:
            self._gate.cut(cast("asyncio.Transport", self.transport), "large_head")

    def begin_turn(self) -> None:
        """Counts a whole push as being handled, whether or not its sender has gone: it may be one that calls once."""
        self._leave_queue()

    def answer(self, answer: Answer) -> None:
        """Answers the whole push that was taken, and reads on; what fails in it ends this connection alone."""
        self._free()
        try:
            if behind := self.respond(answer, closes=self._gate.leaving.is_set()):
                self._gate.admission.received_bytes -= len(behind)
                self.data_received(behind)
        except Exception as exc:  # noqa: BLE001  # whoever answers has others to answer
            self.fail(exc)

    def fail(self, error: Exception) -> None:
        """Ends the connection after an error of ours, and counts it."""
        self.log_exception(exc_info=error)
        self.let_go()
        self._free()
        if self.transport is not None:
            self.transport.abort()

    @property
    def peername(self) -> Any:
        """The address of the sender."""
        return self._named or super().peername

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ARG002  # the text quotes nothing that we want
        """Counts what aiohttp would log with a traceback that quotes the request, in which a secret may stand.

        An error that its parser did not raise is one of ours, and its type is logged.
        """
        self._gate.broke()
        exc_info = kw.get("exc_info")
        if not isinstance(exc_info, web.RequestPayloadError | HttpProcessingError):
            kind = type(exc_info).__name__ if exc_info is not None else "unknown"
            _log.error("a connection ended in an unknown way: error=%s", kind)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # quotes the request, in which a secret may stand
    ) -> web.StreamResponse:
        """Answers bytes that aiohttp could not read, or our handler never saw; only the kind of error is logged.

        Raises ConnectionError, which ends the connection, where nobody can be answered.
        """
        if isinstance(exc, ConnectionError) and (self.transport is None or self.transport.is_closing()):
            # aiohttp said `100 Continue` to a caller who had gone, for an address that is none of our routes.
            self._free()
            raise exc
        self._gate.unreadable()
        kind = type(exc).__name__ if exc else "unknown"
        _log.log(
            logging.ERROR if status >= 500 else logging.INFO,
            "no request could be read: status=%d error=%s",
            status,
            kind,
        )
        if request.writer.output_size > 0:
            raise ConnectionError("a response was begun already")
        return malformed(status, kind).response()

    def _read_on(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def start_handling(self, body: StreamReader) -> None:
        """Counts the waiting request as being handled; its unfinished body breaks off where the connection has gone."""
        self._leave_queue()
        if not self.connected and not body.is_eof():
            # aiohttp tells its end to the request that is being handled, and this one was only about to be.
            body.set_exception(ConnectionResetError("the connection is gone"))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Releases what only the connection held; a request that is being handled ends by itself."""
        if (push := self.unfinished()) is not None:
            self._gate.lose(push)
        self._gate.admission.received_bytes -= len(self._behind)
        self._behind = b""
        if self._current_request is None and not self._under_way:
            self._leave_queue()
            self._free()
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Sends the response and releases the request."""
        resp.headers.setdefault("Server", SERVER_NAME)
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._leave_queue()  # aiohttp's answer to bytes that are no request passes by `start_handling`
            self._free()
            self._discarding = not request.content.is_eof()
            if self._messages and not self._force_close:  # the next request came with this one, and will be handled
                self._begin()

    def _discards(self) -> bool:
        if self._discarding and self._waiter is not None:  # it waits for a request again: the rest has come
            self._discarding = False
        return self._discarding

    def _leave_queue(self) -> None:
        if self._queued:
            self._queued = False
            self._gate.admission.queued -= 1

    def _begin(self) -> None:
        self._open_request = True
        if self._messages and self._messages[0][1].is_eof():  # the request is complete and only waits its turn
            self._queued = True
            self._gate.admission.queued += 1

    def _free(self) -> None:
        self._gate.admission.received_bytes -= self._held_bytes
        self._held_bytes = 0
        self._open_request = False
