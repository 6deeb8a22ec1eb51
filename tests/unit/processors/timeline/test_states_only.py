"""Calls of which only state pushes came: conclusions from pushes that came, never from missing ones."""

from collections.abc import Sequence
from typing import Any, Final

import pytest

from processors.join import step, timeout
from schemas.config.settings import JoinSettings
from schemas.facts import Disposition, Fact, Flag, Role, State
from schemas.timeline import Timeline
from tests.support.strategies import (
    A_STATES,
    B_STATES,
    BOTH_LEGS,
    CALLED,
    CALLER,
    STRANGER,
    at,
    callback,
    in_a_row,
    pushed_state,
)

SETTINGS = JoinSettings()
MISSING, ORPHAN = Flag.MISSING_STATE, Flag.ORPHAN_STATE
A_LEFT, B_LEFT = A_STATES[-1:], B_STATES[-1:]
UNKNOWN: Final = {
    "disposition": Disposition.UNKNOWN,
    "from_number": None,
    "to_number": None,
    "answer_at": None,
    "talk_ms": None,
}


def shown(facts: Sequence[Fact], *, closed: bool = False) -> Timeline:
    state = None
    for fact in facts:
        done = step(state, fact, 0, SETTINGS)
        state = done.state
    if closed:
        assert state is not None
        done = timeout(state, state.deadline_ms, SETTINGS)
    (timeline,) = done.timelines
    return timeline


def released(leg: str, seconds: float, **more: Any) -> Fact:
    return pushed_state(leg, State.RELEASE, seconds, **more)


BUSY = {"disposition": Disposition.BUSY, "hangup_reason": "busy", "q850": 17}
ENDED: dict[str, tuple[Sequence[Fact], dict[str, Any], list[Role]]] = {
    "S1 a lone disconnect": (A_LEFT, UNKNOWN, [Role.X]),
    "S1 a lone disconnect without a readable time": ([pushed_state(CALLER, State.RELEASE, None)], UNKNOWN, [Role.X]),
    "S1 the disconnects of both, and nothing else": ((*A_LEFT, *B_LEFT), UNKNOWN, [Role.X, Role.X]),
    "S1 a lone disconnect that names its reason": ([released(CALLED, 5, **BUSY)], {**UNKNOWN, "disposition": Disposition.BUSY}, [Role.X]),
    "S2 A's pushes lost but its disconnect": ((*A_LEFT, *B_STATES), UNKNOWN, [Role.X, Role.X]),
    "S2 B's pushes lost but its disconnect": ((*A_STATES, *B_LEFT), UNKNOWN, [Role.X, Role.X]),
    "S2 A's pushes lost but its disconnect, which came first": ((released(CALLER, 1), *B_STATES), UNKNOWN, [Role.X, Role.X]),
    "S2 of three one has only a disconnect": ((*BOTH_LEGS, released(STRANGER, 5)), UNKNOWN, [Role.X] * 3),
    "S2 A's pushes lost, and B declined": (
        (*A_LEFT, *B_STATES[:2], released(CALLED, 30, **BUSY)), {**UNKNOWN, "disposition": Disposition.BUSY}, [Role.X, Role.X],
    ),
    "S2 A's setup lost: it was heard of before B's": (
        (*A_STATES[1:], *B_STATES), {"disposition": Disposition.ANSWERED, "from_number": CALLER, "to_number": CALLED}, [Role.A, Role.B],
    ),
    "S2 all lost but the answers: A answers first": (
        (A_STATES[2], A_STATES[3], B_STATES[2], B_STATES[3]),
        {"disposition": Disposition.ANSWERED, "from_number": CALLER, "to_number": CALLED, "talk_ms": 50_000}, [Role.A, Role.B],
    ),
    "S2 both answered at one second, and no setup": (
        (pushed_state(CALLER, State.ANSWER, 5), pushed_state(CALLED, State.ANSWER, 5), *A_LEFT, *B_LEFT), UNKNOWN, [Role.X, Role.X],
    ),
    "one leg answered and released": (A_STATES, UNKNOWN, [Role.X]),
    "one leg answered and released, without its setup": (A_STATES[2:], UNKNOWN, [Role.X]),
    "one leg answered, and still up": (A_STATES[:3], {**UNKNOWN, "disposition": Disposition.IN_PROGRESS}, [Role.X]),
    "one leg set up and released: nobody answered it": (
        (A_STATES[0], *A_LEFT), {**UNKNOWN, "disposition": Disposition.NO_ANSWER}, [Role.X],
    ),
    "one leg rang and was released": ((A_STATES[1], *A_LEFT), {**UNKNOWN, "disposition": Disposition.NO_ANSWER}, [Role.X]),
    "A answered, B rang in vain": (
        (*A_STATES, *B_STATES[:2], *B_LEFT),
        {"disposition": Disposition.NO_ANSWER, "from_number": CALLER, "to_number": CALLED, "answer_at": None}, [Role.A, Role.B],
    ),
    "A rang in vain, and B was never called": (
        (*A_STATES[:2], *A_LEFT), {**UNKNOWN, "disposition": Disposition.NO_ANSWER, "ring_ms": 67_000}, [Role.X],
    ),
}  # fmt: skip


