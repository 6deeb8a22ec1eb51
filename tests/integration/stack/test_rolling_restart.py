"""Workers of the ingress replaced under traffic: no caller sees an error, and everything acknowledged is on Kafka."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp

from deploy.kafka.broker import KafkaServer
from tests.support.http.vendor_callers import VendorCallers
from tests.support.ingress_process import Ingress, in_kafka, ingress

ROUNDS = 2
CALLERS = 6
"""Enough to have some requests in flight at each end of a worker; more would only keep the machine busy."""


def listening(running: Ingress) -> list[int]:
    """Returns the pids of all workers that ever listened, in their order."""
    lines = running.log.read_text().splitlines()
    return [int(line.rpartition("pid=")[2].split()[0]) for line in lines if "listening" in line]


async def until_listening(running: Ingress, count: int) -> list[int]:
    async with asyncio.timeout(60):
        while len(pids := listening(running)) < count:  # noqa: ASYNC110 - another process's state has no event to wait for
            await asyncio.sleep(0.05)
    return pids


async def test_workers_are_renewed_and_no_caller_sees_an_error(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    async with ingress(place, broker.bootstrap, http, workers="2") as running:
        pids = await until_listening(running, 2)
        async with VendorCallers(f"{running.url}/v1/nxcloud/cdr", "roll", callers=CALLERS) as vendors:
            for turn in range(1, ROUNDS + 1):
                running.process.send_signal(signal.SIGHUP)
                pids = await until_listening(running, 2 + 2 * turn)
            os.kill(pids[-1], signal.SIGTERM)  # a person stops one of them
            await until_listening(running, 3 + 2 * ROUNDS)
            await asyncio.sleep(1)
        assert vendors.wrong == {}
        assert len(set(pids)) == 2 + 2 * ROUNDS
    stored = {value for _, value, _ in await in_kafka(broker.bootstrap)}
    assert set(vendors.acknowledged) <= stored
