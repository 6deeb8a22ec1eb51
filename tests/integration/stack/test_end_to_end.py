"""Every vendor's traffic over HTTP ends in every view and topic exactly as the simulator's ledger says."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from deploy.local.stack import Stack
from deploy.process.ports import free_port
from deploy.process.scrape import Sample, scrape, total
from deploy.simulator.sending.ledger import Ledger
from deploy.simulator.sending.sender import simulate
from deploy.simulator.sending.simulate_options import SimulateOptions
from deploy.simulator.vendor_contract import PullServerOptions
from schemas.config.settings import PollAccount
from tests.chaos.judge.verdict import verdict
from tests.support import whole_stack as ws
from tests.support.http.pull_account import pull_account
from tests.support.scale import SCALE

CALLS = 300 * min(SCALE, 2)
QUIET_S = 180.0
PAST = 20
"""Records after which a part is past those with which it began."""
PULL = PullServerOptions(delay_s=1.0, recording_delay_s=4.0, hang_s=3.0)


def polled(port: int) -> PollAccount:
    return pull_account(port, PULL, overlap_s=900, window_s=600)


async def kill_again_and_again(stack: Stack, names: tuple[str, ...], stop: asyncio.Event) -> int:
    """Sends kill -9 to each of the parts in turn until `stop`, and halts the broker after each; returns how often.

    A part is at work again before it is killed again: a record at which two workers died in a row would be put aside.
    """
    kills = 0
    async with aiohttp.ClientSession() as session:
        while not stop.is_set():
            for name in names:
                part = next(part for part in stack.parts if part.name == name)
                while not stop.is_set() and not _at_work(await scrape(session, stack.metrics[name])):  # noqa: ASYNC110 - a process
                    await asyncio.sleep(0.2)
                await asyncio.sleep(3)  # for what it has done to be committed
                if part.pid:
                    os.kill(part.pid, signal.SIGKILL)
                    kills += 1
                await _halt_broker(stack)
    return kills


async def _halt_broker(stack: Stack) -> None:
    """Stops the broker for longer than the ingress waits for it: bodies then go to the spool and through Kafka."""
    pid = stack.pids()["kafka"]
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(2 * stack.settings.ingress.spool_after_ms / 1000)
    finally:
        os.kill(pid, signal.SIGCONT)


def _at_work(samples: list[Sample] | None) -> bool:
    """True for a part that has come past the records with which it began."""
    done = ("callweave_join_outcomes_total", "callweave_sink_rows_total")
    return samples is not None and any(total(samples, name) > PAST for name in done)


async def findings(stack: Stack, ledger: Ledger, *, restarted: bool) -> list[str]:
    """Returns everything that is lost, doubled or wrong.

    A body that Kafka acknowledged too late also went to the spool, and is on the raw topic twice: the vendors' ledger
    says what must be there at least, the raw topic how often.
    """
    return [str(one) for one in (await verdict(stack, ledger.entries, restarted=restarted)).findings]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "killed",
    [
        pytest.param((), id="undisturbed", marks=pytest.mark.long),
        pytest.param(("process-1", "sink"), id="workers and sink killed, and the broker halted"),
    ],
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
        found = await ws.until(lambda: findings(stack, ledger, restarted=bool(killed)), QUIET_S, every_s=2)

        assert found == []
        assert (sent.lost, kills > 0) == (0, bool(killed))
