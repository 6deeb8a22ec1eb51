"""Empties the spools of workers that no longer run: with fewer workers than before nobody else would.

A folder that another process still uses is left alone and looked at again later.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final

from ingress.durable.drainer import Drainer, KafkaSide
from ingress.spool.folder import give_up, of_worker, workers
from ingress.spool.spool import Spool
from schemas.config.settings import IngressSettings
from schemas.errors import SetupError, Unavailable
from schemas.metrics import Registry

LOOK_EVERY_S: Final = 10.0

_log = logging.getLogger("callweave.spool")


async def drain_leftovers(base: Path, kafka: KafkaSide, limits: IngressSettings, metrics: Registry) -> None:
    """Looks for spools above the number of workers, and empties them; runs until cancelled."""
    while True:
        if not kafka.why_not():
            for number in workers(base):
                if number > limits.workers:
                    await _adopt(of_worker(base, number), kafka, limits, metrics)
        await asyncio.sleep(LOOK_EVERY_S)


async def _adopt(folder: Path, kafka: KafkaSide, limits: IngressSettings, metrics: Registry) -> None:
    try:
        async with Spool(folder, limits, metrics, patience_s=0.0) as spool:
            if spool.trouble():
                return
            found = spool.bodies
            sent = await Drainer(spool, kafka, metrics, per_s=limits.spool_drain_per_s).once()
            if spool.bodies or spool.set_aside or spool.too_large.bodies:
                return
            # While it is locked: a worker of this number that comes back waits for the lock and makes the folder anew.
            await asyncio.to_thread(give_up, folder)
            if found:
                _log.info("drained %d bodies of a worker that no longer runs: %s", sent, folder)
    except (SetupError, Unavailable, OSError) as exc:
        _log.info("a spool of another worker is left alone for now: %s", exc)
