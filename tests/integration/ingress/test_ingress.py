"""The ingress as a real process with a real broker: acknowledged bodies are in Kafka, whatever is stopped or killed."""

import asyncio
import collections
import contextlib
import os
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self

import aiohttp
import pytest

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from schemas.config.settings import KafkaSettings
from tests.support.ingress_process import PARTITIONS, in_kafka, reading, started
from tests.support.processes.formatted import formatted
from tests.support.processes.warm_command import WarmProcess

BODY = b'{"sessionid":"%s%06d","caller":"447700900123","callee":"447700900456","dur":"3"}'


class Ingress:
    """A running `callweave ingress`."""

    def __init__(self, process: asyncio.subprocess.Process | WarmProcess, url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log


async def until(what: str, true: Callable[[], Awaitable[bool]], *, limit_s: float = 60) -> None:
    """Waits until a condition holds."""
    try:
        async with asyncio.timeout(limit_s):
            while not await true():  # noqa: ASYNC110  # what is waited for is another process
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"waited {limit_s} s in vain: {what}")


@contextlib.asynccontextmanager
async def ingress(place: Path, bootstrap: str, **more: str) -> AsyncIterator[Ingress]:
    port = free_port()
    log = place / f"ingress-{port}.log"
    env = {
        **os.environ,
        "CALLWEAVE_KAFKA__BOOTSTRAP": bootstrap,
        "CALLWEAVE_INGRESS__PORT": str(port),
        "CALLWEAVE_INGRESS__SPOOL_DIR": str(place / "spool"),
        "CALLWEAVE_INGRESS__PUBLISH_TIMEOUT_S": "5",
        **{f"CALLWEAVE_INGRESS__{name.upper()}": value for name, value in more.items()},
    }
    with log.open("wb") as output:
        process = await started(output, env, alone=more.get("workers", "1") != "1")
    running = Ingress(process, f"http://127.0.0.1:{port}", log)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(60):
                await process.wait()


