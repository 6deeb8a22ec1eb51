"""Every vendor's traffic over HTTP ends in every view and topic exactly as the simulator's ledger says."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from deploy.local.stack import Stack
from deploy.process.ports import free_port
from deploy.process.scrape import until_answers
from deploy.simulator.sending.ledger import Ledger
from deploy.simulator.sending.sender import simulate
from deploy.simulator.sending.simulate_options import SimulateOptions
from deploy.simulator.vendor_contract import PullServerOptions
from schemas.config.settings import PollAccount
from tests.oracle.expected import expect
from tests.support import whole_stack as ws

CALLS = 600
QUIET_S = 60.0
READY_S = 30.0
PULL = PullServerOptions(delay_s=1.0, recording_delay_s=4.0, hang_s=3.0)


def polled(port: int) -> PollAccount:
    return PollAccount(
        vendor="tencent",
        account="simulator",
        url=f"http://127.0.0.1:{port}",
        app_id=PULL.app_id,
        key_id=PULL.key_id,
        interval_s=1.0,
        lag_s=2,
        overlap_s=900,
        window_s=600,
        sweep_hour_utc=-1,
        min_gap_s=0.05,
    )


async def kill_again_and_again(stack: Stack, names: tuple[str, ...], stop: asyncio.Event) -> int:
    """Sends kill -9 to each of the parts in turn until `stop`; returns how often.

    A part is at work again before it is killed again: a record at which two workers died in a row would be put aside.
    """
    kills = 0
    while not stop.is_set():
        for name in names:
            part = next(part for part in stack.parts if part.name == name)
            await until_answers(stack.metrics[name], READY_S)
            await asyncio.sleep(3)
            if part.pid:
                os.kill(part.pid, signal.SIGKILL)
                kills += 1
    return kills


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "killed", [(), ("process-1", "sink")], ids=["undisturbed", "workers and sink killed in the middle"]
)
async def test_what_comes_out_is_what_the_ledger_says(killed: tuple[str, ...], tmp_path: Path) -> None:
    """Views, events, bindings, dead letters, topics and counts agree, with repeats, disorder and broken bodies."""
    port = free_port()
    ledger = Ledger()
    async with ws.whole_stack(tmp_path / "data", polled(port)) as stack:
        over = asyncio.Event()
        killing = asyncio.create_task(kill_again_and_again(stack, killed, over)) if killed else None
        options = SimulateOptions(
            url=stack.ingress_url,
            rate=100,
            calls=CALLS,
            seed=7,
            retry_scale=0.02,
            pull=PULL,
            pull_port=port,
            linger_s=60,
        )
        sent = await simulate(options, asyncio.Event(), ledger=ledger)
        over.set()
        kills = await killing if killing else 0
        expected = expect(ledger.entries)

        found = await ws.until(lambda: ws.differences(stack, expected, restarted=bool(killed)), QUIET_S)

        assert ws.summary(found) == []
        assert (sent.lost, kills > 0) == (0, bool(killed))
        facts, calls = await ws.newest_on_topics(stack)
        records = await ws.rows(
            stack,
            "SELECT record_id, version FROM v_cdr UNION ALL SELECT record_id, version FROM call_events UNION ALL SELECT record_id, version FROM bindings",
        )
        timelines = await ws.rows(stack, "SELECT timeline_id, version FROM v_timelines")
        assert {row["record_id"]: row["version"] for row in records} == facts
        assert {row["timeline_id"]: row["version"] for row in timelines} == calls
