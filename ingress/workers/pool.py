"""Runs the ingress as several processes that accept connections from one queue, and looks after them.

The queue is this process's listening socket, which each worker inherits: a worker that ends or hangs leaves its
connections to the others. A worker that dies is started again, with a growing pause while it keeps dying, and the
others go on: an ingress that ended because one of its processes did would lose the calls that the others could have
taken. Only a fault that no restart can mend (a worker reports that this machine lacks something) ends them all. Each
time that the settings are read again (SIGHUP) the workers are renewed with them, one after the other.
"""

import asyncio
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ingress.front.listening import shared_listeners
from ingress.main import run
from ingress.workers.worker_process import Worker, WorkerContext
from schemas.config.live import LiveSettings
from schemas.config.settings import Settings
from schemas.metrics import Registry

_log: Final = logging.getLogger("callweave.ingress.workers")


async def run_workers(
    settings: Settings,
    stop: asyncio.Event,
    metrics: Registry,
    *,
    prepare: Callable[[Settings], None] | None = None,
    live: LiveSettings | None = None,
) -> None:
    """Serves with as many processes as `settings.ingress.workers` until `stop`; a single one is this process itself.

    `prepare` is called first in every worker (a module-level function: it sets up logging). `live` brings other
    settings. Raises SetupError when the port cannot be had or a worker cannot be set up.
    """
    live = live or LiveSettings(settings)
    if settings.ingress.workers == 1:
        await run(settings, stop, metrics, live=live)
        return
    renewal = asyncio.Event()
    live.follow(lambda _: renewal.set())
    with (
        shared_listeners(settings.ingress) as listeners,
        tempfile.TemporaryDirectory(prefix="callweave-ingress-") as folder,
    ):
        context = WorkerContext(settings, Path(folder), listeners, prepare)
        workers = [Worker(number, context, stop) for number in range(1, settings.ingress.workers + 1)]
        team = [asyncio.create_task(worker.keep()) for worker in workers]
        renewing = asyncio.create_task(_renew(workers, renewal, live))
        try:
            await asyncio.gather(*team)
        finally:
            stop.set()
            renewing.cancel()
            await asyncio.gather(*team, renewing, return_exceptions=True)


async def _renew(workers: list[Worker], renewal: asyncio.Event, live: LiveSettings) -> None:
    """Starts a new process for each worker at each request; the next follows when the one before listens again."""
    while True:
        await renewal.wait()
        renewal.clear()
        _log.info("renewing the workers: %d", len(workers))
        settings = live.current
        for worker in workers:
            if not await worker.renew(settings):
                _log.error("the workers are not renewed further: one does not start with the new settings")
                break
        else:
            _log.info("all workers are new")
