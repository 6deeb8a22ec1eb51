"""The record clock in the join: timeouts, late news, forgotten calls."""

from collections.abc import Sequence
from typing import Any

import pytest

from processors.call.state import TIMED_OUT
from processors.join import merge_stored, step, timeout
from schemas.config.settings import JoinSettings
from schemas.facts import Disposition, Fact, Flag
from tests.support.strategies import (
    A_STATES,
    B_STATES,
    BOTH_LEGS,
    at,
    callback,
    decision,
    in_a_row,
    placed,
)
from tests.unit.processors.joining import DAY, FIRST, HOUR, MINUTE, SETTINGS, after, only, state_of

CLOCK: dict[str, tuple[Sequence[Fact], int, dict[str, Any], set[Flag]]] = {
    "S08 W43 states without a record are provisional after half an hour": (
        BOTH_LEGS,
        30 * MINUTE,
        {"phase": 1, "is_final": False, "disposition": Disposition.ANSWERED, "has_record": False},
        {Flag.ORPHAN_STATE},
    ),
    "one leg rang and no more was heard": (
        A_STATES[:2],
        30 * MINUTE,
        {"phase": 1, "disposition": Disposition.UNKNOWN},
        {Flag.ORPHAN_STATE},
    ),
    "a leg that never ended leaves the end that is known": (
        (*A_STATES, *B_STATES[:3]),
        30 * MINUTE,
        {"phase": 1, "end_at": at(70), "disposition": Disposition.ANSWERED},
        {Flag.ORPHAN_STATE},
    ),
    "W23 a record that stays unfinished is unknown after a day": (
        (callback(is_final=False, b_answer=None, b_end=None, a_end=None, disposition=Disposition.IN_PROGRESS),),
        DAY,
        {"phase": 1, "is_final": False, "disposition": Disposition.UNKNOWN},
        set(),
    ),
}


@pytest.mark.parametrize(("sent", "wait_ms", "expected", "flags"), CLOCK.values(), ids=CLOCK.keys())
def test_a_timeout_shows_the_call_as_it_is(
    sent: Sequence[Fact], wait_ms: int, expected: dict[str, Any], flags: set[Flag]
) -> None:
    before = after(in_a_row(sent), now_ms=1000)
    assert state_of(before).deadline_ms == 1000 + wait_ms
    done = timeout(state_of(before), 1000 + wait_ms, SETTINGS)
    timeline = only(done)

    assert done.outcome == "timeout"
    assert {name: getattr(timeline, name) for name in expected} == expected
    assert set(timeline.quality_flags) == flags
    assert timeline.version > only(before).version
    assert state_of(done).deadline_ms == 1000 + 7 * DAY


def test_a_record_after_the_provisional_version_makes_the_call_final() -> None:
    states = in_a_row(BOTH_LEGS)
    provisional = timeout(state_of(after(states)), 30 * MINUTE, SETTINGS)
    done = step(provisional.state, placed(callback(), 20), HOUR, SETTINGS)

    assert (only(done).phase, only(done).is_final, only(done).quality_flags) == (2, True, ())
    assert only(done).version > only(provisional).version
    assert only(done) == only(after([*states, placed(callback(), 20)]))


def test_a_long_call_is_provisional_and_then_goes_on() -> None:
    """A state after the timeout opens the call again, and it may time out again."""
    *states, last = in_a_row(BOTH_LEGS)
    provisional = timeout(state_of(after(states)), 30 * MINUTE, SETTINGS)
    reopened = step(provisional.state, last, 2 * HOUR, SETTINGS)
    again = timeout(state_of(reopened), 2 * HOUR + 30 * MINUTE, SETTINGS)

    assert [only(done).phase for done in (provisional, reopened, again)] == [1, 0, 1]
    assert only(provisional).version < only(reopened).version < only(again).version


def test_a_final_record_waits_for_nothing_but_the_horizon() -> None:
    assert state_of(after([FIRST], now_ms=7)).deadline_ms == 7 + 7 * DAY


