"""News of a large call is told when it grew by a tenth, or a time later on the record clock; nothing is lost."""

import pytest

from processors.call.state import CallState
from processors.join import step
from processors.store.changelog import Writer
from processors.store.partition import PartitionState
from processors.store.segments import LARGE
from processors.store.state_codec import encode_state
from processors.store.telling import WAIT_MS, Untold, wait_ms
from processors.timeline.build import timelines_of
from schemas.config.settings import JoinSettings
from schemas.facts import Fact
from tests.support.strategies import in_a_row, participant, placed

JOIN = JoinSettings()
WRITER = Writer(b"ours....", 0)
PEOPLE = in_a_row([participant(f"+86138{number:08d}", number, 600) for number in range(120)])
KEY = PEOPLE[0].call_key
DAY_MS = 86_400_000
BEGAN_MS = 2000
WAITS_MS = wait_ms(101)


def whole_of(held: PartitionState) -> bytes:
    """The call's state as it was last written whole."""
    whole = held._kept.get(KEY)
    assert whole is not None
    return whole


def told(held: PartitionState, *facts: Fact, now_ms: int = 0) -> list[tuple[str, int]]:
    """Join facts at a time of the record clock; returns what is told: outcome and number of legs."""
    results = [done for _, done in held.advance(now_ms)]
    results += [held.apply(fact) for fact in facts]
    return [(done.outcome, len(timeline.legs)) for done in results for timeline in done.timelines]


def joined(number: int) -> CallState:
    """A conference of so many."""
    state: CallState | None = None
    for fact in PEOPLE[:number]:
        state = step(state, fact, 0, JOIN).state
    assert state is not None
    return state


def holding(number: int) -> PartitionState:
    """A partition with one conference, all told."""
    held = PartitionState(JOIN, WRITER.name)
    told(held, *PEOPLE[:number])
    told(held, now_ms=wait_ms(number))
    held.take_changed()
    return held


def test_a_small_call_is_told_with_every_fact() -> None:
    held = PartitionState(JOIN, WRITER.name)
    assert told(held, *PEOPLE[:LARGE]) == [("fact", number + 1) for number in range(LARGE)]


def test_a_large_call_is_told_when_it_grew_by_a_tenth() -> None:
    held = holding(100)
    assert told(held, *PEOPLE[100:109], now_ms=BEGAN_MS) == []
    assert told(held, PEOPLE[109], now_ms=BEGAN_MS) == [("fact", 110)]
    assert told(held, *PEOPLE[110:120], now_ms=BEGAN_MS) == []


CLOCKS = {
    "not before": ([500, WAITS_MS - 1], []),
    "with the next record or tick": ([WAITS_MS], [("told", 103)]),
    "once": ([WAITS_MS, WAITS_MS + 1, 9000], [("told", 103)]),
    "however late that comes": ([DAY_MS], [("told", 103)]),
}


@pytest.mark.parametrize(("clocks", "tells"), CLOCKS.values(), ids=CLOCKS.keys())
def test_what_waits_is_told_a_while_after_the_first_of_it(clocks: list[int], tells: list[tuple[str, int]]) -> None:
    held = holding(100)
    for number in range(3):
        assert told(held, PEOPLE[100 + number], now_ms=BEGAN_MS + number) == []

    assert [one for clock_ms in clocks for one in told(held, now_ms=BEGAN_MS + clock_ms)] == tells


SIZES = {"a small one": (33, WAIT_MS[0]), "one of hundreds": (300, 6000), "a very large one": (100_000, WAIT_MS[1])}


@pytest.mark.parametrize(("items", "waits_ms"), SIZES.values(), ids=SIZES.keys())
def test_a_call_waits_in_proportion_to_its_size_within_bounds(items: int, waits_ms: int) -> None:
    assert wait_ms(items) == waits_ms


def test_calls_are_told_in_the_order_in_which_they_are_due() -> None:
    """A small call that is news later may be due before a large one."""
    untold = Untold()
    for key, size, now_ms in (("large", 100, 0), ("small", 40, 100), ("told by growth", 50, 100)):
        known, state = joined(size - 1), joined(size)
        assert untold.waits(key, known, state, now_ms)
    untold.forget("told by growth")

    assert untold.take_due(1099) == []
    assert untold.take_due(1100) == ["small"]
    assert untold.take_due(DAY_MS) == ["large"]
    assert untold.take_due(DAY_MS) == []


def test_what_waits_is_told_before_its_call_is_forgotten() -> None:
    held = holding(100)
    told(held, PEOPLE[100], now_ms=BEGAN_MS)

    assert [done.outcome for _, done in held.advance((JOIN.horizon_s + 3) * 1000)] == ["told", "expired"]
    assert told(held, now_ms=10 * DAY_MS) == []


@pytest.mark.parametrize("restored", [0, 1], ids=["a segment", "the whole state"])
def test_whoever_restores_a_call_tells_what_waits(restored: int) -> None:
    """Its worker died, and the offset behind these facts was committed: nobody will read them again."""
    held = holding(100)
    told(held, PEOPLE[100], now_ms=BEGAN_MS)
    (written,) = held.take_changed().values()
    again = PartitionState(JOIN, b"another.")
    if restored:
        known = held.apply(PEOPLE[100]).state
        assert known is not None
        again.load(KEY, [encode_state(known, told=100)])
    else:
        again.load(KEY, [whole_of(held)], held._segments[KEY].states, written)

    assert told(again, now_ms=1) == [("told", 101)]
    assert again.take_changed()
    assert told(again, now_ms=2) == []


def test_what_was_told_is_not_told_again_after_a_restore() -> None:
    held = holding(100)
    told(held, PEOPLE[100], now_ms=BEGAN_MS)
    told(held, now_ms=BEGAN_MS + WAITS_MS)
    *_, newest = held.take_changed().values()
    again = PartitionState(JOIN, b"another.")
    again.load(KEY, [whole_of(held)], held._segments[KEY].states, newest)

    assert told(again, now_ms=DAY_MS) == []
    assert again.take_changed() == {}


def test_a_repetition_is_told_again_in_its_time() -> None:
    """It is caused by a crash, before which the first telling may not have got out, as for a small call."""
    held = holding(100)
    assert told(held, *PEOPLE[:50], now_ms=BEGAN_MS) == []
    assert told(held, now_ms=BEGAN_MS + WAITS_MS) == [("told", 100)]
    assert held.take_changed().keys() != {KEY}


def test_a_correction_of_one_record_is_told_in_its_time() -> None:
    held = holding(100)
    late = placed(participant("+8613800000007", 7, 900), 500)
    assert told(held, late, now_ms=BEGAN_MS) == []
    ((_, done),) = held.advance(BEGAN_MS + WAITS_MS)
    assert done.state is not None
    assert done.timelines == timelines_of(done.state)


def test_beside_workers_of_the_release_before_all_is_told_at_once() -> None:
    held = PartitionState(JOIN)
    told(held, *PEOPLE[:100])

    assert told(held, *PEOPLE[100:103]) == [("fact", 101), ("fact", 102), ("fact", 103)]


def test_one_that_takes_over_from_this_release_tells_what_waits() -> None:
    held = holding(100)
    told(held, PEOPLE[100], now_ms=BEGAN_MS)
    (written,) = held.take_changed().values()
    again = PartitionState(JOIN)
    again.load(KEY, [whole_of(held)], held._segments[KEY].states, written)

    assert told(again, now_ms=1) == [("told", 101)]
    assert [*again.take_changed()] == [KEY]
