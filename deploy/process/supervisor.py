"""Keeps a process running: started again when it ends by itself, after pauses that grow, until it is stopped.

It does not know which process it keeps: a part of Callweave (`part_process`) and an embedded server are kept in the
same way.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from schemas.backoff import Backoff, RestartPauses
from schemas.errors import CallweaveError, SettingsError, SetupError

log: Final = logging.getLogger(__name__)

_BACKOFF: Final = Backoff(first_s=0.5, cap_s=10.0)
HEALTHY_AFTER_S: Final = 10.0
"""A process that ran this long did not fail because of its start."""
LATELY_S: Final = 600.0
_REMEMBERED: Final = 100


class Runnable(Protocol):
    """A process that can be kept running."""

    @property
    def pid(self) -> int:
        """The process id; raises RuntimeError when there is no process."""

    async def start(self) -> None:
        """Starts it; returns when it runs (an embedded server: when it answers)."""

    async def wait(self) -> CallweaveError:
        """Waits until it ends by itself and returns the reason; after a SettingsError it is not started again."""

    async def stop(self) -> None:
        """Stops it and releases what it held, in the middle of a start too; does nothing when it does not run."""


R_co = TypeVar("R_co", bound=Runnable, covariant=True)


class Supervised(Generic[R_co]):
    """One process, kept running from `start` to `stop`."""

    def __init__(self, name: str, process: R_co) -> None:
        self.name = name
        self.process = process
        self.restarts = 0
        self.started_again: deque[float] = deque(maxlen=_REMEMBERED)
        """The times of the latest restarts, in epoch seconds."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when the process was started and when it ended by itself."""
        self.last_error: CallweaveError | None = None
        """The reason of its last end, or of the last start that failed."""
        self._runs = False
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None between two starts."""
        return self.process.pid if self._runs else None

    @property
    def given_up(self) -> bool:
        """True when it is not started again, because its settings are wrong and would be wrong the next time too."""
        return isinstance(self.last_error, SettingsError)

    async def start(self) -> None:
        """Starts it and keeps it running; raises what the first start raises."""
        await self.process.start()
        self._started()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Stops it, in the middle of a start too."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        try:
            await self.process.stop()
        finally:
            self._runs = False

    def restarts_lately(self, now_s: float) -> int:
        """Returns how often it was started again in the last ten minutes."""
        return sum(now_s - at_s <= LATELY_S for at_s in self.started_again)

    def _started(self) -> None:
        self._runs = True
        self.on_change()

    async def _keep(self) -> None:
        loop, backoff = asyncio.get_running_loop(), RestartPauses(_BACKOFF, healthy_after_s=HEALTHY_AFTER_S)
        while True:
            begun_s = loop.time()
            self.last_error = await self.process.wait()
            self._runs = False
            if self.given_up:
                return
            self.on_change()
            pause_s = backoff.after(loop.time() - begun_s)
            while not self._runs:
                log.warning("%s ended, starting it again in %.1f s: %s", self.name, pause_s, self.last_error)
                await asyncio.sleep(pause_s)
                pause_s = backoff.after(0)
                await self._start_again()

    async def _start_again(self) -> None:
        self.restarts += 1
        self.started_again.append(time.time())
        try:
            await self.process.stop()  # it has ended, but an embedded server still holds the lock on its directory
            await self.process.start()
        except CallweaveError as exc:
            self.last_error = exc
        except OSError as exc:  # a full disk or too little memory, which may pass
            self.last_error = SetupError(f"{self.name} could not be started: {exc}")
        else:
            self._started()
