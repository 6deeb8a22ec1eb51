"""Runs one ingress process: publisher, application and listener, and stops them in the order that loses nothing.

At a stop the process first announces that it is leaving (`/readyz`, `Connection: close`) and goes on serving. Then the
listener closes, requests that are being handled get their acknowledgement, the producer closes, and the spool last: an
acknowledgement that the producer gets until its end still removes a body from the spool.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from ingress.admission import AdmissionControl
from ingress.app import SERVER_OPTIONS, admin_app, create_app, use_settings
from ingress.audit.trail import audit_trail
from ingress.durable.durable_publisher import DurablePublisher
from ingress.durable.leftovers import drain_leftovers
from ingress.front.certificate import Certificate
from ingress.front.front_door import FrontDoor
from ingress.front.listening import BACKLOG, Listeners, open_admin_listener, open_listener
from ingress.http.proxies import Proxies
from ingress.kafka.producer import KafkaPublisher
from ingress.kafka.publisher import Publisher
from ingress.overload.server import BoundedRunner
from ingress.overload.shedding import LoadShedder
from ingress.quota.caller_counts import CallerCounts, no_counts
from ingress.spool.folder import of_worker, root
from ingress.spool.spool import Spool
from schemas.config.caller_safety import doubtful_checks
from schemas.config.listening import cannot_listen, has_admin_port, needs_account, who_reaches
from schemas.config.live import LiveSettings
from schemas.config.settings import IngressSettings, Settings
from schemas.metrics import Registry
from schemas.topics import RAW
from schemas.vendors import VENDORS

_LAST_REQUESTS_S: Final = 1.0
"""Time that connections which were accepted last have for their first request."""

_log = logging.getLogger("callweave.ingress")


async def run(
    settings: Settings,
    stop: asyncio.Event,
    metrics: Registry,
    *,
    worker: int = 1,
    listeners: Listeners | None = None,
    listening: Callable[[], None] = lambda: None,
    render_metrics: Callable[[], str] | None = None,
    live: LiveSettings | None = None,
) -> None:
    """Serves until `stop`, then drains; raises SetupError when the port or the spool belongs to another process.

    `worker` names its spool. `listeners` are the listening sockets that workers share; without them the process opens
    its own. `listening` is called as soon as connections are accepted. `render_metrics` returns the text of /metrics
    where it is more than `metrics`. `live` brings other settings while it serves.
    """
    # The client repeats "cannot connect" several times a second while Kafka is away; the publisher logs it once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    live = live or LiveSettings(settings)
    for doubt in doubtful_checks(settings):
        _log.warning("%s", doubt)
    counts = no_counts(settings.ingress.unknown_per_minute)
    async with (
        _durable(settings, metrics, worker, live) as publisher,
        audit_trail(lambda: live.current.kafka, counts.refusals),
    ):
        await serve(
            settings, publisher, stop, metrics,
            outliving_bytes=lambda: publisher.outliving_bytes, counts=counts,
            listeners=listeners, listening=listening, render_metrics=render_metrics, live=live,
        )  # fmt: skip
    _log.info("stopped: pid=%d", os.getpid())


async def serve(
    settings: Settings,
    publisher: Publisher,
    stop: asyncio.Event,
    metrics: Registry,
    *,
    outliving_bytes: Callable[[], int] = lambda: 0,
    counts: CallerCounts | None = None,
    listeners: Listeners | None = None,
    listening: Callable[[], None] = lambda: None,
    render_metrics: Callable[[], str] | None = None,
    live: LiveSettings | None = None,
) -> None:
    """Serves pushes to `publisher` until `stop`, then finishes those that have begun; see `run`."""
    # It quotes requests, in which secrets may stand; the guarded connections count what it would say.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    limits = settings.ingress
    live = live or LiveSettings(settings)
    admission = AdmissionControl(
        max_queued=limits.max_queued, max_bytes=limits.max_buffer_bytes, outliving_bytes=outliving_bytes
    )
    metrics.before_read(lambda: _show_admission(metrics, admission))
    leaving = asyncio.Event()
    app = create_app(
        settings, VENDORS, publisher, metrics, _now, counts=counts,
        admission=admission, leaving=leaving, render_metrics=render_metrics,
    )  # fmt: skip
    live.follow(lambda new: use_settings(app, new, VENDORS, admission))
    pages = admin_app(publisher, render_metrics or metrics.text, leaving)
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
    async with _admin(pages, limits, listeners):
        try:
            site = _site(runner, limits, metrics, listeners)
            if isinstance(site, FrontDoor):
                live.follow(lambda new: site.use(new.ingress))
            await _listen(site, limits)
            _say_listening(limits)
            listening()
            await stop.wait()
            leave_s = live.current.ingress.leave_s
            _log.info("leaving in %g s: then open requests get up to %g s", leave_s, limits.drain_s)
            leaving.set()
            await asyncio.sleep(leave_s)
            await site.stop()
            await runner.until_first_requests(_LAST_REQUESTS_S)
        finally:
            await runner.cleanup()


@contextlib.asynccontextmanager
async def _durable(
    settings: Settings, metrics: Registry, worker: int, live: LiveSettings
) -> AsyncIterator[DurablePublisher]:
    """Yields Kafka and this worker's spool as one publisher; worker 1 also drains the spools of former workers."""
    limits = settings.ingress
    base = root(settings)
    async with (
        Spool(of_worker(base, worker), limits, metrics) as spool,
        KafkaPublisher(
            settings.kafka,
            deadline_s=limits.publish_timeout_s,
            max_buffer_bytes=limits.max_buffer_bytes,
            max_value_bytes=limits.max_body_bytes,
            spread=(RAW.name,),
        ) as kafka,
        DurablePublisher(kafka, spool, limits, metrics) as publisher,
    ):
        live.follow(lambda new: kafka.use(new.kafka, max_value_bytes=new.ingress.max_body_bytes))
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


