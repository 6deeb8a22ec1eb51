"""A vendor's pull API, and a poller that runs against it, for the tests of polling."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from aiohttp import web
from aiokafka import AIOKafkaConsumer

from ingress.kafka.publisher import Publisher, Settled
from ingress.poll.client import client
from ingress.poll.main import first_checkpoint
from ingress.poll.planner import Checkpoint
from ingress.poll.poller import Poller
from processors.normalise import directory, normalise
from schemas.config.limits import DEFAULT
from schemas.config.settings import Account, PollAccount, PollSettings
from schemas.metrics import Registry
from schemas.raw import Headers, Position, RawCallback, raw_from_kafka
from schemas.topics import POLLS, RAW
from schemas.vendor_kit.contract import Poll
from schemas.vendors import VENDORS
from tests.support.http.submitting import by_task

NOW = 1_700_000_040
DEADLINE_S = 60
POLL = cast("Poll", VENDORS["tencent"].poll)


class Vendor:
    """Answers as the vendor does: calls by start time, in pages of `page_size`, wrapped as asked; faults come first."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.faults: list[str] = []
        self.asked: list[dict[str, str]] = []
        self.page_size = 1000
        self.cursors = "start"
        self.wrap: Callable[[bytes], bytes] = bytes
        self.encoding = ""
        self.url = ""

    def fill(self, count: int, since_s: int = NOW - 6000, every_s: int = 37) -> None:
        self.calls = {f"12-231114-{n:08}": since_s + n * every_s for n in range(count)}

    async def answer(self, request: web.Request) -> web.Response:
        asked = json.loads(await request.read())
        self.asked.append(asked)
        if self.faults:
            fault = self.faults.pop(0)
            if fault.startswith("http"):
                return web.Response(status=int(fault[4:]))
            if fault == "html":
                return web.Response(text="<html>busy</html>", content_type="text/html")
            return web.Response(text=f'{{"errorCode":"{fault}","msg":"no",}}')
        body = self.wrap(json.dumps(self._page(asked)).encode())
        return web.Response(body=body, headers={"Content-Encoding": self.encoding} if self.encoding else {})

    def _page(self, asked: dict[str, str]) -> dict[str, object]:
        if asked.get("callId"):
            wanted = {name: at for name, at in self.calls.items() if name == asked["callId"]}
            if not wanted:
                return {"errorCode": "-201", "result": "callId"}
        else:
            span = range(int(asked["startTimeStamp"]), int(asked["endTimeStamp"]))
            wanted = {name: at for name, at in self.calls.items() if at in span}
        ordered = sorted(wanted.items(), key=lambda call: call[1])
        page, rest = ordered[: self.page_size], ordered[self.page_size :]
        cursor = "0" if not rest else str(rest[0][1]) if self.cursors == "start" else "more"
        return {"errorCode": "0", "offset": cursor, "result": "", "cdr": [self._record(*call) for call in page]}

    def _record(self, call_id: str, at: int) -> dict[str, str]:
        times = {"startSrcCallTime": at, "startSrcRingTime": at + 3, "srcAcceptTime": at + 9, "endCallTime": at + 60}
        return {
            "callId": call_id,
            "src": "008613500000000",
            "dst": "008613631234568",
            "callEndStatus": "3",
            "duration": "0",
            **{name: str(value) for name, value in times.items()},
        }


class Clock:
    """A clock that advances only where somebody waits for it."""

    def __init__(self) -> None:
        self.now_s = float(NOW)

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0.001)


class Dies:
    """A publisher in a process that is killed after the page, before its checkpoint."""

    def __init__(self, under: Publisher, pages: int) -> None:
        self._under = under
        self._pages = pages

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        if topic == POLLS.name and self._pages == 0:
            raise KilledError
        await self._under.publish(topic, key, value, headers, no_retry=no_retry)
        self._pages -= topic == RAW.name

    def submit(
        self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, *, no_retry: bool = False
    ) -> None:
        by_task(self.publish(topic, key, value, headers, no_retry=no_retry), settled)

    def why_not(self) -> str:
        return self._under.why_not()

    def note(self) -> str:
        return self._under.note()


class KilledError(Exception):
    pass


@contextlib.asynccontextmanager
async def polling(
    account: PollAccount, publisher: Publisher, checkpoint: Checkpoint | None = None, clock: Clock | None = None
) -> AsyncIterator[tuple[Poller, "asyncio.Task[None]", Registry]]:
    clock, metrics = clock or Clock(), Registry()
    async with client(5.0) as session:
        poller = Poller(
            account,
            poll=POLL,
            publisher=publisher,
            session=session,
            settings=PollSettings(),
            metrics=metrics,
            checkpoint=checkpoint or first_checkpoint(account, clock.now_s),
            now=lambda: clock.now_s,
            sleep=clock.sleep,
            jitter=lambda: 0.0,
        )
        task = asyncio.create_task(poller.run())
        try:
            yield poller, task, metrics
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], task: "asyncio.Task[Any]") -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            if task.done():
                task.result()
            await asyncio.sleep(0.01)


async def pages_of(kafka: str, account: PollAccount) -> list[RawCallback]:
    """Returns the account's pages on calls.raw."""
    found = []
    async with AIOKafkaConsumer(
        RAW.name, bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest"
    ) as consumer:
        for partition, end in (await consumer.end_offsets(list(consumer.assignment()))).items():
            while await consumer.position(partition) < end:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += [raw_from_kafka(r.value, r.headers, r.timestamp) for r in records]
    return [raw for raw in found if raw.account == account.account]


async def call_ids(kafka: str, account: PollAccount) -> list[str]:
    """Returns the calls that the normaliser makes of the account's pages."""
    accounts = directory((Account(vendor="tencent", name=account.account, external_ids=("1400000000",)),))
    outcomes = [normalise(raw, Position(RAW.name, 0, 0), accounts, DEFAULT) for raw in await pages_of(kafka, account)]
    assert [outcome.dead for outcome in outcomes if outcome.dead] == []
    facts = [fact for outcome in outcomes for fact in outcome.facts]
    assert {fact.account_id for fact in facts} <= {"1400000000"}
    assert {fact.source for fact in facts} <= {"poll"}
    return [fact.vendor_call_id for fact in facts]


def settled(poller: Poller) -> Callable[[], bool]:
    return lambda: poller.checkpoint.settled_s >= NOW - 60 and not poller.checkpoint.todo
