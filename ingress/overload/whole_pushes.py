"""A connection that hands over pushes as soon as aiohttp's parser has read them, and answers them itself.

The tasks, the request and the response that aiohttp makes for each take as long as all that is done with a push. What
comes whole and is plain, as nearly all pushes are, needs none of them; many senders write the head and the body one
behind the other, so the end of a body is waited for a moment. Whatever is odd, or comes more slowly, goes aiohttp's
way. It uses attributes of aiohttp's handler that are not public; `tests/contract` holds them.
"""

import asyncio
from typing import Any, Final, cast

from aiohttp import HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from ingress.http.handlers import WholePush
from ingress.http.responses import Answer

MOMENT_S: Final = 0.1
"""Time for the rest of a body. A sender's system may keep it back until the head is acknowledged, after 0.04 s."""
_MOST_BYTES: Final = 1 << 16
"""Bytes of a body that is waited for: of a larger one aiohttp reads a part, and the next one once that is taken."""


class WholePushHandler(RequestHandler):
    """A connection with at most one push under way that aiohttp does not handle."""

    __slots__ = ("_behind", "_certificate", "_is_last", "_patience", "_sender", "_under_way")

    def __init__(self, manager: Any, **options: Any) -> None:
        super().__init__(manager, **options)
        self._under_way = False
        """True from the end of a whole push to its answer."""
        self._is_last = False
        """True when its sender wants the connection to end with the answer."""
        self._behind = b""
        """The bytes that came behind it; they are read after its answer."""
        self._patience: asyncio.TimerHandle | None = None
        """Ends the wait for the rest of a body; None while nobody waits for one."""
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
            or not _is_plain_push(message)
            or payload.exception() is not None
            or self._parser is None
        ):
            self.give_up()
            return None
        if not payload.is_eof():
            if not 0 < int(message.headers.get("Content-Length", 0)) <= _MOST_BYTES:
                self.give_up()
            elif self._patience is None:
                self._patience = self._loop.call_later(MOMENT_S, self.give_up)
            return None
        self._end_patience()
        self._messages.clear()
        self._parser.message_consumed()
        self._is_last = message.should_close
        self._under_way = self._request_in_progress = True
        return self._push(message, payload.read_nowait())

    def _push(self, message: RawRequestMessage, body: bytes) -> WholePush:
        if self._sender is None:
            self._sender = _address(self.peername)
            self._certificate = cast("asyncio.Transport", self.transport).get_extra_info("peercert")
        return WholePush(message.path, message.url, message.headers, body, self._sender, self._certificate)

    @property
    def awaits_rest(self) -> bool:
        """True while the rest of a body is waited for."""
        return self._patience is not None

    def unfinished(self) -> WholePush | None:
        """Returns the push whose rest was waited for, without a body, once its sender has gone; None without one."""
        if self._patience is None:
            return None
        self._end_patience()
        message = self._messages.popleft()[0]
        return self._push(message, b"") if isinstance(message, RawRequestMessage) else None

    def give_up(self) -> None:
        """Leaves the request that was read, or as much of it as came, to aiohttp."""
        self._end_patience()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

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
        if self._under_way or self._patience is not None:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()


def _is_plain_push(message: RawRequestMessage) -> bool:
    """True for a POST that asks for nothing beside its answer."""
    return (
        message.method == "POST"
        and message.version == HttpVersion11
        and not message.upgrade
        and message.path.startswith("/")
        and "Expect" not in message.headers
    )


def _address(peername: Any) -> str:
    """Returns the host of a socket's address, as aiohttp's `request.remote` does; "" for none."""
    if isinstance(peername, list | tuple):
        return str(peername[0])
    return str(peername or "")
