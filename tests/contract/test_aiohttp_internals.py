"""The private parts of aiohttp that the guarded connection relies on: a release that moves one fails here.

Where something differs, read the new source, mend `guarded_connection.py`, `whole_pushes.py` or `server.py` of
`ingress/overload`, run their tests, and only then change the tables.
"""

import ast
import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.http_writer import StreamWriter
from aiohttp.web_protocol import RequestHandler

from ingress.overload.guarded_connection import GuardedHandler
from ingress.overload.server import BoundedRunner, BoundedServer
from ingress.overload.whole_pushes import WholePushHandler

OVERLOAD = Path(__file__).parents[2] / "ingress" / "overload"
REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
HANDLER_ATTRIBUTES = {
    "_close", "_current_request", "_force_close", "_keepalive_timeout", "_loop", "_messages", "_next_keepalive_close_time",
    "_request_count", "_waiter",
}  # fmt: skip
WHOLE_PUSH_ATTRIBUTES = {
    "_close", "_force_close", "_handler_waiter", "_keepalive_timeout", "_loop", "_messages", "_next_keepalive_close_time",
    "_parser", "_request_in_progress", "_waiter",
}  # fmt: skip
SERVER_ATTRIBUTES = {"_connections", "_kwargs", "_loop"}


def test_the_version_read_and_tried() -> None:
    assert version("aiohttp") == "3.14.5"


