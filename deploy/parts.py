"""The parts of Callweave as supervised child processes of `callweave up`: started again when they die, stopped in order.

A part that is wrongly configured (exit code 78) is not started again: trying again would not mend it.
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.child import Child, spawn
from deploy.runtime import EXIT_SETTINGS

log: Final = logging.getLogger(__name__)

_BACKOFF_FIRST_S: Final = 0.5
_BACKOFF_CAP_S: Final = 10.0
_HEALTHY_AFTER_S: Final = 30.0
_LAST_LINES: Final = 8


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

    def last_words(self) -> str:
        """The end of its log, for a message about why it does not run."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log_file.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:])
        return ""

    async def _spawn(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.log_file.replace(self.log_file.with_suffix(".previous.log"))
        command = (sys.executable, "-m", "deploy.cli", *self.spec.arguments)
        self._child = await spawn(command, output=self.log_file, env={**os.environ, **self.spec.env})

    async def _keep(self) -> None:
        backoff_s = _BACKOFF_FIRST_S
        loop = asyncio.get_running_loop()
        while self._child is not None:
            started = loop.time()
            self.last_exit = await self._child.wait()
            if self._stopping.is_set():
                return
            if self.last_exit == EXIT_SETTINGS:
                self.given_up = True
                return
            backoff_s = (
                _BACKOFF_FIRST_S if loop.time() - started > _HEALTHY_AFTER_S else min(backoff_s * 2, _BACKOFF_CAP_S)
            )
            log.warning("%s ended with code %s, starting it again in %.1f s", self.spec.name, self.last_exit, backoff_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff_s)
            if self._stopping.is_set():
                return
            self.restarts += 1
            await self._spawn()
