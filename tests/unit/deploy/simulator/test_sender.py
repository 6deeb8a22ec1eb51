"""The simulator over real HTTP: the ledger has all that arrives, and each vendor repeats as its document says."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from deploy.simulator.requests import Offer
from deploy.simulator.sending.ledger import Ledger, read
from deploy.simulator.sending.sender import simulate
from deploy.simulator.sending.simulate_options import SimulateOptions, SimulationProgress
from deploy.simulator.traffic import Mix, Traffic
from deploy.simulator.vendor_contract import PullServerOptions
from deploy.simulator.vendors import SIMULATED_VENDORS
from schemas.errors import SetupError
from tests.oracle.expected import expect

NOW = datetime(2026, 3, 3, 6, 22, 10, tzinfo=UTC)
PUSHED = ("nxcloud", "ytx", "huawei")


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Receiver:
    """Takes what is sent; `answers` decides the status from the request's number and how often its body came before."""

    def __init__(self, answers: Callable[[int, int], int] = lambda _number, _before: 200) -> None:
        self.answers = answers
        self.got: list[tuple[str, bytes, str]] = []
        self.taken: list[tuple[str, bytes]] = []

    def app(self) -> web.Application:
        app = web.Application(handler_args={"auto_decompress": False})
        app.router.add_post("/{path:.*}", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = self.answers(len(self.got), sum(body == earlier for _, earlier, _ in self.got))
        self.got.append((request.path, body, request.headers.get("Content-Encoding", "")))
        if status == 200:
            self.taken.append((request.path, body))
        return web.Response(status=status)


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[str]:
    async with serving(receiver.app()) as url:
        yield url


async def run(receiver: Receiver, ledger: Ledger, **options: Any) -> SimulationProgress:
    defaults: dict[str, Any] = {"vendors": PUSHED, "rate": 0, "calls": 60, "seed": 11, "retry_scale": 0.0001}
    async with receiving(receiver) as url:
        return await simulate(
            SimulateOptions(url=url, **(defaults | options)), asyncio.Event(), ledger=ledger, clock=lambda: NOW
        )


async def test_what_arrives_is_exactly_the_schedule_and_the_ledger() -> None:
    """Bodies, paths and headers byte for byte, each in the ledger once."""
    receiver, ledger = Receiver(), Ledger()
    progress = await run(receiver, ledger, mix=Mix(broken=0.1, compressed=0.3))
    shares = {"nxcloud": 3.0, "ytx": 4.0, "huawei": 2.0}
    mix = Mix(broken=0.1, compressed=0.3)
    planned = list(Traffic(seed=11, vendors=shares, mix=mix, clock=lambda: NOW).stream(60))
    wanted = Counter(
        (s.path, s.body, dict(s.headers).get("Content-Encoding", "")) for s in planned if not isinstance(s, Offer)
    )
    assert Counter(receiver.got) == wanted
    assert progress.acked == progress.sent == len(ledger.entries) == len(receiver.got)


@pytest.mark.parametrize(
    ("vendor", "status", "attempts"),
    [
        ("nxcloud", 503, 5),
        ("ytx", 500, 3),
        ("ytx", 503, 1),
        ("huawei", 500, 1),
    ],
    ids=["nxcloud until its fifth", "ytx until its third", "ytx only on a 500", "huawei never again"],
)
async def test_a_vendor_sends_again_as_its_document_says(vendor: str, status: int, attempts: int) -> None:
    """A request that was never acknowledged may have been stored: it is in the ledger as unsure."""
    receiver, ledger = Receiver(lambda _number, _before: status), Ledger()
    quiet = Mix(repeat=0, broken=0, compressed=0, rebatch=0)
    progress = await run(receiver, ledger, vendors=(vendor,), calls=4, mix=quiet)
    assert set(Counter(body for _, body, _ in receiver.got).values()) == {attempts}
    assert progress.lost == progress.sent
    assert all(not entry.acked and entry.lost_answers == attempts for entry in ledger.entries)
    assert SIMULATED_VENDORS[vendor].retry.attempts >= attempts


async def test_a_refused_request_is_not_expected_anywhere() -> None:
    """A 4xx says that nothing was taken."""
    ledger = Ledger()
    progress = await run(Receiver(lambda _number, _before: 403), ledger, vendors=("huawei",), calls=3)
    assert progress.lost == progress.sent > 0
    assert ledger.entries == []


async def test_retries_that_succeed_are_certain_and_remember_the_lost_answers() -> None:
    """Everything ends acknowledged when each body fails once."""
    receiver, ledger = Receiver(lambda _number, before: 200 if before else 500), Ledger()
    progress = await run(receiver, ledger, vendors=("nxcloud",), calls=40)
    assert progress.acked == progress.sent
    assert progress.retries == sum(entry.lost_answers for entry in ledger.entries) > 0
    counts = expect(ledger.entries).counts["nxcloud"]
    assert counts.balanced
    assert counts.elements == len(receiver.taken)


async def test_nobody_listening_is_survived_and_counted() -> None:
    """No answer at all is a lost answer, not an end."""
    ledger = Ledger()
    async with receiving(Receiver()) as url:
        gone = url
    progress = await simulate(
        SimulateOptions(url=gone, vendors=("huawei",), rate=0, calls=3), asyncio.Event(), ledger=ledger
    )
    assert progress.lost == progress.sent > 0
    assert set(progress.statuses) == {"ClientConnectorError"}


async def test_a_stop_ends_a_run_without_an_end(tmp_path: Path) -> None:
    """Attempts in flight are finished, the ledger's file is whole, and the last report says that the run is done."""
    stop, reports = asyncio.Event(), list[SimulationProgress]()
    receiver = Receiver()

    def answers(number: int, _before: int) -> int:
        if number > 50:
            stop.set()
        return 200

    receiver.answers = answers
    file = tmp_path / "ledger.jsonl"
    async with receiving(receiver) as url:
        options = SimulateOptions(url=url, vendors=PUSHED, rate=0, ledger=str(file), keep_ledger=False)
        progress = await simulate(options, stop, report=reports.append)
    assert len(list(read(file))) == len(receiver.taken) == progress.acked
    assert reports


async def test_a_run_serves_its_pulled_calls_until_they_were_pulled() -> None:
    """The pull API is up while the run lasts, and the run lasts until the last record was fetched."""
    ledger, offered = Ledger(), asyncio.Event()
    options = SimulateOptions(
        vendors=("tencent",), rate=0, calls=20, mix=Mix(update=0), pull=PullServerOptions(accident_share=0, delay_s=0)
    )
    seen = SimulationProgress()

    def report(progress: SimulationProgress) -> None:
        seen.pull_url = progress.pull_url
        if progress.offered == 20:
            offered.set()

    async def pull() -> None:
        await offered.wait()
        now = int(datetime.now(UTC).timestamp())
        asked = {"appId": options.pull.app_id, "startTimeStamp": str(now - 7200), "endTimeStamp": str(now)}
        url = f"{seen.pull_url}/201511v3/getCdr?id=simulator"
        async with aiohttp.ClientSession() as session, session.post(url, json=asked) as response:
            assert len(json.loads(await response.read())["cdr"]) == 20

    async with asyncio.timeout(30):
        progress, _ = await asyncio.gather(simulate(options, asyncio.Event(), report=report, ledger=ledger), pull())
    assert (progress.offered, progress.pulled) == (20, 20)
    assert expect(ledger.entries).counts["tencent"].facts == 20
    assert all(entry.pulled for entry in ledger.entries)


async def until_it_took_some(receiver: Receiver, enough: asyncio.Event) -> None:
    while len(receiver.got) < 100:  # noqa: ASYNC110  # the receiver has no event for it
        await asyncio.sleep(0.01)
    enough.set()


@pytest.mark.parametrize("duration_s", [0.2, 0.0], ids=["after a time", "when it is set that it is enough"])
async def test_a_run_that_ends_sends_the_rest_of_its_calls(duration_s: float) -> None:
    """No call begins after that, and every call that began is complete."""
    receiver, ledger, enough = Receiver(), Ledger(), asyncio.Event()
    async with receiving(receiver) as url, asyncio.timeout(30):
        options = SimulateOptions(url=url, vendors=("ytx",), rate=0, seed=11, retry_scale=0.0001, duration_s=duration_s)
        telling = asyncio.create_task(until_it_took_some(receiver, enough if not duration_s else asyncio.Event()))
        progress = await simulate(options, asyncio.Event(), ledger=ledger, clock=lambda: NOW, enough=enough)
        telling.cancel()
    rows = expect(ledger.entries).timelines
    begun = {row.key[1] for row in rows if row.columns["has_states"]}
    recorded = {row.key[1] for row in rows if row.columns["has_record"]}
    assert begun
    assert len(begun - recorded) == progress.scenarios.get("states without a record", 0)


async def test_a_port_in_use_is_named() -> None:
    """The pull API's port is checked before anything is sent."""
    async with receiving(Receiver()) as url:
        options = SimulateOptions(url=url, vendors=("tencent",), pull_port=int(url.rpartition(":")[2]))
        with pytest.raises(SetupError, match="--getcdr-port"):
            await simulate(options, asyncio.Event(), ledger=Ledger())
