"""The slot of a call: the hour of its first fact, which nothing that comes later moves, and nobody else chooses."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.call.slots import NEVER_SURE, Slot, join_slots
from processors.join import CallState, JoinResult, step, timeout
from processors.store.state_codec import decode_state, encode_state
from schemas.config.settings import JoinSettings
from schemas.facts import Fact, State
from schemas.slot_hours import slot_of
from tests.support.strategies import CALLED, DECISIONS, callback, fact_logs, in_a_row, placed, pushed_state

SETTINGS = JoinSettings()
DAY = timedelta(days=1)
RECORD = placed(callback(), 1)
NOW_MS = int(RECORD.received_at.timestamp() * 1000)


def at(fact: Fact, **instants: datetime | None) -> Fact:
    """Returns the fact with these instants alone."""
    cleared = dict.fromkeys(("setup_at", "alerting_at", "answer_at", "end_at", "event_at", "bound_at"))
    return msgspec.structs.replace(fact, **{**cleared, "legs": (), **instants})


def hour(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


RECEIVED = hour("2026-03-01T12:30")
SLOTS = {
    "of its earliest instant": ({"end_at": hour("2026-03-01T12:10"), "setup_at": hour("2026-03-01T09:59:59.999")}, "2026-03-01T09:00"),
    "of an event": ({"event_at": hour("2026-02-28T23:59")}, "2026-02-28T23:00"),
    "of a binding": ({"bound_at": hour("2026-02-01T00:00")}, "2026-02-01T00:00"),
    "of its receipt, without an instant": ({}, "2026-03-01T12:00"),
    "of its receipt, where the only instant is of 1970": ({"setup_at": hour("1970-01-01T00:00")}, "2026-03-01T12:00"),
    "of its receipt, where the only instant is years ahead": ({"setup_at": hour("2099-01-01T00:00")}, "2026-03-01T12:00"),
    "of the year 1": ({"setup_at": hour("0001-01-01T00:00")}, "2026-03-01T12:00"),
    "of the instant that can be, of two": (
        {"setup_at": hour("2000-01-01T00:00"), "end_at": hour("2026-03-01T11:00")},
        "2026-03-01T11:00",
    ),
    "of a call that was pulled months later": ({"setup_at": hour("2025-09-01T08:15")}, "2025-09-01T08:00"),
    "of a clock that is hours ahead": ({"setup_at": hour("2026-03-01T20:30")}, "2026-03-01T20:00"),
}  # fmt: skip


@pytest.mark.parametrize(("instants", "expected"), SLOTS.values(), ids=SLOTS.keys())
def test_a_fact_gives_the_hour(instants: dict[str, datetime], expected: str) -> None:
    fact = msgspec.structs.replace(at(RECORD, **instants), received_at=RECEIVED)

    assert slot_of(fact) == hour(expected)


def published(done: JoinResult) -> list[tuple[datetime | None, bool]]:
    rows = [*done.timelines, *([done.normalized] if done.normalized else ())]
    return [(row.slot_at, row.slot_certain) for row in rows]


@given(log=fact_logs(), data=st.data())
def test_no_later_fact_timeout_or_restart_moves_it(log: list[Fact], data: st.DataObject) -> None:
    """Every version of every row of an account has the slot of the first, as long as the call is remembered."""
    state: CallState | None = None
    seen: dict[str, tuple[datetime | None, bool]] = {}
    now_ms = NOW_MS
    for fact in log:
        now_ms += data.draw(st.sampled_from((0, 1000, 600_000, 100_000_000)))
        if state is not None and now_ms >= state.touched_ms + SETTINGS.horizon_s * 1000:
            return
        if state is not None and data.draw(st.booleans()):
            state = decode_state(encode_state(state))
        if state is not None and state.deadline_ms <= now_ms:
            state = timeout(state, now_ms, SETTINGS).state
        done = step(state, fact, now_ms, SETTINGS)
        state = done.state
        for row in (*done.timelines, *([done.normalized] if done.normalized else ())):
            assert seen.setdefault(row.account, (row.slot_at, row.slot_certain)) == (row.slot_at, row.slot_certain)


FORGOTTEN = {
    "a call of just now": (RECORD, 0, True),
    "a call that waited five days in a spool": (RECORD, 5 * 86_400_000, True),
    "a record that is read again after the horizon": (RECORD, 8 * 86_400_000, False),
    "news of a call of long ago": (at(RECORD, end_at=RECORD.received_at - 30 * DAY), 0, False),
    "a fact that names no instant": (at(RECORD), 0, False),
    "a fact whose only instant cannot be": (at(RECORD, setup_at=RECORD.received_at + 300 * DAY), 0, False),
}


@pytest.mark.parametrize(("fact", "later_ms", "certain"), FORGOTTEN.values(), ids=FORGOTTEN.keys())
def test_a_call_that_may_be_forgotten_is_not_certain_of_it(fact: Fact, later_ms: int, certain: bool) -> None:  # noqa: FBT001 - a case
    done = step(None, fact, NOW_MS + later_ms, SETTINGS)

    assert {known for _, known in published(done)} == {certain}


def test_another_account_chooses_no_place_for_this_ones_rows() -> None:
    """Their calls may share a key; a forged time must not let a row be dropped with the days before it."""
    forged = msgspec.structs.replace(at(RECORD, setup_at=RECORD.received_at - 300 * DAY), account="other")
    first = step(None, forged, NOW_MS, SETTINGS).state
    done = step(first, msgspec.structs.replace(RECORD, account="ours", fact_id="another"), NOW_MS, SETTINGS)

    assert {row.slot_at for row in done.timelines if row.account == "ours"} == {slot_of(RECORD)}


def test_a_state_of_an_older_release_gets_a_slot_that_is_looked_up() -> None:
    known = step(None, RECORD, NOW_MS, SETTINGS).state
    assert known is not None
    old = msgspec.structs.replace(known, slots={})
    event = in_a_row([pushed_state(CALLED, State.SETUP, 5)], first_offset=9)[0]
    done = step(old, event, NOW_MS, SETTINGS)

    assert set(published(timeout(old, old.deadline_ms, SETTINGS))) <= {(slot_of(RECORD), False)}
    assert set(published(done)) == {(slot_of(RECORD), False)}
    assert done.state is not None
    assert done.state.slots[""].certain is False


@pytest.mark.parametrize("known", [False, True], ids=["a new call", "a call that was certain"])
def test_a_call_whose_rows_are_written_without_slots_is_not_certain(known: bool) -> None:  # noqa: FBT001 - a case
    """Its rows stand where their own instants say; that stays so when a worker of this release goes on."""
    before = step(None, RECORD, NOW_MS, SETTINGS).state if known else None
    event = in_a_row([pushed_state(CALLED, State.SETUP, 5)], first_offset=9)[0]
    untold = step(before, event, NOW_MS, SETTINGS, NEVER_SURE)
    told = step(untold.state, placed(callback(custom_ref="later"), 20), NOW_MS, SETTINGS)

    assert {certain for _, certain in published(untold) + published(told)} == {False}
    assert {at for at, _ in published(told)} == {slot_of(RECORD if known else event)}


def test_a_decision_freezes_nothing() -> None:
    decided = step(None, placed(DECISIONS[0], 3), NOW_MS, SETTINGS)

    assert decided.state is not None
    assert (decided.state.slots, published(decided)) == ({}, [])


ONE = st.builds(Slot, st.integers(0, 3), st.integers(0, 3), st.booleans())
MANY = st.dictionaries(st.sampled_from(("", "a", "b")), ONE)


@given(one=MANY, two=MANY, three=MANY)
def test_two_owners_agree_in_any_order(one: dict[str, Slot], two: dict[str, Slot], three: dict[str, Slot]) -> None:
    assert join_slots(one, two) == join_slots(two, one)
    assert join_slots(join_slots(one, two), three) == join_slots(one, join_slots(two, three))
    assert join_slots(one, one) == one
    assert join_slots({}, one) == one


def test_owners_who_froze_different_hours_are_not_certain() -> None:
    one, other = Slot(1, 7, certain=True), Slot(2, 8, certain=True)

    assert join_slots({"": one}, {"": other}) == {"": Slot(1, 7, certain=False)}
    assert join_slots({"": one}, {"": Slot(2, 7, certain=True)}) == {"": one}
