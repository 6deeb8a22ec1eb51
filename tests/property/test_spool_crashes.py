"""Publisher, spool and drainer under crashes between any two steps: every acknowledged body arrives.

One process after the other runs the real code on one disk and one Kafka, both models that keep what they have over a
crash. Every choice (Kafka away, late, refusing; the disk failing; when the process dies) comes from a seed.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from ingress.durable.drainer import Drainer
from ingress.durable.durable_publisher import DurablePublisher
from ingress.kafka.producer import AckTimeout
from ingress.kafka.publisher import Settled
from ingress.spool.queued_keys import SpoolKey
from ingress.spool.spool import Spool
from ingress.spool.store import Body, SpooledEntry, Totals
from schemas.config.settings import IngressSettings
from schemas.errors import Unavailable
from schemas.metrics import Registry
from schemas.raw import Headers
from tests.support.http.submitting import by_task
from tests.support.scale import SCALE

SEEDS: Final = 200 if SCALE == 1 else 400 * SCALE
LIVES: Final = 3
BODIES: Final = 12
KEYS: Final = 3
LIMITS: Final = IngressSettings(spool_min_free_bytes=0)


class Disk:
    """The disk: it survives a crash of the process."""

    def __init__(self) -> None:
        self.entries: dict[int, Body] = {}
        self.next_id = 1
        self.stored: list[bytes] = []
        """All bodies ever stored, in order."""

    def read(self, after: int, *, limit: int, limit_bytes: int) -> list[SpooledEntry]:
        ids = [number for number in sorted(self.entries) if number > after][:limit]
        return [SpooledEntry(id=number, spooled_ms=1, body=self.entries[number]) for number in ids]

    def shrink(self) -> None:
        return


class Writer:
    """Stands in for the spool's thread: commits some steps later, or fails, or dies between commit and report."""

    def __init__(
        self, disk: Disk, rng: random.Random, tasks: list[asyncio.Task[None]], *, hasty: bool, sound: bool
    ) -> None:
        self.disk = disk
        self.rng = rng
        self.tasks = tasks
        self.hasty = hasty
        self.sound = sound
        self.trouble = ""
        self.free_bytes = 1 << 40
        self.oldest_ms = 0
        self.committed_bytes = 0
        self.set_aside = 0
        self.too_large = Totals()
        self.queue: list[Callable[[], None]] = []
        self.own(self.work())

    @property
    def bodies(self) -> int:
        return len(self.disk.entries)

    @property
    def size_bytes(self) -> int:
        return sum(body.size_bytes for body in self.disk.entries.values())

    def own(self, coroutine: Any) -> None:
        self.tasks.append(asyncio.ensure_future(coroutine))

    async def work(self) -> None:
        while True:
            await steps(self.rng)
            if self.queue:
                self.queue.pop(0)()

    def put(self, body: Body, *, no_retry: bool) -> asyncio.Future[int]:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        number, self.disk.next_id = self.disk.next_id, self.disk.next_id + 1
        if self.hasty:
            done.set_result(number)
        fails = self.rng.random() < 0.1 and not self.sound

        def commit() -> None:
            if fails and not self.hasty:
                self.queue.insert(0, partial(done.set_exception, Unavailable("the disk", code="spool")))
                return
            self.disk.entries[number] = body
            self.committed_bytes += body.size_bytes
            self.disk.stored.append(body.value)
            if not self.hasty:
                self.queue.insert(0, partial(done.set_result, number))  # a crash fits between

        self.queue.append(commit)
        return done

    async def ask(self, work: Callable[[Any], Any]) -> Any:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.queue.append(lambda: done.set_result(work(self.disk)))
        return await done

    async def delete(self, ids: Sequence[int]) -> list[SpoolKey]:
        if self.rng.random() < 0.1:
            raise Unavailable("the disk is too full to delete", code="spool_full")

        def forget(_: Any) -> list[SpoolKey]:
            bodies = [self.disk.entries.pop(number) for number in ids if number in self.disk.entries]
            return [(body.topic, body.key) for body in bodies]

        keys: list[SpoolKey] = await self.ask(forget)
        return keys

    async def start_over(self, delivered: frozenset[int]) -> bool:
        if set(self.disk.entries) - delivered:
            return False
        self.disk.entries.clear()
        return True


