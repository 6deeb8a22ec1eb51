"""Runs the ingress as several processes that accept connections from one queue, and looks after them.

The queue is this process's listening socket, which each worker inherits: a worker that ends or hangs leaves its
connections to the others. A worker that dies is started again, with a growing pause while it keeps dying, and the
others go on: an ingress that ended because one of its processes did would lose the calls that the others could have
taken. Only a fault that no restart can mend (a worker reports that this machine lacks something) ends them all. SIGHUP
renews them one after the other.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ingress.main import BACKLOG, cannot_listen, run
from ingress.workers.worker_process import Worker, WorkerContext
from schemas.config.settings import IngressSettings, Settings
from schemas.metrics import Registry

_log: Final = logging.getLogger("callweave.ingress.workers")


async def run_workers(
    settings: Settings, stop: asyncio.Event, metrics: Registry, *, prepare: Callable[[], None] | None = None
) -> None:
    """Serves with as many processes as `settings.ingress.workers` until `stop`; a single one is this process itself.

    `prepare` is called first in every worker (a module-level function: it sets up logging). Raises SetupError when the
    port cannot be had or a worker cannot be set up.
    """
    if settings.ingress.workers == 1:
        with _at_hangup(lambda: _log.error("a single worker cannot be renewed: set ingress.workers to 2 or more")):
            await run(settings, stop, metrics)
        return
    renewal = asyncio.Event()
    with (
        _listening(settings.ingress) as listener,
        tempfile.TemporaryDirectory(prefix="callweave-ingress-") as folder,
        _at_hangup(renewal.set),
    ):
        context = WorkerContext(settings, Path(folder), listener, prepare)
        workers = [Worker(number, context, stop) for number in range(1, settings.ingress.workers + 1)]
        team = [asyncio.create_task(worker.keep()) for worker in workers]
        renewing = asyncio.create_task(_renew(workers, renewal))
        try:
            await asyncio.gather(*team)
        finally:
            stop.set()
            renewing.cancel()
            await asyncio.gather(*team, renewing, return_exceptions=True)


def _listening(limits: IngressSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in limits.host else socket.AF_INET
    try:
        return socket.create_server((limits.host, limits.port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise cannot_listen(limits, exc) from exc


@contextlib.contextmanager
def _at_hangup(call: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, call)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def _renew(workers: list[Worker], renewal: asyncio.Event) -> None:
    """Starts a new process for each worker at each request; the next follows when the one before listens again."""
    while True:
        await renewal.wait()
        renewal.clear()
        _log.info("renewing the workers: %d", len(workers))
        for worker in workers:
            await worker.renew()
        _log.info("all workers are new")
