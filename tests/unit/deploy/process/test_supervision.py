"""A process that dies is started again: after growing pauses, through a full disk, and not after a stop."""

import asyncio
import contextlib
import errno
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.process import part_process, supervisor
from deploy.process.child import Child, spawn
from deploy.process.part_process import PartSpec, SupervisedPart, supervised_part
from deploy.process.supervisor import Supervised
from schemas.backoff import Backoff, RestartPauses
from schemas.errors import CallweaveError, SetupError
from tests.support.children import until

LIMIT_S = 30.0
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_BACKOFF", Backoff(first_s=0.01, cap_s=0.02))


@pytest.mark.parametrize(
    ("ran_s", "pauses"),
    [
        pytest.param([0, 0, 0, 0, 0, 0, 0], [0.5, 1, 2, 4, 8, 10, 10], id="it dies of its start: longer and longer"),
        pytest.param([0, 0, 0, 31, 0], [0.5, 1, 2, 0.5, 1], id="it lived: from the beginning"),
    ],
)
def test_the_pauses(ran_s: list[float], pauses: list[float]) -> None:
    between = RestartPauses(Backoff(first_s=0.5, cap_s=10.0), healthy_after_s=supervisor.HEALTHY_AFTER_S)

    assert [between.after(seconds) for seconds in ran_s] == pauses


@contextlib.asynccontextmanager
async def part(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *starts: Callable[[SupervisedPart], Any]
) -> AsyncIterator[SupervisedPart]:
    """A part whose starts go as these functions say, one after the other."""
    coming = iter(starts)
    made = supervised_part(PartSpec(name="one", arguments=(), grace_s=5.0), folder)

    async def spawned(_argv: object, *, output: Path, env: object, keep_open: object) -> Child:
        del env, keep_open
        command = await next(coming)(made)
        return await spawn(command, output=output)

    monkeypatch.setattr(part_process, "spawn", spawned)
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
    """Otherwise a process would go on that nobody supervises."""
    stops: list[asyncio.Task[None]] = []

    async def stopped_meanwhile(one: SupervisedPart) -> tuple[str, ...]:
        stops.append(asyncio.create_task(one.stop()))
        await asyncio.sleep(0)  # it begins, and finds the process before this one
        return await lives(one)

    async with part(monkeypatch, tmp_path, dies, stopped_meanwhile) as one:
        await until(lambda: bool(stops))
        async with asyncio.timeout(LIMIT_S):
            await stops[0]

    assert one.pid is None
    assert one.restarts == 1


def processes_with(mark: str) -> list[str]:
    """Returns the processes that have this text in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes():
                found.append(process.name)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_a_stop_while_the_system_makes_the_process_leaves_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stops: list[asyncio.Task[None]] = []

    async def spawned(_argv: object, *, output: Path, env: object, keep_open: object) -> Child:
        del env, keep_open
        if made.process.last_exit is None:
            return await spawn(("/bin/false",), output=output)
        stops.append(asyncio.create_task(made.stop()))
        return await spawn(("/bin/sleep", "1000"), output=output, env={"MARK": str(tmp_path)})

    monkeypatch.setattr(part_process, "spawn", spawned)
    made = supervised_part(PartSpec(name="one", arguments=(), grace_s=5.0), tmp_path)
    await made.start()
    await until(lambda: bool(stops))
    async with asyncio.timeout(LIMIT_S):
        await stops[0]

    await until(lambda: not processes_with(str(tmp_path)))
    assert made.pid is None


class Server:
    """A server whose starts succeed or fail as given, and that ends when `ends` is set."""

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
    ("failure", "reason"),
    [
        pytest.param(SetupError("the port is taken", code="port_in_use"), "the port is taken", id="it says why"),
        pytest.param(FULL, "No space left on device", id="the disk is full"),
    ],
)
async def test_a_server_that_cannot_be_started_for_now_is_tried_again(
    failure: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(None, failure, failure, None)
    kept = Supervised("kafka", server)
    await kept.start()
    try:
        server.ends.set()
        await until(lambda: kept.restarts == 3 and kept.pid == 7)
    finally:
        await kept.stop()

    assert reason in str(kept.last_error)
    assert sum(reason in record.getMessage() for record in caplog.records if record.name == supervisor.__name__) == 2
