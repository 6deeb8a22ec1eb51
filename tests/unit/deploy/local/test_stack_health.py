"""The faults that the live view finds from outside the parts: in Kafka's offsets, and in missing answers."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.doctor.group_offsets import KafkaOffsets
from deploy.doctor.stalled_partitions import GroupOffsets, PartitionOffsets
from deploy.local import stack_health
from deploy.local.stack_health import StackHealth
from schemas.config.settings import Settings
from schemas.errors import Unavailable


class Kafka:
    """Kafka's answers, one for each look; an exception is raised."""

    def __init__(self, *says: GroupOffsets | Unavailable) -> None:
        self._says = list(says)
        self.closed = 0

    async def look(self) -> tuple[GroupOffsets, ...]:
        answer = self._says.pop(0)
        if isinstance(answer, Unavailable):
            raise answer
        return (answer,)

    async def close(self) -> None:
        self.closed += 1


def group(committed: int, end: int, members: int = 1) -> GroupOffsets:
    standing = PartitionOffsets(group="callweave-process", topic="calls.raw", partition=3, committed=committed, end=end)
    return GroupOffsets(name="callweave-process", members=members, committed=True, partitions=(standing,))


class Clock:
    """A steady clock that the test sets."""

    now_s = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(stack_health, "time", SimpleNamespace(monotonic=lambda: made.now_s, time=time.time))
    return made


def looking(monkeypatch: pytest.MonkeyPatch, kafka: Kafka) -> StackHealth:
    async def connect(_settings: Any) -> Kafka:
        return kafka

    monkeypatch.setattr(KafkaOffsets, "connect", connect)
    stack: Any = SimpleNamespace(settings=Settings(), pids=lambda: {"process-1": 7}, parts=())
    return StackHealth(stack)


async def test_a_stalled_partition_is_warned_of_and_one_that_moves_is_not(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    looks = looking(monkeypatch, Kafka(group(5, 9), group(5, 125), group(125, 125)))
    await looks.look({})
    assert (looks.lag["normalise"], looks.warnings([])) == (4, ())
    clock.now_s += 40
    await looks.look({})
    assert looks.lag["normalise"] == 120
    assert looks.warnings([]) == ("partition 3 of calls.raw has not moved for 40 s with 120 records waiting",)
    clock.now_s += 40
    await looks.look({})
    assert (looks.lag["normalise"], looks.warnings([])) == (0, ())


async def test_records_without_a_worker_are_warned_of(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    looks = looking(monkeypatch, Kafka(group(5, 9, members=0)))
    await looks.look({})

    assert looks.warnings([]) == ("nobody works for callweave-process",)


async def test_a_kafka_that_does_not_answer_is_warned_of_until_it_does(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    kafka = Kafka(Unavailable("Kafka does not tell"), group(9, 9))
    looks = looking(monkeypatch, kafka)
    await looks.look({})
    assert (looks.warnings([]), kafka.closed) == (("Kafka does not tell",), 1)
    clock.now_s += 10
    await looks.look({})
    assert looks.warnings([]) == ()


async def test_a_part_that_runs_and_does_not_answer_is_warned_of(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    looks = looking(monkeypatch, Kafka(group(9, 9), group(9, 9), group(9, 9)))
    await looks.look({"process-1": None, "sink": None})
    assert looks.warnings([]) == ()
    clock.now_s += 12
    await looks.look({"process-1": None, "sink": None})
    assert looks.warnings([]) == (
        "process-1 has not answered for 12 s: its event loop is blocked, or it does not get up",
    )
    clock.now_s += 12
    await looks.look({"process-1": [], "sink": None})
    assert looks.warnings([]) == ()