async def status(http: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    """Returns a response's status, 0 when nobody listens."""
    try:
        async with http.get(url) as response:
            return response.status, await response.read()
    except (aiohttp.ClientError, TimeoutError):
        return 0, b""


async def until_ready(http: aiohttp.ClientSession, running: Ingress) -> None:
    async def ready() -> bool:
        assert running.process.returncode is None, running.log.read_text()
        return (await status(http, f"{running.url}/readyz"))[0] == 200

    await until("the ingress is ready", ready)


class Load:
    """Callers that never stop posting bodies of their own, and note what was acknowledged."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        *,
        path: str = "/v1/nxcloud/cdr",
        callers: int = 16,
        pause_s: float = 0.0,
    ) -> None:
        self._http = http
        self._url = url + path
        self._callers = callers
        self._pause_s = pause_s
        self._run = uuid.uuid4().hex[:8].encode()
        self._next = 0
        self.acknowledged: set[bytes] = set()
        self.statuses: collections.Counter[int] = collections.Counter()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._call()) for _ in range(self._callers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def reaches(self, count: int) -> None:
        """Waits for `count` acknowledgements beyond the present ones."""
        goal = len(self.acknowledged) + count

        async def reached() -> bool:
            return len(self.acknowledged) >= goal

        await until(f"{count} more acknowledgements after {self.statuses}", reached)

    async def _call(self) -> None:
        while True:
            body = BODY % (self._run, self._next)
            self._next += 1
            try:
                async with self._http.post(self._url, data=body) as response:
                    self.statuses[response.status] += 1
                    if response.status == 200:
                        self.acknowledged.add(body)
                await asyncio.sleep(self._pause_s)
            except (aiohttp.ClientError, TimeoutError):
                self.statuses[0] += 1
                await asyncio.sleep(0.01)


async def all_arrive(bootstrap: str, load: Load) -> None:
    """Waits until acknowledged bodies are in Kafka: spooled ones need an ingress that runs."""
    there: set[bytes] = set()
    async with asyncio.timeout(60), reading(bootstrap) as read:
        while not load.acknowledged <= there:
            there |= {value for _, value, _ in await read()}


async def test_a_push_is_on_calls_raw_with_the_contracts_key_and_headers(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    async with ingress(place, broker.bootstrap) as running:
        await until_ready(http, running)
        body = BODY % (b"S", 7)
        async with http.post(
            f"{running.url}/v1/nxcloud/cdr", data=body, headers={"Content-Type": "text/plain"}
        ) as answer:
            assert answer.status == 200
            request_id = answer.headers["X-Request-Id"]
        everything = await in_kafka(broker.bootstrap)
    ((key, value, headers),) = [item for item in everything if item[2]["request_id"] == request_id.encode()]
    stamp = headers.pop("received_at")
    assert (key, value, stamp.isdigit()) == (b"nxcloud||S000007", body, True)
    assert headers == {
        "vendor": b"nxcloud",
        "callback": b"cdr",
        "request_id": request_id.encode(),
        "content_type": b"text/plain",
        "source": b"push",
    }


async def test_any_bytes_in_a_header_come_to_kafka_with_the_body(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    """Headers that are no text, and control characters, which aiohttp's parser refuses as they are."""
    async with ingress(place, broker.bootstrap) as running:
        await until_ready(http, running)
        port = int(running.url.rpartition(":")[2])
        bodies = [BODY % (b"H", number) for number in range(3)]
        for body, content_type in zip(bodies, (b"\xff\xfe", b"a\x01b", b"a\r\nContent-Type: b"), strict=True):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"POST //v1//nxcloud/%%63dr/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
                % (content_type, len(body), body)
            )
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            writer.close()
        assert (await status(http, f"{running.url}/v1/nxcloud/cdr"))[0] == 200
        everything = {value: headers for _, value, headers in await in_kafka(broker.bootstrap)}
    assert [everything[body]["content_type"] for body in bodies] == [b"\xff\xfe", b"a?b", b"a, b"]


