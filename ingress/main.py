"""Runs one ingress process: publisher, application and listener, and stops them in the order that loses nothing.

At a stop the process first announces that it is leaving (`/readyz`, `Connection: close`) and goes on serving. Then the
listener closes, requests that are being handled get their acknowledgement, the producer closes, and the spool last: an
acknowledgement that the producer gets until its end still removes a body from the spool.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Final

import msgspec
from aiohttp import web

from ingress.admission import AdmissionControl
from ingress.app import SERVER_OPTIONS, create_app
from ingress.durable.durable_publisher import DurablePublisher
from ingress.durable.leftovers import drain_leftovers
from ingress.kafka.producer import KafkaPublisher
from ingress.overload.server import BoundedRunner
from ingress.overload.shedding import LoadShedder
from ingress.spool.folder import of_worker, root
from ingress.spool.spool import Spool
from schemas.config.settings import IngressSettings, KafkaSettings, Settings
from schemas.errors import SetupError
from schemas.metrics import Registry
from schemas.vendors import VENDORS

BACKLOG: Final = 1024
_LAST_REQUESTS_S: Final = 1.0
"""Time that connections which were accepted last have for their first request."""

_log = logging.getLogger("callweave.ingress")


async def run(
    settings: Settings,
    stop: asyncio.Event,
    metrics: Registry,
    *,
    worker: int = 1,
    listener: socket.socket | None = None,
    listening: Callable[[], None] = lambda: None,
    render_metrics: Callable[[], str] | None = None,
) -> None:
    """Serves until `stop`, then drains; raises SetupError when the port or the spool belongs to another process.

    `worker` names its spool. `listener` is a listening socket that workers share; without one the process opens its
    own. `listening` is called as soon as connections are accepted. `render_metrics` returns the text of /metrics where
    it is more than `metrics`.
    """
    # The client repeats "cannot connect" several times a second while Kafka is away; the publisher logs it once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    limits = settings.ingress
    async with _durable(settings, metrics, worker) as publisher:
        admission = AdmissionControl(
            max_queued=limits.max_queued,
            max_bytes=limits.max_buffer_bytes,
            outliving_bytes=lambda: publisher.outliving_bytes,
        )
        metrics.before_read(lambda: _show_admission(metrics, admission))
        leaving = asyncio.Event()
        app = create_app(
            settings, VENDORS, publisher, metrics, _now,
            admission=admission, leaving=leaving, render_metrics=render_metrics,
        )  # fmt: skip
        runner = BoundedRunner(
            app,
            limits,
            metrics,
            admission=admission,
            shedder=LoadShedder(VENDORS),
            leaving=leaving,
            shutdown_timeout=limits.drain_s,
            **SERVER_OPTIONS,
        )
        await runner.setup()
        try:
            site = _site(runner, limits, listener)
            await _listen(site, limits)
            _log.info("listening: host=%s port=%d pid=%d", limits.host, limits.port, os.getpid())
            listening()
            await stop.wait()
            _log.info("leaving in %g s: then open requests get up to %g s", limits.leave_s, limits.drain_s)
            leaving.set()
            await asyncio.sleep(limits.leave_s)
            await site.stop()
            await runner.until_first_requests(_LAST_REQUESTS_S)
        finally:
            await runner.cleanup()
    _log.info("stopped: pid=%d", os.getpid())


@contextlib.asynccontextmanager
async def _durable(settings: Settings, metrics: Registry, worker: int) -> AsyncIterator[DurablePublisher]:
    """Yields Kafka and this worker's spool as one publisher; worker 1 also drains the spools of former workers."""
    limits = settings.ingress
    base = root(settings)
    async with (
        Spool(of_worker(base, worker), limits, metrics) as spool,
        KafkaPublisher(
            _address(settings),
            deadline_s=limits.publish_timeout_s,
            max_buffer_bytes=limits.max_buffer_bytes,
            max_value_bytes=limits.max_body_bytes,
        ) as kafka,
        DurablePublisher(kafka, spool, limits, metrics) as publisher,
    ):
        metrics.before_read(lambda: _show_publisher(metrics, kafka, spool, str(worker)))
        leftovers = asyncio.create_task(drain_leftovers(base, kafka, limits, metrics)) if worker == 1 else None
        try:
            yield publisher
        finally:
            if leftovers is not None:
                leftovers.cancel()
                await asyncio.gather(leftovers, return_exceptions=True)


def _show_publisher(metrics: Registry, kafka: KafkaPublisher, spool: Spool, worker: str) -> None:
    metrics.put("callweave_ingress_waiting_bytes", value=kafka.waiting_bytes + spool.waiting_bytes)
    metrics.put("callweave_spool_bodies", worker, value=spool.bodies)
    metrics.put("callweave_spool_bytes", worker, value=spool.size_bytes)
    metrics.put("callweave_spool_oldest_seconds", worker, value=spool.oldest_s)
    metrics.put("callweave_spool_set_aside", worker, value=spool.set_aside)
    metrics.put("callweave_spool_too_large", worker, value=spool.too_large.bodies)


def _show_admission(metrics: Registry, admission: AdmissionControl) -> None:
    metrics.put("callweave_ingress_queued_requests", value=admission.queued)
    metrics.put("callweave_ingress_held_bytes", value=admission.size_bytes)


def _site(runner: web.AppRunner, limits: IngressSettings, listener: socket.socket | None) -> web.BaseSite:
    if listener is not None:
        return web.SockSite(runner, listener, backlog=BACKLOG)
    return web.TCPSite(runner, limits.host, limits.port, backlog=BACKLOG)


async def _listen(site: web.BaseSite, limits: IngressSettings) -> None:
    try:
        await site.start()
    except OSError as exc:
        raise cannot_listen(limits, exc) from exc


def cannot_listen(limits: IngressSettings, error: OSError) -> SetupError:
    """Returns the error of a port that cannot be listened on, with advice."""
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
    """Returns the Kafka settings; without an address Kafka is the one that `callweave up` runs on this machine."""
    kafka = settings.kafka
    if kafka.bootstrap:
        return kafka
    return msgspec.structs.replace(kafka, bootstrap=f"127.0.0.1:{settings.embedded.kafka_port}")


def _now() -> datetime:
    return datetime.now(UTC)
