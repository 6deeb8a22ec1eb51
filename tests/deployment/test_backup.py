"""Backup and restore as deploy/OPERATIONS.md describes them, on the real embedded servers."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import aiohttp
import aiokafka
import msgspec
import pytest
from aiokafka.errors import CommitFailedError

from deploy.kafka.broker import KafkaServer
from deploy.local.stack import Stack, running_stack
from schemas.config.settings import Settings
from schemas.topics import DEAD, NORMALIZED, TIMELINES
from sinks.consumer import GROUP
from tests.support import whole_stack as ws
from tests.support.http.pushing import PATHS, Traffic

pytestmark = pytest.mark.long
CALLS: Final = 15
LIMIT_S: Final = 90.0
VIEWS: Final = ("v_cdr", "v_timelines", "v_call_events", "v_dead_letters")


async def contents(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    """Returns the rows of the views, in an order, without the time at which they were inserted."""
    found = {view: await ws.rows(stack, f"SELECT * FROM {view} ORDER BY ALL") for view in VIEWS}
    return {
        view: [{name: value for name, value in row.items() if name != "ingested_at"} for row in rows]
        for view, rows in found.items()
    }


async def unlike(stack: Stack, wanted: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Returns the views and columns that do not show what is wanted."""
    return [
        f"{view}: {len(rows)} rows for {len(wanted[view])}, unlike in {_columns(rows, wanted[view])}"
        for view, rows in (await contents(stack)).items()
        if rows != wanted[view]
    ]


def _columns(rows: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> set[str]:
    return {name for one, other in zip(rows, wanted, strict=False) for name in one if one[name] != other[name]}


async def push(stack: Stack, traffic: Traffic, name: str) -> None:
    """Pushes calls of every vendor and something unreadable, and waits until all is in the views."""
    async with aiohttp.ClientSession() as session:
        for number in range(CALLS):
            for vendor in PATHS:
                assert await traffic.push(session, vendor, f"{traffic.prefix}-{name}-{number}") == 200
        async with session.post(f"{stack.ingress_url}/v1/ytx", data=f"{{unreadable {name}") as answer:
            assert answer.status == 200
    calls, letters = len(traffic.answers), 1 + (name != "before")

    async def all_there() -> bool:
        rows = await ws.rows(stack, "SELECT (SELECT count() FROM v_timelines), (SELECT count() FROM v_dead_letters)")
        return [*rows[0].values()] == [calls, letters]

    await ws.until_true(f"{calls} calls in the views", all_there)


def at(settings: Settings, data_dir: Path) -> Settings:
    return msgspec.structs.replace(
        settings, embedded=msgspec.structs.replace(settings.embedded, data_dir=str(data_dir))
    )


def running(settings: Settings) -> Any:
    return running_stack(settings, lambda _step, _share: None)


def move_into(archive: Path, settings: Settings) -> None:
    """Writes the data directory, of which nothing runs, into an archive, and removes it."""
    subprocess.run(("tar", "-C", settings.embedded.data_dir, "-cf", str(archive), "."), check=True)
    shutil.rmtree(settings.embedded.data_dir)


def restore(archive: Path, settings: Settings) -> None:
    """Makes the data directory from an archive, with its modes."""
    Path(settings.embedded.data_dir).mkdir(mode=0o700)
    subprocess.run(("tar", "-C", settings.embedded.data_dir, "-xpf", str(archive)), check=True)


async def from_the_beginning(settings: Settings) -> None:
    """Sets the sink's offsets to the first record that Kafka still has, as kafka-consumer-groups does."""
    async with KafkaServer(Path(settings.embedded.data_dir) / "kafka", port=settings.embedded.kafka_port) as kafka:
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=kafka.bootstrap, group_id=GROUP, enable_auto_commit=False
        )
        places = [
            aiokafka.TopicPartition(topic.name, number)
            for topic in (NORMALIZED, TIMELINES, DEAD)
            for number in range(settings.kafka.partitions)
        ]
        await consumer.start()
        try:
            consumer.assign(places)
            first = await consumer.beginning_offsets(places)

            async def set_back() -> bool:
                try:
                    await consumer.commit(first)
                except CommitFailedError:
                    return False  # the sink that was stopped is a member until sink.session_timeout_s has passed
                return True

            await ws.until_true("the offsets are set back", set_back)
        finally:
            await consumer.stop()


async def test_what_was_copied_while_it_stood_is_all_there_and_lost_tables_are_filled_from_kafka(
    tmp_path: Path,
) -> None:
    settings = ws.settings_for(tmp_path / "first")
    traffic = Traffic(f"http://127.0.0.1:{settings.ingress.port}", "backup")
    async with running(settings) as stack:
        await push(stack, traffic, "before")
        before, reader = await contents(stack), stack.reader
    archive = tmp_path / "backup.tar"
    move_into(archive, settings)

    restored = at(settings, tmp_path / "second")
    restore(archive, restored)
    async with running(restored) as stack:
        assert await contents(stack) == before
        assert stack.reader == reader
        await push(stack, traffic, "after")
        whole = await contents(stack)

    # The tables are lost, with their accounts; Kafka still has what they were filled from.
    shutil.rmtree(Path(restored.embedded.data_dir) / "clickhouse")
    await from_the_beginning(restored)
    async with running(restored) as stack:
        differing = await ws.until(lambda: unlike(stack, whole), LIMIT_S)
    assert len(whole["v_timelines"]) == 2 * CALLS * len(PATHS)
    assert len(whole["v_dead_letters"]) == 2
    assert differing == []
