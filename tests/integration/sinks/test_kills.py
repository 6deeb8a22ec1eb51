"""The sink killed, stopped and joined by others in the middle of its work: rows arrive exactly."""

import asyncio
import os
import signal
from pathlib import Path

from deploy.clickhouse.launch import ClickHouseServer
from schemas.config.settings import Settings
from schemas.facts import FactType
from sinks.clickhouse import ClickHouse
from tests.integration.sinks.driving import (
    call,
    count,
    fact,
    logged,
    process,
    send_calls,
    send_facts,
    settings_of,
    uncommitted,
    until,
    until_committed,
    until_count,
)
from tests.support.processes.made_tables import make_tables


async def test_killed_again_and_again_the_views_are_exact(settings: Settings, db: ClickHouse) -> None:
    facts = [fact(n, (FactType.RECORD, FactType.STATE)[n % 2]) for n in range(6000)]
    calls = [call(n % 1500, version=1 + n // 1500, talk_ms=n) for n in range(4500)]
    await asyncio.gather(send_facts(settings.kafka, facts), send_calls(settings.kafka, calls))
    for threshold in (1, 1000, 2000):
        async with process(settings) as child:

            async def underway(least: int = threshold) -> bool:
                return sum([await count(db, view) for view in ("cdr", "call_events", "timelines")]) >= least

            await until(underway, f"{threshold} rows", cap_s=0.1)
            os.kill(child.pid, signal.SIGKILL)
            assert await child.wait() == -signal.SIGKILL
            assert await uncommitted(settings.kafka) != {}
    async with process(settings) as child:
        await until_committed(settings.kafka, "everything to be committed")
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 60) == 0

    for view, kind in (("v_cdr", FactType.RECORD), ("call_events", FactType.STATE)):
        shown = [row[0] for row in await db.query(f"SELECT vendor_call_id FROM {db.database}.{view}")]
        assert sorted(shown) == sorted(f.vendor_call_id for f in facts if f.fact_type is kind)
    newest = await db.query(f"SELECT vendor_call_id, version, talk_ms FROM {db.database}.v_timelines")
    assert sorted(newest) == sorted((str(n), 3, n + 3000) for n in range(1500))


async def test_killed_with_an_insert_in_flight_nothing_is_lost(settings: Settings, tmp_path: Path) -> None:
    """ClickHouse is stopped in the middle of an insert, the sink dies, both go on: each row is there once."""
    errors = tmp_path / "stderr"
    async with ClickHouseServer(tmp_path / "clickhouse") as server:
        here = settings_of(server, settings, insert_timeout_s=1)
        await make_tables(here)
        async with ClickHouse(here.clickhouse) as db:
            async with process(here, errors) as child:
                await send_facts(here.kafka, [fact(n) for n in range(10)])
                await until_count(db, "v_cdr", 10)
                await until_committed(here.kafka, "the first ten to be committed")
                os.kill(server.pid, signal.SIGSTOP)
                try:
                    await send_facts(here.kafka, [fact(n) for n in range(10, 1500)])
                    await until(lambda: logged(errors, "waiting for ClickHouse"), "an insert to time out")
                    child.kill()
                    await child.wait()
                    assert sum((await uncommitted(here.kafka)).values()) == 1490
                finally:
                    os.kill(server.pid, signal.SIGCONT)
            async with process(here):
                await until_count(db, "v_cdr", 1500)
                await until_committed(here.kafka, "everything to be committed")


async def test_workers_that_come_and_go_lose_nothing(settings: Settings, db: ClickHouse) -> None:
    """A second one joins, the first one leaves, a third one joins: the partitions change hands each time."""
    facts = [fact(n) for n in range(4500)]
    await send_facts(settings.kafka, facts[:1500])
    async with process(settings) as second:
        async with process(settings) as first:
            await until(lambda: _at_least(db, 250), "250 rows", cap_s=0.1)
            await send_facts(settings.kafka, facts[1500:3000])
            first.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(first.wait(), 60) == 0
        async with process(settings) as third:
            await send_facts(settings.kafka, facts[3000:])
            await until_count(db, "v_cdr", 4500)
            third.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(third.wait(), 60) == 0
        await until_committed(settings.kafka, "everything to be committed")
        second.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(second.wait(), 60) == 0
    shown = [row[0] for row in await db.query(f"SELECT vendor_call_id FROM {db.database}.cdr")]
    assert sorted(shown) == sorted(one.vendor_call_id for one in facts)


async def _at_least(db: ClickHouse, least: int) -> bool:
    return await count(db, "cdr") >= least
