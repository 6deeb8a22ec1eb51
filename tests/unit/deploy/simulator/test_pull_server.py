"""The simulated pull API over real HTTP: windows, a cursor, zlib, codes and late records, as its document says."""

import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from deploy.simulator.calls.truth import TrueCall
from deploy.simulator.requests import Offer
from deploy.simulator.sending.ledger import Ledger
from deploy.simulator.sending.pull_server import PullServer
from deploy.simulator.traffic import Mix, Traffic
from deploy.simulator.vendor_contract import PullServerOptions
from deploy.simulator.vendors import SIMULATED_VENDORS
from tests.oracle.expected import expect

NOW = datetime(2026, 3, 3, 6, 22, 10, tzinfo=UTC)
LONG_AGO_S = int(NOW.timestamp()) - 7200
QUIET = PullServerOptions(accident_share=0, page_records=10, delay_s=5.0, recording_delay_s=60.0)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Vendor:
    """The pull API on a port, its clock and its ledger."""

    def __init__(self, options: PullServerOptions) -> None:
        self.clock = Clock()
        self.ledger = Ledger()
        pull = SIMULATED_VENDORS["tencent"].pull
        assert pull
        self.api = PullServer("tencent", pull, options, ledger=self.ledger, clock=self.clock)
        self.url = ""

    async def ask(self, *, version: str = "201511v3", key: str = "simulator", **asked: Any) -> dict[str, Any]:
        """One request with the mandatory parts filled in; the decoded answer."""
        status, body = await self.post(version=version, key=key, **asked)
        assert status == 200
        text = body.decode().replace(",\n}", "\n}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    async def post(
        self, *, version: str = "201511v3", key: str = "simulator", timeout_s: float = 10, **asked: object
    ) -> tuple[int, bytes]:
        fields = {
            "appId": QUIET.app_id,
            "startTimeStamp": str(LONG_AGO_S),
            "endTimeStamp": str(int(NOW.timestamp())),
        } | asked
        body = json.dumps({name: value for name, value in fields.items() if value is not None})
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"{self.url}/{version}/getCdr", params={"id": key}, data=body) as response,
        ):
            return response.status, await response.read()


def offers(count: int, mix: Mix | None = None) -> list[Offer]:
    mix = mix or Mix(update=0)
    stream = Traffic(seed=3, vendors={"tencent": 1.0}, mix=mix, clock=lambda: NOW - timedelta(minutes=2)).stream(count)
    return [item for item in stream if isinstance(item, Offer)]


