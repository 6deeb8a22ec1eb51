"""The counts of a connection over real sockets: whatever a caller does, nothing of it is counted for ever."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from ingress.admission import AdmissionControl
from ingress.app import SERVER_OPTIONS, create_app
from ingress.overload.server import BoundedRunner
from ingress.overload.shedding import LoadShedder
from schemas.config.settings import IngressSettings, Settings
from schemas.metrics import Registry
from schemas.vendors import VENDORS
from tests.unit.ingress.http.serving_site import NOW
from tests.unit.ingress.overload.talking import Waiting, said

LIMITS = IngressSettings(max_body_bytes=50_000, body_timeout_s=0.2, head_timeout_s=0.5)
MAX_BYTES = 100_000
PUSH = b"POST /v1/ytx HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
ONCE_ONLY = PUSH.replace(b"/v1/ytx", b"/v1/huawei/ax")


class Site:
    def __init__(self, port: int, admission: AdmissionControl, metrics: Registry, publisher: Waiting) -> None:
        self.port = port
        self.admission = admission
        self.metrics = metrics
        self.publisher = publisher

    async def say(self, *words: bytes, answers: int = 1) -> bytes:
        """Returns all responses, up to `answers` of them or the end of the connection."""
        return await said(self.port, *words, answers=answers)

    async def say_in_turn(self, words: bytes, *, times: int) -> bytes:
        """Returns the responses to a caller that repeats itself as soon as it is answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        heard = b""
        try:
            async with asyncio.timeout(20):
                for _ in range(times):
                    writer.write(words)
                    heard += await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        return heard

    async def counts(self) -> tuple[int, int]:
        """Returns the counts, once they are zero or have not become so for ten seconds."""
        deadline = asyncio.get_running_loop().time() + 10
        while (  # noqa: ASYNC110  # what is waited for is the server
            self.admission.queued or self.admission.size_bytes
        ) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        return self.admission.queued, self.admission.size_bytes


