"""The base of every command: settings, addresses, logging, signals, and the server for metrics.

No other module reads settings from the environment. A part is a coroutine `run(settings, stop, metrics)`; `run_part`
gives it an event that SIGTERM and Ctrl-C set, and ends the process at a second one.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from aiohttp import web

from deploy.clickhouse import passwords
from deploy.clickhouse.launch import engine_settings, given_passwords
from deploy.process.log_limit import LogLimit
from deploy.process.loop_guard import guarded_loop
from deploy.process.part_process import EXIT_FAILED, EXIT_SETTINGS, RESTARTS
from deploy.process.ports import cannot_listen
from deploy.process.readiness import not_ready
from schemas.config.loader import load
from schemas.config.settings import ClickHouseSettings, EmbeddedSettings, Settings
from schemas.errors import CallweaveError, SettingsError
from schemas.metrics import Registry
from schemas.vendors import VENDORS

Part = Callable[[Settings, asyncio.Event, Registry], Awaitable[None]]

DEFAULT_FILE: Final = Path("callweave.toml")
BLOCKED_S: Final = 60.0
"""A part whose event loop is blocked for this long serves nobody; the bound of workers is `process.blocked_s`."""
EXIT_HARD_STOP: Final = 130
_LIBRARIES: Final = ("aiokafka", "faust", "mode", "urllib3", "clickhouse_connect")
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
_COLLECT_EVERY: Final = 100_000
"""New objects between two searches for cyclic garbage. Batches are many objects without cycles: with Python's default
of 700 a worker spent a quarter of its time on the searches."""


def read_settings(config: Path | None) -> Settings:
    """Returns the effective settings of this process; raises `SettingsError`."""
    named = config or (Path(os.environ["CALLWEAVE_CONFIG"]) if os.environ.get("CALLWEAVE_CONFIG") else None)
    path = named or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    return load(path, os.environ, frozenset(VENDORS), _PULLED, _SIGNING)


def resolved(settings: Settings) -> Settings:
    """Returns the settings with every address filled in: an unset one is that of the embedded server."""
    kafka, clickhouse, embedded = settings.kafka, settings.clickhouse, settings.embedded
    return msgspec.structs.replace(
        settings,
        kafka=kafka
        if kafka.bootstrap
        else msgspec.structs.replace(kafka, bootstrap=f"127.0.0.1:{embedded.kafka_port}"),
        clickhouse=clickhouse if clickhouse.url else _embedded_clickhouse(clickhouse, embedded),
    )


def _embedded_clickhouse(clickhouse: ClickHouseSettings, embedded: EmbeddedSettings) -> ClickHouseSettings:
    """Returns the settings that reach the embedded engine, with the passwords from its data directory."""
    given = {name: password for name, password in given_passwords(clickhouse).items() if password}
    kept = {name: all_[0] for name, all_ in passwords.read(clickhouse_dir(embedded)).items() if all_}
    return engine_settings(clickhouse, f"http://127.0.0.1:{embedded.clickhouse_port}", {**kept, **given})


def clickhouse_dir(embedded: EmbeddedSettings) -> Path:
    """Returns the directory in which the embedded ClickHouse keeps its store and its passwords."""
    return Path(embedded.data_dir).absolute() / "clickhouse"


def log_to_stderr(level: int = logging.INFO) -> None:
    """Logs to stderr, one line per event; libraries log from WARNING up, and lines that they repeat are counted."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(LogLimit(_LIBRARIES))
    logging.basicConfig(
        handlers=[handler], level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    for library in (*_LIBRARIES, "aiohttp.access"):
        logging.getLogger(library).setLevel(max(level, logging.WARNING))


def keep_private() -> None:
    """Makes all new files and directories of this process and its children private to the user: modes 0600 and 0700."""
    os.umask(0o077)


def run_part(
    part: Part, settings: Settings, *, metrics_port: int = 0, name: str = "part", blocked_s: float = 0.0
) -> int:
    """Runs one part until it is asked to stop; returns the process's exit code.

    `name` is the name of the part. When its event loop is blocked for `blocked_s` seconds, the process is ended (0:
    never).
    """
    keep_private()
    log_to_stderr()
    collect_rarely()
    try:
        uvloop.run(_run(part, settings, metrics_port, name, blocked_s))
    except CallweaveError as exc:
        logging.getLogger("callweave").error("%s: %s", exc.code, exc)  # noqa: TRY400 - expected: the sentence is enough
        return EXIT_SETTINGS if isinstance(exc, SettingsError) else EXIT_FAILED
    return 0


def collect_rarely() -> None:
    """Searches for cyclic garbage less often, and never among the objects that the imports made."""
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 10, 10)


async def _run(part: Part, settings: Settings, metrics_port: int, name: str, blocked_s: float) -> None:
    metrics = Registry()
    metrics.add("callweave_part_restarts_total", name, by=_restarts())
    async with guarded_loop(metrics, name, blocked_s=blocked_s), metrics_page(metrics, metrics_port, name):
        await part(settings, stop_on_signals(), metrics)


def _restarts() -> int:
    """Returns how often the supervisor started this part again, from the environment."""
    text = os.environ.get(RESTARTS, "")
    return int(text) if text.isdecimal() else 0


def stop_on_signals() -> asyncio.Event:
    """Returns an event that the first SIGTERM or Ctrl-C sets; the second one ends the process at once."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(EXIT_HARD_STOP)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop


@contextlib.asynccontextmanager
async def metrics_page(metrics: Registry, port: int, name: str = "part") -> AsyncIterator[None]:
    """Serves `/metrics`, `/healthz` and `/readyz` on the loopback interface; with port 0 it serves nothing.

    Raises SetupError when it cannot listen on the port.
    """
    if not port:
        yield
        return
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
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as exc:
            raise cannot_listen(exc, port, what="The metrics page", setting="this part's metrics_port") from exc
        yield
    finally:
        await runner.cleanup()
