"""`callweave bi`: installs Superset where it is missing, starts it, says where it is, and stops it at Ctrl-C."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from deploy.bi.environment import STEPS, Step, is_made, make
from deploy.bi.server import LOG, Superset, require_stack, running_superset, steps
from deploy.process.data_dir import claim
from deploy.process.ports import require_free
from deploy.runtime import keep_private, stop_on_signals
from schemas.config.settings import Settings
from schemas.errors import SetupError

_NEEDS_BYTES: Final = 2 << 30
"""The environment, and what the installer keeps beside it."""
_NEEDS_LATER_BYTES: Final = 100 << 20


class BiOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command."""

    home: Path
    """An absolute path."""
    port: int
    install_only: bool = False


def run_bi(settings: Settings, options: BiOptions) -> None:
    """Runs until Ctrl-C; raises SetupError with what to do."""
    keep_private()
    asyncio.run(_run(settings, options, Console()))


async def _run(settings: Settings, options: BiOptions, console: Console) -> None:
    stop = stop_on_signals()
    began = time.monotonic()
    async with contextlib.AsyncExitStack() as down:
        with _shown(console, _count(options)) as step:
            starting = asyncio.ensure_future(_started(down, settings, options, step))
            stopped = asyncio.ensure_future(stop.wait())
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await starting
                console.print("stopped", highlight=False)
                return
            superset = await starting
        if superset is None:
            return
        console.print(_message(superset, time.monotonic() - began), markup=False, highlight=False, soft_wrap=True)
        ended = asyncio.ensure_future(superset.child.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if ended.done():
            raise SetupError(
                f"Superset ended with {ended.result()}",
                code="superset",
                advice=f"Its log: {_state(options) / LOG}",
            )
        ended.cancel()
        console.print("stopping", highlight=False)


def _state(options: BiOptions) -> Path:
    """Returns the folder of Superset's own database."""
    return options.home / "state"


def _count(options: BiOptions) -> int:
    """Returns the number of steps that are to come."""
    return (0 if is_made(options.home) else STEPS) + (0 if options.install_only else steps(_state(options)))


async def _started(
    down: contextlib.AsyncExitStack, settings: Settings, options: BiOptions, step: Step
) -> Superset | None:
    is_here = is_made(options.home)
    if options.install_only and is_here:
        return None
    needed = _NEEDS_LATER_BYTES if is_here else _NEEDS_BYTES
    down.enter_context(claim(options.home, what="Superset", minimum_free_bytes=needed))
    # What would stop the start behind the installation stops it before.
    if not options.install_only:
        await require_stack(settings)
        _require_free(options.port)
    await make(options.home, step)
    if options.install_only:
        return None
    _require_free(options.port)
    running = running_superset(settings, options.home, _state(options), options.port, step)
    return await down.enter_async_context(running)


def _require_free(port: int) -> None:
    require_free(port, what="Superset", setting="--port")


def _message(superset: Superset, took_s: float) -> str:
    return f"""ready after {took_s:.0f} s: the dashboards are at
  {superset.url}/dashboard/list/
log in as {superset.user}, who may look at them and do nothing else, with the password of this start
  {superset.password.value}
Ctrl-C ends it"""


@contextlib.contextmanager
def _shown(console: Console, count: int) -> Iterator[Step]:
    """Yields a function that shows the step that begins: a bar on a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield lambda what: console.print(what, highlight=False)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("begins", total=count)

        def show(what: str) -> None:
            bars.update(bar, description=what, advance=1)

        yield show
