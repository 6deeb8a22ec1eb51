"""Calls as the joiner shows them: states, joining, repetition and timeouts; ids as in the case list."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from processors.join import step
from schemas.facts import Direction, Disposition, Fact, Flag, RecordingState, Role, State
from tests.support.strategies import (
    A_STATES,
    B_STATES,
    BOTH_LEGS,
    CALLED,
    CALLER,
    DISPLAY,
    STRANGER,
    at,
    callback,
    in_a_row,
    participant,
    placed,
    privacy,
    pushed_state,
    voice,
)
from tests.unit.processors.joining import FIRST, SETTINGS, after, legs, only, state_of, without

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

    shown, reversed_shown = (
        [msgspec.structs.replace(row, slot_at=None, slot_certain=False) for row in after(each).timelines]
        for each in (arrivals, reversed(arrivals))
    )
    assert reversed_shown == shown


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
