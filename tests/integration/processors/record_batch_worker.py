"""A worker process for the tests: notes every batch it finished in a file, as a stand-in for durable outputs."""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from processors.engine.dispatcher import attach
from processors.engine.faust_app import make_app, run_app
from processors.engine.fetcher import ReaderSettings
from processors.records import RecordBatch
from schemas.config.settings import KafkaSettings


async def work(
    *,
    bootstrap: str,
    topic: str,
    group: str,
    notes: str,
    hurry: str,
    pause_ms: float,
    batch_records: int,
    drain_s: float,
    fail_at: int,
) -> None:
    """Work on `topic` until a signal, or until the step fails at offset `fail_at` of any partition.

    A batch takes `pause_ms` until the file `hurry` is there, and no time from then on.
    """
    file = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(**what: Any) -> None:
        os.write(file, (json.dumps({"pid": os.getpid(), **what}) + "\n").encode())

    def pause_s() -> float:
        return 0 if Path(hurry).exists() else pause_ms / 1000

    async def step(batch: RecordBatch) -> None:
        if batch.first_offset <= fail_at < batch.next_offset:
            raise RuntimeError("the record nobody can work on")
        await asyncio.sleep(pause_s())
        note(partition=batch.partition, first=batch.first_offset, next=batch.next_offset, epoch=batch.epoch)

    app = make_app(
        group,
        KafkaSettings(bootstrap=bootstrap),
        reader=ReaderSettings(batch_records=batch_records, drain_s=drain_s),
        commit_interval_s=0.3,
    )
    attach(app, topic, step)

    @app.on_partitions_assigned.connect  # type: ignore[untyped-decorator]  # faust has no usable types
    async def assigned(_: Any, assigned: Any, **__: Any) -> None:
        note(generation=app.consumer_generation_id, assigned=sorted(tp.partition for tp in assigned))

    await run_app(app)
    note(stopped=True)


def main() -> None:
    """Works as the first argument says, with a log in the second one."""
    logging.basicConfig(
        filename=f"{Path(sys.argv[2])}",
        level=logging.INFO,
        format="%(process)d %(asctime)s %(name)s %(levelname)s %(message)s",
    )
    asyncio.run(work(**json.loads(sys.argv[1])))