def _site(
    runner: BoundedRunner, limits: IngressSettings, metrics: Registry, listeners: Listeners | None
) -> web.BaseSite:
    """Returns the site of the port that vendors push to; raises SetupError and SettingsError."""
    if limits.tls_certificate_file or limits.proxy_protocol:
        certificate = Certificate(limits, metrics) if limits.tls_certificate_file else None
        proxies = Proxies(limits) if limits.proxy_protocol else None
        listener = listeners.public if listeners else open_listener(limits)
        return FrontDoor(runner, listener, limits, metrics, certificate=certificate, proxies=proxies)
    if listeners is not None:
        return web.SockSite(runner, listeners.public, backlog=BACKLOG)
    return web.TCPSite(runner, limits.host, limits.port, backlog=BACKLOG)


async def _listen(site: web.BaseSite, limits: IngressSettings) -> None:
    try:
        await site.start()
    except OSError as exc:
        raise cannot_listen(exc, limits.host, limits.port, what="The ingress", setting="ingress.port") from exc


@contextlib.asynccontextmanager
async def _admin(pages: web.Application, limits: IngressSettings, listeners: Listeners | None) -> AsyncIterator[None]:
    """Serves the admin pages, where they have a port of their own; raises SetupError.

    They are bounded and counted by themselves, so that the figures of the pushes are those of the pushes alone.
    """
    if not has_admin_port(limits):
        yield
        return
    runner = BoundedRunner(
        pages,
        limits,
        Registry(),
        admission=AdmissionControl(max_queued=limits.max_queued, max_bytes=limits.max_buffer_bytes),
        shedder=LoadShedder({}),
        leaving=asyncio.Event(),
        shutdown_timeout=_LAST_REQUESTS_S,
        **SERVER_OPTIONS,
    )
    await runner.setup()
    try:
        shared = listeners.admin if listeners else None
        await web.SockSite(runner, shared or open_admin_listener(limits), backlog=BACKLOG).start()
        yield
    finally:
        await runner.cleanup()


def _say_listening(limits: IngressSettings) -> None:
    _log.info("listening: host=%s port=%d pid=%d", limits.host, limits.port, os.getpid())
    if (reached := who_reaches(limits)) and not needs_account(limits):
        _log.warning("%s, and anybody there may push without an account, as --open says", reached)


def _now() -> datetime:
    return datetime.now(UTC)
