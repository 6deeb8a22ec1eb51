"""Record batches against a real broker: all arrive in order; no crash, error or rebalance loses a record."""

import asyncio
import json
import os
import signal
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from processors.engine.dispatcher import attach
from processors.engine.faust_app import make_app, run_app
from processors.engine.fetcher import ReaderSettings
from processors.engine.watchdog import EXIT_FATAL
from processors.outbox import Message, Outbox
from processors.records import RecordBatch
from schemas.config.settings import KafkaSettings
from tests.support.kafka.new_topics import new_topic
from tests.support.processes.warm_command import WarmProcess, start_warm

PARTITIONS = 6
WORKER = "tests.integration.processors.record_batch_worker"


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def filled_topic(bootstrap: str, per_partition: int) -> str:
    """Return a new topic with records that carry their own place."""
    topic = await new_topic(bootstrap, partitions=PARTITIONS)
    await fill(bootstrap, topic, range(per_partition))
    return topic


async def fill(bootstrap: str, topic: str, offsets: Iterable[int]) -> None:
    async with Outbox(KafkaSettings(bootstrap=bootstrap)) as outbox:
        await outbox.publish(
            [
                Message(topic=topic, key=b"%d" % n, value=b"%d/%d" % (p, n), headers=(("n", b"%d" % n),), partition=p)
                for n in offsets
                for p in range(PARTITIONS)
            ]
        )