@pytest.mark.parametrize("turn", [1, -1], ids=["as they came", "in reverse"])
@pytest.mark.parametrize(("sent", "expected", "roles"), ENDED.values(), ids=ENDED.keys())
def test_a_call_without_a_record(sent: Sequence[Fact], expected: dict[str, Any], roles: list[Role], turn: int) -> None:
    timeline = shown(in_a_row(sent)[::turn])

    assert {name: getattr(timeline, name) for name in expected} == expected
    assert [leg.role for leg in timeline.legs] == roles
    assert (timeline.is_final, timeline.has_record, timeline.cost) == (False, False, None)


@pytest.mark.parametrize(("sent", "expected", "roles"), ENDED.values(), ids=ENDED.keys())
def test_a_record_says_what_the_states_could_not(sent: Sequence[Fact], expected: object, roles: object) -> None:
    timeline = shown(in_a_row([*sent, callback()]))

    assert [leg.role for leg in timeline.legs][:2] == [Role.A, Role.B]
    assert (timeline.disposition, timeline.from_number, timeline.to_number) == (Disposition.ANSWERED, CALLER, CALLED)
    assert (timeline.talk_ms, timeline.is_final) == (50_000, True)


def test_a_lone_disconnect_is_unknown_when_nothing_more_is_waited_for() -> None:
    timeline = shown(in_a_row(A_LEFT), closed=True)

    assert (timeline.disposition, timeline.phase, set(timeline.quality_flags)) == (
        Disposition.UNKNOWN,
        1,
        {MISSING, ORPHAN},
    )


TALK: dict[str, tuple[float, float, int | None]] = {
    "S12 A clears 26 s after B": (76, 50, 30_000),
    "S12 B clears after A": (50, 76, 30_000),
    "S12 both at once": (50, 50, 30_000),
    "S12 a second apart": (51, 50, 30_000),
    "A left before B answered": (10, 50, None),
}


@pytest.mark.parametrize(("a_end", "b_end", "talk_ms"), TALK.values(), ids=TALK.keys())
def test_s12_talk_ends_with_the_first_who_leaves(a_end: float, b_end: float, talk_ms: int | None) -> None:
    """Talk begins with the called party's answer; the call ends with the last release."""
    timeline = shown(in_a_row([*A_STATES[:3], released(CALLER, a_end), *B_STATES[:3], released(CALLED, b_end)]))

    assert (timeline.talk_ms, timeline.answer_at, timeline.end_at) == (talk_ms, at(20), at(max(a_end, b_end)))


def test_s12_the_talk_is_known_once_the_call_is_over() -> None:
    open_call = shown(in_a_row([*A_STATES[:3], *B_STATES]))

    assert (open_call.talk_ms, open_call.end_at, open_call.disposition) == (None, None, Disposition.ANSWERED)
