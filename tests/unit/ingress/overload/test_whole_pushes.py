"""Pushes that come whole are taken without aiohttp's handling, and nobody can tell it from outside.

Each exchange is had twice: as it is, and with all requests going aiohttp's way. Answers, records and counts are equal.
"""

import asyncio
import contextlib
import gzip
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingress.admission import AdmissionControl
from ingress.app import SERVER_OPTIONS, create_app
from ingress.http.handlers import PushHandler, WholePush
from ingress.http.responses import Answer
from ingress.overload.server import BoundedRunner, BoundedServer
from ingress.overload.shedding import LoadShedder
from ingress.overload.whole_pushes import MOMENT_S, WholePushHandler
from schemas.config.caller_checks import Basic
from schemas.config.secret import Secret
from schemas.config.settings import Account, IngressSettings, Settings
from schemas.metrics import Registry
from schemas.vendors import VENDORS
from tests.unit.ingress.http.serving_site import NOW, SECRET
from tests.unit.ingress.overload.talking import Waiting, said

LIMITS = IngressSettings(max_body_bytes=5_000, body_timeout_s=0.2, max_buffer_bytes=100_000)
ACCOUNTS = (
    Account(vendor="ytx", name="main"),
    Account(vendor="ytx", name="hidden", secret=Secret(value=SECRET)),
    Account(vendor="ytx", name="far", allow=("192.0.2.0/24",)),
    Account(vendor="ytx", name="known", checks=(Basic(username="u", secret=Secret(value="p" * 16)),)),
    Account(vendor="ytx", name="slow", rate_per_s=0.0001),
)


class Site:
    def __init__(self, runner: BoundedRunner, publisher: Waiting, metrics: Registry, leaving: asyncio.Event) -> None:
        assert isinstance(runner.server, BoundedServer)
        self.server = runner.server
        self.port = runner.addresses[0][1]
        self.publisher = publisher
        self.metrics = metrics
        self.leaving = leaving

    async def say(self, *words: bytes, answers: int = 1) -> bytes:
        """Returns all responses, up to `answers` of them or the end of the connection."""
        return await said(self.port, *words, answers=answers)

    def taken_whole(self) -> int:
        """Returns how many pushes did not go aiohttp's way."""
        counted = re.findall(r"^callweave_ingress_requests_total\{.*\} (\d+)", self.metrics.text(), re.MULTILINE)
        return sum(int(each) for each in counted) - (self.server.requests_count or 0)


@contextlib.asynccontextmanager
async def serving(*, whole: bool = True, **options: Any) -> AsyncIterator[Site]:
    metrics, publisher, leaving = Registry(), Waiting(), asyncio.Event()
    admission = AdmissionControl(max_queued=400, max_bytes=LIMITS.max_buffer_bytes)
    app = create_app(
        Settings(ingress=LIMITS, accounts=ACCOUNTS), VENDORS, publisher, metrics, lambda: NOW, admission=admission
    )
    runner = BoundedRunner(
        app, LIMITS, metrics, admission=admission, shedder=LoadShedder(VENDORS), leaving=leaving,
        **{"shutdown_timeout": 5.0, **SERVER_OPTIONS, **options},
    )  # fmt: skip
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        site = Site(runner, publisher, metrics, leaving)
        site.server.takes_whole = whole
        yield site
        assert (admission.queued, admission.received_bytes) == (0, 0)
    finally:
        await runner.cleanup()


