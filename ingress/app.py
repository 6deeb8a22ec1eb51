"""Assembles the ingress as an aiohttp application: routes, limits, and the server options that its guarantees need."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from ingress.admission import AdmissionControl
from ingress.http.body_reader import BodyReader
from ingress.http.handlers import PushHandler, StatusHandler, expected
from ingress.http.routes import Router
from ingress.kafka.publisher import Publisher
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
) -> web.Application:
    """Returns the application.

    `render_metrics` returns the text of /metrics where it is more than this process's `metrics`.

    `admission` is the count that the server shares; without it only single bodies are bounded. Once `leaving` is set,
    the application is not ready.
    """
    limits = settings.ingress
    push_handler = PushHandler(
        router=Router(settings, vendors),
        reader=BodyReader(
            cap_bytes=limits.max_body_bytes,
            within_s=limits.body_timeout_s,
            admission=admission or AdmissionControl(max_queued=limits.max_queued, max_bytes=limits.max_buffer_bytes),
        ),
        publisher=publisher,
        metrics=metrics,
        clock=clock,
        header_chars=settings.limits.header_chars,
    )
    status_handler = StatusHandler(publisher, render_metrics or metrics.text, leaving or asyncio.Event())
    app = web.Application()
    app.router.add_get("/healthz", status_handler.alive)
    app.router.add_get("/readyz", status_handler.ready)
    app.router.add_get("/metrics", status_handler.metrics)
    # All other paths and methods, so that unknown ones get our answer and are counted as well.
    app.router.add_route("*", "/{path:(?s:.*)}", push_handler.push, expect_handler=expected)
    return app
