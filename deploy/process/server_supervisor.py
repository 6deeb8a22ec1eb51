"""The embedded servers kept running: one that dies is started again on its data and its port, as the parts are.

It must not know which server it keeps: anything that starts, waits for its end and stops will do.
"""

import asyncio
import logging
from typing import Final, Protocol

from deploy.process.backoff import Backoff
from schemas.errors import CallweaveError, SetupError

log: Final = logging.getLogger(__name__)


class Server(Protocol):
    """What can be kept running."""

    @property
    def pid(self) -> int:
        """The process; raises RuntimeError when there is none."""

    async def start(self) -> None:
        """Start it and return when it answers."""

    async def wait(self) -> CallweaveError:
        """Wait until it ends by itself; why it did."""

    async def stop(self) -> None:
        """Stop it and give its directory free; nothing when it does not run."""


class SupervisedServer:
    """One server, kept running until `stop`."""

    def __init__(self, name: str, server: Server) -> None:
        self.name = name
        self.restarts = 0
        self.last_error: CallweaveError | None = None
        """Why it ended or did not start the last time."""
        self._server = server
        self._up = False
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The running process, None between two starts."""
        return self._server.pid if self._up else None

    async def start(self) -> None:
        """Start it and keep it running; raises what the first start raises."""
        await self._server.start()
        self._up = True
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Stop it, in the middle of a start too."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._up = False
        await self._server.stop()

    async def _keep(self) -> None:
        loop, backoff = asyncio.get_running_loop(), Backoff()
        while True:
            begun = loop.time()
            self.last_error = await self._server.wait()
            self._up = False
            pause_s = backoff.after(loop.time() - begun)
            while not self._up:
                log.warning("%s ended, starting it again in %.1f s: %s", self.name, pause_s, self.last_error)
                await asyncio.sleep(pause_s)
                pause_s = backoff.after(0)
                await self._start_again()

    async def _start_again(self) -> None:
        self.restarts += 1
        try:
            await self._server.stop()  # it is gone, but its lock on the directory is ours
            await self._server.start()
        except CallweaveError as exc:
            self.last_error = exc
        except OSError as exc:  # a full disk, for one, on which there may be room again
            self.last_error = SetupError(f"{self.name} could not be started: {exc}")
        else:
            self._up = True
