"""Shares of the workers through joins, deaths and returns: even in each topic, moved only where needed."""

from collections.abc import Sequence

import pytest
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import TopicPartition

from processors.engine.assignor import EachTopicAssignor

PARTITIONS = 24
TOPICS = ("calls.facts", "calls.raw")
Shares = dict[str, set[tuple[str, int]]]


class Cluster:
    """The part of aiokafka's cluster metadata that an assignor reads; nobody subscribes to `calls.dead` here."""

    def topics(self) -> set[str]:
        return {*TOPICS, "calls.dead"}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(PARTITIONS)) if topic in self.topics() else None


def rebalanced(assignor: type[StickyPartitionAssignor], before: Shares, workers: Sequence[str]) -> Shares:
    """Assign by each worker's reported earlier share; a worker that never had any reports nothing."""
    members = {
        worker: assignor._metadata(
            list(TOPICS),
            [TopicPartition(*each) for each in sorted(before[worker])] if worker in before else None,
        )
        for worker in workers
    }
    given = assignor.assign(Cluster(), members)
    # Through the bytes: that is how the leader sends it.
    read = {worker: type(each).decode(each.encode()).partitions() for worker, each in given.items()}
    return {worker: {(tp.topic, tp.partition) for tp in partitions} for worker, partitions in read.items()}


def sizes(shares: Shares, topic: str) -> list[int]:
    return [sum(each[0] == topic for each in share) for share in shares.values()]


HISTORIES = {
    "a second beside the first": (["a"], ["a", "b"]),
    "one to three to two to one": (["a"], ["a", "b"], ["a", "b", "c"], ["b", "c"], ["c"]),
    "all at once": (["a", "b", "c", "d", "e"],),
    "a worker dies and another one comes": (["a", "b"], ["b"], ["b", "c"]),
    "a number that does not divide": (["a", "b"], ["a", "b", "c", "d", "e", "f", "g"], ["a", "c", "e", "g"]),
    "more workers than partitions": ([str(number) for number in range(30)], ["3", "7"]),
}


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the share that aiokafka keeps in the class, which all consumers of this process would report."""
    for assignor in (StickyPartitionAssignor, EachTopicAssignor):
        monkeypatch.setattr(assignor, "member_assignment", None)
        monkeypatch.setattr(assignor, "generation", StickyPartitionAssignor.DEFAULT_GENERATION_ID)


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES.keys())
def test_shares_are_even_in_each_topic_and_move_no_more_than_they_must(history: Sequence[Sequence[str]]) -> None:
    shares: Shares = {}
    for workers in history:
        before, shares = shares, rebalanced(EachTopicAssignor, shares, workers)
        given = sorted(each for share in shares.values() for each in share)

        assert given == [(topic, number) for topic in TOPICS for number in range(PARTITIONS)]
        for topic in TOPICS:
            assert max(sizes(shares, topic)) - min(sizes(shares, topic)) <= 1
            for worker in before.keys() & shares.keys():
                had = {each for each in before[worker] if each[0] == topic}
                assert len(had & shares[worker]) >= min(len(had), PARTITIONS // len(workers))


def test_the_stock_assignor_parts_the_workers_by_topic() -> None:
    """The reason for our own assignor: when this fails, aiokafka has fixed it and ours can go."""
    alone = rebalanced(StickyPartitionAssignor, {}, ["a"])
    shares = rebalanced(StickyPartitionAssignor, alone, ["a", "b"])

    assert [sorted(sizes(shares, topic)) for topic in TOPICS] == [[0, PARTITIONS], [0, PARTITIONS]]


def test_what_two_workers_both_claim_goes_to_one() -> None:
    """A worker that was frozen in the last rebalance still reports its old share."""
    alone = rebalanced(EachTopicAssignor, {}, ["a"])
    moved = rebalanced(EachTopicAssignor, {}, ["b"])
    shares = rebalanced(EachTopicAssignor, alone | moved, ["a", "b"])

    assert [sizes(shares, topic) for topic in TOPICS] == [[12, 12], [12, 12]]
    assert not shares["a"] & shares["b"]


def test_workers_of_an_earlier_release_can_be_in_the_group() -> None:
    """The group agrees on a protocol by its name; the members' metadata are the sticky assignor's own."""
    assert EachTopicAssignor.name == StickyPartitionAssignor.name
    assert EachTopicAssignor.metadata(TOPICS) == StickyPartitionAssignor.metadata(TOPICS)


def test_what_a_worker_got_is_what_it_claims_next_time() -> None:
    share = rebalanced(EachTopicAssignor, {}, ["a", "b"])["a"]
    members = {worker: EachTopicAssignor.metadata(TOPICS) for worker in ("a", "b")}

    class Worker(EachTopicAssignor):
        """Runs in another process, as the memory is the class's."""

    Worker.on_assignment(EachTopicAssignor.assign(Cluster(), members)["a"])
    claimed = Worker.parse_member_metadata(Worker.metadata(TOPICS)).partitions

    assert {(tp.topic, tp.partition) for tp in claimed} == share
