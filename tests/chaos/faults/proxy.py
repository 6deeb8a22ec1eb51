"""The network between two parts, as TCP proxies that can be cut, held, slowed down and mended."""

import asyncio
from typing import Final, Self

_CHUNK_BYTES: Final = 64 * 1024


class Link:
    """Every connection between two parts; one proxy for each address of the other side."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.WriteTransport] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._cut = False
        self._delay_s = 0.0
        self.refused = 0
        """The number of connections that came while it was cut."""

    async def join(self, *, port: int, to: int) -> None:
        """Listens on `port` and passes connections on to port `to`."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            self._connections.add(task)
            try:
                await self._connect(reader, writer, to)
            except asyncio.CancelledError:
                return  # by `close`: the server's callback would report it as a failure
            finally:
                self._connections.discard(task)

        self._servers.append(await asyncio.start_server(connected, "127.0.0.1", port))

    def cut(self) -> None:
        """Aborts all connections and refuses new ones."""
        self._cut = True
        for transport in list(self._transports):
            transport.abort()

    def hold(self) -> None:
        """Keeps connections and lets nothing pass, as a network does that drops every packet."""
        self._flowing.clear()

    def slow(self, delay_s: float) -> None:
        """Passes everything on after a delay."""
        self._delay_s = delay_s

    def mend(self) -> None:
        """Restores the network; data that was held is passed on."""
        self._cut, self._delay_s = False, 0.0
        self._flowing.set()

    async def close(self) -> None:
        """Closes all connections and ports."""
        for server in self._servers:
            server.close()
        self.cut()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: int) -> None:
        if self._cut:
            self.refused += 1
            writer.transport.abort()
            return
        ends = [writer.transport]
        self._transports.add(writer.transport)
        try:
            await self._flowing.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
            ends.append(far_writer.transport)
            self._transports.add(far_writer.transport)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except OSError:
            pass  # either side went away, or is not there: the other side is closed below
        finally:
            for end in ends:
                end.abort()
                self._transports.discard(end)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