@contextlib.asynccontextmanager
async def running(app: web.Application, metrics: Registry, admission: AdmissionControl) -> AsyncIterator[BoundedRunner]:
    runner = BoundedRunner(
        app,
        LIMITS,
        metrics,
        admission=admission,
        shedder=LoadShedder(VENDORS),
        leaving=asyncio.Event(),
        shutdown_timeout=1.0,
        **SERVER_OPTIONS,
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner
    await runner.cleanup()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    metrics, publisher = Registry(), Waiting()
    admission = AdmissionControl(max_queued=4, max_bytes=MAX_BYTES)
    app = create_app(Settings(ingress=LIMITS), VENDORS, publisher, metrics, lambda: NOW, admission=admission)
    async with running(app, metrics, admission) as runner:
        yield Site(runner.addresses[0][1], admission, metrics, publisher)
        publisher.go_on.set()


def statuses(heard: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1.\d (\d{3})", heard)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        pytest.param([PUSH], [b"200"], id="a push"),
        pytest.param([PUSH[:30], PUSH[30:]], [b"200"], id="a head in two pieces"),
        pytest.param([PUSH[:-1], PUSH[-1:]], [b"200"], id="a body in two pieces"),
        pytest.param([PUSH, PUSH, PUSH], [b"200"] * 3, id="one after the other"),
        pytest.param([PUSH * 3], [b"200"] * 3, id="three at once"),
        pytest.param([PUSH + PUSH[:-1], PUSH[-1:]], [b"200"] * 2, id="one and a half at once"),
        pytest.param([b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"], [b"200"], id="a page"),
        pytest.param([PUSH.replace(b"/v1/ytx", b"/v1/nobody")], [b"404"], id="an unknown address"),
        pytest.param([b"no HTTP\r\n\r\n"], [b"400"], id="no HTTP"),
        pytest.param([PUSH.replace(b" 2", b" 9")], [b"408"], id="a body that does not end"),
        pytest.param([PUSH.replace(b" 2", b" 90000"), b"x" * 1000], [b"413"], id="a body that is too large, unread"),
        pytest.param(
            [PUSH.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")[:-2], *[b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 5],
            [b"413"],
            id="a body that is too large, in chunks",
        ),
    ],
)  # fmt: skip
async def test_what_is_answered_is_not_counted_any_more(site: Site, words: list[bytes], wanted: list[bytes]) -> None:
    assert statuses(await site.say(*words, answers=len(wanted))) == wanted
    assert await site.counts() == (0, 0)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(PUSH[:30], id="in the head"),
        pytest.param(PUSH[:-1], id="in the body"),
        pytest.param(PUSH * 5, id="before the answers"),
    ],
)
async def test_who_hangs_up_is_not_counted_any_more(site: Site, words: bytes) -> None:
    await site.say(words, answers=0)
    assert await site.counts() == (0, 0)


async def test_who_hangs_up_while_kafka_is_waited_for_is_in_hand_until_then(site: Site) -> None:
    site.publisher.go_on.clear()
    await site.say(PUSH, answers=0)
    await asyncio.sleep(0.05)
    assert (site.admission.queued, site.admission.size_bytes) == (0, len(PUSH))
    site.publisher.go_on.set()
    assert await site.counts() == (0, 0)


@pytest.mark.parametrize("behind", [1, 3])
async def test_what_waits_behind_the_push_of_one_who_hangs_up_is_not_counted_any_more(site: Site, behind: int) -> None:
    site.publisher.go_on.clear()
    await site.say(PUSH * (1 + behind), answers=0)
    await asyncio.sleep(0.05)
    site.publisher.go_on.set()
    assert await site.counts() == (0, 0)


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_bytes_that_are_no_request_behind_others_are_not_counted_any_more(site: Site, times: int) -> None:
    """Each piece is one more error in the queue, of which the first ends the connection."""
    site.publisher.go_on.clear()
    saying = asyncio.create_task(site.say(PUSH, *[b"no HTTP\r\n\r\n"] * times, answers=9))
    await asyncio.sleep(0.05 + 0.02 * times)
    site.publisher.go_on.set()
    assert statuses(await saying) == [b"200", b"400"]
    assert await site.counts() == (0, 0)


async def test_a_request_whose_answer_fails_as_its_caller_has_left_is_not_counted_any_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handled = asyncio.Event()

    async def fails(request: web.Request) -> web.Response:
        handled.set()
        while request.transport is not None:  # noqa: ASYNC110  # aiohttp signals it nowhere
            await asyncio.sleep(0.005)
        raise ConnectionResetError("nobody is there")

    app, admission = web.Application(), AdmissionControl(max_queued=4, max_bytes=MAX_BYTES)
    app.router.add_post("/v1/ytx", fails)
    async with running(app, Registry(), admission) as runner:
        site = Site(runner.addresses[0][1], admission, Registry(), Waiting())
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(PUSH)
        await handled.wait()
        assert admission.size_bytes == len(PUSH)
        writer.transport.abort()
        assert await site.counts() == (0, 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_without_room_each_is_answered_in_its_vendors_words_and_goes_on(site: Site) -> None:
    """Plain requests are refused before they are parsed, others by the handlers."""
    in_chunks = PUSH.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked").replace(
        b"{}", b"2\r\n{}\r\n0\r\n\r\n"
    )
    site.admission.queued = 5  # more than four
    for push, status in ((PUSH, b"500"), (in_chunks, b"500"), (ONCE_ONLY, b"200")):
        assert statuses(await site.say(push, push, answers=2)) == [status] * 2
    site.admission.queued = 0
    site.admission.received_bytes = MAX_BYTES - 1000  # more than four fifths
    assert statuses(await site.say(ONCE_ONLY, ONCE_ONLY, answers=2)) == [b"200"] * 2
    site.admission.received_bytes = MAX_BYTES + 1
    assert statuses(await site.say(ONCE_ONLY, ONCE_ONLY, answers=2)) == [b"503"] * 2
    site.admission.received_bytes = 0
    assert statuses(await site.say(PUSH)) == [b"200"]
    assert await site.counts() == (0, 0)
    counted = [
        site.metrics.get("callweave_ingress_requests_total", *names)
        for names in (("ytx", "push", "overload"), ("huawei", "ax", "buffer_full"))
    ]
    assert counted == [4, 2]


async def test_a_connection_that_is_always_refused_is_not_taken_for_a_silent_one(site: Site) -> None:
    """The connection is read again after a pause, and kept longer than a silent one."""
    site.admission.queued = 5
    assert statuses(await site.say_in_turn(PUSH, times=4)) == [b"500"] * 4


async def test_a_head_that_never_ends_is_cut(site: Site) -> None:
    lines = [b"X-%d: %s\r\n" % (number, b"y" * 8000) for number in range(12)]
    assert await site.say(b"POST /v1/ytx HTTP/1.1\r\n", *lines) == b""
    assert site.metrics.get("callweave_ingress_connections_cut_total", "large_head") == 1
    assert await site.counts() == (0, 0)


@pytest.mark.parametrize("before", [b"", PUSH], ids=["first", "behind a push"])
@pytest.mark.parametrize("body", [b"\r\n", b"Content-Length: 2\r\n\r\n{}"], ids=["no body", "a body"])
async def test_a_request_without_a_target_is_answered_and_its_connection_closed(
    site: Site, before: bytes, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """CONNECT is the one method of which aiohttp takes it, and then has no address, or that of the request before."""
    heard = await site.say(before + b"CONNECT  \r\nHost: x\r\n" + body, answers=9)
    assert re.findall(rb"HTTP/\S+ (\d{3})", heard) == [*([b"200"] if before else []), b"400"]
    assert site.metrics.get("callweave_ingress_requests_total", "-", "-", "bad_request") == 1
    assert await site.counts() == (0, 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_bytes_far_beyond_the_bound_cut_the_connection_that_brings_them(site: Site) -> None:
    site.admission.received_bytes = 2 * MAX_BYTES
    assert await site.say(PUSH[:-1]) == b""
    assert site.metrics.get("callweave_ingress_connections_cut_total", "no_room") == 1
    site.admission.received_bytes -= 2 * MAX_BYTES
    assert await site.counts() == (0, 0)
