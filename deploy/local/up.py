"""`callweave up`: the stack, the simulator and the live view, until Ctrl-C."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final

import aiohttp
import msgspec
import uvloop
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from deploy.local.dashboard import line, ready_message, rendered
from deploy.local.reloading import reload_parts
from deploy.local.stack import Stack, running_stack
from deploy.local.stats import StatsCollector
from deploy.output.printable import printable
from deploy.process.reloading import accept_hangups, block_hangups
from deploy.runtime import keep_private, log_to_stderr, stop_on_signals
from deploy.simulator.main import Simulation
from schemas.config.settings import Settings
from schemas.errors import SetupError

_LOOK_EVERY_S: Final = 1.0
_LINE_EVERY_S: Final = 5.0


class UpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command."""

    simulator: bool = True
    rate: float = 5.0
    seed: int | None = None
    plain: bool = False
    poison: float = 0.0


def run_up(reread: Callable[[], Settings], options: UpOptions) -> None:
    """Runs until Ctrl-C; raises `CallweaveError` with what to do when it cannot start.

    `reread` returns the settings of this moment; it is called again at each SIGHUP.
    """
    block_hangups()
    settings = reread()
    if options.simulator and (settings.ingress.tls_certificate_file or settings.ingress.proxy_protocol):
        raise SetupError(
            "the simulator pushes by plain HTTP, which this ingress does not take",
            code="simulator",
            advice="Start with --no-simulator, or without ingress.tls_certificate_file and ingress.proxy_protocol.",
        )
    keep_private()
    # Of this process itself only errors: the live view shows the rest, and each part has a log of its own.
    log_to_stderr(msgspec.structs.replace(settings.log, level="error"), "up")
    uvloop.run(_run(settings, reread, options, Console()))


async def _run(settings: Settings, reread: Callable[[], Settings], options: UpOptions, console: Console) -> None:
    stop = stop_on_signals()
    started = time.monotonic()
    async with contextlib.AsyncExitStack() as down:
        traffic = Simulation(options.rate, options.seed, options.poison) if options.simulator else None
        polled = traffic.poll_accounts() if traffic else ()
        with _steps(console, options) as steps:
            starting = running_stack(settings, steps, poll_also=polled)
            stack = await _unless_stopped(down.enter_async_context(starting), stop)
        if stack is None:
            return
        console.print(ready_message(stack, time.monotonic() - started), markup=False, highlight=False, soft_wrap=True)
        # Entered last, so that it ends first: no more traffic, then the parts in the order of the flow.
        if traffic:
            await down.enter_async_context(traffic.sending_to(stack.ingress_url))
        async with _reloading(partial(reload_parts, stack, reread, poll_also=polled), stop, console):
            await _watch(stack, traffic, stop, console, options)
        console.print("stopping: no more input, then the records on their way are processed ...", highlight=False)
    console.print(f"stopped; the data stays in {settings.embedded.data_dir}", highlight=False)


@contextlib.asynccontextmanager
async def _reloading(
    reload: Callable[[], Coroutine[Any, Any, str]], stop: asyncio.Event, console: Console
) -> AsyncIterator[None]:
    """Reloads at each SIGHUP, one after the other, and prints what became of it."""
    asked = asyncio.Event()

    async def keep() -> None:
        while True:
            await asked.wait()
            asked.clear()
            console.print(printable(await reload()), markup=False, highlight=False, soft_wrap=True)

    keeping = asyncio.create_task(keep())
    accept_hangups(asked.set, stop.set)
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _unless_stopped(starting: Coroutine[Any, Any, Stack], stop: asyncio.Event) -> Stack | None:
    """Returns the stack when it is up, or None when Ctrl-C came first."""
    up, stopped = asyncio.ensure_future(starting), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({up, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if up.done():
            return up.result()
        up.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await up
        return None
    finally:
        stopped.cancel()


async def _watch(
    stack: Stack, traffic: Simulation | None, stop: asyncio.Event, console: Console, options: UpOptions
) -> None:
    """Shows the statistics until `stop` is set."""
    async with contextlib.AsyncExitStack() as down, aiohttp.ClientSession() as session:
        collector = StatsCollector(stack, session)
        down.push_async_callback(collector.close)
        before, then = await collector.look(), time.monotonic()
        every_s = _LINE_EVERY_S if options.plain else _LOOK_EVERY_S
        live = contextlib.nullcontext() if options.plain else Live(console=console, auto_refresh=False, transient=False)
        with live as screen:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), every_s)
                now, at = await collector.look(), time.monotonic()
                note = traffic.note() if traffic else ""
                if screen is None:
                    console.print(
                        f"{line(now)} | {note}" if note else line(now), markup=False, highlight=False, soft_wrap=True
                    )
                else:
                    screen.update(rendered(now, before, at - then, note), refresh=True)
                before, then = now, at


@contextlib.contextmanager
def _steps(console: Console, options: UpOptions) -> Iterator[Callable[[str, float | None], None]]:
    """Yields a function that shows the steps of the start: bars on a terminal, lines elsewhere."""
    if options.plain:
        shown: list[str] = []

        def print_step(step: str, _fraction: float | None) -> None:
            if step not in shown:
                shown.append(step)
                console.print(step, highlight=False)

        yield print_step
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(24),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        running: dict[str, tuple[str, TaskID]] = {}

        def show_bar(step: str, fraction: float | None) -> None:
            # "Kafka: topics" ends "Kafka: starting", and leaves what runs beside it alone.
            what = step.partition(":")[0]
            before, task = running.get(what, ("", None))
            if before != step:
                if task is not None:
                    bars.update(task, total=1, completed=1)
                running[what] = (step, bars.add_task(step, total=None))
            if fraction is not None:
                bars.update(running[what][1], total=1, completed=fraction)

        yield show_bar
        for _, task in running.values():
            bars.update(task, total=1, completed=1)
