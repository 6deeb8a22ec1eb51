"""What dies is started again: after growing pauses, through a full disk, and never past a stop."""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.process import backoff, server_supervisor, supervisor
from deploy.process.backoff import Backoff
from deploy.process.child import Child, spawn
from deploy.process.server_supervisor import SupervisedServer
from deploy.process.supervisor import PartSpec, SupervisedPart
from schemas.errors import CallweaveError, SetupError

LIMIT_S = 30.0
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_S", 0.01)
    monkeypatch.setattr(backoff, "CAP_S", 0.02)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not true():  # noqa: ASYNC110 - another process's state has no event to wait for
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("ran_s", "pauses"),
    [
        pytest.param([0, 0, 0, 0, 0, 0, 0], [0.5, 1, 2, 4, 8, 10, 10], id="it dies of its start: longer and longer"),
        pytest.param([0, 0, 0, 31, 0], [0.5, 1, 2, 0.5, 1], id="it lived: from the beginning"),
    ],
)
def test_the_pauses(ran_s: list[float], pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_S", 0.5)
    monkeypatch.setattr(backoff, "CAP_S", 10.0)
    between = Backoff()

    assert [between.after(seconds) for seconds in ran_s] == pauses


@contextlib.asynccontextmanager
async def part(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *starts: Callable[[SupervisedPart], Any]
) -> AsyncIterator[SupervisedPart]:
    """A part whose starts go like this, one after the other."""
    coming = iter(starts)
    made = SupervisedPart(PartSpec(name="one", arguments=(), grace_s=5.0), folder)

    async def spawned(_argv: object, *, output: Path, env: object) -> Child:
        del env
        command = await next(coming)(made)
        return await spawn(command, output=output)

    monkeypatch.setattr(supervisor, "spawn", spawned)
    await made.start()
    try:
        yield made
    finally:
        async with asyncio.timeout(LIMIT_S):
            await made.stop()


async def dies(_part: SupervisedPart) -> tuple[str, ...]:
    return ("/bin/sh", "-c", "exit 1")


async def wrong_settings(_part: SupervisedPart) -> tuple[str, ...]:
    return ("/bin/sh", "-c", "exit 78")


async def lives(_part: SupervisedPart) -> tuple[str, ...]:
    return ("/bin/sleep", "1000")


async def no_room(_part: SupervisedPart) -> tuple[str, ...]:
    raise FULL


async def test_a_part_that_dies_is_started_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with part(monkeypatch, tmp_path, dies, dies, lives) as one:
        await until(lambda: one.restarts == 2 and one.pid is not None)

    assert one.pid is None


async def test_a_part_that_cannot_be_started_for_now_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with part(monkeypatch, tmp_path, dies, no_room, no_room, lives) as one:
        await until(lambda: one.restarts == 3 and one.pid is not None)


async def test_a_part_with_wrong_settings_is_not_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with part(monkeypatch, tmp_path, wrong_settings) as one:
        await until(lambda: one.given_up)

    assert one.restarts == 0


async def test_a_stop_while_a_part_is_being_started_again_stops_that_one_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else the stop would wait for ever for a process that nobody told to end."""
    stops: list[asyncio.Task[None]] = []

    async def stopped_meanwhile(one: SupervisedPart) -> tuple[str, ...]:
        stops.append(asyncio.create_task(one.stop()))
        await asyncio.sleep(0)  # it begins, and finds the one before
        return await lives(one)

    async with part(monkeypatch, tmp_path, dies, stopped_meanwhile) as one:
        await until(lambda: bool(stops))
        async with asyncio.timeout(LIMIT_S):
            await stops[0]

    assert one.pid is None
    assert one.restarts == 1


class Server:
    """A server whose starts go as told, and that ends when told."""

    def __init__(self, *starts: Exception | None) -> None:
        self._starts = iter(starts)
        self.ends = asyncio.Event()
        self.pid = 7

    async def start(self) -> None:
        self.ends.clear()
        if (failure := next(self._starts)) is not None:
            raise failure

    async def wait(self) -> CallweaveError:
        await self.ends.wait()
        return SetupError("it died")

    async def stop(self) -> None:
        self.ends.clear()


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        pytest.param(SetupError("the port is taken", code="port_in_use"), "the port is taken", id="it says why"),
        pytest.param(FULL, "No space left on device", id="the disk is full"),
    ],
)
async def test_a_server_that_cannot_be_started_for_now_is_tried_again(
    failure: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(None, failure, failure, None)
    kept = SupervisedServer("kafka", server)
    await kept.start()
    try:
        server.ends.set()
        await until(lambda: kept.restarts == 3 and kept.pid == 7)
    finally:
        await kept.stop()

    assert told in str(kept.last_error)
    assert (
        sum(told in record.getMessage() for record in caplog.records if record.name == server_supervisor.__name__) == 2
    )