def parameters(function: Callable[..., object]) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("stock", "ours", "name", "expected"),
    [
        (RequestHandler, GuardedHandler, "data_received", ["self", "data"]),
        (RequestHandler, GuardedHandler, "handle_error", ["self", "request", "status", "exc", "message"]),
        (RequestHandler, GuardedHandler, "log_exception", ["self", "args", "kw"]),
        (RequestHandler, GuardedHandler, "connection_lost", ["self", "exc"]),
        (RequestHandler, GuardedHandler, "finish_response", ["self", "request", "resp", "start_time"]),
        (RequestHandler, WholePushHandler, "_process_keepalive", ["self"]),
        (web.Server, BoundedServer, "__call__", ["self"]),
        (web.Server, BoundedServer, "connection_made", ["self", "handler", "transport"]),
        (web.Server, BoundedServer, "connection_lost", ["self", "handler", "exc"]),
        (web.AppRunner, BoundedRunner, "_make_server", ["self"]),
        (web.AppRunner, BoundedRunner, "cleanup", ["self"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_overridden(stock: type, ours: type, name: str, expected: list[str]) -> None:
    assert parameters(getattr(stock, name)) == expected
    assert issubclass(ours, stock)
    assert name in vars(ours), f"{name} is not overridden any more: take it off the table"


def test_the_address_of_a_request_is_asked_of_its_connection() -> None:
    """The guarded connection answers with the sender that a PROXY header named."""
    assert isinstance(vars(GuardedHandler)["peername"], property)
    assert "self._transport_peername = protocol.peername" in inspect.getsource(web.BaseRequest.__init__)


def private_names(file: str) -> set[str]:
    """Returns the private attributes that a file of ours uses and does not define itself."""
    tree = ast.parse((OVERLOAD / file).read_text("utf-8"))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used = {name for name in attributes if name.startswith("_") and not name.endswith("__")}
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            own |= {
                target.attr
                for each in ast.walk(node)
                if isinstance(each, ast.Assign | ast.AnnAssign)
                for target in (each.targets if isinstance(each, ast.Assign) else [each.target])
                if isinstance(target, ast.Attribute)
            }
    return used - own


def test_the_tables_name_every_private_attribute_that_is_used() -> None:
    assert private_names("guarded_connection.py") == HANDLER_ATTRIBUTES | {"_under_way", "_behind"}
    assert private_names("whole_pushes.py") == WHOLE_PUSH_ATTRIBUTES
    assert private_names("server.py") == SERVER_ATTRIBUTES | {"_request_count", "_replace"}


async def answer(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="ok")


async def test_every_private_attribute_is_there() -> None:
    server = web.Server(answer, keepalive_timeout=75.0)
    handler = server()
    assert {name for name in HANDLER_ATTRIBUTES | WHOLE_PUSH_ATTRIBUTES if not hasattr(handler, name)} == set()
    assert {name for name in SERVER_ATTRIBUTES if not hasattr(server, name)} == set()
    assert (handler._request_count, handler._close, handler._force_close) == (0, False, False)
    assert (handler._waiter, handler._current_request, list(handler._messages)) == (None, None, [])
    assert (handler._handler_waiter, handler._request_in_progress) == (None, False)
    assert handler._parser is not None
    assert callable(handler._parser.message_consumed)
    assert (handler._loop, handler._keepalive_timeout) == (asyncio.get_running_loop(), 75.0)
    assert (server._connections, server._kwargs, server._loop) == ({}, {"keepalive_timeout": 75.0}, handler._loop)
    assert (server.request_handler, callable(server.request_factory)) == (answer, True)


async def test_a_runner_hands_its_options_to_the_server_that_it_makes() -> None:
    runner = web.AppRunner(web.Application(), keepalive_timeout=5.0, access_log=None)
    await runner.setup()
    try:
        assert isinstance(runner.server, web.Server)
        assert {"keepalive_timeout": 5.0, "access_log": None}.items() <= runner.server._kwargs.items()
        assert runner.server.request_factory != runner.server._make_request
    finally:
        await runner.cleanup()


class Line:
    """A connection to a stock server, seen from both of its ends."""

    def __init__(self, server: web.Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer

    @property
    def handler(self) -> RequestHandler:
        (handler,) = self.server.connections
        return handler

    async def until(self, holds: Callable[[RequestHandler], bool]) -> None:
        async with asyncio.timeout(10):
            while not (self.server.connections and holds(self.handler)):  # noqa: ASYNC110  # aiohttp signals none of it
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def line(
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], **options: Any
) -> AsyncIterator[Line]:
    server = web.Server(handle, access_log=None, **options)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.sockets[0].getsockname()[1])
    try:
        yield Line(server, reader, writer)
    finally:
        writer.transport.abort()
        listener.close()
        await server.shutdown(1.0)


async def test_the_count_of_requests_grows_with_each_head_that_is_whole_or_cannot_be_read() -> None:
    async with line(answer) as one:
        await one.until(lambda handler: handler._waiter is not None)
        one.handler.data_received(REQUEST[:20])
        assert one.handler._request_count == 0
        one.handler.data_received(REQUEST[20:])
        assert one.handler._request_count == 1
        await one.until(lambda handler: handler._waiter is not None)
        one.handler.data_received(b"no HTTP\r\n\r\n")
        assert one.handler._request_count == 2


async def test_a_parsed_request_lies_in_the_queue_with_a_body_that_says_whether_it_is_whole() -> None:
    async with line(answer) as one:
        await one.until(lambda handler: handler._waiter is not None)
        one.handler.data_received(REQUEST + REQUEST[:-1])
        (_, whole), (_, half) = one.handler._messages
        assert (whole.is_eof(), half.is_eof()) == (True, False)


async def test_a_request_that_comes_while_nobody_is_to_be_woken_lies_in_the_queue_until_somebody_is() -> None:
    """A whole push is taken from the queue before the task that would handle it hears of it."""
    async with line(answer) as one:
        await one.until(lambda handler: handler._waiter is not None)
        handler = one.handler
        waiter, handler._waiter = handler._waiter, None
        handler.data_received(REQUEST)
        handler._waiter = waiter
        await asyncio.sleep(0.01)
        assert waiter is not None
        assert (len(handler._messages), waiter.done(), handler._current_request) == (1, False, None)
        waiter.set_result(None)
        assert (await one.reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


async def test_its_end_waits_while_a_request_is_in_progress() -> None:
    async with line(answer) as one:
        await one.until(lambda handler: handler._waiter is not None)
        handler = one.handler
        handler._request_in_progress = True
        ending = asyncio.create_task(handler.shutdown(5.0))
        await asyncio.sleep(0.01)
        assert (ending.done(), handler.transport is not None) == (False, True)
        assert handler._handler_waiter is not None
        handler._handler_waiter.set_result(None)
        handler._request_in_progress = False
        handler.close()
        await ending
        assert handler.transport is None


async def test_it_waits_between_two_requests_and_has_one_while_it_is_handled() -> None:
    going_on = asyncio.Event()

    async def hold(_: web.BaseRequest) -> web.StreamResponse:
        await going_on.wait()
        return web.Response()

    async with line(hold) as one:
        await one.until(lambda handler: handler._waiter is not None and handler._current_request is None)
        one.writer.write(REQUEST)
        await one.until(lambda handler: handler._current_request is not None)
        request = one.handler._current_request
        assert request is not None
        assert (request.protocol, one.handler._waiter) == (one.handler, None)
        going_on.set()
        await one.until(lambda handler: handler._waiter is not None)
        assert one.handler._current_request is None


async def test_a_request_without_a_target_has_no_address_or_the_one_before_it() -> None:
    """`_made` of the server mends it; a release that refuses such a request needs no mending."""
    async with line(answer) as one:
        await one.until(lambda handler: handler._waiter is not None)
        one.handler.data_received(b"CONNECT  \r\nHost: x\r\n\r\n")
        (head,) = [head for head, _ in cast("Iterable[Any]", one.handler._messages)]
        assert (head.path, head.url) == (None, None)
        assert head._replace(path="").path == ""
        one.handler._messages.clear()
    async with line(answer) as one:
        await one.until(lambda handler: handler._waiter is not None)
        one.handler.data_received(REQUEST + b"CONNECT  \r\nHost: x\r\n\r\n")
        _, head = [head for head, _ in cast("Iterable[Any]", one.handler._messages)]
        assert (head.path, str(head.url)) == (None, "/")


async def test_only_the_request_that_is_handled_is_told_of_the_connection_s_end() -> None:
    async with line(answer) as one:
        await one.until(lambda handler: handler._waiter is not None)
        handler = one.handler
        handler.data_received(REQUEST[:-1])
        ((_, body),) = handler._messages
        handler.connection_lost(None)
        assert (handler.connected, body.is_eof(), body.exception()) == (False, False, None)
        handler._messages.clear()


async def test_while_the_rest_of_a_body_is_discarded_it_does_not_wait() -> None:
    async with line(answer, lingering_time=5.0) as one:
        one.writer.write(REQUEST[:-1])
        assert (await one.reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        assert (one.handler._waiter, one.handler._current_request) == (None, None)
        one.writer.write(REQUEST[-1:])
        await one.until(lambda handler: handler._waiter is not None)


async def test_a_response_is_finished_before_the_next_request_leaves_the_queue() -> None:
    queued: list[tuple[bool, int]] = []

    class Watched(RequestHandler):
        __slots__ = ()

        async def finish_response(
            self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
        ) -> tuple[web.StreamResponse, bool]:
            done = await super().finish_response(request, resp, start_time)
            queued.append((request.content.is_eof(), len(self._messages)))
            return done

    class Server(web.Server):
        def __call__(self) -> RequestHandler:
            return Watched(self, loop=self._loop, **self._kwargs)

    server = Server(answer, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.sockets[0].getsockname()[1])
    try:
        writer.write(REQUEST * 3)
        for _ in range(3):
            await reader.readuntil(b"ok")
    finally:
        writer.transport.abort()
        listener.close()
        await server.shutdown(1.0)
    assert queued == [(True, 2), (True, 1), (True, 0)]


@pytest.mark.parametrize("later", [False, True], ids=["as it is", "moved on"])
async def test_an_idle_connection_lives_until_the_time_that_is_set(*, later: bool) -> None:
    async with line(answer, keepalive_timeout=0.2, timeout_ceil_threshold=60) as one:
        await one.until(lambda handler: handler._waiter is not None)
        if later:
            one.handler._next_keepalive_close_time += 60
        try:
            async with asyncio.timeout(1.0):
                closed = await one.reader.read() == b""
        except TimeoutError:
            closed = False
        assert closed is not later


async def test_bytes_that_are_no_request_reach_handle_error_before_anything_is_sent() -> None:
    seen: list[tuple[int, int, bool]] = []

    class Watched(RequestHandler):
        __slots__ = ()

        def handle_error(
            self,
            request: web.BaseRequest,
            status: int = 500,
            exc: BaseException | None = None,
            message: str | None = None,
        ) -> web.StreamResponse:
            seen.append((status, request.writer.output_size, exc is not None))
            return web.Response(status=status)

    loop = asyncio.get_running_loop()
    server = web.Server(answer, access_log=None)
    listener = await loop.create_server(lambda: Watched(server, loop=loop), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.sockets[0].getsockname()[1])
    try:
        writer.write(b"no HTTP\r\n\r\n")
        assert b" 400 " in await reader.readline()
    finally:
        writer.transport.abort()
        listener.close()
        await server.shutdown(1.0)
    assert seen == [(400, 0, True)]


async def test_a_server_knows_the_transport_of_each_connection_until_it_is_lost() -> None:
    async with line(answer) as one:
        await one.until(lambda handler: handler._waiter is not None)
        assert one.server._connections == {one.handler: one.handler.transport}
        one.writer.transport.abort()
        async with asyncio.timeout(10):
            while one.server._connections:  # noqa: ASYNC110  # aiohttp signals none of it
                await asyncio.sleep(0.005)


def test_a_writer_counts_what_was_sent() -> None:
    """After `100 Continue` the handlers set the count back, so that an error can still be answered."""
    assert StreamWriter.output_size == 0
    assert "self.output_size += " in inspect.getsource(StreamWriter._write)
