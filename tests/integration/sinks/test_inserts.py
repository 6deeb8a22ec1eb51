"""Inserts with the real client: what they leave in memory, and that concurrent ones do not mix."""

import asyncio
import contextlib
import gc
from pathlib import Path
from typing import Any

import pytest

from schemas.config.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.error_classes import RowsRefused
from sinks.rows import CDR
from tests.integration.sinks.driving import count, fact, process, send_facts, until_count


async def test_the_sink_carries_no_data_frames(settings: Settings, db: ClickHouse) -> None:
    """ClickHouse's client would import pandas at the first insert: half of the process's memory, and a late start."""
    await send_facts(settings.kafka, [fact(1)])
    async with process(settings) as child:
        await until_count(db, "v_cdr", 1)
        loaded = await asyncio.to_thread(Path(f"/proc/{child.pid}/maps").read_text)
    assert "msgspec" in loaded
    assert "pandas" not in loaded


@pytest.mark.parametrize(
    ("q850", "answered"),
    [
        pytest.param(16, contextlib.nullcontext(), id="taken"),
        pytest.param(70_000, pytest.raises(RowsRefused), id="refused"),
    ],
)
async def test_an_insert_is_not_held_once_it_is_answered(
    db: ClickHouse, q850: int, answered: contextlib.AbstractContextManager[Any]
) -> None:
    """The library's insert context refers to itself: it would stay until the next garbage collection, which is rare."""
    gc.collect()
    gc.disable()
    try:
        before = _lists()
        with answered:
            await db.insert(CDR, [*(fact(n) for n in range(1, 1000)), fact(1000, q850=q850)])
        assert _lists() - before < 1000, "each row's own lists are still there"
    finally:
        gc.enable()


async def test_inserts_leave_nothing_behind(db: ClickHouse) -> None:
    await db.insert(CDR, [fact(1)])
    gc.collect()
    for number in range(20):
        await db.insert(CDR, [fact(number)])
    assert gc.collect() == 0
    assert await count(db, "v_cdr") == 20


async def test_inserts_into_one_table_at_the_same_time_do_not_mix(db: ClickHouse) -> None:
    """One that was given up goes on in its thread while the next begins."""
    for first in range(0, 5000, 1000):
        await asyncio.gather(
            *(db.insert(CDR, [fact(n) for n in range(first + part, first + 1000, 4)]) for part in range(4))
        )
    assert await count(db, "v_cdr") == 5000


def _lists() -> int:
    return sum(type(held) is list for held in gc.get_objects())
