"""Worker process of the ingress: how it is started, watched, renewed and ended, and what runs in it."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from ingress.front.listening import Listeners
from ingress.main import run
from ingress.workers.shared_metrics import SharedMetrics
from schemas.backoff import Backoff, RestartPauses
from schemas.config.settings import Settings
from schemas.errors import SetupError
from schemas.metrics import Registry

_BACKOFF: Final = Backoff(first_s=0.5, cap_s=15.0)
STEADY_S: Final = 60.0
"""A worker that lived this long did not fail because of its start."""
_BEYOND_DRAIN_S: Final = 10.0
"""Time that a worker may take to end beside its drain; then it is killed."""
_SETUP_EXIT: Final = 78  # EX_CONFIG of sysexits.h

_log: Final = logging.getLogger("callweave.ingress.workers")


class WorkerContext(NamedTuple):
    """Everything that all workers are given."""

    settings: Settings
    folder: Path
    """The folder in which they share their metrics."""
    listeners: Listeners
    prepare: Callable[[Settings], None] | None


class Worker:
    """One place in the pool, with one process after the other in it."""

    def __init__(self, number: int, context: WorkerContext, stop: asyncio.Event) -> None:
        self._number = number
        self._context = context
        self._proven = context.settings
        """The settings with which a process of it listened, or those of the start."""
        self._stop = stop
        self._old = asyncio.Event()
        self._listens = asyncio.Event()

    async def renew(self, settings: Settings) -> bool:
        """Replaces its process by one with these settings; returns when the new one listens.

        False: it cannot be set up with them, and listens with those before.
        """
        self._context = self._context._replace(settings=settings)
        self._listens.clear()
        self._old.set()
        await self._listens.wait()
        return self._context.settings is settings

    async def keep(self) -> None:
        """Keeps a process running until `stop`.

        Raises SetupError when a worker reports that no restart would mend it.
        """
        loop, pauses = asyncio.get_running_loop(), RestartPauses(_BACKOFF, healthy_after_s=STEADY_S)
        while not self._stop.is_set():
            begun = loop.time()
            code = await self._run_once()
            if self._stop.is_set():
                return
            if self._old.is_set():
                self._old.clear()
                continue
            if self._context.settings is not self._proven:
                _log.error("worker %d does not start with the new settings and takes those before", self._number)
                self._context = self._context._replace(settings=self._proven)
                continue
            if code == _SETUP_EXIT:
                raise SetupError("an ingress worker cannot be set up: its own message stands above", code="worker")
            pause_s = pauses.after(loop.time() - begun)
            _log.error(
                "worker %d ended with %s, the others go on: starting it again in %g s", self._number, code, pause_s
            )
            await _wait(self._stop, pause_s)

    async def _run_once(self) -> int | None:
        """Runs one process until it ends; returns its exit code."""
        spawning = multiprocessing.get_context("spawn")
        receiver, sender = spawning.Pipe(duplex=False)
        process = spawning.Process(
            target=_run_worker, args=(self._context, self._number, sender), name=f"callweave-ingress-{self._number}"
        )
        process.start()
        sender.close()
        loop = asyncio.get_running_loop()
        loop.add_reader(receiver.fileno(), self._on_message, receiver)
        try:
            limits = self._context.settings.ingress
            await self._until_it_ends(process, limits.leave_s + limits.drain_s + _BEYOND_DRAIN_S)
        finally:
            loop.remove_reader(receiver.fileno())
            receiver.close()
        code = process.exitcode
        process.close()
        return code

    def _on_message(self, receiver: Connection) -> None:
        """Handles the message that it listens, or that it is gone."""
        asyncio.get_running_loop().remove_reader(receiver.fileno())
        with contextlib.suppress(EOFError, OSError):
            receiver.recv_bytes()
            if not self._old.is_set():  # the message is of the process that is being replaced
                self._proven = self._context.settings
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


def _run_worker(context: WorkerContext, number: int, sender: Connection) -> None:
    """Runs a worker, in its own process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, and the parent decides
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # likewise
    if context.prepare is not None:
        context.prepare(context.settings)
    try:
        uvloop.run(_serve(context, number, sender))
    except SetupError as exc:
        _log.error("%s", exc)
        raise SystemExit(_SETUP_EXIT) from exc


async def _serve(context: WorkerContext, number: int, sender: Connection) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # A second signal ends it at once: acknowledged bodies are in Kafka or on the disk.
    loop.add_signal_handler(signal.SIGTERM, lambda: os._exit(1) if stop.is_set() else stop.set())
    parent = multiprocessing.parent_process()
    if parent is not None:
        loop.add_reader(parent.sentinel, stop.set)  # readable when the parent is gone, however it went

    def listening() -> None:
        with contextlib.suppress(OSError):  # the parent is gone
            sender.send_bytes(b"listening")
            sender.close()

    metrics = Registry()
    shared = SharedMetrics(context.folder, metrics.text)
    writing = asyncio.create_task(shared.keep_writing())
    try:
        await run(
            context.settings, stop, metrics,
            worker=number, listeners=context.listeners, listening=listening, render_metrics=shared.text,
        )  # fmt: skip
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        with contextlib.suppress(OSError):
            shared.write()
