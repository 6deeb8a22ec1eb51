"""One worker process of the ingress: how it is started, watched, renewed and ended, and its own life."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from ingress.main import run
from ingress.workers.shared_metrics import SharedMetrics
from schemas.config.settings import Settings
from schemas.errors import SetupError
from schemas.metrics import Registry

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 15.0
STEADY_S: Final = 60.0
"""A worker that lived this long starts again without a pause."""
_BEYOND_DRAIN_S: Final = 10.0
"""What a worker may take to end beside its drain; then it is killed."""
_SETUP_EXIT: Final = 78  # EX_CONFIG of sysexits.h

_log: Final = logging.getLogger("callweave.ingress.workers")


class Work(NamedTuple):
    """What all workers are given."""

    settings: Settings
    folder: Path
    """Where they share their metrics."""
    listener: socket.socket
    prepare: Callable[[], None] | None


class Worker:
    """One place in the team, with one process after the other in it."""

    def __init__(self, number: int, work: Work, stop: asyncio.Event) -> None:
        self._number = number
        self._work = work
        self._stop = stop
        self._old = asyncio.Event()
        self._listens = asyncio.Event()

    async def renew(self) -> None:
        """Replace its process; returns when the new one listens."""
        self._listens.clear()
        self._old.set()
        await self._listens.wait()

    async def keep(self) -> None:
        """Keep a process running until `stop`; raises SetupError when a worker says that no restart would mend it."""
        loop, pause_s = asyncio.get_running_loop(), FIRST_PAUSE_S
        while not self._stop.is_set():
            begun = loop.time()
            code = await self._one()
            if self._stop.is_set():
                return
            if code == _SETUP_EXIT:
                raise SetupError("an ingress worker cannot be set up: its own message stands above", code="worker")
            if self._old.is_set():
                self._old.clear()
                continue
            if loop.time() - begun > STEADY_S:
                pause_s = FIRST_PAUSE_S
            _log.error(
                "worker %d ended with %s, the others go on: starting it again in %g s", self._number, code, pause_s
            )
            await _wait(self._stop, pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _one(self) -> int | None:
        """The life of one process; its exit code."""
        context = multiprocessing.get_context("spawn")
        heard, tell = context.Pipe(duplex=False)
        process = context.Process(
            target=_live, args=(self._work, self._number, tell), name=f"callweave-ingress-{self._number}"
        )
        process.start()
        tell.close()
        loop = asyncio.get_running_loop()
        loop.add_reader(heard.fileno(), self._told, heard)
        try:
            limits = self._work.settings.ingress
            await self._until_it_ends(process, limits.leave_s + limits.drain_s + _BEYOND_DRAIN_S)
        finally:
            loop.remove_reader(heard.fileno())
            heard.close()
        code = process.exitcode
        process.close()
        return code

    def _told(self, heard: Connection) -> None:
        """It listens, or it is gone."""
        asyncio.get_running_loop().remove_reader(heard.fileno())
        with contextlib.suppress(EOFError, OSError):
            heard.recv_bytes()
            if not self._old.is_set():  # news of the one that is being replaced
                self._listens.set()

    async def _until_it_ends(self, process: SpawnProcess, within_s: float) -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(process.sentinel, ended.set)
        waits = {asyncio.create_task(event.wait()) for event in (ended, self._stop, self._old)}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not ended.is_set():
                process.terminate()
                await _wait(ended, within_s)
            if not ended.is_set():
                _log.error("a worker did not end within %g s: killed", within_s)
                process.kill()
                await ended.wait()
        finally:
            for wait in waits:
                wait.cancel()
            loop.remove_reader(process.sentinel)
        process.join()


async def _wait(event: asyncio.Event, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return


def _live(work: Work, number: int, tell: Connection) -> None:
    """The life of a worker, in its own process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # likewise
    if work.prepare is not None:
        work.prepare()
    try:
        uvloop.run(_serve(work, number, tell))
    except SetupError as exc:
        _log.error("%s", exc)
        raise SystemExit(_SETUP_EXIT) from exc


async def _serve(work: Work, number: int, tell: Connection) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # A second one ends it at once: what was acknowledged is in Kafka or on the disk.
    loop.add_signal_handler(signal.SIGTERM, lambda: os._exit(1) if stop.is_set() else stop.set())
    parent = multiprocessing.parent_process()
    if parent is not None:
        loop.add_reader(parent.sentinel, stop.set)  # readable when the parent is gone, however it went

    def listening() -> None:
        with contextlib.suppress(OSError):  # the parent is gone
            tell.send_bytes(b"listening")
            tell.close()

    metrics = Registry()
    shared = SharedMetrics(work.folder, metrics.text)
    writing = asyncio.create_task(shared.keep_writing())
    try:
        await run(
            work.settings, stop, metrics,
            worker=number, listener=work.listener, listening=listening, render_metrics=shared.text,
        )  # fmt: skip
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        with contextlib.suppress(OSError):
            shared.write()
