"""The network that can fail: cut connections end and are refused, held ones wait, and mended ones work as before."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.chaos.faults.ports import steady_ports
from tests.chaos.faults.proxy import Link

LIMIT_S = 20.0


@contextlib.asynccontextmanager
async def echo(port: int) -> AsyncIterator[None]:
    """A server that returns whatever it receives."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while received := await reader.read(1024):
                writer.write(received)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


@pytest.fixture
async def link() -> AsyncIterator[tuple[Link, int]]:
    here, there = steady_ports(2)
    async with echo(there), Link("test") as link:
        await link.join(port=here, to=there)
        yield link, here


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> bytes:
    writer.write(text)
    async with asyncio.timeout(LIMIT_S):
        return await reader.readexactly(len(text))


async def test_what_is_sent_comes_back(link: tuple[Link, int]) -> None:
    ends = await asyncio.open_connection("127.0.0.1", link[1])

    assert await exchange(*ends, b"hello") == b"hello"
    ends[1].close()


async def test_a_cut_ends_connections_and_refuses_new_ones_until_it_is_mended(link: tuple[Link, int]) -> None:
    old = await asyncio.open_connection("127.0.0.1", link[1])
    await exchange(*old, b"hello")

    link[0].cut()
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await exchange(*old, b"still there")
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await exchange(*await asyncio.open_connection("127.0.0.1", link[1]), b"anyone")
    link[0].mend()

    new = await asyncio.open_connection("127.0.0.1", link[1])
    assert await exchange(*new, b"again") == b"again"
    new[1].close()


async def test_what_is_held_arrives_when_it_is_mended(link: tuple[Link, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", link[1])
    await exchange(reader, writer, b"hello")

    link[0].hold()
    answer = asyncio.create_task(exchange(reader, writer, b"later"))
    await asyncio.wait({answer}, timeout=0.2)
    assert not answer.done()
    link[0].mend()

    assert await answer == b"later"
    writer.close()
