"""The ingress while Kafka is away, it is killed, or its disk is full: no acknowledged body is lost."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

import aiohttp
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from ingress.spool.store import SpoolStore
from schemas.config.settings import KafkaSettings
from schemas.topics import MAX_MESSAGE_BYTES, RAW
from tests.chaos.faults.proxy import Link
from tests.support.command import Done, callweave
from tests.support.ingress_process import PARTITIONS, Ingress, environment, in_kafka, ingress, push, reading, readyz
from tests.support.processes.formatted import formatted
from tests.support.scale import SCALE

PUSHES = 300
KEYS = 7
KILLS = 2 if SCALE == 1 else 3
CALLERS = 16
VENDORS_ANSWER = {"/v1/huawei/ax": 200, "/v1/nxcloud/cdr": 503, "/v1/ytx": 500}
"""Statuses by vendor when nobody takes a body, except huawei's while there is room for once-only bodies."""


class Kafka:
    """A broker, and the one way to it, which can be cut: that takes a moment, and its stop and start take seconds."""

    def __init__(self, server: KafkaServer, way: Link, bootstrap: str) -> None:
        self.server = server
        self.way = way
        self.bootstrap = bootstrap


@pytest.fixture(scope="module")
async def broker() -> AsyncIterator[Kafka]:
    """Yields a broker that names itself by the address of its way, so that no client knows another one."""
    front, port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="callweave-spool-test-") as folder:
        named = {"advertised.listeners": f"BROKER://127.0.0.1:{front}"}
        server = KafkaServer(formatted(Path(folder)), port=port, heap="256m", properties=named)
        async with Link("kafka") as way:
            await way.join(port=front, to=port)
            async with server:
                kafka = Kafka(server, way, f"127.0.0.1:{front}")
                await create_topics(KafkaSettings(bootstrap=kafka.bootstrap, partitions=PARTITIONS))
                yield kafka


class Outage:
    """Keeps Kafka away until `end` or the end of the block; it is stopped, or nobody gets through to it."""

    def __init__(self, broker: Kafka, *, stops: bool = False) -> None:
        self._broker = broker
        self._stops = stops
        self._away = False

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def begin(self) -> None:
        if self._stops:
            await self._broker.server.stop()
        else:
            self._broker.way.cut()
        self._away = True

    async def end(self) -> None:
        if not self._away:
            return
        if self._stops:
            await self._broker.server.start()
        else:
            self._broker.way.mend()
        self._away = False


async def says(http: aiohttp.ClientSession, running: Ingress, *words: str) -> dict[str, object]:
    """Waits until /readyz says `words`."""
    async with asyncio.timeout(60):
        while True:
            state = await readyz(http, running)
            if all(word in f"{state.get('note')} {state.get('reason')}" for word in words):
                return state
            await asyncio.sleep(0.05)


async def nothing_to_say(http: aiohttp.ClientSession, running: Ingress) -> None:
    """Waits until it is ready and the spool is empty."""
    async with asyncio.timeout(60):
        while (await readyz(http, running)).get("note") != "":  # noqa: ASYNC110  # what is waited for is another process
            await asyncio.sleep(0.05)


async def arrive(bootstrap: str, bodies: set[bytes]) -> list[tuple[bytes, bytes]]:
    """Waits until all of them are in Kafka; returns everything that is."""
    found: list[tuple[bytes, bytes]] = []
    async with asyncio.timeout(60), reading(bootstrap) as read:
        while not bodies <= {value for _, value in found}:
            found += [(key, value) for key, value, _ in await read()]
        return found