async def test_a_broker_that_goes_and_comes_costs_no_push_and_loses_nothing(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    async with ingress(place, broker.bootstrap, publish_timeout_s="20") as running:
        await until_ready(http, running)
        # Its stop and its start take seconds, in which callers without a pause would keep both cores busy.
        async with Load(http, running.url, pause_s=0.05) as load:
            await load.reaches(200)
            await broker.stop()

            async def spooling() -> bool:
                return b"spooling: " in (await status(http, f"{running.url}/readyz"))[1]

            await until("readyz says that it spools", spooling)
            for path in ("/v1/nxcloud/cdr", "/v1/huawei/ax", "/v1/ytx"):
                async with http.post(running.url + path, data=b"{}") as answer:
                    assert answer.status == 200
            await load.reaches(200)
            assert (await status(http, f"{running.url}/readyz"))[0] == 200
            await broker.start()
            await load.reaches(200)
        assert set(load.statuses) == {200}
        await all_arrive(broker.bootstrap, load)


async def test_sigterm_under_load_ends_cleanly_and_every_acknowledged_body_is_there(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    async with ingress(place, broker.bootstrap) as running:
        await until_ready(http, running)
        async with Load(http, running.url) as load:
            await load.reaches(500)
            running.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                assert await running.process.wait() == 0
        assert set(load.statuses) <= {0, 200}
    async with ingress(place, broker.bootstrap):
        await all_arrive(broker.bootstrap, load)


@pytest.mark.parametrize("workers", [1, 2])
async def test_after_kill_9_every_acknowledged_body_is_there(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession, workers: int
) -> None:
    async with ingress(place, broker.bootstrap, workers=str(workers)) as running:
        await until_ready(http, running)
        async with Load(http, running.url) as load:
            await load.reaches(500)
            running.process.kill()
            await running.process.wait()

            async def gone() -> bool:
                return (await status(http, f"{running.url}/healthz"))[0] == 0

            await until("the workers follow their parent", gone)
    async with ingress(place, broker.bootstrap):
        await all_arrive(broker.bootstrap, load)


async def test_two_workers_share_the_port_and_one_killed_is_replaced(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    async with ingress(place, broker.bootstrap, workers="2") as running:
        pids = await two_workers(running)
        await until_ready(http, running)
        async with Load(http, running.url) as load:
            await load.reaches(300)
            os.kill(pids[0], signal.SIGKILL)
            await load.reaches(300)
            assert pids[1] in await two_workers(running, gone=pids[0])
            await load.reaches(300)
        async with http.get(f"{running.url}/metrics") as answer:
            text = await answer.text()
        counted = next(
            float(line.rpartition(" ")[2]) for line in text.splitlines() if 'callback="cdr",outcome="accepted"' in line
        )
        # The killed worker's last second is not in its file; the counts of the living ones are, at most a second late.
        assert counted > 300
        running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(40):
            assert await running.process.wait() == 0
    async with ingress(place, broker.bootstrap):
        await all_arrive(broker.bootstrap, load)


async def two_workers(running: Ingress, *, gone: int = 0) -> list[int]:
    """Returns the pids of the two listening workers, once there are two without `gone`."""
    found: list[int] = []

    async def two() -> bool:
        words = [
            line.rpartition("pid=")[2].split()[0]
            for line in running.log.read_text().splitlines()
            if "listening" in line
        ]
        found[:] = [int(word.strip('",}')) for word in words if int(word.strip('",}')) != gone]
        return len(found) >= 2

    await until("two workers listen", two)
    return found


async def test_a_taken_port_is_said_and_ends_it(place: Path, broker: KafkaServer, http: aiohttp.ClientSession) -> None:
    async with ingress(place, broker.bootstrap) as first:
        await until_ready(http, first)
        for workers in ("1", "2"):
            beside = {"spool_dir": str(place / "another"), "port": first.url.rpartition(":")[2]}
            async with ingress(place, broker.bootstrap, workers=workers, **beside) as second:
                async with asyncio.timeout(60):
                    assert await second.process.wait() != 0
                text = second.log.read_text()
                assert "another process already uses" in text
                assert "set ingress.port to a free port" in text


async def test_a_spool_in_use_is_said_and_ends_it(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    async with ingress(place, broker.bootstrap) as first:
        await until_ready(http, first)
        async with ingress(place, broker.bootstrap) as second:
            async with asyncio.timeout(60):
                assert await second.process.wait() != 0
            text = second.log.read_text()
            assert "another process already uses the spool" in text
            assert "CALLWEAVE_INGRESS__SPOOL_DIR" in text


async def test_without_kafka_and_without_topics_it_takes_bodies_says_so_and_delivers_later(
    place: Path, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    async with ingress(place, f"127.0.0.1:{port}") as running:

        async def says(sentence: bytes) -> bool:
            return sentence in (await status(http, f"{running.url}/readyz"))[1]

        async def takes(body: bytes) -> None:
            async with http.post(f"{running.url}/v1/nxcloud/cdr", data=body) as answer:
                assert answer.status == 200

        await until("readyz says that Kafka is away", lambda: says(b"does not answer"))
        await takes(b"while it is away")
        async with KafkaServer(formatted(place / "kafka"), port=port, heap="256m") as server:
            await until("readyz names the missing topic", lambda: says(b"no topic calls.raw"))
            await takes(b"while it has no topic")
            await create_topics(KafkaSettings(bootstrap=server.bootstrap, partitions=PARTITIONS))

            async def all_there() -> bool:
                values = {value for _, value, _ in await in_kafka(server.bootstrap)}
                return values == {b"while it is away", b"while it has no topic"}

            await until("both are in Kafka", all_there)
            await until("nothing is left to be said", lambda: says(b'"note":""'))
