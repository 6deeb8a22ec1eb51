"""A partition's calls: the states kept, due and written, and their restore."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.join import step
from processors.records import Record
from processors.store.calls import MemoryCalls
from processors.store.changelog import StateLog, new_writer
from processors.store.partition import PartitionState
from processors.store.state_codec import decode_state, encode_state, peek_state
from schemas.config.settings import JoinSettings
from schemas.facts import Fact, State
from tests.support.strategies import CALLED, STRANGER, callback, fact_logs, placed, pushed_state

JOIN = JoinSettings()
WRITER = new_writer(0)
MINUTE_MS = 60_000
DAY_MS = 86_400_000


def played(facts: list[Fact], held: PartitionState | None = None) -> PartitionState:
    held = held or PartitionState(JOIN)
    for fact in facts:
        held.apply(fact)
    return held


def restored(written: dict[str, bytes | None]) -> PartitionState:
    held = PartitionState(JOIN)
    for key, value in written.items():
        if value is not None:
            held.load(key, [value])
    return held


@given(fact_logs())
@settings(max_examples=60)
def test_a_restore_goes_on_as_if_nothing_had_happened(facts: list[Fact]) -> None:
    """Cut anywhere: the states written so far, read back, and the rest of the log give the same states and counts."""
    whole = played(facts)
    half = len(facts) // 2
    first = played(facts[:half])
    again = played(facts[half:], restored(first.take_changed()))

    everything = first.take_changed() | again.take_changed()
    expected = {key: decode_state(value) for key, value in whole.take_changed().items() if value}
    assert {key: decode_state(value) for key, value in everything.items() if value}.items() <= expected.items()
    assert (+again.items, +again.phases) == (+whole.items, +whole.phases)


@given(fact_logs(), st.booleans())
@settings(max_examples=60)
def test_a_restore_into_the_store_that_was_read_into_is_as_into_another(facts: list[Fact], again: bool) -> None:  # noqa: FBT001 - a case
    """A call stays there as it was read, and is examined when its state says so."""
    written = played(facts).take_changed()
    ends = []
    for other in (None, MemoryCalls()):
        store = MemoryCalls()
        log, held = StateLog(store), PartitionState(JOIN, b"a writer", other or store)
        for offset, (key, value) in enumerate(written.items()):
            log.take(Record(offset=offset, timestamp_ms=0, key=key.encode(), value=value, headers=WRITER.headers))
        for call in log.calls():
            held.load(*call)
        known = (+held.items, +held.phases, len(held))
        played(facts if again else [], held)
        due = [
            (key, done.outcome) for now_ms in range(0, 9 * DAY_MS, DAY_MS // 4) for key, done in held.advance(now_ms)
        ]
        ends.append((known, due, held.take_changed(), +held.items, +held.phases, held.take_stuck()))
    assert ends[0] == ends[1]
    assert ends[0][3:] == ({}, {}, [])


def test_an_unreadable_state_is_removed_from_the_store_that_it_was_read_into() -> None:
    store = MemoryCalls()
    log, held = StateLog(store), PartitionState(JOIN, calls=store)
    log.take(Record(offset=0, timestamp_ms=0, key=b"ytx|main|1", value=b"no state", headers=WRITER.headers))
    for call in log.calls():
        held.load(*call)

    assert [each.key for each in held.take_stuck()] == ["ytx|main|1"]
    assert list(store.items()) == []
    assert len(held) == 0


@given(fact_logs(), st.lists(st.sampled_from((0, 1, MINUTE_MS, 20 * MINUTE_MS, DAY_MS, 8 * DAY_MS)), min_size=1))
@settings(max_examples=100)
def test_what_is_due_does_not_depend_on_how_many_facts_are_in_a_batch(facts: list[Fact], steps: list[int]) -> None:
    """Marks are set once a batch, and yet a call whose time comes within one is examined at the same fact."""
    ends = []
    for size in (1, len(facts) + 1):
        held, now_ms, due = PartitionState(JOIN, b"a writer"), 0, []
        written: dict[str, bytes | None] = {}
        for number, fact in enumerate(facts):
            now_ms += steps[number % len(steps)]
            due += [(number, key, done.outcome, done.shown) for key, done in held.advance(now_ms)]
            due.append((number, fact.call_key, held.apply(fact).outcome, None))
            if (number + 1) % size == 0:
                written |= held.take_changed()
        written |= held.take_changed()
        ends.append((due, written, +held.items, +held.phases, len(held)))
        due += [
            (now, key, done.outcome, done.shown)
            for now in range(now_ms, now_ms + 9 * DAY_MS, DAY_MS // 4)
            for key, done in held.advance(now)
        ]
    assert ends[0] == ends[1]


def test_only_what_changed_is_written() -> None:
    """A replay changes nothing, so nothing is written."""
    fact = placed(callback(), 7)
    held = played([fact])
    held.take_changed()

    held.apply(fact)

    assert held.take_changed() == {}


def test_a_call_is_written_once_however_many_facts_it_got() -> None:
    facts = [
        placed(pushed_state(CALLED, State.SETUP, 0), 1),
        placed(pushed_state(CALLED, State.ALERTING, 2), 2),
        placed(callback(), 3),
    ]
    held = played(facts)

    written = held.take_changed()

    assert list(written) == [facts[0].call_key]


def test_a_call_times_out_once_by_the_record_clock() -> None:
    """The timeout is half an hour after the last state, however often the clock is read."""
    held = PartitionState(JOIN)
    assert list(held.advance(1)) == []
    state = placed(pushed_state(CALLED, State.SETUP, 0), 1)
    held.apply(state)

    before = list(held.advance(29 * MINUTE_MS))
    due = list(held.advance(31 * MINUTE_MS))
    after = list(held.advance(32 * MINUTE_MS))

    assert (before, after) == ([], [])
    assert [(key, done.outcome) for key, done in due] == [(state.call_key, "timeout")]


def test_calls_are_due_in_the_order_of_their_deadlines_and_not_before() -> None:
    """They wait by the minute; within it each has its own time."""
    held = PartitionState(JOIN)
    seconds = (61, 3, 119, 60, 2, 180, 59)
    for number, second in enumerate(sorted(seconds)):
        list(held.advance(second * 1000))
        state = placed(pushed_state(CALLED, State.SETUP, 0), number)
        held.apply(msgspec.structs.replace(state, call_key=f"ytx|main|{9 - second}"))

    due = [(now_ms, key) for now_ms in range(0, 240_000, 500) for key, _ in held.advance(30 * MINUTE_MS + now_ms)]

    assert due == [(second * 1000, f"ytx|main|{9 - second}") for second in sorted(seconds)]
    assert held._kept._awaited == set(held._kept._minutes)
    assert held._kept._deadlines == []


def test_a_call_is_forgotten_after_the_horizon() -> None:
    """Its state is deleted from the log as well."""
    held = PartitionState(JOIN)
    fact = placed(callback(), 1)
    held.apply(fact)
    held.take_changed()

    done = [each.outcome for _, each in held.advance((JOIN.horizon_s + 1) * 1000)]

    assert done == ["expired"]
    assert held.take_changed() == {fact.call_key: None}
    assert (len(held), +held.items, +held.phases) == (0, {}, {})


def growing(*facts: Fact) -> list[bytes]:
    """The states of a call as one owner writes them, each with one more fact."""
    written: list[bytes] = []
    state = None
    for fact in facts:
        state = step(state, fact, 0, JOIN).state
        assert state
        written.append(encode_state(state))
    return written


def test_what_a_zombie_wrote_last_takes_nothing_away() -> None:
    """The zombie's record knows less than the one before: both are merged, and the result is written."""
    facts = [placed(pushed_state(CALLED, State.SETUP, 0), 1), placed(callback(), 2)]
    less, more = growing(*facts)
    held = PartitionState(JOIN)

    held.load(facts[0].call_key, [more, less])

    assert held.take_changed() == {facts[0].call_key: more}


