"""The processes of a fork server, seen from outside: when one has started, is working, and has ended."""

import asyncio
import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any, Self

import msgspec

from schemas.config.settings import Settings
from tests.chaos.judge.naive import Naive
from tests.chaos.kills.failpoints import PartName
from tests.chaos.kills.fork_server import Event, Order
from tests.support.command import encoded

ROOT = Path(__file__).parents[3]


class PartProcess:
    """One process of a part; each future gets the monotonic time of its event."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[float] = loop.create_future()
        self.working: asyncio.Future[float] = loop.create_future()
        self.at_failpoint: asyncio.Future[float] = loop.create_future()
        self.ended: asyncio.Future[float] = loop.create_future()
        self.pid = 0
        self.exit_status: int | None = None

    def note(self, event: Event) -> None:
        """Notes an event."""
        if event.what == "started":
            self.pid = event.value
        elif event.what == "ended":
            self.exit_status = event.value
        reached: asyncio.Future[float] = getattr(self, event.what.replace(" ", "_"))
        reached.set_result(time.monotonic())

    def send(self, what: int) -> None:
        """Sends a signal, unless the process has ended."""
        if not self.ended.done():
            os.kill(self.pid, what)


class ForkServer:
    """A fork server for one part, with one process at a time."""

    def __init__(self, name: str, part: PartName, settings: Settings, log_file: Path) -> None:
        self.name = name
        self.part = part
        self.settings = settings
        self.log_file = log_file
        self._numbers = itertools.count(1)
        self._processes: dict[int, PartProcess] = {}

    async def fork(
        self, *, point: str = "", passage: int = 1, after_commit: bool = False, naive: Naive = ""
    ) -> PartProcess:
        """Returns a new process once it has started."""
        number = next(self._numbers)
        process = self._processes[number] = PartProcess()
        order = Order(
            number=number,
            part=self.part,
            settings=self.settings,
            point=point,
            passage=passage,
            after_commit=after_commit,
            naive=naive,
        )
        self._server.stdin.write(encoded(order) + b"\n")
        await process.started
        return process

    async def __aenter__(self) -> Self:
        with self.log_file.open("ab") as log:
            self._server: Any = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.chaos.kills.fork_server"),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        # Its processes end with it.
        self._server.kill()
        await self._server.wait()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for line in self._server.stdout:
            event = msgspec.json.decode(line, type=Event)
            process = self._processes[event.number]
            process.note(event)
            if event.what == "ended":
                del self._processes[event.number]