class Log:
    """Kafka: an answer can come late, and a record that the producer held when the process died may arrive or not."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.records: list[tuple[bytes, bytes]] = []
        self.away = False
        self.calm = False
        self.live: set[bytes] = set()
        """Values that a producer held while they were live: they may overtake."""
        self.late_bytes = 0
        self.held: list[tuple[bytes, bytes, asyncio.Future[object]]] = []

    def why_not(self) -> str:
        return "away" if self.away else ""

    async def publish(
        self, topic: str, key: bytes, value: bytes, headers: Headers, *, within_s: float | None = None
    ) -> None:
        draining = within_s != LIMITS.spool_after_ms / 1000
        await steps(self.rng)
        choice = 1.0 if self.calm else self.rng.random()
        if self.away or choice < 0.1:
            raise Unavailable("away", code="kafka")
        if choice < 0.2:
            raise AckTimeout("withdrawn", None)
        if choice < 0.4 and not draining:
            later: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            self.held.append((key, value, later))
            self.live.add(value)
            raise AckTimeout("late", later)
        self.records.append((key, value))
        if not draining:
            self.live.add(value)
        await steps(self.rng)  # the record is there, its acknowledgement on the way

    def submit(
        self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, *, within_s: float
    ) -> None:
        by_task(self.publish(topic, key, value, headers, within_s=within_s), settled)

    async def settle(self) -> None:
        while True:
            await steps(self.rng)
            if self.held:
                key, value, later = self.held.pop(self.rng.randrange(len(self.held)))
                if self.rng.random() < 0.6:
                    self.records.append((key, value))
                    later.set_result(None)
                else:
                    later.set_exception(Unavailable("given up"))
                    later.exception()

    def crash(self) -> None:
        self.records += [(key, value) for key, value, _ in self.held if self.rng.random() < 0.5]
        self.held.clear()


async def steps(rng: random.Random) -> None:
    for _ in range(rng.randrange(4)):
        await asyncio.sleep(0)


async def life(  # noqa: C901  # its parts are one process and share all they have
    rng: random.Random,
    disk: Disk,
    kafka: Log,
    acknowledged: dict[bytes, bytes],
    first: int,
    *,
    hasty: bool,
    last: bool,
    in_turn: bool,
    passing: bool,
) -> None:
    """One process, from its start to its crash; the last one ends with nothing left to do."""
    tasks: list[asyncio.Task[None]] = []
    metrics = Registry()
    spool = Spool(Path("unused"), LIMITS, metrics)
    spool._writer = Writer(disk, rng, tasks, hasty=hasty, sound=in_turn)  # type: ignore[assignment]  # the thread's stand-in
    if not passing:
        spool._keys.add((body.topic, body.key) for body in disk.entries.values())  # as at a start
    else:
        spool.holds = lambda topic, key: False  # type: ignore[method-assign]  # the negative control
    publisher = DurablePublisher(kafka, spool, LIMITS, metrics)
    drain = Drainer(spool, kafka, metrics, per_s=1_000_000_000)

    async def push(number: int) -> None:
        for _ in range(rng.randrange(30)):
            await asyncio.sleep(0)
        key, value = b"key %d" % (number % KEYS), b"%04d" % number
        try:
            await publisher.publish("t", key, value, [], no_retry=bool(number % 2))
        except Unavailable:
            return
        acknowledged[value] = key

    async def draining() -> None:
        while True:
            await steps(rng)
            if not kafka.away:
                try:
                    await drain.once()
                except Unavailable:
                    continue

    async def weather() -> None:
        while True:
            for _ in range(rng.randrange(40)):
                await asyncio.sleep(0)
            kafka.away = rng.random() < 0.5

    async def one_after_the_other(numbers: range) -> None:
        for number in numbers:
            await push(number)

    if in_turn:
        calls = [range(first + call, first + BODIES, KEYS) for call in range(KEYS)]
        pushes = [asyncio.create_task(one_after_the_other(numbers)) for numbers in calls]
    else:
        pushes = [asyncio.create_task(push(first + number)) for number in range(BODIES)]
    weathering = asyncio.create_task(weather())
    tasks += [*pushes, weathering, asyncio.create_task(draining()), asyncio.create_task(kafka.settle())]
    if last:
        await asyncio.gather(*pushes)
        kafka.calm = True
        weathering.cancel()
        kafka.away = False
        while disk.entries or kafka.held:  # noqa: ASYNC110  # steps of the simulation
            await asyncio.sleep(0)
    else:
        for _ in range(rng.randrange(120)):
            await asyncio.sleep(0)
    tasks += asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    kafka.crash()


async def simulate(seed: int, *, hasty: bool = False, in_turn: bool = False, passing: bool = False) -> list[str]:
    """List what is wrong after some lives.

    `in_turn`: a vendor sends a call's next body after the answer to the last one, and the disk is sound: then a key is
    in Kafka in the order in which it was sent, live bodies and spooled ones together. `passing` lets live bodies pass.
    """
    rng = random.Random(seed)
    disk, kafka, acknowledged = Disk(), Log(rng), dict[bytes, bytes]()
    for number in range(LIVES):
        await life(
            rng, disk, kafka, acknowledged, number * BODIES,
            hasty=hasty, last=number == LIVES - 1, in_turn=in_turn, passing=passing,
        )  # fmt: skip
    arrived = dict.fromkeys(kafka.records)
    wrong = [
        f"seed {seed}: {value!r} was acknowledged and is lost"
        for value in acknowledged
        if (acknowledged[value], value) not in arrived
    ]
    for key in set(acknowledged.values()) if in_turn else ():
        sent = [value for value, of in acknowledged.items() if of == key]
        first = [value for k, value in arrived if k == key and value in acknowledged]
        if sent != first:
            wrong.append(f"seed {seed}: {key!r} was sent as {sent} and came as {first}")
    for key in set(acknowledged.values()):
        spooled = [value for k, value in arrived if k == key and value not in kafka.live]
        if spooled != [value for value in disk.stored if value in spooled]:
            wrong.append(f"seed {seed}: {key!r} is out of order: {spooled}")
    return wrong


@pytest.mark.parametrize("start", range(0, SEEDS, 100))
async def test_nothing_acknowledged_is_lost_and_keys_keep_their_order(start: int) -> None:
    wrong = [line for seed in range(start, min(start + 100, SEEDS)) for line in await simulate(seed)]
    assert wrong == []


async def test_acknowledging_before_the_commit_is_found_out() -> None:
    """The negative control: a publisher that acknowledges a queued body loses bodies here."""
    wrong = [line for seed in range(200) for line in await simulate(seed, hasty=True)]
    assert len([line for line in wrong if "is lost" in line]) > 10


@pytest.mark.parametrize("start", range(0, SEEDS, 100))
async def test_a_call_that_is_pushed_in_turn_is_in_kafka_in_that_order(start: int) -> None:
    wrong = [line for seed in range(start, min(start + 100, SEEDS)) for line in await simulate(seed, in_turn=True)]
    assert wrong == []


async def test_letting_live_bodies_pass_spooled_ones_is_found_out() -> None:
    """The negative control of the order."""
    wrong = [line for seed in range(200) for line in await simulate(seed, in_turn=True, passing=True)]
    assert len([line for line in wrong if "came as" in line]) > 10