async def push_many(http: aiohttp.ClientSession, running: Ingress, bodies: list[bytes], *, at_once: int = 8) -> None:
    """Pushes huawei bodies, those of a key one after the other; all must be answered 200."""
    took_s: list[float] = []

    async def caller(mine: list[bytes]) -> None:
        for body in mine:
            status, seconds = await push(http, running, "/v1/huawei/ax", body)
            assert status == 200
            took_s.append(seconds)

    await asyncio.gather(*(caller(bodies[number::at_once]) for number in range(at_once)))
    took_s.sort()
    print(f"{len(took_s)} pushes: p50 {1000 * took_s[len(took_s) // 2]:.1f} ms, slowest {1000 * took_s[-1]:.1f} ms")  # noqa: T201  # a figure for people, never asserted


def huawei(run: str, count: int = PUSHES) -> list[bytes]:
    """Returns bodies of a few calls, numbered within each."""
    return [
        json.dumps({"eventType": "fee", "feeLst": [{"sessionId": f"{run}-{n % KEYS}", "seq": f"{n:06d}"}]}).encode()
        for n in range(count)
    ]


def ordered(found: list[tuple[bytes, bytes]], bodies: list[bytes]) -> bool:
    """True when the first arrivals of every key are in the order of their numbers."""
    arrived = list(dict.fromkeys(item for item in found if item[1] in set(bodies)))
    by_key: dict[bytes, list[bytes]] = {}
    for key, value in arrived:
        by_key.setdefault(key, []).append(value)
    assert len(by_key) >= KEYS
    return all(values == sorted(values, key=bodies.index) for values in by_key.values())


async def spool(place: Path, bootstrap: str, *arguments: str) -> Done:
    """Runs `callweave spool`."""
    return await callweave(
        "spool", *arguments, cwd=place, settings={"kafka__bootstrap": bootstrap, "ingress__spool_dir": place / "spool"}
    )


async def test_an_outage_costs_no_push_and_the_spool_drains_in_order(
    place: Path, broker: Kafka, http: aiohttp.ClientSession
) -> None:
    bodies = huawei("outage")
    async with ingress(place, broker.bootstrap, http) as running:
        async with Outage(broker, stops=True):
            await says(http, running, "spooling", "does not answer")
            await push_many(http, running, bodies, at_once=KEYS)
            state = await says(http, running, f"spooling: {PUSHES} bodies")
            assert state["ready"] is True
            lines = (await spool(place, broker.bootstrap, "status")).text
            assert f"{PUSHES} bodies" in lines
            assert f"huawei: {PUSHES}" in lines
        await arrive(broker.bootstrap, set(bodies))
        await nothing_to_say(http, running)
        async with http.get(f"{running.url}/metrics") as answer:
            metrics = await answer.text()
    assert ordered([(key, value) for key, value, _ in await in_kafka(broker.bootstrap)], bodies)
    assert f"callweave_spool_written_total {PUSHES}" in metrics
    assert 'callweave_spool_bodies{worker="1"} 0' in metrics


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.long), "2"])
async def test_kill_9_again_and_again_in_an_outage_loses_nothing(
    place: Path, broker: Kafka, http: aiohttp.ClientSession, workers: str
) -> None:
    """It happens while bodies are pushed. At the end one worker is started, which drains the second one's spool too."""
    acknowledged: set[bytes] = set()

    async def caller(running: Ingress, mine: list[bytes]) -> None:
        with contextlib.suppress(aiohttp.ClientError):
            for body in mine:
                status, _ = await push(http, running, "/v1/huawei/ax", body)
                assert status == 200
                acknowledged.add(body)

    async with Outage(broker) as outage:
        for kill in range(KILLS):
            bodies = huawei(f"killed{workers}{kill}", 20 * PUSHES)
            wanted = len(acknowledged) + PUSHES
            async with ingress(place, broker.bootstrap, http, workers=workers) as running:
                callers = [asyncio.create_task(caller(running, bodies[n::CALLERS])) for n in range(CALLERS)]
                async with asyncio.timeout(60):
                    while len(acknowledged) < wanted:  # noqa: ASYNC110  # what is waited for is another process
                        await asyncio.sleep(0.005)
                await running.ends(signal.SIGKILL)
                await asyncio.gather(*callers)
        async with ingress(place, broker.bootstrap, http) as running:
            await outage.end()
            await arrive(broker.bootstrap, acknowledged)
            await nothing_to_say(http, running)


