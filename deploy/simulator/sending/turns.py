"""Requests that leave one after the other: each when the one before it was acknowledged, and never when that was given up."""

import asyncio
from typing import Any, Final

from deploy.simulator.requests import Send

_APART_S: Final = 0.02
"""Between an acknowledgement and what waits for it: as much as the clocks of two processes may differ."""


class InTurn:
    """The marks of requests, and what became of them."""

    def __init__(self, stop: asyncio.Event) -> None:
        """`stop` ends all waiting."""
        self._stop = stop
        self._fates: dict[str, asyncio.Future[bool]] = {}

    def settle(self, send: Send, *, acked: bool) -> None:
        """Note the fate of a request that others may wait for."""
        if send.mark and not self._fate(send.mark).done():
            self._fate(send.mark).set_result(acked)

    async def come(self, send: Send) -> bool:
        """Wait until it is the request's turn; False when that never comes."""
        before = self._fate(send.waits_for)
        stopped = asyncio.create_task(self._stop.wait())
        either: set[asyncio.Future[Any]] = {before, stopped}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        if not (before.done() and before.result()):
            self.settle(send, acked=False)
            return False
        await asyncio.sleep(_APART_S)
        return True

    def _fate(self, mark: str) -> "asyncio.Future[bool]":
        return self._fates.setdefault(mark, asyncio.get_running_loop().create_future())