@asynccontextmanager
async def serving(api: PullServer) -> AsyncIterator[str]:
    app = web.Application()
    api.add_routes(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    made = Vendor(QUIET)
    async with serving(made.api) as made.url:
        yield made


# the pull API


async def test_a_page_looks_like_the_documents_example(vendor: Vendor) -> None:
    """The same fields in the same order, every value a string."""
    vendor.api.add(offers(1)[0])
    answer = await vendor.ask()
    assert list(answer) == ["cdr", "errorCode", "offset", "result"]
    assert (answer["errorCode"], answer["offset"], answer["result"]) == ("0", "0", "Call Details")
    (record,) = answer["cdr"]
    assert " ".join(record) == (
        "bizId callEndStatus callId callType dst dstAcceptTime duration endCallTime orderId recordUrl src"
        " srcAcceptTime startDstCallTime startDstRingTime startSrcCallTime startSrcRingTime"
    )
    assert all(isinstance(value, str) for value in record.values())
    assert record["src"].startswith("0086")


async def test_pages_follow_the_cursor_until_everything_was_served(vendor: Vendor) -> None:
    """`offset` is the start second of the next record; going on from it loses none and always gets further."""
    carried = offers(55)
    for offer in carried:
        vendor.api.add(offer)
    seen: Counter[str] = Counter()
    start, pages = LONG_AGO_S, 0
    while start:
        answer = await vendor.ask(startTimeStamp=str(start))
        seen.update(record["callId"] for record in answer["cdr"])
        following = int(answer["offset"])
        assert following == 0 or following > start
        start, pages = following, pages + 1
    assert set(seen) == {offer.call.call_id for offer in carried}
    assert pages > 3


async def test_a_page_takes_whole_seconds(vendor: Vendor) -> None:
    """More calls than a page holds began in one second: a cursor of seconds must still get past them."""
    one, after = offers(2)
    for index in range(25):
        twin = msgspec.structs.replace(one.call, call_id=f"{one.call.call_id}-{index}")
        vendor.api.add(Offer(vendor="tencent", call=twin))
    later = shifted(after, one.call.started_at - after.call.started_at + timedelta(seconds=1))
    vendor.api.add(Offer(vendor="tencent", call=later))
    vendor.clock.now += timedelta(hours=1)
    first = await vendor.ask()
    assert len(first["cdr"]) == 25
    assert first["offset"] == str(int(later.started_at.timestamp()))


async def test_a_window_holds_the_calls_that_started_in_it(vendor: Vendor) -> None:
    """Both ends included; what started before or after is not there."""
    carried = sorted(offers(30), key=lambda offer: offer.call.started_at)
    for offer in carried:
        vendor.api.add(offer)
    first, last = (int(carried[index].call.started_at.timestamp()) for index in (10, 14))
    answer = await vendor.ask(startTimeStamp=str(first), endTimeStamp=str(last))
    inside = {o.call.call_id for o in carried if first <= o.call.started_at.timestamp() <= last}
    assert {record["callId"] for record in answer["cdr"]} == inside


async def test_one_party_and_one_call_can_be_asked_for(vendor: Vendor) -> None:
    """A party is asked for by `src` in a window, a call by `callId` without one."""
    wanted, *others = offers(5)
    for offer in (wanted, *others):
        vendor.api.add(offer)
    record = (await vendor.ask(callId=wanted.call.call_id, startTimeStamp=None, endTimeStamp=None))["cdr"][0]
    assert record["callId"] == wanted.call.call_id
    assert (await vendor.ask(src=record["src"]))["cdr"] == [record]


async def test_compress_gives_the_same_page_as_zlib(vendor: Vendor) -> None:
    """`compress` "1" wraps the whole body."""
    vendor.api.add(offers(1)[0])
    _, plain = await vendor.post()
    _, packed = await vendor.post(compress="1")
    assert packed[:1] == b"\x78"
    assert zlib.decompress(packed) == plain


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"version": "201411v1"}, "-1"),
        ({"compress": "2"}, "-2"),
        ({"compress": 1}, "-2"),
        ({"callId": "12-260303-none"}, "-201"),
        ({"startTimeStamp": None}, "-202"),
        ({"startTimeStamp": "2026-03-03 06:00:00"}, "-202"),
        ({"startTimeStamp": str(int(NOW.timestamp()) + 1)}, "-202"),
        ({"startTimeStamp": str(int(NOW.timestamp()) - 200_000)}, "-202"),
        ({"appId": "1400000001"}, "-401"),
        ({"key": "other"}, "-402"),
    ],
    ids=[
        "another version of the API",
        "compress that is neither 0 nor 1",
        "a value that is no string",
        "a call that is not there",
        "no start",
        "a start as text",
        "a start after the end",
        "a span that is too long",
        "another appId",
        "another id in the address",
    ],
)
async def test_a_wrong_request_gets_the_documented_code(vendor: Vendor, asked: dict[str, Any], code: str) -> None:
    """Failures carry a code and a result, and nothing else."""
    answer = await vendor.ask(**asked)
    assert (answer["errorCode"], set(answer)) == (code, {"errorCode", "result"})


async def test_a_failures_body_has_the_documents_trailing_comma(vendor: Vendor) -> None:
    """A strict reader fails on it; the code is there all the same."""
    vendor.api.force("-403")
    _, body = await vendor.post()
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    assert b'"errorCode": "-403",' in body


