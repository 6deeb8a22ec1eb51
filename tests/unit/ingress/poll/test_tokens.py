"""A pull API with tokens: every page of a window is asked for, published once, and only the last settles the window."""

import asyncio
import contextlib
import json

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from ingress.poll.client import client
from ingress.poll.planner import Checkpoint, fresh
from ingress.poll.poller import Poller
from schemas.config.settings import PollAccount, PollSettings
from schemas.metrics import Registry
from schemas.topics import POLLS, RAW
from schemas.vendor_kit.contract import Advice, Page, Poll, PollRequest
from tests.support.http.memory_publisher import MemoryPublisher

NOW_S = 1_700_000_460.0
START_S = 1_699_999_800  # one window before the newest settled second
PAGES = {"": ("a", "t2"), "t2": ("b", "t3"), "t3": ("c", "")}


def request(account: PollAccount, *, start_s: int, end_s: int, plain: bool, token: str = "") -> PollRequest:
    return PollRequest(url=account.url, headers=(), body=json.dumps([start_s, token]).encode())


def read_page(body: bytes, _encoding: str) -> Page:
    call_id, token = json.loads(body)
    return Page(code="0", records=1, token=token, call_ids=frozenset({call_id}))


POLL = Poll(
    callback="records",
    request=request,
    read_page=read_page,
    advice={"0": Advice(action="advance"), "": Advice(action="backoff"), "transport": Advice(action="backoff")},
    next=lambda page: page.token,
)


async def test_all_pages_of_a_window_are_published() -> None:
    asked: list[list[object]] = []

    async def answer(got: web.Request) -> web.Response:
        asked.append(json.loads(await got.read()))
        return web.json_response(PAGES[str(asked[-1][1])])

    app = web.Application()
    app.router.add_post("/", answer)
    publisher = MemoryPublisher()
    waits = asyncio.Event()

    async def sleep(seconds: float) -> None:
        if seconds > 1:
            waits.set()
            await asyncio.Event().wait()

    async with TestServer(app) as server, client(5) as session:
        account = PollAccount(
            vendor="acme", url=str(server.make_url("/")), app_id="1", overlap_s=0, sweep_hour_utc=-1, min_gap_s=0
        )
        poller = Poller(
            account, poll=POLL, publisher=publisher, session=session, settings=PollSettings(), metrics=Registry(),
            checkpoint=fresh(account, NOW_S, START_S), now=lambda: NOW_S, sleep=sleep, jitter=lambda: 0.0,
        )  # fmt: skip
        running = asyncio.create_task(poller.run())
        await asyncio.wait_for(waits.wait(), 10)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    assert asked == [[START_S, ""], [START_S, "t2"], [START_S, "t3"]]
    bodies = [record.value for record in publisher.records if record.topic == RAW.name]
    assert [json.loads(body)[0] for body in bodies] == ["a", "b", "c"]
    saved = [
        msgspec.json.decode(record.value, type=Checkpoint) for record in publisher.records if record.topic == POLLS.name
    ]
    assert [(one.token, one.pages, one.settled_s) for one in saved] == [
        ("", 0, START_S),
        ("t2", 1, START_S),
        ("t3", 2, START_S),
        ("", 0, int(NOW_S) - 60),
    ]