def test_what_the_owner_wrote_after_a_zombie_is_the_last_word() -> None:
    """The owner went on without reading the zombie's record: its own last one is complete, nothing is written."""
    facts = [placed(pushed_state(CALLED, State.SETUP, second), second) for second in range(3)]
    _, less, most = growing(*facts)
    held = PartitionState(JOIN)

    held.load(facts[0].call_key, [less, most])

    assert held.apply(facts[2]).outcome == "replayed"
    assert held.take_changed() == {}


def test_what_each_of_two_writers_alone_knows_is_put_together() -> None:
    first, ours, theirs = (placed(pushed_state(CALLED, State.SETUP, second), second) for second in range(3))
    held = PartitionState(JOIN)

    held.load(first.call_key, [growing(first, ours)[-1], growing(first, theirs)[-1]])

    assert [held.apply(fact).outcome for fact in (first, ours, theirs)] == ["replayed"] * 3
    (written,) = held.take_changed().values()
    assert written
    assert decode_state(written).contents == 3


@given(fact_logs())
@settings(max_examples=60)
def test_the_head_of_a_state_is_the_state_s_own(facts: list[Fact]) -> None:
    held = played(facts)
    for state in held._touched.values():
        assert state
        head = peek_state(encode_state(state))
        assert (head.counts(), head.phase, head.deadline_ms) == (state.counts(), state.phase, state.deadline_ms)