@pytest.mark.parametrize("signals", [1, pytest.param(2, marks=pytest.mark.long)])
async def test_stopped_in_an_outage_it_ends_in_time_and_drain_brings_the_rest(
    place: Path, broker: Kafka, http: aiohttp.ClientSession, signals: int
) -> None:
    bodies = huawei(f"stopped{signals}", 50)
    async with Outage(broker) as outage:
        async with ingress(place, broker.bootstrap, http) as running:
            await push_many(http, running, bodies)
            refused = await spool(place, broker.bootstrap, "drain")
            for _ in range(signals - 1):
                running.process.send_signal(signal.SIGTERM)
            code = await running.ends(signal.SIGTERM)
            assert code in ((0,) if signals == 1 else (0, 130))
        exported = await spool(place, broker.bootstrap, "export", str(place / "bodies.jsonl"))
        away = await spool(place, broker.bootstrap, "drain")
        await outage.end()
        done = await spool(place, broker.bootstrap, "drain")

    assert refused.code == away.code == 1
    assert "does not answer" in away.err
    assert "50 bodies written" in exported.text
    lines = [json.loads(line) for line in (place / "bodies.jsonl").read_text().splitlines()]
    assert sorted(base64.b64decode(line["body_base64"]) for line in lines) == sorted(bodies)
    assert (done.code, done.text) == (0, "50 bodies went to Kafka\n")
    await arrive(broker.bootstrap, set(bodies))


async def test_drain_is_refused_while_an_ingress_has_the_spool(
    place: Path, broker: Kafka, http: aiohttp.ClientSession
) -> None:
    async with ingress(place, broker.bootstrap, http):
        refused = await spool(place, broker.bootstrap, "drain")
    assert refused.code == 1
    assert "another process already uses the spool" in refused.err


async def test_at_the_size_limit_vendors_get_their_retry_answer_and_the_once_only_last(
    place: Path, broker: Kafka, http: aiohttp.ClientSession
) -> None:
    async with (
        Outage(broker) as outage,
        ingress(place, broker.bootstrap, http, spool_max_bytes="100000") as running,
    ):
        await push_many(http, running, [b"%09000d" % number for number in range(8)])
        big = b"x" * 9000
        assert {path: (await push(http, running, path, big))[0] for path in VENDORS_ANSWER} == VENDORS_ANSWER
        while (await push(http, running, "/v1/huawei/ax", big))[0] == 200:
            pass
        assert (await push(http, running, "/v1/huawei/ax", big))[0] == 503
        await outage.end()
        await nothing_to_say(http, running)
        assert {(await push(http, running, path, big))[0] for path in VENDORS_ANSWER} == {200}