LATE: dict[str, tuple[Fact, str, set[Flag], int]] = {
    "G23 a copy after 25 hours is only counted": (placed(callback(), 9), "duplicate", set(), 0),
    "G23 another content after 25 hours": (
        placed(callback(recording_url="https://rec.example/1"), 9), "update", {Flag.LATE}, 3,
    ),
    "C31 another fact after 25 hours": (placed(A_STATES[0], 9), "fact", {Flag.LATE}, 3),
}  # fmt: skip


@pytest.mark.parametrize(("fact", "outcome", "flags", "phase"), LATE.values(), ids=LATE.keys())
def test_late(fact: Fact, outcome: str, flags: set[Flag], phase: int) -> None:
    first = after([FIRST])
    done = step(first.state, fact, 25 * HOUR, SETTINGS)

    assert done.outcome == outcome
    assert [(timeline.phase, set(timeline.quality_flags)) for timeline in done.timelines] == [(phase, flags)][
        : bool(phase)
    ]
    assert state_of(done).phase == (phase or 2)


def test_late_does_not_depend_on_whether_the_timeout_was_carried_out() -> None:
    open_call = after(in_a_row(A_STATES))
    closed = timeout(state_of(open_call), 30 * MINUTE, SETTINGS)
    late = placed(callback(), 20)

    assert step(open_call.state, late, 25 * HOUR, SETTINGS).timelines == (
        step(closed.state, late, 25 * HOUR, SETTINGS).timelines
    )


def test_g23_a_forgotten_call_begins_anew() -> None:
    """After the horizon a fact is new; read again from the raw log it has the table's content and version."""
    first = after([FIRST])
    forgotten = timeout(state_of(first), 7 * DAY, SETTINGS)
    again = step(None, placed(callback(), 900, received=FIRST.received_at.second), 8 * DAY, SETTINGS)

    assert (forgotten.state, forgotten.outcome, forgotten.timelines) == (None, "expired", ())
    assert again.outcome == "fact"
    assert only(again).version == only(first).version
    assert step(first.state, placed(callback(), 900), 8 * DAY, SETTINGS).outcome == "fact"


def test_a_call_that_never_timed_out_says_so_before_it_is_forgotten() -> None:
    """A worker that was away for a week still publishes the provisional version."""
    done = timeout(state_of(after(in_a_row(A_STATES))), 7 * DAY, SETTINGS)

    assert (done.outcome, done.state, only(done).phase) == ("expired", None, 1)


def test_a_deadline_that_settings_moved_is_set_again() -> None:
    waiting = state_of(after(in_a_row(A_STATES)))
    done = timeout(waiting, 30 * MINUTE, JoinSettings(provisional_after_s=3600))

    assert (state_of(done).deadline_ms, done.timelines) == (HOUR, ())


def test_states_reunited_are_the_later_one_with_its_deadline() -> None:
    """Merging an owner's own records never changes them."""
    waiting = state_of(after(in_a_row(A_STATES)))
    provisional = state_of(timeout(waiting, 30 * MINUTE, SETTINGS))
    reopened = state_of(step(provisional, placed(B_STATES[0], 20), HOUR, SETTINGS))
    final = state_of(step(reopened, placed(callback(), 21), HOUR, SETTINGS))
    history = [waiting, provisional, reopened, final]

    for index, later in enumerate(history):
        for earlier in history[: index + 1]:
            assert merge_stored(earlier, later, SETTINGS) == merge_stored(later, earlier, SETTINGS) == later


def test_a_decision_on_a_call_that_timed_out_opens_it_no_more() -> None:
    """It brings no news of the call, so nothing is awaited afterwards; a fact that does opens it."""
    unfinished = callback(is_final=False, b_answer=None, b_end=None)
    state = state_of(after((unfinished,), now_ms=0))
    closed = state_of(timeout(state, state.deadline_ms, SETTINGS))
    decided = step(closed, placed(decision(unfinished, unfinished), 1), closed.deadline_ms - 1, SETTINGS)

    assert (state_of(decided).phase, only(decided).phase) == (TIMED_OUT, TIMED_OUT)
    assert state_of(step(closed, placed(A_STATES[0], 1), HOUR, SETTINGS)).phase != TIMED_OUT