def test_a_call_waits_for_its_time_once_however_often_that_moves() -> None:
    """A source without end moves the deadline with every fact; the heap must not grow with it."""
    calls = MemoryCalls()
    held = PartitionState(JOIN, calls=calls)
    for second in range(200):
        assert list(held.advance(second * 1000)) == []
        held.apply(placed(pushed_state(CALLED, State.SETUP, second), second))
        held.take_changed()

    waiting = len(held._kept._deadlines) + sum(map(len, calls._waiting.values()))
    early = list(held.advance(199_000 + 30 * MINUTE_MS - 1))
    due = list(held.advance(199_000 + 30 * MINUTE_MS))

    assert waiting == 1
    assert early == []
    assert [done.outcome for _, done in due] == ["timeout"]


def test_a_deadline_that_comes_nearer_is_kept() -> None:
    """A final record awaits nothing; a correction that is not final does."""
    held = PartitionState(JOIN)
    list(held.advance(1))
    held.apply(placed(callback(), 1))
    held.apply(placed(pushed_state(STRANGER, State.SETUP, 0, account_id="app-2"), 2))
    held.apply(placed(callback(account_id="app-2", is_final=False), 3))

    day = [done.outcome for _, done in held.advance(JOIN.close_after_s * 1000 + 1)]
    week = [done.outcome for _, done in held.advance(JOIN.horizon_s * 1000 + 1)]

    assert (day, week) == (["timeout"], ["expired"])


@pytest.mark.parametrize(("ahead_ms", "certain"), [(0, True), (8 * DAY_MS, False)], ids=["now", "a week later"])
def test_what_may_be_forgotten_by_the_newest_state_is_not_certain(ahead_ms: int, certain: bool) -> None:  # noqa: FBT001 - a case
    """A worker died when it had read on and forgotten the call; its successor reads the older facts again."""
    fact = placed(callback(), 1)
    now_ms = int(fact.received_at.timestamp() * 1000)
    held = PartitionState(JOIN)
    held.forgotten_ms = now_ms + ahead_ms
    assert list(held.advance(now_ms)) == []
    (timeline,) = held.apply(fact).timelines
    assert timeline.slot_certain is certain


def test_a_deadline_is_kept_over_a_restore() -> None:
    held = PartitionState(JOIN)
    list(held.advance(1))
    held.apply(placed(pushed_state(CALLED, State.SETUP, 0), 1))
    again = restored(held.take_changed())

    assert list(again.advance(29 * MINUTE_MS)) == []
    assert again.take_changed() == {}
    assert [done.outcome for _, done in again.advance(31 * MINUTE_MS)] == ["timeout"]
