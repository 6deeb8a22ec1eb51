"""The poller with a vendor's server and a real broker: no fault, kill, odd page or encoding loses a record."""

import asyncio
import base64
import gzip
import sys
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from deploy.admin.topic_setup import create_topics
from deploy.reconcile.taking_in.backfill import NoPullApi, backfilled
from ingress.kafka.producer import KafkaPublisher
from ingress.poll.checkpoints import read_checkpoints
from ingress.poll.client import client
from ingress.poll.main import fetch, run
from ingress.poll.planner import Checkpoint, PollWindow, resumed
from ingress.poll.poller import Poller, checkpoint_key
from schemas.config.settings import KafkaSettings, PollAccount, PollSettings, Settings
from schemas.errors import SettingsError, Unavailable
from schemas.metrics import Registry
from schemas.topics import MAX_MESSAGE_BYTES, POLLS, RAW
from tests.integration.ingress.polling import (
    DEADLINE_S,
    NOW,
    POLL,
    Clock,
    Dies,
    KilledError,
    Vendor,
    call_ids,
    pages_of,
    polling,
    settled,
    until,
)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    app = web.Application()
    app.router.add_post("/201511v3/getCdr", vendor.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    vendor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield vendor
    await runner.cleanup()


@pytest.fixture
async def publisher(kafka: str) -> AsyncIterator[KafkaPublisher]:
    settings = KafkaSettings(bootstrap=kafka)
    await create_topics(settings)
    async with KafkaPublisher(
        settings,
        deadline_s=20,
        max_buffer_bytes=64 * 1024 * 1024,
        max_value_bytes=MAX_MESSAGE_BYTES,
        topics=(RAW.name, POLLS.name),
    ) as it:
        yield it


@pytest.fixture
def account(vendor: Vendor) -> PollAccount:
    """Returns a new account for each test, because the topics are shared."""
    name = f"acct-{uuid.uuid4().hex[:12]}"
    return PollAccount(vendor="tencent", account=name, url=vendor.url, app_id="1400000000", sweep_hour_utc=-1)


async def test_every_call_of_the_last_two_hours_arrives(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount
) -> None:
    vendor.fill(150)
    async with polling(account, publisher) as (poller, task, metrics):
        await until(settled(poller), task)
        assert metrics.get("callweave_poll_stopped", "tencent", account.account) == 0
        assert metrics.get("callweave_poll_pages_total", "tencent", account.account) > 0

    assert set(await call_ids(kafka, account)) == set(vendor.calls)


@pytest.mark.parametrize("cursors", ["start", "opaque"])
async def test_pages_that_do_not_hold_a_window_are_gone_through(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount, cursors: str
) -> None:
    """Windows with too many calls are split by the cursor where it is a time, else in halves."""
    vendor.fill(150)
    vendor.page_size, vendor.cursors = 4, cursors
    async with polling(account, publisher) as (poller, task, _):
        await until(settled(poller), task)
        assert poller.checkpoint.parked == ()

    assert set(await call_ids(kafka, account)) == set(vendor.calls)


@pytest.mark.parametrize(
    ("wrap", "encoding", "header_encoding"),
    [
        pytest.param(bytes, "", "", id="plain"),
        pytest.param(zlib.compress, "", "deflate", id="zlib by the vendor"),
        pytest.param(gzip.compress, "", "gzip", id="gzip by the vendor"),
        pytest.param(lambda b: base64.b64encode(zlib.compress(b)), "", "deflate,base64", id="Base64 of zlib"),
        pytest.param(gzip.compress, "gzip", "gzip", id="gzip by HTTP"),
        pytest.param(lambda b: gzip.compress(zlib.compress(b)), "gzip", "deflate,gzip", id="zlib inside HTTP's gzip"),
    ],
)
async def test_a_compressed_page_goes_to_kafka_as_it_came(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount,
    *, wrap: Callable[[bytes], bytes], encoding: str, header_encoding: str,
) -> None:  # fmt: skip
    vendor.fill(5, since_s=NOW - 600)
    vendor.wrap, vendor.encoding = wrap, encoding
    async with polling(account, publisher) as (poller, task, _):
        await until(settled(poller), task)

    pages = await pages_of(kafka, account)
    assert {page.content_encoding for page in pages} == {header_encoding}
    assert all(wrap(b"")[:2] == page.body[:2] for page in pages if header_encoding)
    assert set(await call_ids(kafka, account)) == set(vendor.calls)


async def test_faults_delay_and_lose_nothing(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount
) -> None:
    """Faults are bad gateways, other servers' pages, and the vendor's own errors with a trailing comma."""
    vendor.fill(100)
    vendor.faults = ["http502", "-203", "html", "-501", "http302", "-403", "-202", "-501"] * 3
    async with polling(account, publisher) as (poller, task, metrics):
        await until(lambda: not vendor.faults and settled(poller)(), task)
        assert poller.checkpoint.parked == ()
        assert metrics.get("callweave_poll_errors_total", "tencent", account.account, "-501") == 6

    assert set(await call_ids(kafka, account)) == set(vendor.calls)


async def test_a_bomb_is_no_page(vendor: Vendor, publisher: KafkaPublisher, account: PollAccount) -> None:
    vendor.wrap = lambda _: zlib.compress(b"0" * 200_000_000)
    async with polling(account, publisher) as (poller, task, metrics):
        await until(
            lambda: metrics.get("callweave_poll_errors_total", "tencent", account.account, "transport") > 0, task
        )
        assert poller.checkpoint.settled_s == NOW - 7200


async def test_a_kill_between_page_and_checkpoint_repeats_a_page_and_loses_none(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount
) -> None:
    vendor.fill(150)
    for pages in range(4):
        checkpoint = (await read_checkpoints(KafkaSettings(bootstrap=kafka))).get(checkpoint_key(account))
        async with polling(account, Dies(publisher, pages), checkpoint) as (_, task, _metrics):
            with pytest.raises(KilledError):
                await until(lambda: False, task)
    checkpoint = (await read_checkpoints(KafkaSettings(bootstrap=kafka)))[checkpoint_key(account)]
    assert checkpoint.settled_s > NOW - 7200
    async with polling(account, publisher, checkpoint) as (poller, task, _):
        await until(settled(poller), task)

    seen = await call_ids(kafka, account)
    assert set(seen) == set(vendor.calls)
    assert len(seen) > len(vendor.calls)


async def test_a_call_that_shows_up_late_is_found_in_its_old_window(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount
) -> None:
    """The call appears after its window was settled."""
    vendor.fill(20, since_s=NOW - 3000)
    async with polling(account, publisher) as (poller, task, metrics):
        await until(settled(poller), task)
        before = metrics.get("callweave_poll_pages_total", "tencent", account.account)
        vendor.calls["late"] = NOW - 2500
        await until(lambda: metrics.get("callweave_poll_pages_total", "tencent", account.account) > before, task)

    assert "late" in await call_ids(kafka, account)


async def test_unchanged_pages_are_not_published_again(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount
) -> None:
    vendor.fill(20, since_s=NOW - 3000)
    async with polling(account, publisher) as (poller, task, _):
        await until(settled(poller), task)
        asked = len(vendor.asked)
        await until(lambda: len(vendor.asked) > asked + 100, task)

    assert sorted(await call_ids(kafka, account)) == sorted(vendor.calls)


async def test_a_stop_stays_a_stop_over_a_restart_until_somebody_resumes(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount, caplog: pytest.LogCaptureFixture
) -> None:
    vendor.fill(10)
    vendor.faults = ["-423"]
    async with polling(account, publisher) as (poller, task, metrics):
        await until(lambda: poller.checkpoint.stopped == "-423", task)
        assert metrics.get("callweave_poll_stopped", "tencent", account.account) == 1
    assert any("code=-423" in record.getMessage() and record.levelname == "CRITICAL" for record in caplog.records)

    asked = len(vendor.asked)
    checkpoint = (await read_checkpoints(KafkaSettings(bootstrap=kafka)))[checkpoint_key(account)]
    async with polling(account, publisher, checkpoint) as (_, task, metrics):
        await until(lambda: metrics.get("callweave_poll_stopped", "tencent", account.account) == 1, task)
    assert len(vendor.asked) == asked

    async with polling(account, publisher, resumed(checkpoint)) as (poller, task, _):
        await until(settled(poller), task)
    assert set(await call_ids(kafka, account)) == set(vendor.calls)


async def test_a_bad_parameter_is_asked_plainly_then_parked(
    vendor: Vendor, publisher: KafkaPublisher, account: PollAccount
) -> None:
    vendor.faults = ["-2", "-2"]
    async with polling(account, publisher) as (poller, task, _):
        await until(settled(poller), task)
        start = NOW - 7200
        assert poller.checkpoint.parked == (PollWindow(start, start // 600 * 600 + 600),)
    assert set(vendor.asked[0]) == {"appId", "src", "compress", "startTimeStamp", "endTimeStamp"}
    assert set(vendor.asked[1]) == {"appId", "startTimeStamp", "endTimeStamp"}
    assert all(isinstance(value, str) for asked in vendor.asked for value in asked.values())


async def test_a_single_call_is_fetched_by_its_id_when_it_exists_at_last(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount
) -> None:
    clock = Clock()
    vendor.faults = ["-201", "-201"]
    vendor.calls = {"one": NOW - 100}
    async with client(5.0) as session:
        poller = Poller(
            account, poll=POLL, publisher=publisher, session=session, settings=PollSettings(), metrics=Registry(),
            checkpoint=Checkpoint(settled_s=NOW), now=lambda: clock.now_s, sleep=clock.sleep,
        )  # fmt: skip
        assert await poller.fetch_call("one")
        assert clock.now_s == NOW + 20 + 40
        assert not await poller.fetch_call("nobody")
        vendor.faults = ["-401"]
        with pytest.raises(Unavailable) as failed:
            await poller.fetch_call("one")
    assert failed.value.code == "-401"
    assert await call_ids(kafka, account) == ["one"]


async def test_the_part_runs_until_it_is_stopped_and_goes_on_where_it_was(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount
) -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap=kafka), poll=PollSettings(accounts=(account,)))
    reached = []
    for _ in range(2):
        stop, metrics = asyncio.Event(), Registry()
        task = asyncio.create_task(run(settings, stop, metrics))
        asked = len(vendor.asked)
        await until(lambda asked=asked: len(vendor.asked) > asked, task)  # type: ignore[misc]  # bound for this turn
        stop.set()
        async with asyncio.timeout(DEADLINE_S):
            await task
        reached.append((await read_checkpoints(KafkaSettings(bootstrap=kafka)))[checkpoint_key(account)].settled_s)
    assert reached[0] <= reached[1]


async def test_a_person_can_have_one_call_fetched(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount
) -> None:
    vendor.calls = {"one": NOW - 100}
    settings = Settings(kafka=KafkaSettings(bootstrap=kafka), poll=PollSettings(accounts=(account,)))
    await fetch(settings, asyncio.Event(), Registry(), calls=((account.account, "one"),))
    assert await call_ids(kafka, account) == ["one"]
    with pytest.raises(SettingsError, match="no account 'nobody' is polled"):
        await fetch(settings, asyncio.Event(), Registry(), calls=(("nobody", "one"),))


async def test_calls_of_a_carriers_file_are_pulled_each_asked_for_once(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount
) -> None:
    vendor.calls = {"one": NOW - 100, "two": NOW - 90}
    unhurried = msgspec.structs.replace(account, min_gap_s=0.0)
    settings = Settings(kafka=KafkaSettings(bootstrap=kafka), poll=PollSettings(accounts=(unhurried,)))

    told = await backfilled(settings, "tencent", account.account, ["one", "nobody", "two", "one"])

    assert told == [
        "backfill: 2 of 3 calls pulled; reconcile again in a minute",
        "  1 not given by the vendor: not_found",
    ]
    assert [asked["callId"] for asked in vendor.asked] == ["one", "nobody", "two"]
    assert sorted(await call_ids(kafka, account)) == ["one", "two"]
    for whose in (("tencent", "another"), ("ytx", account.account)):
        with pytest.raises(NoPullApi):
            await backfilled(settings, *whose, ["one"])


async def test_a_fetch_that_waits_for_its_call_can_be_stopped(
    vendor: Vendor, kafka: str, publisher: KafkaPublisher, account: PollAccount
) -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap=kafka), poll=PollSettings(accounts=(account,)))
    stop = asyncio.Event()
    task = asyncio.create_task(fetch(settings, stop, Registry(), calls=((account.account, "nobody"),)))
    await until(lambda: bool(vendor.asked), task)
    stop.set()
    async with asyncio.timeout(DEADLINE_S):
        await task


