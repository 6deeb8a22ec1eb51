"""The commit tracker: nothing is ever committed past the first record that is not acknowledged."""

from types import SimpleNamespace

import pytest
from faust.transport.consumer import Consumer
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from intervaltree import IntervalTree  # type: ignore[import-untyped]  # comes with faust, without types

from processors.engine.offsets import CommitTracker

TP = ("calls.raw", 3)


def tracker_with(*ends: int, start: int = 0) -> tuple[CommitTracker, list[int]]:
    """Return a tracker with adjoining batches handed out, and their tickets."""
    tracker = CommitTracker()
    tracker.seek({TP: start or None})
    tickets = []
    for first, end in zip((start, *ends), ends, strict=False):
        tickets.append(tracker.hand_out(TP, first, end))
    return tracker, tickets


def work(tracker: CommitTracker, ticket: int) -> None:
    assert tracker.start(ticket)
    assert tracker.finish(ticket)


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        pytest.param(0, {}, id="nothing-finished-nothing-to-commit"),
        pytest.param(1, {TP: 110}, id="the-first-batch"),
        pytest.param(2, {TP: 125}, id="two-batches-at-once"),
        pytest.param(3, {TP: 130}, id="all"),
    ],
)
def test_the_end_of_the_finished_prefix_is_offered(finished: int, expected: dict[tuple[str, int], int]) -> None:
    tracker, tickets = tracker_with(110, 125, 130, start=100)
    for ticket in tickets[:finished]:
        work(tracker, ticket)

    assert tracker.committable() == expected


def test_what_is_committed_is_not_offered_again() -> None:
    tracker, tickets = tracker_with(10, 20)
    work(tracker, tickets[0])
    tracker.committed({TP: 10})

    assert tracker.committable() == {}

    work(tracker, tickets[1])

    assert tracker.committable() == {TP: 20}
    assert tracker.position(TP) == 10


def test_an_offset_that_could_not_be_committed_is_offered_again() -> None:
    tracker, tickets = tracker_with(10)
    work(tracker, tickets[0])

    assert tracker.committable() == {TP: 10}
    assert tracker.committable() == {TP: 10}


def test_poison_withholds_even_what_was_finished() -> None:
    tracker, tickets = tracker_with(10, 20)
    work(tracker, tickets[0])
    tracker.poison()

    assert tracker.committable() == {}
    assert not tracker.start(tickets[1])


@pytest.mark.parametrize(
    "void",
    [
        pytest.param(lambda tracker: tracker.forget([TP]), id="partition-taken-away"),
        pytest.param(lambda tracker: tracker.seek({TP: 100}), id="read-again-from-the-committed-offset"),
        pytest.param(lambda tracker: tracker.seek({TP: None}), id="read-again-from-the-beginning"),
    ],
)
def test_work_finished_after_its_partition_was_let_go_moves_nothing(void: object) -> None:
    tracker, tickets = tracker_with(110, 120, start=100)
    assert tracker.start(tickets[0])
    void(tracker)  # type: ignore[operator]  # a table of calls

    assert not tracker.finish(tickets[0])
    assert not tracker.start(tickets[1])
    assert tracker.committable() == {}
    assert tracker.in_flight(TP) == 0


def test_the_old_ticket_does_not_acknowledge_the_same_batch_read_again() -> None:
    tracker, (old,) = tracker_with(10)
    assert tracker.start(old)
    tracker.seek({TP: None})
    new = tracker.hand_out(TP, 0, 10)

    assert not tracker.finish(old)
    assert tracker.committable() == {}

    work(tracker, new)

    assert tracker.committable() == {TP: 10}


def test_partitions_do_not_touch_each_other() -> None:
    tracker = CommitTracker()
    here, there = tracker.hand_out(TP, 0, 5), tracker.hand_out(("calls.raw", 4), 7, 9)
    work(tracker, there)
    tracker.forget([TP])

    assert tracker.committable() == {("calls.raw", 4): 9}
    assert not tracker.start(here)


def test_offsets_that_compaction_removed_are_no_gap() -> None:
    tracker = CommitTracker()
    work(tracker, tracker.hand_out(TP, 0, 5))
    work(tracker, tracker.hand_out(TP, 40, 41))

    assert tracker.committable() == {TP: 41}


def test_a_batch_in_work_is_running_until_it_is_finished() -> None:
    tracker, tickets = tracker_with(10, 20)

    assert tracker.running() == frozenset()

    tracker.start(tickets[0])

    assert tracker.running() == {TP}

    tracker.finish(tickets[0])

    assert tracker.running() == frozenset()
    assert tracker.in_flight(TP) == 1


@pytest.mark.parametrize(
    ("first", "end"),
    [
        pytest.param(5, 15, id="overlaps-what-was-handed-out"),
        pytest.param(0, 10, id="the-same-again-without-a-seek"),
        pytest.param(10, 10, id="empty"),
    ],
)
def test_batches_out_of_order_are_refused(first: int, end: int) -> None:
    tracker, _ = tracker_with(10)

    with pytest.raises(ValueError, match=r"calls.raw\[3\]"):
        tracker.hand_out(TP, first, end)


def test_two_readers_of_one_batch_are_refused() -> None:
    tracker, tickets = tracker_with(10)
    tracker.start(tickets[0])

    with pytest.raises(RuntimeError, match="twice"):
        tracker.start(tickets[0])