def push(target: bytes = b"/v1/ytx?account=main", body: bytes = b"{}", *lines: bytes, method: bytes = b"POST") -> bytes:
    head = [b"%s %s HTTP/1.1" % (method, target), b"Host: x", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join([*head, b"", body])


CHUNKED = b"POST /v1/ytx HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
BASIC = b"Authorization: Basic dTpwcHBwcHBwcHBwcHBwcHBw"
WHOLE: dict[str, tuple[bytes, int]] = {
    "a push": (push(), 200),
    "an account by its secret": (push(b"/v1/a/%s/ytx" % SECRET.encode()), 200),
    "an account by its credentials": (push(b"/v1/ytx", b"{}", BASIC), 200),
    "a vendor that calls once": (push(b"/v1/huawei/ax"), 200),
    "no body": (push(body=b""), 200),
    "the last of its connection": (push(b"/v1/ytx", b"{}", b"Connection: close"), 200),
    "a compressed body": (push(b"/v1/ytx", gzip.compress(b"{}"), b"Content-Encoding: gzip"), 200),
    "chunks": (CHUNKED, 200),
    "headers that are mended": (push(b"/v1/ytx", b"{}", b"Content-Type: a/b", b"Content-Type: c/d", b"X: \x01"), 200),
    "headers that are no ASCII": (push(b"/v1/ytx", b"{}", b"Content-Type: \xe5\x90\x8d", b"X-\xc3\xa9: 1"), 400),
    "a value that is no ASCII": (push(b"/v1/ytx", b"{}", b"Content-Type: \xe5\x90\x8d\xff"), 200),
    "proxies": (push(b"/v1/ytx", b"{}", b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-For: 192.0.2.2"), 200),
    "an odd path": (push(b"//v1//y%74x/"), 200),
    "an unknown address": (push(b"/v1/nobody/%73"), 404),
    "an unknown secret": (push(b"/v1/a/nobody/ytx"), 403),
    "an unknown account": (push(b"/v1/ytx?account=nobody"), 403),
    "two accounts": (push(b"/v1/ytx?account=main&account=far"), 400),
    "another network": (push(b"/v1/ytx?account=far"), 403),
    "no credentials": (push(b"/v1/ytx?account=known"), 401),
    "a page that is for reading": (push(b"/healthz"), 405),
    "a body that is too large": (push(body=b"x" * 5001), 413),
    "the largest body": (push(body=b"x" * 5000), 200),
}
AIOHTTPS: dict[str, tuple[bytes, int]] = {
    "HTTP/1.0": (push().replace(b"HTTP/1.1", b"HTTP/1.0"), 200),
    "it asks first": (push(b"/v1/ytx", b"{}", b"Expect: 100-continue"), 200),
    "it expects something else": (push(b"/v1/ytx", b"{}", b"Expect: a miracle"), 200),
    "an upgrade": (push(b"/v1/ytx", b"{}", b"Connection: Upgrade", b"Upgrade: websocket"), 200),
    "another method": (push(method=b"PUT"), 405),
    "a look": (push(method=b"GET"), 200),
    "options": (push(method=b"OPTIONS"), 204),
    "another host in the target": (push(b"http://example.com/v1/ytx"), 200),
    "no path": (push(b"*"), 400),
    "no HTTP": (b"no HTTP\r\n\r\n", 400),
}
ALL = WHOLE | AIOHTTPS


def lines_of(heard: bytes) -> list[list[bytes]]:
    """Returns the lines of each response, headers in order of their names, without what differs each time."""
    found = []
    for response in re.split(rb"(?=HTTP/1\.[01] \d)", heard)[1:]:
        head, _, body = response.partition(b"\r\n\r\n")
        first, *headers = head.split(b"\r\n")
        kept = sorted(line for line in headers if not line.startswith((b"X-Request-Id:", b"Date:")))
        found.append([first, *kept, body])
    return found


def told(site: Site) -> Any:
    """Returns what is known of all requests afterwards."""
    counts = [line for line in site.metrics.text().splitlines() if "_total{" in line]
    records = [
        msgspec.structs.replace(each, headers=tuple(pair for pair in each.headers if pair[0] != "request_id"))
        for each in site.publisher.records
    ]
    return sorted(counts), records, site.publisher.no_retry


async def both_ways(*words: bytes, answers: int, trouble: Any = None) -> tuple[Any, Any]:
    """Returns what is answered and known either way."""
    found = []
    for whole in (True, False):
        async with serving(whole=whole) as site:
            site.publisher.fail_with = trouble
            heard = await site.say(*words, answers=answers)
            found.append((lines_of(heard), told(site)))
    return found[0], found[1]


@pytest.mark.parametrize("name", ALL)
async def test_answer_record_and_counts_are_those_of_aiohttp_s_way(name: str) -> None:
    words, status = ALL[name]
    ours, theirs = await both_ways(words, answers=1)
    assert ours == theirs
    assert ours[0][-1][0].split()[1] == b"%d" % status or b"100 Continue" in ours[0][0][0]


@pytest.mark.parametrize("trouble", ["kafka", "spool_full", "oversize"])
@pytest.mark.parametrize("path", [b"/v1/ytx", b"/v1/huawei/ax", b"/v1/nxcloud/cdr"])
async def test_a_body_that_nobody_takes_gets_the_same_answer(trouble: str, path: bytes) -> None:
    ours, theirs = await both_ways(push(path), push(path), answers=2, trouble=trouble)
    assert ours == theirs
    assert ours[0][0][0].split()[1].startswith(b"5")


async def test_an_account_that_pushes_too_much_gets_the_same_answer() -> None:
    words = push(b"/v1/ytx?account=slow")
    ours, theirs = await both_ways(words, words, answers=2)
    assert ours == theirs
    assert [each[0].split()[1] for each in ours[0]] == [b"200", b"500"]


@pytest.mark.parametrize(("names", "taken"), [(WHOLE, 1), (AIOHTTPS, 0)], ids=["whole", "odd"])
async def test_what_is_taken_without_aiohttp_is_a_whole_push(names: dict[str, tuple[bytes, int]], taken: int) -> None:
    for name, (words, _) in names.items():
        if name == "headers that are no ASCII":  # no HTTP
            continue
        async with serving() as site:
            await site.say(words, answers=1)
            assert site.taken_whole() == taken, name


@pytest.mark.parametrize("pieces", [2, 3, 5])
@pytest.mark.parametrize("name", ["a push", "a compressed body", "the largest body", "a vendor that calls once"])
async def test_a_body_that_comes_behind_its_head_makes_a_whole_push(name: str, pieces: int) -> None:
    words = WHOLE[name][0]
    head = words.index(b"\r\n\r\n") + 4
    rest = words[head:]
    step = -(-len(rest) // (pieces - 1))
    parts = [words[:head], *(rest[at : at + step] for at in range(0, len(rest), step))]
    ours, theirs = await both_ways(*parts, *parts, answers=2)
    assert ours == theirs
    async with serving() as site:
        await site.say(*parts, *parts, answers=2)
        assert site.taken_whole() == 2


@pytest.mark.parametrize("declared", [b"Content-Length: 70000", b"Transfer-Encoding: chunked"])
async def test_a_large_body_and_one_of_unknown_size_are_aiohttp_s_at_once(declared: bytes) -> None:
    async with serving() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        try:
            writer.write(b"POST /v1/ytx HTTP/1.1\r\nHost: x\r\n" + declared + b"\r\n\r\n")
            async with asyncio.timeout(MOMENT_S / 2):
                while not site.server.requests_count:  # noqa: ASYNC110 - aiohttp says nothing when it begins
                    await asyncio.sleep(0.001)
            async with asyncio.timeout(20):
                assert (await reader.readuntil(b"\r\n"))[9:12] in {b"413", b"408"}
        finally:
            writer.transport.abort()


async def test_a_body_that_takes_longer_than_a_moment_is_read_all_the_same() -> None:
    async with serving() as site:
        words = push(body=b"late")
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        try:
            for _ in range(2):
                writer.write(words[:-3])
                await asyncio.sleep(MOMENT_S * 1.3)
                writer.write(words[-3:])
                async with asyncio.timeout(20):
                    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            writer.write(words)
            async with asyncio.timeout(20):
                assert b"HTTP/1.1 200" in await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.transport.abort()
        assert [each.value for each in site.publisher.records] == [b"late"] * 3
        assert site.taken_whole() == 1


async def test_a_body_that_never_ends_is_refused_like_any_other() -> None:
    words = push(body=b"never")[:-1]
    ours, theirs = await both_ways(words, answers=1)
    assert ours == theirs
    assert ours[0][0][0].split()[1] == b"408"


@pytest.mark.parametrize("target", [b"/v1/ytx", b"/v1/nobody", b"/v1/ytx?account=far"])
async def test_a_sender_who_leaves_within_a_body_is_counted_alike(target: bytes) -> None:
    found = []
    for whole in (True, False):
        async with serving(whole=whole) as site:
            await site.say(push(target, body=b"gone")[:-1], answers=0)
            await asyncio.sleep(0.05)
            found.append(told(site))
    assert found[0] == found[1]
    assert "requests_total" in str(found[0])


async def test_a_connection_whose_body_is_waited_for_is_no_idle_one() -> None:
    async with serving(keepalive_timeout=0.15) as site:
        words = push(body=b"kept")
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        try:
            writer.write(words)
            async with asyncio.timeout(20):
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(0.12)
                writer.write(words[:-1])
                await asyncio.sleep(0.06)
                writer.write(words[-1:])
                assert b"HTTP/1.1 200" in await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.transport.abort()


async def test_a_push_that_is_logged_is_logged_alike(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "callweave.ingress.access")
    await both_ways(push(b"/v1/a/%s/ytx" % SECRET.encode()), push(b"/v1/nobody"), answers=2)
    lines = [re.sub(r"(id|ms)=\S+", "", record.getMessage()) for record in caplog.records if "route" in record.msg]
    assert lines[:2] == lines[2:]
    assert SECRET not in caplog.text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(st.sampled_from(sorted(set(ALL) - {"it asks first", "no HTTP"})), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 600), max_size=4),
)
async def test_requests_in_any_pieces_are_answered_as_aiohttp_s_way_answers_them(
    names: list[str], cuts: list[int]
) -> None:
    stream = b"".join(ALL[name][0] for name in names)
    places = sorted({min(cut, len(stream)) for cut in cuts})
    pieces = [stream[begin:end] for begin, end in zip([0, *places], [*places, len(stream)], strict=True)]
    ours, theirs = await both_ways(*filter(None, pieces), answers=len(names))
    assert ours == theirs


async def test_what_comes_behind_a_push_waits_for_its_answer_and_is_not_read_further() -> None:
    async with serving() as site:
        site.publisher.go_on.clear()
        names = [b"first", b"second", b"third"]
        saying = asyncio.create_task(site.say(*(push(body=name) for name in names), answers=3))
        await asyncio.sleep(0.1)
        assert site.publisher.begun == 1
        site.publisher.go_on.set()
        assert len(lines_of(await saying)) == 3
        assert [each.value for each in site.publisher.records] == names
        assert site.taken_whole() >= 1


@pytest.mark.parametrize("cut", [1, 30, 60, 71])
async def test_a_piece_of_a_request_behind_a_push_is_read_and_so_is_the_rest(cut: int) -> None:
    async with serving() as site:
        site.publisher.go_on.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        try:
            second = push(body=b"second")
            writer.write(push(body=b"first"))
            await asyncio.sleep(0.02)
            writer.write(second[:cut])
            await asyncio.sleep(0.02)
            site.publisher.go_on.set()
            async with asyncio.timeout(20):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
                writer.write(second[cut:])
                assert b"HTTP/1.1 200" in await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.transport.abort()
        assert [each.value for each in site.publisher.records] == [b"first", b"second"]


async def test_a_connection_brings_as_many_pushes_as_it_likes() -> None:
    """The parser of aiohttp reads no further while too many of the requests that it read are not taken off."""
    async with serving() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        try:
            async with asyncio.timeout(20):
                for together in (*[1] * 100, 3):
                    writer.write(push() * together)
                    for _ in range(together):
                        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
                        await reader.readexactly(len(VENDORS["ytx"].accepted.body))
        finally:
            writer.transport.abort()
        assert (site.taken_whole(), len(site.publisher.records)) == (100, 103)


async def test_a_head_that_comes_in_pieces_leaves_nothing_for_the_next_one() -> None:
    async with serving() as site:
        mended, _ = WHOLE["headers that are mended"]
        heard = lines_of(await site.say(push()[:30], push()[30:], mended, answers=2))
        assert [each[0] for each in heard] == [b"HTTP/1.1 200 OK"] * 2


async def test_once_it_is_to_leave_each_answer_ends_its_connection() -> None:
    async with serving() as site:
        site.leaving.set()
        (answer,) = lines_of(await site.say(push(), push(), answers=2))
        assert b"Connection: close" in answer
        assert site.taken_whole() == 1


async def test_a_connection_that_goes_on_pushing_is_no_idle_one() -> None:
    async with serving(keepalive_timeout=0.3, timeout_ceil_threshold=60) as site:
        assert len(await in_turn(site, *[push()] * 4, pause_s=0.2)) == 4


async def in_turn(site: Site, *words: bytes, pause_s: float = 0.0) -> list[bytes]:
    """Returns the heads of the answers to a caller that waits for each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    heads = []
    try:
        async with asyncio.timeout(20):
            for part in words:
                writer.write(part)
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                length = re.search(rb"Content-Length: (\d+)", heads[-1])
                assert length
                await reader.readexactly(int(length[1]))
                await asyncio.sleep(pause_s)
    finally:
        writer.transport.abort()
    return heads


async def test_a_whole_push_whose_sender_is_gone_before_its_turn_is_stored() -> None:
    async with serving() as site:
        site.publisher.go_on.clear()
        await site.say(push(b"/v1/huawei/ax"), answers=0)
        await asyncio.sleep(0.05)
        site.publisher.go_on.set()
        async with asyncio.timeout(10):
            while not site.publisher.records:  # noqa: ASYNC110  # what is waited for is the server
                await asyncio.sleep(0.005)
        assert site.server.open_connections == 0


async def test_a_push_that_waits_for_kafka_is_no_idle_connection() -> None:
    async with serving(keepalive_timeout=0.1, timeout_ceil_threshold=60) as site:
        site.publisher.go_on.clear()
        saying = asyncio.create_task(site.say(push(), answers=1))
        await asyncio.sleep(0.5)
        site.publisher.go_on.set()
        assert lines_of(await saying)[0][0] == b"HTTP/1.1 200 OK"
        assert site.taken_whole() == 1


async def test_a_connection_that_said_nothing_for_long_after_its_push_is_closed() -> None:
    async with serving(keepalive_timeout=0.2, timeout_ceil_threshold=60) as site:
        assert len(lines_of(await site.say(push(), answers=2))) == 1


async def test_the_end_waits_for_a_push_and_answers_it() -> None:
    async with serving() as site:
        site.publisher.go_on.clear()
        saying = asyncio.create_task(site.say(push(), answers=2))
        await asyncio.sleep(0.05)
        site.leaving.set()
        site.server.pre_shutdown()
        ending = asyncio.create_task(site.server.shutdown(5.0))
        await asyncio.sleep(0.05)
        assert not ending.done()
        site.publisher.go_on.set()
        (answer,) = lines_of(await saying)
        assert answer[0] == b"HTTP/1.1 200 OK"
        assert b"Connection: close" in answer
        await ending


async def test_a_bug_in_an_answer_s_header_ends_the_connection_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    answer = Answer(200, (("X-Bad", "a\r\nSet-Cookie: b"),))
    with pytest.raises(ValueError, match="line break"):
        answer.wire(closes=False)
    async with serving() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        site.publisher.go_on.clear()
        writer.write(push())
        await asyncio.sleep(0.05)
        (connection,) = site.server.connections
        connection.answer(answer)  # type: ignore[attr-defined]  # a guarded connection
        assert await reader.read() == b""
        writer.close()
        assert site.metrics.get("callweave_ingress_connections_cut_total", "broken") == 1
        site.publisher.go_on.set()
        await asyncio.sleep(0.01)
    assert "ValueError" in caplog.text


async def test_a_bug_met_by_one_push_ends_its_connection_and_no_other(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = PushHandler.take

    def failing(self: PushHandler, whole: WholePush, answered: Callable[[Answer], None]) -> None:
        if whole.body == b"bad":
            raise LookupError("nobody expects it")
        take(self, whole, answered)

    monkeypatch.setattr(PushHandler, "take", failing)
    async with serving() as site:
        heard = await asyncio.gather(*(site.say(push(body=name)) for name in (b"a", b"bad", b"c")))
        assert [len(lines_of(each)) for each in heard] == [1, 0, 1]
        assert site.metrics.get("callweave_ingress_connections_cut_total", "broken") == 1
        for _ in range(100):
            await asyncio.sleep(0)
    assert "LookupError" in caplog.text


async def test_bytes_behind_a_push_that_cannot_be_read_end_their_connection_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = WholePushHandler.read

    def failing(self: WholePushHandler, data: bytes) -> WholePush | None:
        if data.endswith(b"bad"):
            raise LookupError("nobody expects it")
        return read(self, data)

    async with serving() as site:
        site.publisher.go_on.clear()
        saying = [
            asyncio.create_task(site.say(push(), push(body=body), answers=2)) for body in (b"good", b"bad", b"good")
        ]
        await asyncio.sleep(0.05)
        monkeypatch.setattr(WholePushHandler, "read", failing)
        site.publisher.go_on.set()
        assert [len(lines_of(await each)) for each in saying] == [2, 1, 2]
        assert site.metrics.get("callweave_ingress_connections_cut_total", "broken") == 1


@pytest.mark.parametrize("run", [1, 7, 40])
async def test_many_at_once_each_hear_of_their_own_push(run: int) -> None:
    async with serving() as site:
        bodies: Sequence[bytes] = [b"%d" % number for number in range(run)]
        heard = await asyncio.gather(
            *(site.say(push(b"/v1/ytx" if number % 2 else b"/v1/nobody", body)) for number, body in enumerate(bodies))
        )
        statuses = [lines_of(each)[0][0].split()[1] for each in heard]
        assert statuses == [b"200" if number % 2 else b"404" for number in range(run)]
        assert sorted(each.value for each in site.publisher.records) == sorted(bodies[1::2])
