"""The parts of Callweave as supervised child processes of `callweave up`: started again when they die, stopped in order.

A part that is wrongly configured (exit code 78) is not started again: trying again would not mend it.
"""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.process.backoff import Backoff
from deploy.process.child import Child, spawn
from deploy.process.exits import EXIT_SETTINGS, RESTARTS

log: Final = logging.getLogger(__name__)

LATELY_S: Final = 600.0
_LAST_LINES: Final = 8
_REMEMBERED: Final = 100


class PartSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to run."""

    name: str
    arguments: tuple[str, ...]
    """Of the `callweave` command."""
    env: Mapping[str, str] = {}
    grace_s: float = 25.0
    """How long it gets to stop by itself."""


class SupervisedPart:
    """One part, kept running until `stop`."""

    def __init__(self, spec: PartSpec, log_dir: Path) -> None:
        self.spec = spec
        self.log_file = log_dir / f"{spec.name}.log"
        self.restarts = 0
        self.started_again: deque[float] = deque(maxlen=_REMEMBERED)
        """When, in epoch seconds: the latest of the restarts."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when it was started, and when it ended by itself."""
        self.last_exit: int | None = None
        self.given_up = False
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The running process, None between two starts."""
        return self._child.pid if self._child and self._child.returncode is None else None

    async def start(self) -> None:
        """Start it and keep it running."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ask it to stop, and kill it when its grace has passed."""
        self._stopping.set()
        if self._child:
            await self._child.stop(grace_s=self.spec.grace_s)
        if self._keeper:
            await self._keeper

    def restarts_lately(self, now_s: float) -> int:
        """How often it was started again in the last ten minutes."""
        return sum(now_s - at_s <= LATELY_S for at_s in self.started_again)

    def last_words(self) -> str:
        """The end of its log, for a message about why it does not run."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log_file.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:])
        return ""

    async def _spawn(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.log_file.replace(self.log_file.with_suffix(".previous.log"))
        command = (sys.executable, "-m", "deploy.cli.main", *self.spec.arguments)
        env = {**os.environ, **self.spec.env, RESTARTS: str(self.restarts)}
        self._child = await spawn(command, output=self.log_file, env=env)
        self.on_change()

    async def _keep(self) -> None:
        backoff, loop, begun = Backoff(), asyncio.get_running_loop(), asyncio.get_running_loop().time()
        while self._child is not None:
            self.last_exit = await self._child.wait()
            self.given_up = self.last_exit == EXIT_SETTINGS
            if self.given_up or self._stopping.is_set():
                return
            self.on_change()
            pause_s = backoff.after(loop.time() - begun)
            log.warning("%s ended with code %s, starting it again in %.1f s", self.spec.name, self.last_exit, pause_s)
            await self._pause(pause_s)
            begun = loop.time()
            await self._spawn_again()

    async def _spawn_again(self) -> None:
        """Start it, unless it is to stop; while the machine lacks the means (a full disk, no memory) it is tried again later."""
        if self._stopping.is_set():
            return
        self.restarts += 1
        self.started_again.append(time.time())
        try:
            await self._spawn()
        except OSError as exc:
            log.warning("%s could not be started: %s", self.spec.name, exc)
            return  # the one before has ended, so the loop comes back here after a longer pause
        if self._stopping.is_set() and self._child:
            # `stop` came while it started, and has only seen the one before.
            await self._child.stop(grace_s=self.spec.grace_s)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
