"""`callweave up` as a process: stopped, killed or badly started, it leaves no process and loses no call."""

import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.process.ports import free_port
from deploy.runtime import resolved
from schemas.config.settings import Settings
from tests.support import whole_stack as ws
from tests.support.command import Done, callweave
from tests.support.http.pushing import PATHS, Traffic, body_of, post
from tests.support.processes.filled_store import filled
from tests.support.processes.formatted import formatted
from tests.support.up_process import Up, running_up, up_env

LIMIT_S = 90.0


class Place:
    """A data directory, and the ports of the `callweave up` on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.settings: Settings = ws.settings_for(directory / "data")
        formatted(directory / "data" / "kafka")
        filled(directory / "data" / "clickhouse")

    def env(self) -> dict[str, object]:
        return {**up_env(self.settings), "ingress__workers": 2}

    def running(self) -> contextlib.AbstractAsyncContextManager[Up]:
        return running_up(self.directory, self.env())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.ingress.port}"

    async def query(self, sql: str) -> list[dict[str, Any]]:
        return await ws.query(resolved(self.settings).clickhouse, sql)

    async def rowless(self, traffic: Traffic) -> list[str]:
        """Returns the calls that were acknowledged and do not have exactly one row in each view."""
        wrong = []
        for view in ("v_cdr", "v_timelines"):
            counted = await self.query(
                f"SELECT vendor, vendor_call_id, count() AS n FROM {view} WHERE startsWith(vendor_call_id, '{traffic.prefix}') GROUP BY ALL"
            )
            rows = {(row["vendor"], row["vendor_call_id"]): row["n"] for row in counted}
            wanted = {(vendor, call_id) for vendor in PATHS for call_id in traffic.acknowledged(vendor)}
            wrong += [f"{view}: {key} {rows.get(key, 0)} times" for key in wanted | rows.keys() if rows.get(key) != 1]
        return wrong


async def refused(place: Place, **changes: object) -> Done:
    """Returns the exit code and the message of a `callweave up` that cannot start."""
    settings = {**place.env(), **changes}
    return await callweave("up", "--plain", "--no-simulator", cwd=place.directory, settings=settings)


async def send(place: Place, traffic: Traffic, name: str, count: int = 20) -> None:
    async with aiohttp.ClientSession() as session:
        for number in range(count):
            for vendor in PATHS:
                assert await traffic.push(session, vendor, f"{traffic.prefix}-{name}-{number}") == 200


@pytest.mark.long
async def test_everything_is_still_there_after_a_stop_and_it_goes_on(tmp_path: Path) -> None:
    """Ctrl-C ends it with 0 and leaves no process; the next start has the rows, and recognises a repetition."""
    place = Place(tmp_path)
    traffic = Traffic(place.url, "kept")
    async with place.running() as first:
        await send(place, traffic, "before")
        # Stopped at once: records on their way are processed now, or at the next start.
        assert await first.ended(signal.SIGINT) == 0
        assert "the data stays in" in first.log.read_text()

    async with place.running() as second:
        assert await ws.until(lambda: place.rowless(traffic), LIMIT_S) == []
        before = await place.query("SELECT record_id, version, request_id FROM v_cdr ORDER BY ALL")

        # A vendor repeats after our restart, and new calls come.
        async with aiohttp.ClientSession() as session:
            for vendor, path in PATHS.items():
                assert await post(session, place.url, path, body_of(vendor, "kept-before-0")) == 200
        await send(place, traffic, "after")

        assert await ws.until(lambda: place.rowless(traffic), LIMIT_S) == []
        after = await place.query(
            "SELECT record_id, version, request_id FROM v_cdr WHERE startsWith(vendor_call_id, 'kept-before') ORDER BY ALL"
        )
        assert after == before
        assert await second.ended(signal.SIGTERM) == 0


async def test_a_kill_takes_all_children_along_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """After `kill -9` of the parent under traffic no process is left, and the next start has every call."""
    place = Place(tmp_path)
    traffic = Traffic(place.url, "killed")
    async with place.running() as first:
        async with traffic.going_on(every_s=0.02):
            await ws.until(lambda: few(traffic), LIMIT_S, every_s=0.02)
            os.kill(first.process.pid, signal.SIGKILL)
            assert await first.ended() == -signal.SIGKILL
        names = len(first.family)

    async with place.running() as second:
        await traffic.push_again()

        assert names >= 6  # Kafka, ClickHouse, the ingress and its two workers, a worker, the sink
        assert set(traffic.answers.values()) == {200}
        assert await ws.until(lambda: place.rowless(traffic), LIMIT_S) == []

        other = await refused(place, ingress__port=free_port())
        assert other.code == 1
        assert "another callweave up already runs on" in other.err
        assert place.settings.embedded.data_dir in other.err
        assert "Traceback" not in other.text + other.err
        assert second.process.returncode is None


async def few(traffic: Traffic) -> bool:
    return sum(traffic.seen.values()) < 200


@pytest.mark.parametrize(
    ("port", "setting"),
    [
        ("ingress__port", "ingress.port"),
        ("embedded__kafka_port", "embedded.kafka_port"),
        ("embedded__clickhouse_port", "embedded.clickhouse_port"),
        ("embedded__clickhouse_tcp_port", "embedded.clickhouse_tcp_port"),
        ("embedded__metrics_base_port", "embedded.metrics_base_port"),
    ],
)
async def test_a_port_in_use_is_reported_with_its_setting(tmp_path: Path, port: str, setting: str) -> None:
    """The exit code is 1, with the port and the setting that changes it; no process is left."""
    place = Place(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        done = await refused(place, **{port: number})

    assert done.code == 1
    assert str(number) in done.err
    assert setting in done.err
    assert "Traceback" not in done.text + done.err