async def test_forced_accidents_come_in_order_and_then_end(vendor: Vendor) -> None:
    """A code, a proxy's page, half a page, then all is well; only the whole page is noted."""
    vendor.api.add(offers(1)[0])
    for what in ("-501", "http 502", "cut"):
        vendor.api.force(what)
    assert (await vendor.ask())["errorCode"] == "-501"
    assert (await vendor.post())[0] == 502
    _, half = await vendor.post()
    with pytest.raises(json.JSONDecodeError):
        json.loads(half)
    assert vendor.ledger.entries == []
    assert len((await vendor.ask())["cdr"]) == 1
    assert len(vendor.ledger.entries) == 1
    assert (vendor.api.errors, vendor.api.pages, vendor.api.records) == (3, 1, 1)


async def test_a_hanging_answer_ends_the_connection() -> None:
    """Whoever waits longer than the vendor hangs gets no answer."""
    made = Vendor(PullServerOptions(accident_share=0, hang_s=0.05))
    made.api.force("hang")
    async with serving(made.api) as made.url:
        with pytest.raises(aiohttp.ClientError):
            await made.post()


async def test_accidents_happen_by_themselves_at_the_given_share() -> None:
    """Seeded: the same run has the same accidents."""
    made = Vendor(PullServerOptions(accident_share=0.3, hang_s=0.0))
    failed = 0
    async with serving(made.api) as made.url:
        for _ in range(60):
            try:
                status, body = await made.post()
                failed += status != 200 or b'"0"' not in body
            except aiohttp.ClientError:
                failed += 1
    assert 5 < failed < 40


async def test_a_record_appears_only_after_its_call_ended_and_settled(vendor: Vendor) -> None:
    """A window that was empty has a record later: pulling once is not enough."""
    (offer,) = offers(1)
    vendor.api.add(offer)
    vendor.clock.now = offer.call.ended_at + timedelta(seconds=4)
    assert (await vendor.ask())["cdr"] == []
    assert vendor.api.pending == 1
    vendor.clock.now += timedelta(seconds=1)
    assert len((await vendor.ask())["cdr"]) == 1
    assert vendor.api.pending == 0


async def test_a_late_recording_changes_the_record(vendor: Vendor) -> None:
    """Both versions are noted as facts, and the repetition of a page is not."""
    offer = next(offer for offer in offers(50, Mix(update=1.0)) if offer.later)
    vendor.api.add(offer)
    vendor.clock.now = offer.call.ended_at + timedelta(seconds=10)
    assert (await vendor.ask())["cdr"][0]["recordUrl"] == ""
    assert vendor.api.pending == 1
    vendor.clock.now += timedelta(seconds=60)
    for _ in range(2):
        assert (await vendor.ask())["cdr"][0]["recordUrl"].startswith("https://")
    assert vendor.api.pending == 0
    assert [len(entry.expected) for entry in vendor.ledger.entries] == [1, 1]
    expected = expect(vendor.ledger.entries)
    assert expected.counts["tencent"].facts == 2
    assert expected.cdr[0].columns["recording_state"] == "available"


async def test_old_calls_are_forgotten() -> None:
    """A run without an end does not grow without an end."""
    made = Vendor(PullServerOptions(keep_s=600))
    old, new = offers(2)
    made.api.add(old)
    made.clock.now += timedelta(hours=1)
    made.api.add(Offer(vendor="tencent", call=shifted(new, timedelta(hours=1))))
    assert made.api.pending == 1


def shifted(offer: Offer, by: timedelta) -> TrueCall:
    """The call of an offer at another time."""
    legs = tuple(
        msgspec.structs.replace(
            leg,
            **{
                name: at + by
                for name in ("setup_at", "alerting_at", "answer_at", "end_at", "released_at")
                if (at := getattr(leg, name))
            },
        )
        for leg in offer.call.legs
    )
    return msgspec.structs.replace(offer.call, legs=legs)
