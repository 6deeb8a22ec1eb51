"""Begins what a publisher of the tests does in a task, for callers that have none."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from ingress.kafka.publisher import Settled
from schemas.errors import Unavailable

_BEGUN: set[asyncio.Task[None]] = set()


def by_task(work: Coroutine[Any, Any, None], settled: Settled) -> None:
    """Runs `work`, and tells its end."""
    task = asyncio.get_running_loop().create_task(work)
    _BEGUN.add(task)
    task.add_done_callback(lambda done: _over(done, settled))


def _over(done: "asyncio.Task[None]", settled: Settled) -> None:
    _BEGUN.discard(done)
    if done.cancelled():
        return
    error = done.exception()
    if error is not None and not isinstance(error, Unavailable):
        raise error
    settled(error)
