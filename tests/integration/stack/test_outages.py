"""Kafka or ClickHouse dies under the whole system: vendors notice nothing, and what was acknowledged gets its row."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from deploy.clickhouse.launch import ClickHouseServer
from deploy.kafka.broker import KafkaServer
from deploy.local.stack import Stack
from deploy.process.ports import free_port
from deploy.process.scrape import total
from schemas.config.settings import IngressSettings, KafkaSettings, SinkSettings
from tests.support import whole_stack as ws
from tests.support.http.pushing import PATHS, Traffic

LIMIT_S = 60.0
AWAY_S = 10.0


class Servers:
    """Yields a Kafka and a ClickHouse that the test may kill, on fixed ports."""

    def __init__(self, place: Path) -> None:
        self.kafka = KafkaServer(place / "kafka", port=free_port(), heap="256m")
        self.clickhouse = ClickHouseServer(place / "clickhouse", port=free_port(), tcp_port=free_port())


@pytest.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("servers"))
    async with servers.kafka, servers.clickhouse:
        yield servers


@pytest.fixture(scope="module")
async def stack(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Yields a stack on servers that it did not start."""
    async with ws.whole_stack(
        tmp_path_factory.mktemp("stack"),
        kafka=KafkaSettings(bootstrap=servers.kafka.bootstrap, partitions=ws.PARTITIONS),
        clickhouse=servers.clickhouse.settings(),
        sink=SinkSettings(retry_cap_s=1.0),
        ingress=IngressSettings(port=free_port()),
    ) as stack:
        yield stack


async def readyz(stack: Stack) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"{stack.ingress_url}/readyz") as answer:
        return answer.status, await answer.text()


async def rowless(stack: Stack, traffic: Traffic) -> list[str]:
    """Returns the calls that were acknowledged and do not have exactly one row in each view."""
    wrong = []
    for view in ("v_cdr", "v_timelines"):
        counted = await ws.rows(
            stack,
            f"SELECT vendor, vendor_call_id, count() AS n FROM {view} WHERE startsWith(vendor_call_id, '{traffic.prefix}') GROUP BY ALL",
        )
        found = {(row["vendor"], row["vendor_call_id"]): row["n"] for row in counted}
        wanted = {(vendor, call_id) for vendor in PATHS for call_id in traffic.acknowledged(vendor)}
        wrong += [f"{view} has not {key}" for key in wanted - found.keys()]
        wrong += [f"{view} has {n} rows of {key}" for key, n in found.items() if n != 1]
    return wrong


async def test_what_has_an_address_is_used_and_not_started(stack: Stack) -> None:
    assert stack.servers == ()
    assert set(stack.pids()) == {"ingress", "process-1", "sink"}


async def test_kafka_is_killed_and_comes_back(servers: Servers, stack: Stack) -> None:
    """No vendor notices: bodies go to the spool, /readyz reports it, and each of them gets its row."""
    traffic = Traffic(stack.ingress_url, "kafka-away")
    async with traffic.going_on():
        await ws.until_true("the workers are at work", lambda: at_work(stack, traffic))
        os.kill(servers.kafka.pid, signal.SIGKILL)
        await servers.kafka.wait()

        await ws.until_true("readyz says that it spools", lambda: spooling(stack))
        before = traffic.seen["ytx", 200]
        await ws.until_true("pushes are acknowledged without Kafka", lambda: more(traffic, before))
        during = await readyz(stack)

        await servers.kafka.stop()
        await servers.kafka.start()
        await ws.until_true("the spool is drained", lambda: quiet(stack))
        before = traffic.seen["ytx", 200]
        await ws.until_true("pushes are acknowledged again", lambda: more(traffic, before))

    assert during[0] == 200
    assert "Kafka" in during[1]
    assert set(traffic.answers.values()) == {200}
    assert await ws.until(lambda: rowless(stack, traffic), LIMIT_S) == []


async def test_clickhouse_is_away_for_ten_seconds(servers: Servers, stack: Stack) -> None:
    """Vendors notice nothing, the sink reports that it waits, and then every row is there, once."""
    traffic = Traffic(stack.ingress_url, "clickhouse-away")
    async with traffic.going_on():
        await ws.until_true("pushes are acknowledged", lambda: got_status(traffic, 200))
        sink = stack.pids()["sink"]
        os.kill(servers.clickhouse.pid, signal.SIGKILL)
        await servers.clickhouse.wait()

        await ws.until_true("the sink waits", lambda: waiting(stack))
        await asyncio.sleep(AWAY_S)
        assert await waiting(stack)

        await servers.clickhouse.stop()
        await servers.clickhouse.start()
        await ws.until_true("the sink goes on", lambda: writing(stack))

    assert set(traffic.answers.values()) == {200}
    assert await ws.until(lambda: rowless(stack, traffic), LIMIT_S) == []
    assert stack.pids()["sink"] == sink


async def test_embedded_servers_that_die_are_started_again(tmp_path: Path) -> None:
    """They start on the same data and port: earlier rows are there, and the stack goes on."""
    async with ws.whole_stack(tmp_path / "data") as stack:
        before = stack.pids()
        traffic = Traffic(stack.ingress_url, "embedded")
        async with traffic.going_on():
            await ws.until_true("the workers are at work", lambda: at_work(stack, traffic))
            for name in ("kafka", "clickhouse"):
                os.kill(before[name], signal.SIGKILL)

            await ws.until_true("both run again", lambda: restarted(stack, "kafka", "clickhouse"))
            await ws.until_true("ready again", lambda: ready(stack))
            acknowledged = traffic.seen["ytx", 200]
            await ws.until_true("pushes are acknowledged again", lambda: more(traffic, acknowledged))

        await traffic.push_again()

        assert set(traffic.answers.values()) == {200}
        assert await ws.until(lambda: rowless(stack, traffic), LIMIT_S) == []
        assert stack.restarts()["kafka"] == stack.restarts()["clickhouse"] == 1
        # A worker that waits for an acknowledgement longer than its deadline is started anew, as on a slow machine.
        assert {name for name, pid in stack.pids().items() if pid == before[name]} >= {"ingress", "sink"}


async def at_work(stack: Stack, traffic: Traffic) -> bool:
    """Returns True once rows are there: a worker that still starts when Kafka dies ends, as it should."""
    found = await ws.rows(
        stack, f"SELECT uniqExact(vendor) AS n FROM v_timelines WHERE startsWith(vendor_call_id, '{traffic.prefix}')"
    )
    return bool(found[0]["n"] == len(PATHS))


async def got_status(traffic: Traffic, status: int) -> bool:
    return all(traffic.seen[vendor, status] for vendor in PATHS)


async def spooling(stack: Stack) -> bool:
    return "spooling: " in (await readyz(stack))[1]


async def quiet(stack: Stack) -> bool:
    return '"note":""' in (await readyz(stack))[1]


async def more(traffic: Traffic, before: int) -> bool:
    return traffic.seen["ytx", 200] > before


async def ready(stack: Stack) -> bool:
    return (await readyz(stack))[0] == 200


async def waiting(stack: Stack) -> bool:
    return total(await ws.samples(stack), "callweave_sink_waiting") > 0


async def writing(stack: Stack) -> bool:
    return not await waiting(stack)


async def restarted(stack: Stack, *names: str) -> bool:
    return all(stack.restarts()[name] and name in stack.pids() for name in names)
