"""A connection that hands over pushes as soon as aiohttp's parser has read them, and answers them itself.

The tasks, the request and the response that aiohttp makes for each take as long as all that is done with a push. What
comes whole and is plain, as nearly all pushes are, needs none of them. Whatever is odd, or of which more is to be read,
goes aiohttp's way. It uses attributes of aiohttp's handler that are not public; `tests/contract` holds them.
"""

import asyncio
from typing import Any, cast

from aiohttp import HttpVersion11, StreamReader
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from ingress.http.handlers import WholePush
from ingress.http.responses import Answer


class WholePushHandler(RequestHandler):
    """A connection with at most one push under way that aiohttp does not handle."""

    __slots__ = ("_behind", "_certificate", "_is_last", "_sender", "_under_way")

    def __init__(self, manager: Any, **options: Any) -> None:
        super().__init__(manager, **options)
        self._under_way = False
        """True from the end of a whole push to its answer."""
        self._is_last = False
        """True when its sender wants the connection to end with the answer."""
        self._behind = b""
        """The bytes that came behind it; they are read after its answer."""
        self._sender: str | None = None
        self._certificate: Any = None

    def read(self, data: bytes) -> WholePush | None:
        """Lets aiohttp parse, and returns the whole push that these bytes end; for any other request it is woken."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            RequestHandler.data_received(self, data)
            return None
        self._waiter = None  # so that it is not woken yet
        try:
            RequestHandler.data_received(self, data)
        finally:
            self._waiter = waiter
        if not self._messages:
            return None
        message, payload = self._messages[0]
        if (
            len(self._messages) > 1
            or not isinstance(message, RawRequestMessage)
            or not _is_whole_push(message, payload)
            or self._parser is None
        ):
            if not waiter.done():
                waiter.set_result(None)
            return None
        self._messages.clear()
        self._parser.message_consumed()
        if self._sender is None:
            self._sender = _address(self.peername)
            self._certificate = cast("asyncio.Transport", self.transport).get_extra_info("peercert")
        self._is_last = message.should_close
        self._under_way = self._request_in_progress = True
        return WholePush(
            message.path, message.url, message.headers, payload.read_nowait(), self._sender, self._certificate
        )

    def respond(self, answer: Answer, *, closes: bool) -> bytes:
        """Answers the push that is under way, where somebody is there; returns the bytes behind it, to be read now.

        The connection ends where its sender, the answer, the server or `closes` says so. Raises ValueError for an
        answer that cannot be written.
        """
        self.let_go()
        transport = self.transport
        if transport is None or transport.is_closing():
            return b""
        closes |= self._is_last or answer.closes or self._close or self._force_close
        transport.write(answer.wire(closes=closes))
        if closes:
            self.close()
            transport.close()
            return b""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        behind, self._behind = self._behind, b""
        if behind:
            transport.resume_reading()
        return behind

    def let_go(self) -> None:
        """Has no push under way any more; whoever ends the connection need not wait for it."""
        self._under_way = self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)

    def hold(self, data: bytes) -> None:
        """Keeps bytes that come behind the push that is under way, and reads no more."""
        self._behind += data
        cast("asyncio.Transport", self.transport).pause_reading()

    def _process_keepalive(self) -> None:
        if self._under_way:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()


def _is_whole_push(message: RawRequestMessage, payload: StreamReader) -> bool:
    """True for a POST whose body has come, and that asks for nothing beside its answer."""
    return (
        message.method == "POST"
        and message.version == HttpVersion11
        and not message.upgrade
        and payload.is_eof()
        and payload.exception() is None
        and message.path.startswith("/")
        and "Expect" not in message.headers
    )


def _address(peername: Any) -> str:
    """Returns the host of a socket's address, as aiohttp's `request.remote` does; "" for none."""
    if isinstance(peername, list | tuple):
        return str(peername[0])
    return str(peername or "")
