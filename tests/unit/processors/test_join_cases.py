"""Calls as the joiner shows them: states, joining, repetition and timeouts; ids as in the case list."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from processors.join import CallState, JoinResult, merge_states, merge_stored, step, timeout
from schemas.config.settings import JoinSettings
from schemas.facts import Direction, Disposition, Fact, Flag, Kind, RecordingState, Role, State
from schemas.timeline import Timeline
from tests.support.strategies import (
    A_STATES,
    ACCOUNT,
    B_STATES,
    BOTH_LEGS,
    CALLED,
    CALLER,
    DISPLAY,
    KEY,
    STRANGER,
    at,
    binding,
    callback,
    in_a_row,
    participant,
    placed,
    privacy,
    pushed_state,
    voice,
)

SETTINGS = JoinSettings()
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def after(facts: Iterable[Fact], state: CallState | None = None, now_ms: int = 0) -> JoinResult:
    """Return the last result when all facts arrive at one moment."""
    done: JoinResult | None = None
    for fact in facts:
        done = step(state, fact, now_ms, SETTINGS)
        state = done.state
    assert done is not None
    return done


def only(done: JoinResult) -> Timeline:
    assert len(done.timelines) == 1
    return done.timelines[0]


def state_of(done: JoinResult) -> CallState:
    assert done.state is not None
    return done.state


def legs(timeline: Timeline) -> list[tuple[Role, str | None]]:
    return [(leg.role, leg.number) for leg in timeline.legs]


def without(states: Sequence[Fact], *gone: State) -> list[Fact]:
    return [fact for fact in states if fact.state not in gone]


UNANSWERED = callback(b_answer=None, b_end=None, talk_ms=None)
SHOWN: dict[str, tuple[Sequence[Fact], dict[str, Any], set[Flag]]] = {
    "S01 the first state": (
        BOTH_LEGS[:1],
        {"setup_at": at(0), "disposition": Disposition.IN_PROGRESS, "is_final": False, "has_record": False},
        set(),
    ),
    "S02 all states and the record": (
        (*BOTH_LEGS, callback()),
        {
            "setup_at": at(0), "alerting_at": at(14), "answer_at": at(20), "end_at": at(70), "pdd_ms": 3000, "ring_ms": 6000,
            "talk_ms": 50_000, "disposition": Disposition.ANSWERED, "is_final": True, "phase": 2, "fact_count": 9,
            "from_number": CALLER, "to_number": CALLED, "display_number": DISPLAY, "cost": Decimal("2.94"),
        },
        set(),
    ),
    "states alone: milestones and parties, no money": (
        BOTH_LEGS,
        {
            "from_number": CALLER, "to_number": CALLED, "pdd_ms": 3000, "ring_ms": 6000, "talk_ms": 50_000, "cost": None,
            "billable_s": None, "disposition": Disposition.ANSWERED, "is_final": False, "phase": 0, "account_id": "main",
        },
        set(),
    ),
    "the record alone is final at once": (
        (callback(),),
        {"pdd_ms": None, "ring_ms": None, "talk_ms": 50_000, "is_final": True, "phase": 2, "has_states": False},
        set(),
    ),
    "W05 talk is the called leg's, not the vendor's duration": (
        (callback(a_answer=0, a_end=10, b_answer=6, b_end=10, vendor_duration_s=10),),
        {"talk_ms": 4000, "vendor_duration_s": 10},
        set(),
    ),
    "S05 no alerting: no delay, and flagged": (
        (*without(BOTH_LEGS, State.ALERTING), callback()),
        {"pdd_ms": None, "ring_ms": None, "talk_ms": 50_000},
        {Flag.MISSING_STATE},
    ),
    "S07 states answer, the record does not: the record wins": (
        (*BOTH_LEGS, UNANSWERED),
        {"answer_at": None, "talk_ms": None, "disposition": Disposition.NO_ANSWER},
        {Flag.STATE_VS_TIME},
    ),
    "S11 called twice: the first instant counts": (
        (*BOTH_LEGS, pushed_state(CALLER, State.SETUP, 5), callback()),
        {"setup_at": at(0), "fact_count": 10},
        set(),
    ),
    "S13 answered after the release: kept on the leg, not believed": (
        (*A_STATES, *without(B_STATES, State.ANSWER), pushed_state(CALLED, State.ANSWER, 80)),
        {"answer_at": None, "talk_ms": None, "disposition": Disposition.NO_ANSWER},
        {Flag.TIME_ORDER},
    ),
    "S13 unless the record agrees": (
        (*A_STATES, *without(B_STATES, State.ANSWER), pushed_state(CALLED, State.ANSWER, 80), callback()),
        {"answer_at": at(20), "disposition": Disposition.ANSWERED},
        {Flag.TIME_ORDER},
    ),
    "S14 two answers: the earliest": (
        (*BOTH_LEGS, pushed_state(CALLED, State.ANSWER, 25)),
        {"answer_at": at(20), "talk_ms": 50_000},
        set(),
    ),
    "S17 a leg that is neither party's": (
        (callback(), pushed_state(STRANGER, State.SETUP, 12)),
        {"disposition": Disposition.ANSWERED},
        {Flag.ORPHAN_STATE},
    ),
    "S22 the pushed display number is the caller's: there is none": (
        (callback(), pushed_state(CALLED, State.SETUP, 11, display_number=CALLER)),
        {"display_number": None, "from_number": CALLER},
        set(),
    ),
    "S26 an unknown state is never the end": (
        (*BOTH_LEGS[:2], pushed_state(CALLER, State.UNKNOWN, 4, quality_flags=(Flag.UNKNOWN_ENUM,))),
        {"disposition": Disposition.IN_PROGRESS, "end_at": None},
        {Flag.UNKNOWN_ENUM},
    ),
    "S32 alerting and answer in one second are in order": (
        (*A_STATES, *without(B_STATES, State.ALERTING), pushed_state(CALLED, State.ALERTING, 20), callback()),
        {"pdd_ms": 9000, "ring_ms": 0, "talk_ms": 50_000},
        set(),
    ),
    "S41 clocks three seconds apart: no flag, and no negative delay": (
        (*A_STATES, *without(B_STATES, State.ALERTING), pushed_state(CALLED, State.ALERTING, 8), callback()),
        {"pdd_ms": None, "ring_ms": 12_000},
        set(),
    ),
    "clocks ten seconds apart are flagged": (
        (*A_STATES, *without(B_STATES, State.ALERTING), pushed_state(CALLED, State.ALERTING, 1), callback()),
        {"pdd_ms": None},
        {Flag.TIME_ORDER},
    ),
    "a state without a readable time still says that it happened": (
        (*without(BOTH_LEGS, State.RELEASE), pushed_state(CALLER, State.RELEASE, None), pushed_state(CALLED, State.RELEASE, None)),
        {"end_at": None, "talk_ms": None, "disposition": Disposition.ANSWERED},
        set(),
    ),
    "W31 caller and called are one number: states go by their time": (
        (
            callback(caller=CALLED, called=CALLED),
            *(pushed_state(CALLED, state, seconds) for state, seconds in (
                (State.SETUP, 0), (State.ALERTING, 3), (State.ANSWER, 10), (State.SETUP, 11), (State.ALERTING, 14), (State.ANSWER, 20),
            )),
        ),
        {"setup_at": at(0), "alerting_at": at(14), "pdd_ms": 3000, "ring_ms": 6000},
        {Flag.SAME_NUMBER},
    ),
    "the caller does not answer: the delay and the ringing are the caller's": (
        (pushed_state(CALLER, State.SETUP, 0), pushed_state(CALLER, State.ALERTING, 2), pushed_state(CALLER, State.RELEASE, 32)),
        {"pdd_ms": 2000, "ring_ms": 30_000, "disposition": Disposition.NO_ANSWER, "end_at": at(32)},
        set(),
    ),
    "only one party is known and answered: not an answered call": (
        A_STATES[:3],
        {"answer_at": None, "disposition": Disposition.IN_PROGRESS},
        set(),
    ),
    "the caller answers, the called is busy": (
        (
            *A_STATES,
            *B_STATES[:2],
            pushed_state(CALLED, State.RELEASE, 30, hangup_reason="busy", q850=17, disposition=Disposition.BUSY),
        ),
        {"disposition": Disposition.BUSY, "hangup_reason": "busy", "q850": 17, "answer_at": None, "end_at": at(70)},
        set(),
    ),
    "the call has not ended while a leg is up": (
        (*BOTH_LEGS[:3], *B_STATES),
        {"end_at": None, "talk_ms": None, "disposition": Disposition.ANSWERED},
        set(),
    ),
    "a final record that knows no more is helped by the states": (
        (
            callback(b_answer=None, b_end=None, talk_ms=None, disposition=Disposition.UNKNOWN),
            *A_STATES,
            pushed_state(CALLED, State.SETUP, 11),
            pushed_state(CALLED, State.RELEASE, 15, disposition=Disposition.REJECTED),
        ),
        {"disposition": Disposition.REJECTED},
        set(),
    ),
    "W23 a record in progress is not final": (
        (callback(is_final=False, b_answer=None, b_end=None, a_end=None, disposition=Disposition.IN_PROGRESS),),
        {"is_final": False, "phase": 0, "disposition": Disposition.IN_PROGRESS},
        set(),
    ),
    "H04 only the call-in time": (
        (privacy(answer=None, end=None),),
        {"is_final": False, "disposition": Disposition.IN_PROGRESS, "setup_at": at(0), "binding_id": "binding-1"},
        set(),
    ),
    "C02 three participants are legs of one conference": (
        (participant(CALLER, 0, 30), participant(CALLED, 5, 36), participant(STRANGER, None, None)),
        {
            "answer_at": at(0), "end_at": at(36), "talk_ms": 36_000, "billable_s": 61, "cost": Decimal("0.132"),
            "currency": "CNY", "conference_id": "516152", "direction": Direction.CONFERENCE, "to_number": None,
            "disposition": Disposition.ANSWERED, "is_final": True,
        },
        set(),
    ),
    "C14 the whole cost on one participant": (
        (participant(CALLER, 0, 30, cost=Decimal("0.3")), participant(CALLED, 5, 36, cost=Decimal(0))),
        {"cost": Decimal("0.3")},
        set(),
    ),
    "C16 nobody answered, and it cost": (
        (participant(CALLER, None, None), participant(CALLED, None, None)),
        {"disposition": Disposition.NO_ANSWER, "cost": Decimal("0.088"), "talk_ms": None},
        set(),
    ),
    "C32 one participant alone": (
        (participant(CALLER, 0, 30),),
        {"to_number": CALLER, "disposition": Disposition.ANSWERED},
        {Flag.PEER_UNKNOWN},
    ),
    "C40 a state of a participant": (
        (participant(CALLER, 10, 30), participant(CALLED, 5, 36), pushed_state(CALLER, State.SETUP, 2)),
        {"setup_at": at(2)},
        set(),
    ),
    "C40 a state of nobody in the conference": (
        (participant(CALLER, 10, 30), participant(CALLED, 5, 36), pushed_state(STRANGER, State.SETUP, 2)),
        {"setup_at": at(2)},
        {Flag.ORPHAN_STATE},
    ),
    "C40 a state of one who took part twice": (
        (participant(CALLER, 10, 30), participant(CALLER, 40, 50), pushed_state(CALLER, State.SETUP, 2)),
        {},
        {Flag.ORPHAN_STATE},
    ),
    "participants who disagree on the conference": (
        (participant(CALLER, 0, 30), participant(CALLED, 5, 36, conference_id="7")),
        {"conference_id": "516152"},
        {Flag.FIELD_CONFLICT},
    ),
    "the record says answered, the states forgot": (
        (*A_STATES, *without(B_STATES, State.ANSWER), callback()),
        {"answer_at": at(20), "ring_ms": 6000},
        {Flag.MISSING_STATE},
    ),
    "G22 a conflict is held from billing": (
        (callback(), callback(vendor_duration_s=61)),
        {"vendor_duration_s": 60, "phase": 2, "fact_count": 2},
        {Flag.CONFLICT_FINAL},
    ),
    "a voice code's states: its record's times are the called party's": (
        (voice(), pushed_state(CALLED, State.SETUP, 0), pushed_state(CALLED, State.ALERTING, 2), pushed_state(CALLED, State.ANSWER, 5)),
        {"setup_at": at(0), "pdd_ms": 2000, "ring_ms": 3000, "answer_at": at(5), "talk_ms": 22_000, "kind": "voice_otp"},
        set(),
    ),
    "recording known from a state alone": (
        (pushed_state(CALLER, State.RELEASE, 9, recording_url="https://rec.example/1"),),
        {"recording_url": "https://rec.example/1", "recording_state": RecordingState.AVAILABLE},
        {Flag.MISSING_STATE},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "expected", "flags"), SHOWN.values(), ids=SHOWN.keys())
def test_a_call_is_shown(sent: Sequence[Fact], expected: dict[str, Any], flags: set[Flag]) -> None:
    timeline = only(after(in_a_row(sent)))

    assert {name: getattr(timeline, name) for name in expected} == expected
    assert set(timeline.quality_flags) == flags


@pytest.mark.parametrize(("sent", "expected", "flags"), SHOWN.values(), ids=SHOWN.keys())
def test_s04_it_is_shown_alike_in_reverse(sent: Sequence[Fact], expected: object, flags: object) -> None:
    """The order of arrival means nothing: the last may come first."""
    arrivals = in_a_row(sent)

    assert after(reversed(arrivals)).timelines == after(arrivals).timelines


LEGS: dict[str, tuple[Sequence[Fact], list[tuple[Role, str]]]] = {
    "one leg's role is not known": (A_STATES, [(Role.X, CALLER)]),
    "of two the first active is the caller": (BOTH_LEGS, [(Role.A, CALLER), (Role.B, CALLED)]),
    "a record corrects the guess": (
        (pushed_state(CALLED, State.SETUP, 0), pushed_state(CALLER, State.SETUP, 5), callback()),
        [(Role.A, CALLER), (Role.B, CALLED)],
    ),
    "of three no role is known": (
        (*BOTH_LEGS, pushed_state(STRANGER, State.SETUP, 12)),
        [(Role.X, number) for number in sorted((CALLER, CALLED, STRANGER))],
    ),
    "S16 states of both parties": ((callback(), *BOTH_LEGS), [(Role.A, CALLER), (Role.B, CALLED)]),
    "S17 states of a stranger": (
        (callback(), pushed_state(STRANGER, State.SETUP, 12)),
        [(Role.A, CALLER), (Role.B, CALLED), (Role.X, STRANGER)],
    ),
    "a conference's legs are in the order of their answers": (
        (participant(CALLER, 9, 30), participant(CALLED, 5, 36), participant(STRANGER, None, None)),
        [(Role.P, CALLED), (Role.P, CALLER), (Role.P, STRANGER)],
    ),
}


@pytest.mark.parametrize(("sent", "expected"), LEGS.values(), ids=LEGS.keys())
def test_legs_have_roles(sent: Sequence[Fact], expected: list[tuple[Role, str]]) -> None:
    assert legs(only(after(in_a_row(sent)))) == expected


FIRST = placed(callback(), 5)
ARRIVALS: dict[str, tuple[Fact, str, bool, tuple[int, int]]] = {
    "a repetition at the same place is answered with the current version": (FIRST, "replayed", True, (1, 0)),
    "G19 the same bytes again are a duplicate": (placed(callback(), 9), "duplicate", False, (1, 1)),
    "G20 another element of the same body is a duplicate": (placed(callback(), 5, element=1), "duplicate", False, (1, 1)),
    "T29 the same record by another way is a duplicate": (placed(callback(), 5, partition=3), "duplicate", False, (1, 1)),
    "a copy that was received earlier is a duplicate, and shows": (
        placed(callback(), 9, partition=2, received=1), "duplicate", True, (1, 1),
    ),
    "N37 an update": (placed(callback(recording_url="https://rec.example/1"), 9), "update", True, (2, 0)),
    "G22 a conflict": (placed(callback(cost=Decimal(9)), 9), "conflict", True, (2, 0)),
    "another fact of the call": (placed(A_STATES[0], 9), "fact", True, (2, 0)),
}  # fmt: skip


@pytest.mark.parametrize(("fact", "outcome", "emitted", "counts"), ARRIVALS.values(), ids=ARRIVALS.keys())
def test_an_arrival_counts_as(fact: Fact, outcome: str, emitted: bool, counts: tuple[int, int]) -> None:  # noqa: FBT001 - a table's column
    first = after([FIRST])
    done = step(first.state, fact, 0, SETTINGS)

    assert done.outcome == outcome
    assert state_of(done).counts() == counts
    assert (done.normalized is not None, bool(done.timelines)) == (emitted, emitted)
    if outcome == "replayed":
        assert (done.state, done.timelines, done.normalized) == (first.state, first.timelines, first.normalized)
    elif emitted:
        assert only(done).version > only(first).version


def test_a_duplicate_repeated_by_kafka_is_counted_once() -> None:
    copy = placed(callback(), 9)

    assert state_of(after([FIRST, copy, copy, FIRST, copy])).counts() == (1, 1)


def test_240_polls_of_one_record_are_counted_exactly_and_change_nothing() -> None:
    """Repetitions from anywhere keep the state small."""
    polls = [placed(callback(), offset) for offset in range(5, 245)]
    once = after([FIRST])
    all_of_them = after(polls, once.state)
    again = after(polls[100:], all_of_them.state)

    assert state_of(again).counts() == (1, 239)
    assert again.outcome == "replayed"
    assert again.timelines == once.timelines


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


def test_w37_one_request_id_in_two_kinds_makes_two_timelines() -> None:
    sent = in_a_row([callback(), voice(), *B_STATES])
    done = after(sent)

    assert [(timeline.timeline_id, timeline.kind) for timeline in done.timelines] == [
        (KEY, Kind.CALLBACK_CDR),
        (f"{KEY}#voice|{ACCOUNT}", Kind.VOICE_OTP),
    ]
    assert [timeline.has_states for timeline in done.timelines] == [True, False]
    assert [timeline.cost for timeline in done.timelines] == [Decimal("2.94"), Decimal("0.06")]
    assert after(reversed(sent)).timelines == done.timelines


def test_w38_one_request_id_of_two_accounts_makes_two_timelines() -> None:
    done = after(
        in_a_row([callback(), callback(account_id="app-2", called=STRANGER), pushed_state(STRANGER, State.SETUP, 3)])
    )

    assert [(timeline.timeline_id, timeline.account_id, timeline.has_states) for timeline in done.timelines] == [
        (KEY, ACCOUNT, False),
        (f"{KEY}#callback|app-2", "app-2", True),
    ]


def test_states_join_the_only_call_there_is() -> None:
    done = after(in_a_row([voice(), pushed_state(STRANGER, State.SETUP, 3)]))

    assert (only(done).kind, only(done).timeline_id, legs(only(done))[-1]) == (Kind.VOICE_OTP, KEY, (Role.X, STRANGER))
    assert Flag.ORPHAN_STATE in only(done).quality_flags


def test_the_timeline_id_of_an_ordinary_call_is_its_key_from_the_first_fact_on() -> None:
    state: CallState | None = None
    ids = set()
    for fact in in_a_row([*BOTH_LEGS, callback()]):
        done = step(state, fact, 0, SETTINGS)
        state = done.state
        ids.add(only(done).timeline_id)

    assert ids == {KEY}


def test_h01_a_binding_is_published_and_makes_no_timeline() -> None:
    sent = in_a_row([binding(), binding(60, "unbound")])
    done = after(sent)

    assert done.timelines == ()
    assert done.normalized is not None
    assert (done.normalized.fact_id, done.normalized.binding_state) == (sent[1].fact_id, "unbound")
    assert state_of(done).deadline_ms == 7 * DAY
    assert step(done.state, placed(binding(120), 99), 3 * DAY, SETTINGS).normalized.quality_flags == ()  # type: ignore[union-attr]  # a new fact is published


def test_c28_five_hundred_participants_are_five_hundred_legs() -> None:
    """C29 as well, in whatever order they come."""
    people = in_a_row([participant(f"+86138{number:08d}", number, 600) for number in range(500)])
    timeline = only(after(people))

    assert len(timeline.legs) == 500
    assert (timeline.cost, Flag.OVERFLOW in timeline.quality_flags) == (Decimal("0.044") * 500, False)
    assert only(after(people[::-1])) == timeline


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
