"""The base of every command: settings, addresses, logging, signals, and the server for metrics.

No other module reads settings from the environment. A part is a coroutine `run(settings, stop, metrics)`; `run_part`
gives it an event that SIGTERM and Ctrl-C set, and ends the process at a second one. At SIGHUP it reads the settings
again.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from aiohttp import web, web_response

from deploy.clickhouse import passwords
from deploy.clickhouse.launch import engine_settings, given_passwords
from deploy.output import logging_setup
from deploy.process.loop_guard import guarded_loop
from deploy.process.part_process import EXIT_FAILED, EXIT_SETTINGS, LOG_FILE, RESTARTS
from deploy.process.ports import holder
from deploy.process.readiness import not_ready
from deploy.process.reloading import Reloader, Rereading, accept_hangups, accept_stops, begin_anew, block_stops
from deploy.process.token_key import kept as kept_token_key
from schemas.config import loader
from schemas.config.listening import cannot_listen, is_loopback
from schemas.config.logs import LogSettings
from schemas.config.privacy import PrivacySettings
from schemas.config.settings import ClickHouseSettings, EmbeddedSettings, Settings
from schemas.errors import CallweaveError, SettingsError
from schemas.metrics import Registry
from schemas.vendors import VENDORS

Part = Callable[[Settings, asyncio.Event, Registry], Awaitable[None]]

DEFAULT_FILE: Final = Path("callweave.toml")
_HOST: Final = "127.0.0.1"
BLOCKED_S: Final = 60.0
"""A part whose event loop is blocked for this long serves nobody; the bound of workers is `process.blocked_s`."""
EXIT_HARD_STOP: Final = 130
_PULLED: Final = frozenset(
    name
    for name, vendor in VENDORS.items()
    if vendor.poll and {c.name for c in vendor.callbacks} == {vendor.poll.callback}
)
"""Vendors that are only pulled."""
_SIGNING: Final = frozenset(
    name for name, vendor in VENDORS.items() if any(callback.verify for callback in vendor.callbacks)
)
"""Vendors whose signatures can be checked."""
_XML: Final = frozenset(
    name for name, vendor in VENDORS.items() if any(callback.body == "xml" for callback in vendor.callbacks)
)
"""Vendors whose bodies are XML."""
_VENDORS: Final = (frozenset(VENDORS), _PULLED, _SIGNING, _XML)
"""The facts about vendors that the checks of settings need."""
_LAST_SIGNALS_S: Final = 0.05
"""Time for the loop to read the signals that came before they were blocked."""
_COLLECT_EVERY: Final = 100_000
"""New objects between two searches for cyclic garbage. Batches are many objects without cycles: with Python's default
of 700 a worker spent a quarter of its time on the searches."""


def read_settings(config: Path | None, *, may_be_open: bool = False) -> Settings:
    """Returns the effective settings of this process; raises `SettingsError`.

    `may_be_open` lets settings through with which anybody may push.
    """
    named = config or (Path(os.environ["CALLWEAVE_CONFIG"]) if os.environ.get("CALLWEAVE_CONFIG") else None)
    path = named or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    return loader.load(path, os.environ, *_VENDORS, handed_over=_handed_over(), may_be_open=may_be_open)


def require_good(settings: Settings, *, may_be_open: bool = False) -> None:
    """Raises `SettingsError` as `read_settings` does, for settings that were put together from two."""
    loader.require_good(settings, *_VENDORS, may_be_open=may_be_open)


def _handed_over() -> str:
    """Returns the settings that `callweave up` hands to its parts in an open file, "" where it started none of us."""
    number = os.environ.get(loader.HANDED_OVER, "")
    if not number.isdecimal():
        return ""
    try:
        return os.pread(int(number), os.fstat(int(number)).st_size, 0).decode()
    except OSError as exc:
        raise SettingsError(f"{loader.HANDED_OVER} names no open file") from exc


def resolved(settings: Settings) -> Settings:
    """Returns the settings with every address filled in: an unset one is that of the embedded server.

    With the embedded ClickHouse the key of tokens is filled in likewise.
    """
    kafka, clickhouse, embedded = settings.kafka, settings.clickhouse, settings.embedded
    return msgspec.structs.replace(
        settings,
        kafka=kafka
        if kafka.bootstrap
        else msgspec.structs.replace(kafka, bootstrap=f"127.0.0.1:{embedded.kafka_port}"),
        clickhouse=clickhouse if clickhouse.url else _embedded_clickhouse(clickhouse, embedded),
        privacy=settings.privacy if settings.privacy.key.value or clickhouse.url else _with_made_key(settings),
    )


def _with_made_key(settings: Settings) -> PrivacySettings:
    """Returns the section with the key that `callweave up` made."""
    return msgspec.structs.replace(settings.privacy, key=kept_token_key(Path(settings.embedded.data_dir).absolute()))


def _embedded_clickhouse(clickhouse: ClickHouseSettings, embedded: EmbeddedSettings) -> ClickHouseSettings:
    """Returns the settings that reach the embedded engine, with the passwords from its data directory."""
    given = {name: password for name, password in given_passwords(clickhouse).items() if password}
    kept = {name: all_[0] for name, all_ in passwords.read(clickhouse_dir(embedded)).items() if all_}
    return engine_settings(clickhouse, f"http://127.0.0.1:{embedded.clickhouse_port}", {**kept, **given})


def clickhouse_dir(embedded: EmbeddedSettings) -> Path:
    """Returns the directory in which the embedded ClickHouse keeps its store and its passwords."""
    return Path(embedded.data_dir).absolute() / "clickhouse"


def log_to_stderr(log: LogSettings, part: str) -> None:
    """Logs to stderr as these settings say, and keeps the file behind it small where `callweave up` made one."""
    file = os.environ.get(LOG_FILE)
    logging_setup.set_up(log, part, file=Path(file) if file else None)


def keep_private() -> None:
    """Makes all new files and directories of this process and its children private to the user: modes 0600 and 0700."""
    os.umask(0o077)


def run_part(
    part: Part,
    settings: Settings,
    *,
    metrics_port: int = 0,
    name: str = "part",
    blocked_s: float = 0.0,
    rereading: Rereading | None = None,
) -> int:
    """Runs one part until it is asked to stop; returns the process's exit code.

    `name` is the name of the part. When its event loop is blocked for `blocked_s` seconds, the process is ended (0:
    never).
    """
    keep_private()
    log_to_stderr(settings.log, name)
    collect_rarely()
    try:
        anew = uvloop.run(_run(part, settings, metrics_port, name, blocked_s, rereading))
    except CallweaveError as exc:
        logging.getLogger("callweave").error("%s: %s", exc.code, exc)  # noqa: TRY400 - expected: the sentence is enough
        return EXIT_SETTINGS if isinstance(exc, SettingsError) else EXIT_FAILED
    if anew and rereading is not None:
        begin_anew(rereading.anew)
    return 0


def collect_rarely() -> None:
    """Searches for cyclic garbage less often, and never among the objects that the imports made."""
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 10, 10)


async def _run(
    part: Part, settings: Settings, metrics_port: int, name: str, blocked_s: float, rereading: Rereading | None
) -> bool:
    """Runs the part; returns True when a new process is to follow."""
    metrics = Registry()
    metrics.add("callweave_part_restarts_total", name, by=_restarts())
    anew = asyncio.Event()
    async with (
        guarded_loop(metrics, name, blocked_s=blocked_s),
        metrics_page(metrics, metrics_port, name, settings.metrics.host),
        _rereading(rereading, name, anew, stop := stop_on_signals(anew.clear)),
    ):
        await part(settings, stop, metrics)
    if anew.is_set():
        # A signal between the loop's last look at signals and the new program's handlers would be lost. The kernel may
        # give it to any thread that does not block it, so the others end first.
        await asyncio.get_running_loop().shutdown_default_executor()
        block_stops()
        await asyncio.sleep(_LAST_SIGNALS_S)
    return anew.is_set()


@contextlib.asynccontextmanager
async def _rereading(
    rereading: Rereading | None, name: str, anew: asyncio.Event, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Reads the settings again at each SIGHUP; sets `anew` and `stop` when a new process is to take them over."""
    if rereading is None:
        yield
        return

    def renew() -> None:
        anew.set()
        stop.set()

    rereading.live.follow(lambda new: log_to_stderr(new.log, name))
    reloader = Reloader(rereading, renew if rereading.anew else None)
    running = asyncio.create_task(reloader.run())
    accept_hangups(reloader.ask, stop.set)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await reloader.finish()


