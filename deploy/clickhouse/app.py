"""ClickHouse's HTTP protocol on aiohttp: reads requests, hands them to worker threads, sends what comes back."""

import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import IO, Any, Final

import msgspec
from aiohttp import BodyPartReader, web

from deploy.clickhouse.bodies import compressed
from deploy.clickhouse.engine import Engine
from deploy.clickhouse.reply import QueryFailed, content_type, exception_block, failed, summary
from deploy.clickhouse.request import Query, read_request
from deploy.clickhouse.run import Run
from deploy.clickhouse.sessions import Sessions
from deploy.clickhouse.users import DEFAULT_USERS, User, authenticate

_MEMORY_BYTES: Final = 8 << 20
"""Bodies and answers above this go through a temporary file."""
_FIRST_BYTES: Final = 1 << 20
"""An answer is held back until it has this much, so that an early failure still has its own status."""
_PIECE_BYTES: Final = 1 << 18
_SEND_LIMIT_S: Final = 300.0
"""A client that takes nothing for so long loses its answer, and its thread is free again."""
_DRAIN_S: Final = 2.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one request may take."""

    body_bytes: int = 4 << 30
    """As sent, before it is inflated."""
    threads: int = 32
    """Queries at the same time; more wait."""


class Server:
    """The state behind the handlers."""

    def __init__(self, engine: Engine, *, name: str, users: Mapping[str, User] = DEFAULT_USERS, limits: Limits) -> None:
        self.engine = engine
        self._name = name
        self._users = users
        self._limits = limits
        self._sessions = Sessions(engine)
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="query")
        self._running: set[Future[web.StreamResponse]] = set()

    def close(self) -> bool:
        """Gives the engine's connections back; False when a query would not end within a few seconds."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if wait(self._running, timeout=_DRAIN_S).not_done:
            return False
        self._sessions.close()
        return True

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(handler_args={"auto_decompress": False})
        app.router.add_get("/ping", _ok)
        app.router.add_get("/replicas_status", _ok)
        app.router.add_route("*", "/", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD", "POST", "PUT"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD, POST, PUT"})
        if _from_another_site(request):
            return web.Response(status=403, text="Requests from other sites' pages are not answered.\n")
        if request.method in ("GET", "HEAD") and not request.query:
            return await _ok(request)
        name, user = authenticate(self._users, request.headers, request.query)
        query_id = request.query.get("query_id", "")
        try:
            if user is None:
                text = f"{name}: Authentication failed: password is incorrect, or there is no user with such name"
                raise failed(516, "AUTHENTICATION_FAILED", text, self.engine.version)
            async with self._body(request) as body:
                query = await self._read(request, user)
                query_id = query.query_id
                run = Run(self.engine, self._sessions, query, user=name, body=_file_pieces(body))
                answer = _Answer(request, run, self._headers(query_id), asyncio.get_running_loop())
                return await self._in_thread(answer)
        except QueryFailed as exc:
            return self._failure(exc, query_id)

    async def _in_thread(self, answer: "_Answer") -> web.StreamResponse:
        running = self._pool.submit(answer.send)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.wrap_future(running)

    def _failure(self, failure: QueryFailed, query_id: str) -> web.Response:
        headers = {**self._headers(query_id), "X-ClickHouse-Exception-Code": str(failure.code)}
        response = web.Response(status=failure.status, text=failure.text + "\n", headers=headers)
        if failure.status == 413:
            response.force_close()  # the rest of the body was not read
        return response

    def _headers(self, query_id: str) -> dict[str, str]:
        return {
            "X-ClickHouse-Server-Display-Name": self._name,
            "X-ClickHouse-Timezone": self.engine.timezone,
            "X-ClickHouse-Query-Id": query_id,
        }

    @contextlib.asynccontextmanager
    async def _body(self, request: web.Request) -> AsyncIterator[IO[bytes]]:
        with tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as file:
            if not request.content_type.startswith("multipart/"):
                size = 0
                async for piece in request.content.iter_chunked(_PIECE_BYTES):
                    size += len(piece)
                    if size > self._limits.body_bytes:
                        text = f"The body has more than {self._limits.body_bytes} bytes"
                        raise failed(307, "TOO_MANY_BYTES", text, self.engine.version)
                    file.write(piece)
                file.seek(0)
            yield file

    async def _read(self, request: web.Request, user: User) -> Query:
        form: dict[str, str] = {}
        files: dict[str, bytes] = {}
        try:
            if request.content_type == "multipart/form-data":
                await self._read_form(request, form, files)
            return read_request(
                request.method, request.query, request.headers, user_readonly=user.readonly, form=form, files=files
            )
        except ValueError as exc:
            raise failed(36, "BAD_ARGUMENTS", str(exc), self.engine.version) from exc

    async def _read_form(self, request: web.Request, form: dict[str, str], files: dict[str, bytes]) -> None:
        left = self._limits.body_bytes
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                continue
            value = bytearray()
            while piece := await part.read_chunk():
                value += piece
                left -= len(piece)
                if left < 0:
                    text = f"The body has more than {self._limits.body_bytes} bytes"
                    raise failed(307, "TOO_MANY_BYTES", text, self.engine.version)
            if part.filename is None:
                form[part.name] = value.decode()
            else:
                files[part.name] = bytes(value)


