"""The sink while ClickHouse's disk is full: rows that it counts as stored are there."""

import asyncio
import contextlib
import itertools
import os
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.clickhouse.config import RESERVE_BYTES
from deploy.clickhouse.launch import ClickHouseServer
from deploy.process.ports import free_port
from schemas.config.settings import Settings
from schemas.errors import Unavailable
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrator
from sinks.rows import CDR
from tests.chaos.faults.disk import Disk
from tests.integration.sinks.driving import (
    attempted,
    count,
    fact,
    send_facts,
    settings_of,
    sinking,
    uncommitted,
    until,
    until_committed,
    until_count,
)
from tests.support.processes.made_tables import make_tables
from tests.support.scale import SCALE

SMALL_DISK_MB = 800


INSERTING = 8


ROWS_AN_INSERT = 2


FILLED_TIMES = 2 if SCALE == 1 else 12


FULL_S = 0.3
"""Seconds for which the disk is full; longer than an insert takes, or no insert would notice it."""


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Disk]:
    """A file system that a test can fill, or a skip."""
    disk = Disk(tmp_path / "disk", SMALL_DISK_MB)
    await disk.mount()
    if disk.refusal:
        pytest.skip(disk.refusal)
    yield disk
    await disk.unmount()


async def test_an_insert_after_which_the_disk_has_hardly_room_is_repeated(settings: Settings, small_disk: Disk) -> None:
    """The engine acknowledges the rows each time, yet the sink commits nothing until there is room."""
    async with ClickHouseServer(small_disk.path / "clickhouse") as server:
        here = settings_of(server, settings, min_free_mb=100)
        await make_tables(here)
        async with sinking(here) as metrics, ClickHouse(here.clickhouse) as db:
            await send_facts(here.kafka, [fact(1)])
            await until_count(db, "v_cdr", 1)
            await until_committed(here.kafka, "everything to be committed")
            small_disk.fill(but=RESERVE_BYTES + (50 << 20))
            await send_facts(here.kafka, [fact(2)])
            await until(lambda: attempted(metrics, 3), "three attempts")
            assert await count(db, "v_cdr") == 2
            assert sum((await uncommitted(here.kafka)).values()) == 1
            small_disk.free()
            await until_committed(here.kafka, "everything to be committed")
            assert await count(db, "v_cdr") == 2


async def test_what_the_sink_calls_stored_outlives_a_full_disk_and_a_kill(small_disk: Disk) -> None:
    """Again and again the disk fills up in the middle of inserts, and then the engine is killed."""
    stored: set[int] = set()
    numbers = itertools.count()
    server = ClickHouseServer(small_disk.path / "clickhouse", port=free_port())

    async def inserting() -> None:
        async with ClickHouse(server.settings()) as db:
            while True:
                some = [next(numbers) for _ in range(ROWS_AN_INSERT)]
                with contextlib.suppress(Unavailable):
                    await db.insert(CDR, [fact(n) for n in some])
                    await db.require_room()
                    stored.update(some)

    async with server:
        await make_tables(settings_of(server, Settings()))
        await many_files_a_part(server)
    for _ in range(FILLED_TIMES):
        async with server:
            wanted = len(stored) + 2 * INSERTING * ROWS_AN_INSERT
            inserts = [asyncio.create_task(inserting()) for _ in range(INSERTING)]

            async def going_on(least: int = wanted) -> bool:
                return len(stored) >= least

            await until(going_on, "inserts that are taken")
            os.kill(server.pid, signal.SIGSTOP)
            small_disk.fill()
            os.kill(server.pid, signal.SIGCONT)
            await asyncio.sleep(FULL_S)
            os.kill(server.pid, signal.SIGKILL)
            for one in inserts:
                one.cancel()
            await asyncio.gather(*inserts, return_exceptions=True)
        small_disk.free()

    async with server, ClickHouse(server.settings()) as db:
        rows = await db.query(f"SELECT record_id FROM {db.database}.v_cdr")
    assert {uuid.UUID(int=n) for n in stored} - {found for (found,) in rows} == set()


async def many_files_a_part(server: ClickHouseServer) -> None:
    """Makes an insert take longer after the engine looked for room: two files a column instead of one for all."""
    async with ClickHouse(migrator(server.settings())) as db:
        await db.command(
            f"ALTER TABLE {db.database}.cdr_by_slot MODIFY SETTING min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0"
        )
