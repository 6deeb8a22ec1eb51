"""A worker whose new settings it cannot start with goes on with those before, and the others are left alone."""

import asyncio
import socket
from pathlib import Path

import pytest

from ingress.front.listening import Listeners
from ingress.workers.worker_process import Worker, WorkerContext
from schemas.config.settings import IngressSettings, Settings
from schemas.errors import SetupError

OLD = Settings()
GOOD = Settings(ingress=IngressSettings(max_queued=7))
BAD = Settings(ingress=IngressSettings(max_queued=8))
SETUP_EXIT = 78


class FakeWorker(Worker):
    """A worker whose processes are only said to run; one with `BAD` settings ends at once."""

    def __init__(self, stop: asyncio.Event, settings: Settings, code: int) -> None:
        super().__init__(1, WorkerContext(settings, Path(), Listeners(socket.socket(), None), None), stop)
        self._context.listeners.public.close()
        self._code = code
        self.ran: list[Settings] = []

    async def listens(self) -> None:
        await self._listens.wait()

    async def _run_once(self) -> int | None:
        self.ran.append(self._context.settings)
        if self._context.settings is BAD:
            return self._code
        self._proven = self._context.settings
        self._listens.set()
        ends = {asyncio.create_task(event.wait()) for event in (self._stop, self._old)}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        return 0


@pytest.mark.parametrize("code", [SETUP_EXIT, 1, -9])
async def test_a_worker_goes_back_to_the_settings_that_it_listened_with(code: int) -> None:
    stop = asyncio.Event()
    worker = FakeWorker(stop, OLD, code)
    keeping = asyncio.create_task(worker.keep())
    async with asyncio.timeout(10):
        await worker.listens()
        renewed = [await worker.renew(settings) for settings in (GOOD, BAD, GOOD)]
    stop.set()
    await keeping

    assert renewed == [True, False, True]
    assert worker.ran == [OLD, GOOD, BAD, GOOD, GOOD]


async def test_a_worker_that_cannot_be_set_up_at_the_start_ends_the_ingress() -> None:
    with pytest.raises(SetupError):
        await FakeWorker(asyncio.Event(), BAD, SETUP_EXIT).keep()