class _Answer:
    """Sends one answer from a worker thread: whole when it is short, piece by piece when it is long."""

    def __init__(
        self, request: web.Request, run: Run, headers: dict[str, str], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._request = request
        self._run = run
        self._headers = headers
        self._loop = loop
        self._began_ns = time.monotonic_ns()

    def send(self) -> web.StreamResponse:
        """Runs the query to its end; raises QueryFailed while nothing was sent yet."""
        pieces = self._run.pieces()
        with contextlib.closing(pieces), tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as held:
            complete = self._hold(pieces, held)
            size = held.tell()
            held.seek(0)
            if complete and size <= _FIRST_BYTES:
                return self._short(held.read())
            return self._long(held, pieces)

    def _hold(self, pieces: Iterator[bytes], held: IO[bytes]) -> bool:
        size = 0
        for piece in pieces:
            size += held.write(piece)
            if size > _FIRST_BYTES and not self._run.query.wait_end:
                return False
        return True

    def _short(self, data: bytes) -> web.Response:
        encoding = self._run.query.answer_encoding if data else None
        headers = self._all_headers(encoding)
        return web.Response(body=b"".join(compressed([data], encoding)), headers=headers)

    def _long(self, held: IO[bytes], pieces: Iterator[bytes]) -> web.StreamResponse:
        encoding = self._run.query.answer_encoding
        tag = secrets.token_hex(8)
        headers = {**self._all_headers(encoding), "X-ClickHouse-Exception-Tag": tag}
        response = web.StreamResponse(headers=headers)
        self._wait(response.prepare(self._request))
        if self._request.method != "HEAD":
            for piece in compressed(_with_late_failure(_file_pieces(held), pieces, tag), encoding):
                self._wait(response.write(piece))
        self._wait(response.write_eof())
        return response

    def _all_headers(self, encoding: str | None) -> dict[str, str]:
        headers = {**self._headers, "Content-Type": content_type(self._run.format or "")}
        if self._run.format is not None:
            headers["X-ClickHouse-Format"] = self._run.format
        if encoding is not None:
            headers["Content-Encoding"] = encoding
        elapsed_ns = time.monotonic_ns() - self._began_ns
        headers["X-ClickHouse-Summary"] = summary(self._run.counts, elapsed_ns)
        return headers

    def _wait(self, sending: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(sending, self._loop).result(_SEND_LIMIT_S)


def _with_late_failure(held: Iterable[bytes], rest: Iterator[bytes], tag: str) -> Iterator[bytes]:
    yield from held
    try:
        yield from rest
    except QueryFailed as exc:
        yield exception_block(exc.text, tag)


def _file_pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece


def _from_another_site(request: web.Request) -> bool:
    # A page in a browser on this machine can POST to a port of it without asking anybody; no tool of ours is such a page.
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2] != request.host


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="Ok.\n", content_type="text/html")
