"""Negative controls: wrong ways lose calls, and the same comparison that finds nothing in the system finds it.

Two more wrong ways, to drop a fact that was seen and to commit the offset before outputs or states, are caught in
`tests/property/test_whole_way.py`.
"""

import asyncio
import contextlib
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import aiokafka
import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from deploy.local.stack import Stack
from deploy.process.ports import free_port
from deploy.process.scrape import until_answers
from deploy.simulator.sending.ledger import LedgerEntry, digest_of
from schemas.config.settings import KafkaSettings, Settings
from tests.chaos.judge.judge import stored
from tests.chaos.judge.verdict import bodies_on_raw
from tests.support.kafka.new_topics import new_topic

# What the judge of chaos catches changes only with the judge.
pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CALLS = 20
RECORDS = 2000
FAIL_AT = 950


@contextlib.asynccontextmanager
async def process(script: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python script of this folder; killed at the end."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / script),
        *arguments,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.wait()


async def until(true: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(60):
            while not true():  # noqa: ASYNC110  # another process's file has no event to wait for
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"waited 60 s for: {what}")


async def test_an_answer_before_the_acknowledgement_is_caught_as_a_loss(tmp_path: Path) -> None:
    """An ingress that does not wait for Kafka loses bodies when it is killed right after its answers."""
    port = free_port()
    async with KafkaServer(tmp_path / "kafka", heap="256m") as broker:
        settings = Settings(kafka=KafkaSettings(bootstrap=broker.bootstrap, partitions=2))
        await create_topics(settings.kafka)
        entries: list[LedgerEntry] = []
        async with process("hasty_ingress.py", broker.bootstrap, str(port)) as ingress:
            assert await until_answers(f"http://127.0.0.1:{port}/healthz", 60)
            async with aiohttp.ClientSession() as session:
                for number in range(CALLS):
                    body = msgspec.json.encode({"sessionid": f"control-{number}"})
                    async with session.post(f"http://127.0.0.1:{port}/v1/nxcloud/cdr", data=body) as answer:
                        assert answer.status == 200
                    entries.append(LedgerEntry(vendor="nxcloud", label="record", digest=digest_of(body)))
                ingress.send_signal(signal.SIGKILL)
        raw = await bodies_on_raw(Stack(settings=settings, parts=(), servers=(), metrics={}))

    lost = [one for one in stored(entries, raw).findings if one.harm == "lost"]
    assert lost
    assert len(lost) == CALLS - raw.total()


async def test_stock_take_is_caught_as_a_loss(kafka: str, tmp_path: Path) -> None:
    """A batch that fails once is never seen again: it was acknowledged, and a later offset is committed.

    A failing step among record batches ends the worker, and its successor reads the records again:
    `test_record_batches.test_a_failing_step_ends_the_process_and_is_not_passed`.
    """
    topic, group = await new_topic(kafka), f"g-{uuid.uuid4().hex}"
    notes = tmp_path / "notes"
    notes.touch()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=kafka, acks="all") as producer:
            for number in range(RECORDS):
                await producer.send(topic, b"%d" % number, partition=0)
        async with process("stock_worker.py", kafka, topic, group, str(notes), str(FAIL_AT)):
            await until(lambda: f"{RECORDS - 1}\n" in notes.read_text(), "the last record")
            place = aiokafka.TopicPartition(topic, 0)

            async def passed() -> bool:
                found = (await admin.list_consumer_group_offsets(group)).get(place)
                return found is not None and found.offset >= RECORDS

            async with asyncio.timeout(60):
                while not await passed():  # noqa: ASYNC110  # what is waited for is another process
                    await asyncio.sleep(0.1)
    finally:
        await admin.close()

    seen = {int(line) for line in notes.read_text().splitlines()}
    assert FAIL_AT not in seen, "the failed batch was worked on again: nothing was lost"
    assert len(seen) < RECORDS