def _restarts() -> int:
    """Returns how often the supervisor started this part again, from the environment."""
    text = os.environ.get(RESTARTS, "")
    return int(text) if text.isdecimal() else 0


def stop_on_signals(at_first: Callable[[], None] = lambda: None) -> asyncio.Event:
    """Returns an event that the first SIGTERM or Ctrl-C sets; the second one ends the process at once.

    `at_first` is called at the first one.
    """
    stop = asyncio.Event()
    asked = False

    def on_signal() -> None:
        nonlocal asked
        if asked:
            os._exit(EXIT_HARD_STOP)
        asked = True
        at_first()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    accept_stops()
    return stop


@contextlib.asynccontextmanager
async def metrics_page(
    metrics: Registry, port: int, name: str = "part", host: str = "127.0.0.1"
) -> AsyncIterator[None]:
    """Serves `/metrics`, `/healthz` and `/readyz` on an address of this machine; with port 0 it serves nothing.

    Raises SetupError when it cannot listen on the port.
    """
    if not port:
        yield
        return
    # The header `Server` without versions, also of answers that no handler makes.
    web_response.SERVER_SOFTWARE = "callweave"  # type: ignore[attr-defined]  # aiohttp reads it there, and offers no other way
    app = web.Application()

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=metrics.text(), content_type="text/plain")

    async def alive(_request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def ready(_request: web.Request) -> web.Response:
        metrics.refresh()
        reasons = not_ready(metrics, name)
        body = {"ready": not reasons, **({"reason": "; ".join(reasons)} if reasons else {})}
        return web.json_response(body, status=503 if reasons else 200)

    app.router.add_get("/metrics", page)
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as exc:
            what, setting = "The metrics page", "this part's metrics_port or metrics.host"
            raise cannot_listen(exc, host, port, what=what, setting=setting, holder=holder(port)) from exc
        if not is_loopback(host):
            logging.getLogger("callweave").info("other machines reach /metrics and /readyz on %s:%d", host, port)
        yield
    finally:
        await runner.cleanup()