def test_a_batch_cannot_overtake_the_one_ahead_of_it() -> None:
    tracker, tickets = tracker_with(10, 20)

    with pytest.raises(RuntimeError, match="before the one ahead"):
        tracker.start(tickets[1])


def test_a_batch_that_was_never_started_cannot_be_acknowledged() -> None:
    tracker, tickets = tracker_with(10)

    with pytest.raises(RuntimeError, match="never started"):
        tracker.finish(tickets[0])


class CommitSafety(RuleBasedStateMachine):
    """Compare with a model that keeps every offset: committed <= the first unacknowledged one, at all times."""

    partitions = (("a", 0), ("b", 1))

    @initialize()
    def begin(self) -> None:
        self.tracker = CommitTracker()
        self.broker: dict[tuple[str, int], int | None] = dict.fromkeys(self.partitions)
        self.acknowledged: dict[tuple[str, int], set[int]] = {tp: set() for tp in self.partitions}
        self.read_to = dict.fromkeys(self.partitions, 0)
        self.queues: dict[tuple[str, int], list[tuple[int, int, int]]] = {tp: [] for tp in self.partitions}
        self.abandoned: list[int] = []
        self.poisoned_at: dict[tuple[str, int], int | None] | None = None

    @rule(tp=st.sampled_from(partitions), size=st.integers(1, 5))
    def deliver(self, tp: tuple[str, int], size: int) -> None:
        first = self.read_to[tp]
        self.queues[tp].append((self.tracker.hand_out(tp, first, first + size), first, first + size))
        self.read_to[tp] = first + size

    @rule(tp=st.sampled_from(partitions))
    def work_on_the_next(self, tp: tuple[str, int]) -> None:
        if not self.queues[tp]:
            return
        ticket, first, end = self.queues[tp][0]
        if not self.tracker.start(ticket):
            assert self.poisoned_at is not None
            return
        self.queues[tp].pop(0)
        assert self.tracker.finish(ticket)
        self.acknowledged[tp].update(range(first, end))

    @rule(tp=st.sampled_from(partitions))
    def lose_and_get_back(self, tp: tuple[str, int]) -> None:
        self.abandoned += [ticket for ticket, _, _ in self.queues[tp]]
        self.queues[tp] = []
        self.tracker.forget([tp])
        self.tracker.seek({tp: self.broker[tp]})
        self.read_to[tp] = self.broker[tp] or 0

    @precondition(lambda self: self.abandoned)
    @rule(data=st.data())
    def finish_something_abandoned(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.abandoned))
        assert not self.tracker.start(ticket)
        assert not self.tracker.finish(ticket)

    @rule(confirmed=st.booleans())
    def commit(self, confirmed: bool) -> None:  # noqa: FBT001  # hypothesis draws it
        offsets = self.tracker.committable()
        self.broker.update(offsets)  # a lost answer still commits
        if confirmed:
            self.tracker.committed(offsets)

    @rule()
    def poison(self) -> None:
        self.tracker.poison()
        self.poisoned_at = self.poisoned_at or dict(self.broker)

    @invariant()
    def nothing_is_committed_past_an_unacknowledged_record(self) -> None:
        for tp, committed in self.broker.items():
            assert self.acknowledged[tp] >= set(range(committed or 0))
        if self.poisoned_at is not None:
            assert self.broker == self.poisoned_at


TestCommitSafety = CommitSafety.TestCase
TestCommitSafety.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


@given(sizes=st.lists(st.integers(1, 500), min_size=1, max_size=30), done=st.integers(0, 30))
def test_all_finished_batches_are_committable_at_once(sizes: list[int], done: int) -> None:
    """The tracker withholds nothing either: it offers exactly the end of the finished run."""
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    tracker, tickets = tracker_with(*ends)
    for ticket in tickets[:done]:
        work(tracker, ticket)

    expected = {TP: ends[min(done, len(ends)) - 1]} if done else {}
    assert tracker.committable() == expected


def stock_new_offset(*, committed: int | None, acknowledged: list[int]) -> int | None:
    """Ask stock Faust which offset it would commit."""
    state = SimpleNamespace(
        _acked={TP: list(acknowledged)},
        _acked_index={TP: set(acknowledged)},
        _gap={TP: IntervalTree()},
        _committed_offset={TP: committed},
    )
    offset: int | None = Consumer._new_offset(state, TP)
    return offset


@pytest.mark.parametrize(
    ("committed", "acknowledged", "first_missing"),
    [
        pytest.param(10, [11, 12, 13], 10, id="one-missing-at-the-head"),
        pytest.param(None, [1, 2, 3], 0, id="new-group-head-missing"),
        pytest.param(0, [4, 5], 0, id="committed-zero-any-head-missing"),
    ],
)
def test_stock_faust_commits_past_an_unacknowledged_record(
    committed: int | None, acknowledged: list[int], first_missing: int
) -> None:
    """The control: in states where this tracker offers nothing, stock Faust loses a record."""
    stock = stock_new_offset(committed=committed, acknowledged=acknowledged)

    assert stock is not None
    assert stock > first_missing

    tracker = CommitTracker()
    tracker.seek({TP: committed})
    tracker.start(tracker.hand_out(TP, first_missing, first_missing + 1))

    assert tracker.committable() == {}
