"""The watchdog: a partition with work and no progress is found, an idle or busy one is not."""

import pytest
from faust.exceptions import ConsumerNotStarted

from processors.engine.offsets import CommitTracker
from processors.engine.watchdog import Stalls, lagging, watch
from processors.records import Partition

A, B = ("facts", 0), ("facts", 1)


@pytest.mark.parametrize(
    ("observations", "stalled"),
    [
        pytest.param([(0, {}), (100, {})], [], id="idle"),
        pytest.param([(0, {A: 5}), (30, {A: 6}), (89, {A: 7})], [], id="busy"),
        pytest.param([(0, {A: 5}), (59, {A: 5})], [], id="not-yet"),
        pytest.param([(0, {A: 5}), (60, {A: 5})], [A], id="stalled"),
        pytest.param([(0, {A: None}), (60, {A: None})], [A], id="stalled-before-the-first-commit"),
        pytest.param([(0, {A: 5}), (30, {A: 6}), (60, {A: 6}), (90, {A: 6})], [A], id="stalled-later"),
        pytest.param([(0, {A: 5, B: 1}), (60, {A: 5, B: 900})], [A], id="one-stalled-beside-a-busy-one"),
        pytest.param([(0, {A: 5}), (40, {}), (70, {A: 5})], [], id="caught-up-in-between"),
        pytest.param([(0, {A: 5}), (30, {B: 5}), (60, {A: 5})], [], id="lost-and-got-back"),
    ],
)
def test_stalls(observations: list[tuple[float, dict[Partition, int | None]]], stalled: list[Partition]) -> None:
    stalls = Stalls(limit_s=60)
    found = [stalls.observe(now, lagging=partitions) for now, partitions in observations]

    assert found[-1] == stalled
    assert not any(found[:-1])


class Consumer:
    """The part of a consumer that the watchdog reads."""

    def __init__(self, unread: dict[Partition, int] | None) -> None:
        self.tracker = CommitTracker()
        self.unread = unread

    def assignment(self) -> list[Partition]:
        return [A, B]

    async def lag(self, _: list[Partition]) -> dict[Partition, int]:
        if self.unread is None:
            raise ConnectionError
        return self.unread

    def poison(self) -> None:
        self.tracker.poison()


async def test_unread_records_are_lag() -> None:
    consumer = Consumer({A: 3, B: 0})
    consumer.tracker.seek({A: 10, B: None})

    assert await lagging(consumer, timeout_s=5) == {A: 10}


async def test_unfinished_batches_are_lag() -> None:
    consumer = Consumer({A: 0, B: 0})
    consumer.tracker.hand_out(B, 0, 5)

    assert await lagging(consumer, timeout_s=5) == {B: None}


async def test_a_broker_that_does_not_answer_counts_as_lag() -> None:
    assert set(await lagging(Consumer(None), timeout_s=5)) == {A, B}


async def test_a_consumer_that_is_gone_at_a_stop_has_no_lag() -> None:
    class Gone(Consumer):
        def assignment(self) -> list[Partition]:
            raise ConsumerNotStarted

    assert await lagging(Gone({}), timeout_s=5) == {}


async def test_a_stalled_worker_is_ended_and_commits_nothing_more() -> None:
    consumer, reasons = Consumer({A: 1, B: 0}), list[str]()
    await watch(consumer, limit_s=0.05, fatal=lambda reason, _: reasons.append(reason))

    assert reasons == ["no progress for 0.05 s on facts[0]"]
    assert consumer.tracker.poisoned
