"""The composition root of `callweave process`: one worker that normalises and joins."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from functools import partial
from typing import Final

from processors.engine.dispatcher import attach
from processors.engine.faust_app import consumer_of, make_app, run_app
from processors.engine.fetcher import ReaderSettings
from processors.engine.offsets import GROUP
from processors.engine.watchdog import Stalls, end_process, or_end
from processors.normalise import directory
from processors.poison.crashes import Crashes, crash_dir
from processors.poison.memory_limit import limit_memory
from processors.poison.trace import PatientOutbox
from processors.record_clock import tick
from processors.stages.join_stage import JoinStage
from processors.stages.normalise_stage import NormaliseStage
from processors.stages.quarantine import Quarantine
from processors.store.calls import MemoryCalls, NewCalls
from processors.store.restore import ends, restore
from processors.store.rocks import LocalStore, store_dir
from schemas.codec import Codecs
from schemas.config.live import LiveSettings
from schemas.config.settings import KafkaSettings, Settings
from schemas.erasing.following import followed
from schemas.kafka.away import require
from schemas.kafka.watch import watch
from schemas.metrics import Registry
from schemas.privacy.tokens import NumberTokens
from schemas.topics import FACTS, MAX_MESSAGE_BYTES, RAW

log: Final = logging.getLogger(__name__)

_LAG_EVERY_S: Final = 1.0
_STALLED_S: Final = 20.0
"""Time without progress after which the gauge shows a partition as stalled: longer than a rebalance with its
restore."""


async def run(
    settings: Settings,
    stop: asyncio.Event,
    metrics: Registry,
    codecs: Codecs | None = None,
    *,
    live: LiveSettings | None = None,
) -> None:
    """Work until `stop` is set; a crash ends the process with a non-zero code. Needs `settings.kafka.bootstrap`.

    `live` brings other accounts and limits, which count from the next batch on.
    """
    codecs = codecs or Codecs()
    kafka, process = settings.kafka, settings.process
    limit_memory(process.memory_limit_mb)
    crashes = Crashes(crash_dir(settings), process.instance)
    await require(kafka, "process")
    tokens = NumberTokens(settings.privacy.key.value)
    async with (
        outbox(kafka, process.publish_timeout_s) as out,
        ends(kafka) as end,
        stores(settings) as new_calls,
        followed(kafka, tokens, role="process", give_up=end_process) as erasures,
    ):
        accounts = directory(settings.accounts)
        normalising = NormaliseStage(out, codecs, accounts, settings.limits, metrics, erasures=erasures)
        if live is not None:
            live.follow(lambda new: normalising.use(directory(new.accounts), new.limits))
        joining = JoinStage(
            out,
            codecs,
            settings.join,
            partial(restore, kafka),
            metrics,
            end=end,
            erasures=erasures,
            new_calls=new_calls,
        )
        app = make_app(
            GROUP,
            kafka,
            reader=ReaderSettings(batch_records=process.slice_records),
            instance_id=process.instance or None,
            commit_interval_s=process.commit_interval_s,
            session_timeout_s=process.session_timeout_s,
        )
        quarantine = Quarantine(crashes, out, codecs, metrics)
        attach(app, RAW.name, quarantine.guarding("normalise", normalising.step))
        attach(app, FACTS.name, quarantine.guarding("join", joining.step))
        # Partitions may come from workers that died.
        consumer_of(app).on_lost += [joining.drop, lambda _lost: crashes.refresh()]
        beside = [
            asyncio.create_task(or_end(tick(app, out, process.tick_s), "the record clock's tick")),
            asyncio.create_task(_measure(app, metrics)),
            asyncio.create_task(watch(kafka, "process")),
        ]
        try:
            await run_app(app, stop=stop, stalled_s=process.stall_s, signals=())
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
    crashes.close()


@contextlib.asynccontextmanager
async def stores(settings: Settings) -> AsyncGenerator[NewCalls, None]:
    """Yield what makes the stores of this worker's calls; raises `SetupError`."""
    if settings.join.store == "memory":
        yield MemoryCalls
        return
    store = LocalStore(store_dir(settings))
    try:
        yield store.new_calls
    finally:
        store.close()


def outbox(kafka: KafkaSettings, publish_timeout_s: float, *, role: str = "process") -> PatientOutbox:
    """Build the producer of this worker, or of another `role` of the rights' table."""
    return PatientOutbox(
        kafka,
        role=role,
        deadline_s=publish_timeout_s,
        max_message_bytes=MAX_MESSAGE_BYTES,
    )


async def _measure(app: object, metrics: Registry) -> None:
    """Update the gauges of partitions and lag every second; they keep their values while Kafka does not answer."""
    stages = {RAW.name: "normalise", FACTS.name: "join"}
    stalls, loop = Stalls(limit_s=_STALLED_S), asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_LAG_EVERY_S)
        try:
            consumer = consumer_of(app)
            assigned = consumer.assignment()
            lags = await consumer.lag(assigned)
            behind = {
                tp: consumer.tracker.position(tp) for tp in assigned if lags.get(tp) or consumer.tracker.in_flight(tp)
            }
        except Exception as error:  # noqa: BLE001  # a missing gauge is no reason to end a worker
            log.debug("the lag is not known: %r", error)
            continue
        stalled = stalls.observe(loop.time(), lagging=behind)
        for topic, stage in stages.items():
            metrics.put("callweave_lag_records", stage, value=sum(lag for tp, lag in lags.items() if tp[0] == topic))
            metrics.put("callweave_process_partitions", stage, value=sum(tp[0] == topic for tp in assigned))
            metrics.put("callweave_process_stalled_partitions", stage, value=sum(tp[0] == topic for tp in stalled))
