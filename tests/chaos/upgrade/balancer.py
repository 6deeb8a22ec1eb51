"""A load balancer for TCP: each connection goes to the next of the backends that are in."""

import asyncio
import contextlib
import itertools
from typing import Final, Self

_CHUNK: Final = 65_536


class Balancer:
    """Listens on a port of this machine; a backend that is taken out keeps the connections that it has."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._backends: list[int] = []
        self._turn = itertools.count()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def put_in(self, port: int) -> None:
        """Sends new connections to the backend too."""
        self._backends.append(port)

    def take_out(self, port: int) -> None:
        """Sends no new connections to the backend."""
        self._backends.remove(port)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError), contextlib.closing(writer):
            there, back = await asyncio.open_connection("127.0.0.1", self._next())
            with contextlib.closing(back):
                ways = (asyncio.create_task(_pipe(reader, back)), asyncio.create_task(_pipe(there, writer)))
                try:
                    await asyncio.gather(*ways)
                finally:
                    for way in ways:
                        way.cancel()

    def _next(self) -> int:
        return self._backends[next(self._turn) % len(self._backends)]


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies until the end, and passes the end on."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
