"""Assembles the ingress as an aiohttp application: routes, limits, and the server options that its guarantees need."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from ingress.access.replays import Replays
from ingress.admission import AdmissionControl
from ingress.http.body_reader import BodyReader
from ingress.http.handlers import PUSH, PushHandler, expected
from ingress.http.routes import Router, pushed_paths
from ingress.http.status_pages import StatusHandler
from ingress.kafka.publisher import Publisher
from ingress.quota.caller_counts import CallerCounts
from schemas.config.listening import has_admin_port
from schemas.config.settings import Settings
from schemas.metrics import Registry
from schemas.vendor_kit.contract import Vendor

SERVER_OPTIONS: Final[Mapping[str, Any]] = {
    "auto_decompress": False,  # the bytes on the wire are the ones that are stored
    "access_log": None,  # aiohttp's shows queries and secrets; the handlers write ours
    "keepalive_timeout": 75.0,
    "lingering_time": 2.0,  # the rest of a refused body is read this long, so that its sender reads our answer
    "max_line_size": 8190,
    "max_field_size": 8190,
    "max_headers": 128,
}
"""Options of the runner that serves the application."""


def create_app(
    settings: Settings,
    vendors: Mapping[str, Vendor],
    publisher: Publisher,
    metrics: Registry,
    clock: Callable[[], datetime],
    *,
    admission: AdmissionControl | None = None,
    leaving: asyncio.Event | None = None,
    render_metrics: Callable[[], str] | None = None,
    replays: Replays | None = None,
    counts: CallerCounts | None = None,
) -> web.Application:
    """Returns the application of the port that vendors push to; what is not for strangers is left to `admin_app`.

    `render_metrics` returns the text of /metrics where it is more than this process's `metrics`.

    `admission` is the count that the server shares; without it only single bodies are bounded. Once `leaving` is set,
    the application is not ready. `replays` and `counts` are what outlives a change of the settings.
    """
    limits = settings.ingress
    admission = admission or AdmissionControl(max_queued=limits.max_queued, max_bytes=limits.max_buffer_bytes)
    push_handler = PushHandler(
        router=Router(settings, vendors),
        reader=_reader(settings, admission),
        publisher=publisher,
        metrics=metrics,
        clock=clock,
        replays=replays,
        counts=counts,
        header_chars=settings.limits.header_chars,
    )
    status_handler = StatusHandler(publisher, render_metrics or metrics.text, leaving or asyncio.Event())
    app = web.Application()
    app[PUSH] = push_handler
    if has_admin_port(limits):
        app.router.add_get("/healthz", status_handler.alive, expect_handler=expected)
        app.router.add_get("/readyz", status_handler.ready_or_not, expect_handler=expected)
    else:
        _add_pages(app, status_handler)
    # aiohttp finds a plain path at once, while it takes any other apart to find that it goes to the handler as well.
    for path in pushed_paths(vendors):
        app.router.add_route("*", f"/v1{path}", push_handler.push, expect_handler=expected)
    # All other paths and methods, so that unknown ones get our answer and are counted as well.
    app.router.add_route("*", "/{path:(?s:.*)}", push_handler.push, expect_handler=expected)
    return app


def use_settings(
    app: web.Application, settings: Settings, vendors: Mapping[str, Vendor], admission: AdmissionControl
) -> None:
    """Makes the application handle what comes from now on by these settings; nothing that it has begun is disturbed."""
    admission.allow_queued(settings.ingress.max_queued)
    app[PUSH].use(
        router=Router(settings, vendors),
        reader=_reader(settings, admission),
        header_chars=settings.limits.header_chars,
        unknown_per_minute=settings.ingress.unknown_per_minute,
    )


def _reader(settings: Settings, admission: AdmissionControl) -> BodyReader:
    limits = settings.ingress
    return BodyReader(cap_bytes=limits.max_body_bytes, within_s=limits.body_timeout_s, admission=admission)


def admin_app(publisher: Publisher, render_metrics: Callable[[], str], leaving: asyncio.Event) -> web.Application:
    """Returns the application of the admin port: the metrics of all workers, and readiness with its reason."""
    app = web.Application()
    _add_pages(app, StatusHandler(publisher, render_metrics, leaving))
    return app


def _add_pages(app: web.Application, handler: StatusHandler) -> None:
    app.router.add_get("/healthz", handler.alive, expect_handler=expected)
    app.router.add_get("/readyz", handler.ready, expect_handler=expected)
    app.router.add_get("/metrics", handler.metrics, expect_handler=expected)
