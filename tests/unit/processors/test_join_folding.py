"""States, contents and items without end: they are folded, and what is shown stays right."""

import pytest

from processors.join import CallState, JoinResult, merge_states, merge_stored, step, timeout
from schemas.config.settings import JoinSettings
from schemas.facts import Fact, Flag, State
from tests.support.strategies import (
    A_STATES,
    CALLER,
    at,
    callback,
    in_a_row,
    participant,
    placed,
    pushed_state,
)
from tests.unit.processors.joining import MINUTE, SETTINGS, after, only, state_of

FLOODS: dict[str, list[Fact]] = {
    "copies": [placed(callback(), offset) for offset in range(5, 60)],
    "copies in no order of receipt": [placed(callback(), offset, received=offset * 37 % 60) for offset in range(5, 60)],
    "contents": in_a_row([callback(vendor_duration_s=number * 37 % 200) for number in range(200)]),
    "states": in_a_row([pushed_state(CALLER, State.SETUP, number * 37 % 200) for number in range(200)]),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_what_was_folded_away_does_not_come_back_from_an_earlier_state(flood: list[Fact]) -> None:
    later = state_of(after(flood))
    for cut in range(1, len(flood), 7):
        earlier = state_of(after(flood[:cut]))

        assert merge_stored(earlier, later, SETTINGS) == merge_stored(later, earlier, SETTINGS) == later


def test_merged_states_wake_early_rather_than_never() -> None:
    """Without settings the merged deadline is unknown: the earlier is safe, as a timeout corrects it."""
    waiting = state_of(after(in_a_row(A_STATES)))
    provisional = state_of(timeout(waiting, 30 * MINUTE, SETTINGS))
    merged = merge_states(waiting, provisional)

    assert merged.deadline_ms == waiting.deadline_ms
    assert timeout(merged, 30 * MINUTE, SETTINGS) == JoinResult(state=provisional, outcome="timeout")


def test_states_without_end_are_folded_and_what_is_shown_stays_right() -> None:
    """Each is published; the call keeps the earliest of each state and the latest release, and is flagged."""
    flood = [
        pushed_state(CALLER, (State.SETUP, State.ALERTING, State.ANSWER, State.RELEASE)[number % 4], 1000 - number)
        for number in range(1000)
    ]
    sent = in_a_row(flood)
    state: CallState | None = None
    published = set()
    versions = []
    for fact in sent:
        done = step(state, fact, 0, SETTINGS)
        state = done.state
        assert done.normalized is not None
        published.add(done.normalized.fact_id)
        versions.append(only(done).version)
    assert state is not None
    leg = only(done).legs[0]

    assert (leg.setup_at, leg.alerting_at, leg.answer_at, leg.end_at) == (at(4), at(3), at(2), at(997))
    assert Flag.OVERFLOW in only(done).quality_flags
    assert (len(published), state.counts(), len(state.items)) == (1000, (1000, 0), SETTINGS.max_contents)
    assert versions == sorted(set(versions))
    assert state_of(after(sent[300:], state)) == state, "repetitions of what was folded count nothing"


def test_contents_without_end_are_folded_and_the_best_is_kept() -> None:
    sent = in_a_row([callback(vendor_duration_s=number) for number in range(200)])
    done = after(sent)

    assert (only(done).vendor_duration_s, state_of(done).counts()) == (0, (200, 0))
    assert {Flag.OVERFLOW, Flag.CONFLICT_FINAL} <= set(only(done).quality_flags)
    assert sum(len(item.contents) for item in state_of(done).items.values()) == SETTINGS.max_contents
    assert state_of(after(sent, done.state)) == done.state


def test_items_without_end_are_folded() -> None:
    small = JoinSettings(max_contents=2)
    state: CallState | None = None
    people = in_a_row([participant(f"+86138{number:08d}", number, 600) for number in range(100)])
    for fact in people:
        done = step(state, fact, 0, small)
        state = done.state
    assert state is not None

    assert (len(state.items), state.counts()) == (64, (100, 0))
    assert len(only(done).legs) == 64
    assert Flag.OVERFLOW in only(done).quality_flags
    for fact in people:
        done = step(state, fact, 0, small)
        assert (done.outcome, done.state) == ("replayed", state)
        assert done.normalized is not None
