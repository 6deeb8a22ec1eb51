"""The call that a fact belongs to: kinds, accounts, states, bindings, conferences."""

from decimal import Decimal

from processors.join import CallState, step
from schemas.facts import Flag, Kind, Role, State
from tests.support.strategies import (
    ACCOUNT,
    B_STATES,
    BOTH_LEGS,
    KEY,
    STRANGER,
    binding,
    callback,
    in_a_row,
    participant,
    placed,
    pushed_state,
    voice,
)
from tests.unit.processors.joining import DAY, SETTINGS, after, legs, only, state_of


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
