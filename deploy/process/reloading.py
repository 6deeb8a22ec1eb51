"""Reads the settings of a running part again when SIGHUP asks for it, and puts into effect what can be.

A file that is wrong changes nothing. What a running process cannot take over is taken over by a new one: the part stops
in order, having finished what it holds, and the process begins anew (`renew`). One log line says which settings were
applied and which need a restart, by their paths.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from schemas.config.changes import combined, differing
from schemas.config.live import LiveSettings
from schemas.config.settings import Settings
from schemas.config.taking_effect import Effect, Plan, Reader, effect, plan
from schemas.errors import CallweaveError

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_REPORT_S: Final = 5.0

_log: Final = logging.getLogger("callweave.settings")


class Rereading(msgspec.Struct, frozen=True, kw_only=True):
    """The way in which a part reads its settings again at SIGHUP."""

    live: LiveSettings
    reader: Reader
    reread: Callable[[], Settings]
    """Returns the settings of this moment; raises CallweaveError."""
    require_good: Callable[[Settings], None]
    """Raises `SettingsError` for settings that were put together of two."""
    report: Callable[[Plan], Awaitable[None]] | None = None
    """Writes what became of the differences where others can read it; the settings count also when it fails."""
    anew: tuple[str, ...] = ()
    """Arguments of Python with which the process begins anew, once the part has stopped in order, to take over what a
    running one cannot. Empty: the part itself takes it over."""


class Reloader:
    """Reads the settings of one part again; the signal handler calls `ask`."""

    def __init__(self, how: Rereading, renew: Callable[[], None] | None) -> None:
        """`renew` stops the part, so that a new process follows.

        Without it the part itself takes over what a new process or connection must.
        """
        self._how = how
        self._renew = renew
        self._reporting: set[asyncio.Task[None]] = set()
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Makes it read the settings again soon; requests that come while it does are one."""
        self._asked.set()

    async def run(self) -> None:
        """Reads the settings each time that it is asked, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self._once()
            except CallweaveError as exc:
                _log.error("the settings stay as they are: %s", exc)
            except Exception:  # noqa: BLE001 - a part goes on, and the next SIGHUP must find somebody
                _log.exception("the settings could not be applied")

    async def _once(self) -> None:
        # Secrets may be on a slow disk, and many accounts take time to check.
        found, mixed = await asyncio.to_thread(self._read)
        _log.log(logging.WARNING if found.restart else logging.INFO, "%s", found.sentence())
        self._how.live.change(mixed)
        if self._how.report is not None:
            # Beside all else: who asks the part to stop before the renewal must not be overruled by it.
            self._reporting.add(task := asyncio.create_task(self._written(self._how.report, found)))
            task.add_done_callback(self._reporting.discard)
        if found.renewed and self._renew is not None:
            self._renew()

    async def finish(self) -> None:
        """Gives reports that are on their way some seconds to arrive."""
        if self._reporting:
            await asyncio.wait(self._reporting, timeout=_REPORT_S)

    async def _written(self, report: Callable[[Plan], Awaitable[None]], found: Plan) -> None:
        try:
            await asyncio.wait_for(report(found), _REPORT_S)
        except Exception as exc:  # noqa: BLE001 - the settings are in effect, whether or not it is written down
            _log.warning("the change of the settings is not in the audit trail: %s", type(exc).__name__)

    def _read(self) -> tuple[Plan, Settings]:
        """Returns what becomes of the differences, and the settings that are in effect from now on."""
        old, new = self._how.live.current, self._how.reread()
        takes = {Effect.AT_ONCE, Effect.UNUSED, *(() if self._renew else (Effect.RENEWED,))}
        mixed = combined(old, new, lambda path: effect(path, self._how.reader) in takes)
        # Both are good, and what is put together of them need not be: an open door with an open address.
        self._how.require_good(mixed)
        return plan(differing(old, new), self._how.reader), mixed


def begin_anew(arguments: Sequence[str]) -> None:
    """Replaces the program of this process by a new start of it, with the same id, files and environment."""
    # SIGHUP must not end the new program before it has its handler: until then the signal waits.
    block_hangups()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - our own program, as it was started


def block_stops() -> None:
    """Makes SIGTERM and Ctrl-C wait until `accept_stops`, also through the begin of another program."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)


def accept_stops() -> None:
    """Lets SIGTERM and Ctrl-C come, those too that waited."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


def block_hangups() -> None:
    """Makes a SIGHUP wait until `accept_hangups`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def accept_hangups(ask: Callable[[], None], stop: Callable[[], None]) -> None:
    """Calls `ask` at each SIGHUP, and `stop` at one that came because the terminal of this process was closed."""
    had = _terminals()

    def on_hangup() -> None:
        if had and not _terminals():
            stop()
        else:
            ask()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_hangup)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _terminals() -> tuple[int, ...]:
    """Returns those of stdin, stdout and stderr that are a terminal, which one that was closed no longer is."""
    return tuple(number for number in range(3) if os.isatty(number))
