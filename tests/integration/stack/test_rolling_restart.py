"""Workers of the ingress replaced under traffic: no caller sees an error, and everything acknowledged is on Kafka."""

import asyncio
import collections
import os
import signal
from pathlib import Path
from typing import Self

import aiohttp

from deploy.kafka.broker import KafkaServer
from tests.support.ingress_process import Ingress, in_kafka, ingress, push

CALLERS = 16
PAUSE_S = 0.02
ROUNDS = 2


class Vendors:
    """Callers, of which every other one opens a connection for each push."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.acknowledged: list[bytes] = []
        self.wrong: collections.Counter[str] = collections.Counter()
        self._over = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(CALLERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)

    async def _call(self, number: int) -> None:
        connector = aiohttp.TCPConnector(force_close=number % 2 == 0)
        async with aiohttp.ClientSession(connector=connector) as session:
            count = 0
            while not self._over:
                count += 1
                body = b'{"callId":"roll-%d-%d"}' % (number, count)
                try:
                    async with session.post(f"{self.url}/v1/nxcloud/cdr", data=body) as answer:
                        await answer.read()
                        if answer.status == 200:
                            self.acknowledged.append(body)
                        else:
                            self.wrong[f"status {answer.status}"] += 1
                except aiohttp.ClientError as exc:
                    self.wrong[type(exc).__name__] += 1
                await asyncio.sleep(PAUSE_S)


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
        async with Vendors(running.url) as vendors:
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


async def test_a_single_worker_says_that_it_cannot_be_renewed_and_goes_on(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    async with ingress(place, broker.bootstrap, http) as running:
        running.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while "set ingress.workers to 2 or more" not in running.log.read_text():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        assert (await push(http, running, "/v1/nxcloud/cdr", b'{"callId":"1"}'))[0] == 200