async def test_two_entries_of_one_account_are_refused(kafka: str, vendor: Vendor, account: PollAccount) -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap=kafka), poll=PollSettings(accounts=(account, account)))
    with pytest.raises(SettingsError, match="two entries name the same account"):
        await run(settings, asyncio.Event(), Registry())


async def test_three_kills_of_the_real_process_lose_no_call(
    kafka: str, vendor: Vendor, publisher: KafkaPublisher, account: PollAccount, tmp_path: Path
) -> None:
    """The process is killed at any place; a server with few calls a page makes for many such places."""
    vendor.fill(150, since_s=int(time.time()) - 6500)
    vendor.page_size = 8
    config = tmp_path / "callweave.toml"
    config.write_text(
        f'[kafka]\nbootstrap = "{kafka}"\n[[poll.accounts]]\nvendor = "tencent"\naccount = "{account.account}"\n'
        f'url = "{vendor.url}"\napp_id = "1400000000"\nsweep_hour_utc = -1\nmin_gap_s = 0.05\ninterval_s = 0.2\n'
    )
    for turn in range(4):
        before, asked = set(await call_ids(kafka, account)), len(vendor.asked)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.cli.main", "--config", str(config), "poll", stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                if turn < 3:
                    ended = asyncio.create_task(process.wait())
                    await until(lambda enough=asked + 6: len(vendor.asked) >= enough, ended)  # type: ignore[misc]  # bound for this turn
                while turn == 3 and set(await call_ids(kafka, account)) != set(vendor.calls):
                    assert process.returncode is None
                    await asyncio.sleep(0.2)
        finally:
            process.kill()
            await process.wait()
        assert set(await call_ids(kafka, account)) >= before

    assert set(await call_ids(kafka, account)) == set(vendor.calls)
