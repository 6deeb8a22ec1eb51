"""Runs one ingress process: publisher, app and listener, and takes them down in the order that loses nothing.

The listener goes first, then requests in hand get their acknowledgement, then the producer closes.
"""

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from ingress.app import SERVER_OPTIONS, create_app
from ingress.kafka_publisher import KafkaPublisher
from schemas.errors import SetupError
from schemas.metrics import Registry
from schemas.settings import IngressSettings, KafkaSettings, Settings
from schemas.vendors import VENDORS

_BACKLOG = 1024

_log = logging.getLogger("callweave.ingress")


async def run(
    settings: Settings,
    stop: asyncio.Event,
    metrics: Registry,
    *,
    share_port: bool = False,
    render_metrics: Callable[[], str] | None = None,
) -> None:
    """Serve until `stop`, then drain; raises SetupError when it cannot listen.

    `share_port` lets several processes listen on the one port; `render_metrics` gives /metrics where it is more than `metrics`.
    """
    # The client repeats "cannot connect" several times a second while Kafka is away; the publisher says it once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    limits = settings.ingress
    async with KafkaPublisher(
        _address(settings),
        deadline_s=limits.publish_timeout_s,
        max_buffer_bytes=limits.max_buffer_bytes,
        max_value_bytes=limits.max_body_bytes,
    ) as publisher:
        metrics.before_read(lambda: metrics.put("callweave_ingress_waiting_bytes", value=publisher.waiting_bytes))
        app = create_app(settings, VENDORS, publisher, metrics, _now, render_metrics=render_metrics)
        runner = web.AppRunner(app, shutdown_timeout=limits.drain_s, **SERVER_OPTIONS)
        await runner.setup()
        try:
            site = web.TCPSite(
                runner, limits.host, limits.port, backlog=_BACKLOG, reuse_port=True if share_port else None
            )
            await _listen(site, limits)
            _log.info("listening: host=%s port=%d pid=%d", limits.host, limits.port, os.getpid())
            await stop.wait()
            _log.info("stopping: requests in hand get up to %g s", limits.drain_s)
        finally:
            await runner.cleanup()
    _log.info("stopped: pid=%d", os.getpid())


async def _listen(site: web.TCPSite, limits: IngressSettings) -> None:
    try:
        await site.start()
    except OSError as exc:
        raise cannot_listen(limits, exc) from exc


def cannot_listen(limits: IngressSettings, error: OSError) -> SetupError:
    """Why the port cannot be had, and what to do."""
    where = f"{limits.host}:{limits.port}"
    if error.errno == errno.EADDRINUSE:
        return SetupError(
            f"the ingress cannot listen on {where}: another process already does",
            code="port_in_use",
            advice="Stop that process, or set ingress.port (CALLWEAVE_INGRESS__PORT) to a free port.",
        )
    return SetupError(
        f"the ingress cannot listen on {where}: {os.strerror(error.errno) if error.errno else error}",
        code="port",
        advice="Set ingress.host and ingress.port to an address of this machine and a port that you may use.",
    )


def _address(settings: Settings) -> KafkaSettings:
    """Without an address of its own Kafka is the one that `callweave up` runs on this machine."""
    kafka = settings.kafka
    if kafka.bootstrap:
        return kafka
    return msgspec.structs.replace(kafka, bootstrap=f"127.0.0.1:{settings.embedded.kafka_port}")


def _now() -> datetime:
    return datetime.now(UTC)
