"""Requests that leave one after the other: each once the one before it was acknowledged, never if it was given up."""

import asyncio
from typing import Any, Final

from deploy.simulator.requests import PushRequest

_APART_S: Final = 0.02
"""Between an acknowledgement and the request that waits for it: as much as the clocks of two processes may differ."""


class AckOrder:
    """The marks of requests, and whether each was acknowledged or given up."""

    def __init__(self, stop: asyncio.Event) -> None:
        """`stop` ends all waiting."""
        self._stop = stop
        self._outcomes: dict[str, asyncio.Future[bool]] = {}

    def settle(self, request: PushRequest, *, acked: bool) -> None:
        """Notes the outcome of a request that others may wait for."""
        if request.mark and not self._outcome(request.mark).done():
            self._outcome(request.mark).set_result(acked)

    async def wait(self, request: PushRequest) -> bool:
        """Waits until it is the request's turn; returns False when that never comes."""
        before = self._outcome(request.waits_for)
        stopped = asyncio.create_task(self._stop.wait())
        either: set[asyncio.Future[Any]] = {before, stopped}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        if not (before.done() and before.result()):
            self.settle(request, acked=False)
            return False
        await asyncio.sleep(_APART_S)
        return True

    def _outcome(self, mark: str) -> "asyncio.Future[bool]":
        return self._outcomes.setdefault(mark, asyncio.get_running_loop().create_future())