@pytest.fixture
def tiny_disk(place: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A file system of 2 MB; where none can be mounted, a folder and a limit in the settings."""
    disk = place / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    ).returncode == 0  # fmt: skip
    yield disk / "spool", {} if mounted else {"spool_max_bytes": "1500000"}
    if mounted:
        subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_a_full_disk_refuses_and_recovers_by_itself(
    place: Path, broker: Kafka, http: aiohttp.ClientSession, tiny_disk: tuple[Path, dict[str, str]]
) -> None:
    folder, more = tiny_disk
    async with (
        Outage(broker) as outage,
        ingress(place, broker.bootstrap, http, spool_dir=str(folder), **more) as running,
    ):
        taken: list[bytes] = []
        while True:
            body = b"%010d" % len(taken) + os.urandom(20_000)
            status, _ = await push(http, running, "/v1/huawei/ax", body)
            if status != 200:
                break
            taken.append(body)
        assert status == 503
        assert len(taken) > 20
        state = await readyz(http, running)
        assert "full" in f"{state['reason']}{state['note']}"
        await outage.end()
        await arrive(broker.bootstrap, set(taken))
        await nothing_to_say(http, running)
        await outage.begin()
        await says(http, running, "spooling")
        status, _ = await push(http, running, "/v1/huawei/ax", b"after")
        assert status == 200


@contextlib.asynccontextmanager
async def largest(broker: Kafka, size_bytes: int) -> AsyncIterator[None]:
    """Lets the broker take only records of calls.raw up to `size_bytes`, as a foreign broker may."""

    async def set_to(value: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        try:
            wanted = {"max.message.bytes": str(value)}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, RAW.name, wanted)])
        finally:
            await admin.close()

    await set_to(size_bytes)
    try:
        yield
    finally:
        await set_to(MAX_MESSAGE_BYTES)


async def test_a_body_that_the_broker_finds_too_large_is_kept_apart_and_its_call_goes_on(
    place: Path, broker: Kafka, http: aiohttp.ClientSession
) -> None:
    before, after = huawei("apart", KEYS + 1)[::KEYS]  # of one call
    padding = base64.b64encode(os.urandom(9000))  # which no compression makes small
    big = before.replace(b'"seq"', b'"padding":"' + padding + b'","seq"')
    async with largest(broker, 4000):
        async with ingress(place, broker.bootstrap, http) as running:
            for body in (before, big, after):
                assert (await push(http, running, "/v1/huawei/ax", body))[0] == 200
            found = await arrive(broker.bootstrap, {before, after})
            await nothing_to_say(http, running)
            async with http.get(f"{running.url}/metrics") as answer:
                metrics = await answer.text()
            status = await spool(place, broker.bootstrap, "status")
        exported = await spool(place, broker.bootstrap, "export", str(place / "bodies.jsonl"))
        refused = await spool(place, broker.bootstrap, "drain")
    done = await spool(place, broker.bootstrap, "drain")

    assert [value for _, value in found if value in (before, big, after)] == [before, after]
    assert 'callweave_spool_too_large{worker="1"} 1' in metrics
    assert "raise max.message.bytes of calls.raw" in running.log.read_text()
    assert "finds them too large: 1 bodies" in status.text
    assert "1 bodies written" in exported.text
    (line,) = (place / "bodies.jsonl").read_text().splitlines()
    assert base64.b64decode(json.loads(line)["body_base64"]) == big
    assert (refused.code, "finds 1 too large" in refused.err) == (1, True)
    assert (done.code, done.text) == (0, "1 bodies went to Kafka\n")
    await arrive(broker.bootstrap, {big})


async def test_a_file_that_is_no_spool_is_set_aside_and_said(
    place: Path, broker: Kafka, http: aiohttp.ClientSession
) -> None:
    folder = place / "spool" / "worker-1"
    folder.mkdir(parents=True)
    (folder / "spool.db").write_bytes(b"no spool at all " * 500)
    async with ingress(place, broker.bootstrap, http) as running:
        status, _ = await push(http, running, "/v1/huawei/ax", b"{}")
        async with http.get(f"{running.url}/metrics") as answer:
            metrics = await answer.text()
    assert status == 200
    assert 'callweave_spool_set_aside{worker="1"} 1' in metrics
    assert "kept as" in running.log.read_text()
    assert "set aside" in (await spool(place, broker.bootstrap, "status")).text


def test_a_spool_of_a_later_release_is_refused(place: Path, broker: Kafka) -> None:
    folder = place / "spool" / "worker-1"
    folder.mkdir(parents=True)
    database = folder / "spool.db"
    SpoolStore.open(database).close()
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA user_version=99")
    before = database.read_bytes()
    refused = subprocess.run(
        [sys.executable, "-m", "deploy.cli.main", "ingress"],
        env=environment(place, broker.bootstrap, port=str(free_port())), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "a later release of Callweave wrote the spool" in refused.stderr
    assert database.read_bytes() == before
