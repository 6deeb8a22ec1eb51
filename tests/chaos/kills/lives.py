"""The lives that a fork server bears, seen from outside: when one is born, at work, and dead."""

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

ROOT = Path(__file__).parents[3]


class Life:
    """One process of a part; each future gets the monotonic time at which it came true."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.born: asyncio.Future[float] = loop.create_future()
        self.at_work: asyncio.Future[float] = loop.create_future()
        self.at_the_point: asyncio.Future[float] = loop.create_future()
        self.dead: asyncio.Future[float] = loop.create_future()
        self.pid = 0
        self.exit_status: int | None = None

    def happen(self, event: Event) -> None:
        """Take note of an event."""
        if event.what == "born":
            self.pid = event.value
        elif event.what == "dead":
            self.exit_status = event.value
        reached: asyncio.Future[float] = getattr(self, event.what.replace(" ", "_"))
        reached.set_result(time.monotonic())

    def send(self, what: int) -> None:
        """A signal, unless it is dead."""
        if not self.dead.done():
            os.kill(self.pid, what)


class Cradle:
    """A fork server for one part; one life at a time."""

    def __init__(self, name: str, part: PartName, settings: Settings, log_file: Path) -> None:
        self.name = name
        self.part = part
        self.settings = settings
        self.log_file = log_file
        self._numbers = itertools.count(1)
        self._lives: dict[int, Life] = {}

    async def bear(self, *, point: str = "", passage: int = 1, ripe: bool = False, naive: Naive = "") -> Life:
        """A new life, once it is born."""
        number = next(self._numbers)
        life = self._lives[number] = Life()
        order = Order(
            number=number,
            part=self.part,
            settings=self.settings,
            point=point,
            passage=passage,
            ripe=ripe,
            naive=naive,
        )
        self._server.stdin.write(msgspec.json.encode(order) + b"\n")
        await life.born
        return life

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
        # Its lives end with it.
        self._server.kill()
        await self._server.wait()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for line in self._server.stdout:
            event = msgspec.json.decode(line, type=Event)
            life = self._lives[event.number]
            life.happen(event)
            if event.what == "dead":
                del self._lives[event.number]
