"""Stopping the sink's Kafka clients: each is stopped independently of the others, and in bounded time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.errors import KafkaConnectionError

from sinks.consumer import stop_all


async def done() -> None:
    """A client that stops."""


async def escaped() -> None:
    """A consumer of aiokafka whose own fetch is cancelled while Kafka is away."""
    raise asyncio.CancelledError


async def away() -> None:
    raise KafkaConnectionError


async def hanging() -> None:
    await asyncio.Event().wait()


class Client:
    """A client that counts its stops."""

    def __init__(self, stop: Callable[[], Awaitable[None]]) -> None:
        self._stop = stop
        self.asked = 0

    async def stop(self) -> None:
        self.asked += 1
        await self._stop()


@pytest.mark.parametrize(
    ("first", "logged"),
    [
        pytest.param(done, [], id="in order"),
        pytest.param(escaped, ["CancelledError"], id="a cancellation that is not ours"),
        pytest.param(away, ["KafkaConnectionError"], id="Kafka is away"),
        pytest.param(hanging, ["CancelledError"], id="it hangs"),
    ],
)
async def test_every_client_is_stopped(
    first: Callable[[], Awaitable[None]], logged: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    clients = [Client(first), Client(done)]

    await asyncio.wait_for(stop_all(*clients, within_s=0.05), 60)

    assert [client.asked for client in clients] == [1, 1]
    assert [record.args[0] for record in caplog.records if isinstance(record.args, tuple)] == logged


async def test_a_cancellation_of_ours_is_not_swallowed() -> None:
    stopping = asyncio.create_task(stop_all(Client(hanging)))
    await asyncio.sleep(0)
    stopping.cancel()

    with pytest.raises(asyncio.CancelledError):
        await stopping
