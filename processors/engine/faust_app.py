"""The Faust app of a worker with all its settings, started and stopped inside our own event loop.

`faust worker` would take over logging, signals and the loop, and can hang on its way out; so an app is started and
stopped here. Agents are declared with `processors.engine.dispatcher.attach` between `make_app` and `run_app`. No topic
is created, no web server is run, no leader is elected, and Faust itself produces nothing.
"""

import asyncio
import logging
import signal
import tempfile
from pathlib import Path

import faust
from mode import CrashingSupervisor

from processors.engine.fetcher import ReaderSettings
from processors.engine.transport import BatchConsumer, BatchTransport
from processors.engine.watchdog import Fatal, end_process, or_end, watch
from schemas.config.settings import KafkaSettings

log = logging.getLogger(__name__)

_STOP_S = 20.0


class BatchApp(faust.App):  # type: ignore[misc]  # faust has no usable types
    """A Faust app that leaves the working directory alone: without tables it has nothing to keep there."""

    def _create_directories(self) -> None:
        """Create none of the data directories."""


def make_app(
    group_id: str,
    kafka: KafkaSettings,
    *,
    reader: ReaderSettings | None = None,
    instance_id: str | None = None,
    commit_interval_s: float = 1.0,
    session_timeout_s: float = 10.0,
) -> faust.App:
    """Return an app of consumer group `group_id` that reads batches.

    A fixed `instance_id` per worker lets it restart within the session timeout without a rebalance.
    """
    reader = reader or ReaderSettings()
    if reader.drain_s >= session_timeout_s:
        raise ValueError(f"drain_s ({reader.drain_s:g}) must be below session_timeout_s ({session_timeout_s:g})")
    app = BatchApp(
        group_id,
        version=1,  # keeps the group id as it is
        broker=[f"kafka://{address.strip()}" for address in kafka.bootstrap.split(",")],
        broker_commit_interval=commit_interval_s,
        broker_session_timeout=session_timeout_s,
        broker_heartbeat_interval=2.0,
        broker_rebalance_timeout=30.0,
        broker_request_timeout=max(40.0, session_timeout_s + 5),
        broker_max_poll_interval=300.0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance_id,
        agent_supervisor=CrashingSupervisor,
        datadir=str(Path(tempfile.gettempdir()) / group_id),  # never created
        stream_wait_empty=True,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        reply_create_topic=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
        autodiscover=False,
    )
    app.transport = BatchTransport(app.conf.broker_consumer, app, kafka=kafka, settings=reader)
    return app


def consumer_of(app: faust.App) -> BatchConsumer:
    """Return the app's consumer: for gauges, and to append to its `on_lost`."""
    consumer: BatchConsumer = app.consumer
    return consumer


async def run_app(
    app: faust.App,
    *,
    stop: asyncio.Event | None = None,
    stalled_s: float = 60.0,
    signals: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT),
    fatal: Fatal = end_process,
) -> None:
    """Run the app until `stop` is set or one of `signals` arrives, then stop it; a crash or a hang ends the process."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    running = asyncio.create_task(_run(app, stalled_s=stalled_s, fatal=fatal))
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([running, asked], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            consumer_of(app).poison()
            fatal("the worker crashed", running.exception() or app.crash_reason)
        log.info("stopping")
        async with asyncio.timeout(_STOP_S):
            await app.stop()
    except TimeoutError:
        fatal(f"the worker did not stop within {_STOP_S:g} s", None)
    finally:
        running.cancel()
        asked.cancel()
        for number in signals:
            loop.remove_signal_handler(number)


async def _run(app: faust.App, *, stalled_s: float, fatal: Fatal) -> None:
    """Start the app, watch it, and return when it is stopped or crashed."""
    await app.start()
    log.info("started")
    watching = asyncio.create_task(or_end(watch(app.consumer, limit_s=stalled_s, fatal=fatal), "the watchdog", fatal))
    try:
        await app.wait_until_stopped()
    finally:
        watching.cancel()
