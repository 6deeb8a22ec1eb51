"""Runs the ingress as several processes that share one port (SO_REUSEPORT), and looks after them.

A worker that dies is started again, with a growing pause while it keeps dying, and the others go on: an ingress that ends
because one of its processes did would lose the calls that the others could have taken. Only what no restart can mend (a worker
that says that this machine lacks something) ends them all.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final

import uvloop

from ingress.serve import cannot_listen, run
from ingress.shared_metrics import SharedMetrics
from schemas.errors import SetupError
from schemas.metrics import Registry
from schemas.settings import IngressSettings, Settings

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 15.0
STEADY_S: Final = 60.0
"""A worker that lived this long starts again without a pause."""
_BEYOND_DRAIN_S: Final = 10.0
"""What a worker may take to end beside its drain; then it is killed."""
_SETUP_EXIT: Final = 78  # EX_CONFIG of sysexits.h

_log = logging.getLogger("callweave.ingress.workers")


async def run_workers(
    settings: Settings, stop: asyncio.Event, metrics: Registry, *, prepare: Callable[[], None] | None = None
) -> None:
    """Serve with as many processes as `settings.ingress.workers` until `stop`; one is served in this process itself.

    `prepare` is called first in every worker (a module-level function: it sets up logging). Raises SetupError when the
    port cannot be had or a worker cannot be set up.
    """
    if settings.ingress.workers == 1:
        await run(settings, stop, metrics)
        return
    with _reserved(settings.ingress), tempfile.TemporaryDirectory(prefix="callweave-ingress-") as folder:
        team = [
            asyncio.create_task(_look_after(number, settings, Path(folder), stop, prepare))
            for number in range(1, settings.ingress.workers + 1)
        ]
        try:
            await asyncio.gather(*team)
        finally:
            stop.set()
            await asyncio.gather(*team, return_exceptions=True)


def _reserved(limits: IngressSettings) -> socket.socket:
    """A socket that is bound and never listens: it keeps the port for the workers and takes no connection.

    Workers that share a port would share it with a stranger's as well, so whether it is free is asked without sharing first.
    """
    family = socket.AF_INET6 if ":" in limits.host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((limits.host, limits.port))
            probe.listen(1)
        keeper = socket.socket(family)
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind((limits.host, limits.port))
    except OSError as exc:
        raise cannot_listen(limits, exc) from exc
    return keeper


async def _look_after(
    number: int, settings: Settings, folder: Path, stop: asyncio.Event, prepare: Callable[[], None] | None
) -> None:
    """Keep one worker running until `stop`."""
    pause_s = FIRST_PAUSE_S
    while not stop.is_set():
        begun = time.monotonic()
        worker = multiprocessing.get_context("spawn").Process(
            target=_work, args=(settings, folder, number, prepare), name=f"callweave-ingress-{number}"
        )
        worker.start()
        await _until_it_ends(worker, stop, settings.ingress.drain_s + _BEYOND_DRAIN_S)
        code = worker.exitcode
        worker.close()
        if stop.is_set():
            return
        if code == _SETUP_EXIT:
            raise SetupError("an ingress worker cannot be set up: its own message stands above", code="worker")
        if time.monotonic() - begun > STEADY_S:
            pause_s = FIRST_PAUSE_S
        _log.error("worker %d ended with %s, the others go on: starting it again in %g s", number, code, pause_s)
        await _wait(stop, pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def _until_it_ends(worker: SpawnProcess, stop: asyncio.Event, within_s: float) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(worker.sentinel, ended.set)
    waits = {asyncio.create_task(ended.wait()), asyncio.create_task(stop.wait())}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not ended.is_set():
            worker.terminate()
            await _wait(ended, within_s)
        if not ended.is_set():
            _log.error("a worker did not end within %g s: killed", within_s)
            worker.kill()
            await ended.wait()
    finally:
        for wait in waits:
            wait.cancel()
        loop.remove_reader(worker.sentinel)
    worker.join()


async def _wait(event: asyncio.Event, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return


def _work(settings: Settings, folder: Path, number: int, prepare: Callable[[], None] | None) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
    if prepare is not None:
        prepare()
    try:
        uvloop.run(_serve(settings, folder, number))
    except SetupError as exc:
        _log.error("%s", exc)
        raise SystemExit(_SETUP_EXIT) from exc


async def _serve(settings: Settings, folder: Path, number: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # A second one ends it at once: what was acknowledged is in Kafka or on the disk.
    loop.add_signal_handler(signal.SIGTERM, lambda: os._exit(1) if stop.is_set() else stop.set())
    parent = multiprocessing.parent_process()
    if parent is not None:
        loop.add_reader(parent.sentinel, stop.set)  # readable when the parent is gone, however it went
    metrics = Registry()
    shared = SharedMetrics(folder, metrics.text)
    writing = asyncio.create_task(shared.keep_writing())
    try:
        await run(settings, stop, metrics, worker=number, share_port=True, render_metrics=shared.text)
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        with contextlib.suppress(OSError):
            shared.write()