async def committed(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    async with admin(bootstrap) as client:
        offsets = await client.list_consumer_group_offsets(group)
    return {tp.partition: found.offset for tp, found in offsets.items() if tp.topic == topic and found.offset >= 0}


async def until(true: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(60):
            while not true():  # noqa: ASYNC110  # another process's file has no event to wait for
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"waited 60 s for: {what}")


class Workers:
    """Worker processes of one group over one topic, and their notes."""

    def __init__(self, bootstrap: str, topic: str, folder: Path) -> None:
        self.bootstrap, self.topic, self.group = bootstrap, topic, f"g-{uuid.uuid4().hex}"
        self._notes, self._log = folder / f"{self.group}.jsonl", folder / f"{self.group}.log"
        self._hurry = folder / f"{self.group}.hurry"
        self._processes: list[WarmProcess] = []
        self._read_bytes, self._all = 0, list[dict[str, Any]]()
        self._finished: dict[int, list[int]] = defaultdict(list)
        self._distinct: dict[int, set[int]] = defaultdict(set)

    async def start(
        self, *, pause_ms: float = 5, batch_records: int = 50, drain_s: float = 5, fail_at: int = -1
    ) -> WarmProcess:
        arguments: dict[str, object] = {
            "bootstrap": self.bootstrap,
            "topic": self.topic,
            "group": self.group,
            "notes": str(self._notes),
            "hurry": str(self._hurry),
        }
        arguments |= {"pause_ms": pause_ms, "batch_records": batch_records, "drain_s": drain_s, "fail_at": fail_at}
        with self._log.open("ab") as output:
            process = await start_warm(
                WORKER, json.dumps(arguments), str(self._log), environment=dict(os.environ), output=output
            )
        self._processes.append(process)
        return process

    def hurry(self) -> None:
        """End the slowness that was needed so that something else happens in the middle of a batch."""
        self._hurry.touch()

    async def close(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def notes(self, key: str) -> list[dict[str, Any]]:
        self._read_on()
        return [note for note in self._all if key in note]

    def finished(self) -> dict[int, list[int]]:
        """Offsets in the order in which they were finished, per partition."""
        self._read_on()
        return {partition: list(offsets) for partition, offsets in self._finished.items()}

    def count(self) -> int:
        self._read_on()
        return sum(map(len, self._finished.values()))

    def distinct(self) -> int:
        self._read_on()
        return sum(map(len, self._distinct.values()))

    def _read_on(self) -> None:
        """Reads the whole lines that came since the last look: who waits looks often, and the file grows long."""
        if not self._notes.exists():
            return
        with self._notes.open("rb") as file:
            file.seek(self._read_bytes)
            came = file.read().rpartition(b"\n")[0]
        if not came:
            return
        self._read_bytes += len(came) + 1
        for line in came.splitlines():
            note = json.loads(line)
            self._all.append(note)
            if "first" in note:
                offsets = range(note["first"], note["next"])
                self._finished[note["partition"]] += offsets
                self._distinct[note["partition"]].update(offsets)


@pytest.fixture
async def make_workers(kafka: str, tmp_path: Path) -> AsyncIterator[Callable[[str], Workers]]:
    made: list[Workers] = []

    def make(topic: str) -> Workers:
        made.append(Workers(kafka, topic, tmp_path))
        return made[-1]

    yield make
    for workers in made:
        await workers.close()


async def test_everything_arrives_once_and_in_order(kafka: str) -> None:
    """20,000 records over six partitions, then a stop: each offset once, ascending, and all of them committed."""
    total = 20_004
    topic, group = await filled_topic(kafka, total // PARTITIONS), f"g-{uuid.uuid4().hex}"
    got: dict[int, list[RecordBatch]] = defaultdict(list)
    stop = asyncio.Event()

    async def step(batch: RecordBatch) -> None:
        got[batch.partition].append(batch)
        if sum(len(s.records) for batches in got.values() for s in batches) == total:
            stop.set()

    failures: list[str] = []
    app = make_app(group, KafkaSettings(bootstrap=kafka), reader=ReaderSettings(batch_records=500))
    attach(app, topic, step)
    async with asyncio.timeout(60):
        await run_app(app, stop=stop, signals=(), fatal=lambda reason, _: failures.append(reason))

    assert failures == []
    assert sorted(got) == list(range(PARTITIONS))
    for partition, batches in got.items():
        records = [record for batch in batches for record in batch.records]
        assert [record.offset for record in records] == list(range(total // PARTITIONS))
        assert records[17].value == b"%d/17" % partition
        assert records[17].key == b"17"
        assert records[17].headers == (("n", b"17"),)
        assert max(len(batch.records) for batch in batches) <= 500
        for before, after in pairwise(batches):
            assert before.next_offset == after.first_offset
    assert await committed(kafka, group, topic) == dict.fromkeys(range(PARTITIONS), total // PARTITIONS)


async def test_two_agents_share_a_worker(kafka: str) -> None:
    """One process reads two topics, each through a step of its own."""
    topics = [await filled_topic(kafka, 100), await filled_topic(kafka, 100)]
    got: dict[str, int] = defaultdict(int)
    stop = asyncio.Event()
    app = make_app(f"g-{uuid.uuid4().hex}", KafkaSettings(bootstrap=kafka))

    def step_for(topic: str) -> Callable[[RecordBatch], Any]:
        async def step(batch: RecordBatch) -> None:
            assert batch.topic == topic
            got[topic] += len(batch.records)
            if len(got) == 2 and min(got.values()) == 100 * PARTITIONS:
                stop.set()

        return step

    for topic in topics:
        attach(app, topic, step_for(topic))
    failures: list[str] = []
    async with asyncio.timeout(60):
        await run_app(app, stop=stop, signals=(), fatal=lambda reason, _: failures.append(reason))

    assert failures == []
    assert dict(got) == dict.fromkeys(topics, 100 * PARTITIONS)


async def test_a_killed_worker_loses_nothing(kafka: str, make_workers: Callable[[str], Workers]) -> None:
    """`kill -9` in the middle of the work, twice: each successor starts exactly where the last commit stands."""
    each = 3000
    workers = make_workers(await filled_topic(kafka, each))
    for share in (1, 2):
        worker = await workers.start(pause_ms=100)
        await until(lambda share=share: workers.distinct() > share * each * PARTITIONS // 3, "a third of the records")  # type: ignore[misc]  # a default in a lambda
        worker.kill()
        assert await worker.wait() == -signal.SIGKILL
    killed = workers.finished()
    offsets = await committed(kafka, workers.group, workers.topic)
    for partition, offset in offsets.items():
        assert set(range(offset)) <= set(killed[partition])

    last = await workers.start(pause_ms=0)
    await until(lambda: workers.distinct() == each * PARTITIONS, "all records")

    repeated = workers.count() - workers.distinct()
    print(f"killed twice: {repeated} of {each * PARTITIONS} repeated")  # noqa: T201  # a measurement
    assert {p: set(finished) for p, finished in workers.finished().items()} == {
        p: set(range(each)) for p in range(PARTITIONS)
    }
    for partition in range(PARTITIONS):
        of_last = [n["first"] for n in workers.notes("first") if (n["pid"], n["partition"]) == (last.pid, partition)]
        assert min(of_last) == offsets.get(partition, 0)


async def test_a_failing_step_ends_the_process_and_is_not_passed(
    kafka: str, make_workers: Callable[[str], Workers]
) -> None:
    """The worker ends with status 70 and commits no offset past the failing record; its successor reads it."""
    each = 2000
    workers = make_workers(await filled_topic(kafka, each))

    worker = await workers.start(fail_at=1234)
    async with asyncio.timeout(60):
        status = await worker.wait()

    assert status == EXIT_FATAL
    offsets = await committed(kafka, workers.group, workers.topic)
    assert offsets, "work before the failure was committed"
    assert max(offsets.values()) <= 1234

    await workers.start(pause_ms=0)
    await until(lambda: workers.distinct() == each * PARTITIONS, "all records, with the failing one")


async def test_one_worker_and_three_and_two_and_none_and_one_lose_and_repeat_nothing(
    kafka: str, make_workers: Callable[[str], Workers]
) -> None:
    """Partitions are always shared out disjointly and completely; a graceful rebalance repeats nothing."""
    each = 8000
    workers = make_workers(await filled_topic(kafka, each))
    first = await workers.start(pause_ms=400)  # slow enough to be still at work when the others have joined
    await progress(workers, first)
    second, third = await workers.start(pause_ms=400), await workers.start(pause_ms=400)
    await until(lambda: 3 in shares(workers), "a share for each of three")
    await progress(workers, first, second, third)
    await leave(second)
    await until(lambda: 2 in shares(workers), "a share for each of two")
    await progress(workers, first, third)
    await asyncio.gather(leave(first), leave(third))
    none = await committed(kafka, workers.group, workers.topic)
    assert none == {p: len(finished) for p, finished in workers.finished().items()}
    assert sum(none.values()) < each * PARTITIONS, "there is something left for the last one"
    workers.hurry()
    last = await workers.start()
    await until(lambda: workers.distinct() == each * PARTITIONS, "all records")
    await leave(last)

    assert {p: set(finished) for p, finished in workers.finished().items()} == {
        p: set(range(each)) for p in range(PARTITIONS)
    }
    assert workers.count() == workers.distinct(), "nothing was repeated"
    assert await committed(kafka, workers.group, workers.topic) == dict.fromkeys(range(PARTITIONS), each)

    for count, generations in shares(workers).items():
        for share in generations:
            assert sorted(p for partitions in share.values() for p in partitions) == list(range(PARTITIONS))
            assert {len(partitions) for partitions in share.values()} == {PARTITIONS // count}
    of_first = [set(share[first.pid]) for some in shares(workers).values() for share in some if first.pid in share]
    kept = set.intersection(*of_first)
    epochs = {
        p: {n["epoch"] for n in workers.notes("epoch") if (n["pid"], n["partition"]) == (first.pid, p)} for p in kept
    }
    assert kept
    assert all(len(numbers) == 1 for numbers in epochs.values()), "a partition that was never away keeps its epoch"


def shares(workers: Workers) -> dict[int, list[dict[int, list[int]]]]:
    """Map the number of members to their partitions in each generation that assigned all of them."""
    found: dict[int, dict[int, list[int]]] = defaultdict(dict)
    for note in workers.notes("generation"):
        found[note["generation"]][note["pid"]] = note["assigned"]
    whole: dict[int, list[dict[int, list[int]]]] = defaultdict(list)
    for share in found.values():
        if sum(map(len, share.values())) == PARTITIONS:
            whole[len(share)].append(share)
    return whole


async def progress(workers: Workers, *these: WarmProcess) -> None:
    """Wait until each has finished something from now on."""
    mark = len(workers.notes("first"))
    await until(
        lambda: {one.pid for one in these} <= {note["pid"] for note in workers.notes("first")[mark:]},
        f"progress of {len(these)}",
    )


async def leave(worker: WarmProcess) -> None:
    worker.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        assert await worker.wait() == 0


async def test_a_batch_too_slow_for_the_rebalance_is_read_again(
    kafka: str, make_workers: Callable[[str], Workers]
) -> None:
    """A batch still in work when the partitions are revoked is repeated, and its late end moves no offset."""
    each = 1000
    workers = make_workers(await filled_topic(kafka, each))
    # 1.7 s ends on no multiple of the heartbeat's 2 s, at which a worker hears of a rebalance, for a long while.
    first = await workers.start(pause_ms=1700, drain_s=0.05)
    await until(lambda: workers.count() > 0, "the first worker's progress")
    second = await workers.start(pause_ms=1700, drain_s=0.05)
    await until(lambda: any(note["pid"] == second.pid for note in workers.notes("first")), "the second's progress")
    for worker in (first, second):
        worker.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await worker.wait() == 0
    offsets = await committed(kafka, workers.group, workers.topic)
    for partition, offset in offsets.items():
        assert set(range(offset)) <= set(workers.finished()[partition])
    await workers.start(pause_ms=0)
    await until(lambda: workers.distinct() == each * PARTITIONS, "all records")

    repeated = workers.count() - workers.distinct()
    print(f"slow batches in a rebalance: {repeated} of {each * PARTITIONS} repeated")  # noqa: T201  # a measurement
    assert 0 < repeated <= 4 * 50


async def test_a_worker_that_was_frozen_spoils_nothing(kafka: str, make_workers: Callable[[str], Workers]) -> None:
    """A worker is frozen until its partitions went to another, then woken: its late commits are refused."""
    each = 6000
    workers = make_workers(await filled_topic(kafka, each))
    frozen = await workers.start(pause_ms=200)
    await until(lambda: workers.count() > 3000, "the first worker's progress")
    frozen.send_signal(signal.SIGSTOP)
    other = await workers.start(pause_ms=20)
    await until(lambda: any(note["pid"] == other.pid for note in workers.notes("first")), "the other's progress")
    frozen.send_signal(signal.SIGCONT)
    workers.hurry()
    await until(lambda: workers.distinct() == each * PARTITIONS, "all records")
    for worker in (frozen, other):
        if worker.returncode is None:
            worker.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await worker.wait() in {0, EXIT_FATAL}

    print(f"frozen and woken: {workers.count() - workers.distinct()} of {each * PARTITIONS} repeated")  # noqa: T201  # a measurement
    for partition, offset in (await committed(kafka, workers.group, workers.topic)).items():
        assert offset == each
        assert set(range(each)) == set(workers.finished()[partition])


async def test_a_graceful_stop_commits_all_that_was_finished(
    kafka: str, make_workers: Callable[[str], Workers]
) -> None:
    """SIGTERM in the middle: the current batch is finished, and exactly the finished ones are committed."""
    workers = make_workers(await filled_topic(kafka, 3000))
    worker = await workers.start(pause_ms=200)
    await until(lambda: workers.count() > 2000, "some progress")
    worker.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        assert await worker.wait() == 0

    assert workers.distinct() < 3000 * PARTITIONS
    finished = {partition: max(offsets) + 1 for partition, offsets in workers.finished().items()}
    assert await committed(kafka, workers.group, workers.topic) == finished
