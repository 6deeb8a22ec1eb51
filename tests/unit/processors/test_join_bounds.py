"""Values beyond a column or beyond belief: NULL and flagged, and the row is there."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.call.moments import window_of
from processors.column_bounds import LONGEST, MONEY_LIMIT, UINT32_MAX, bounded, total, total_money
from processors.join import step
from schemas.codec import FACT, TIMELINE
from schemas.config.settings import JoinSettings
from schemas.facts import Disposition, Fact, Flag, Leg, Role, State
from schemas.timeline import Timeline
from sinks.columns import NO_TOKENS
from sinks.rows import TIMELINES, table_of
from sinks.writing.native_block import Block
from tests.support.strategies import (
    A_STATES,
    CALLED,
    CALLER,
    STRANGER,
    T0,
    at,
    callback,
    in_a_row,
    participant,
    privacy,
    pushed_state,
    voice,
)

SETTINGS = JoinSettings()
DAY = 86_400.0
RANGE, ORDER = Flag.RANGE_ERROR, Flag.TIME_ORDER
MOST = UINT32_MAX
COST = MONEY_LIMIT - Decimal("0.000001")


def shown(facts: Sequence[Fact]) -> Timeline:
    state = None
    for fact in facts:
        done = step(state, fact, 0, SETTINGS)
        state = done.state
    (timeline,) = done.timelines
    return timeline


def leg_at(start: float | None, end: float | None, number: str = CALLER, **more: Any) -> Fact:
    """A participant with a leg of its own, as vendors' mappings make them."""
    leg = Leg(role=Role.P, number=number, answer_at=at(start), end_at=at(end), disposition=Disposition.ANSWERED)
    return participant(
        number, start, end, legs=(leg,), **{"talk_ms": None, "vendor_duration_s": 60, "billable_s": 60, **more}
    )


ANSWERED = {"disposition": Disposition.ANSWERED, "cost": Decimal("2.94"), "answer_at": at(20), "talk_ms": 50_000}
CALLS: dict[str, tuple[Sequence[Fact], dict[str, Any], set[Flag]]] = {
    "P2 alerting in another year": (
        (pushed_state(CALLED, State.ALERTING, -320 * DAY), callback()), {**ANSWERED, "ring_ms": None, "alerting_at": None, "started_at": at(10)}, {RANGE},
    ),
    "P2 alerting two days before": (
        (pushed_state(CALLED, State.ALERTING, -2 * DAY), callback()), {**ANSWERED, "ring_ms": None, "started_at": at(10)}, {RANGE},
    ),
    "P2 alerting two days after": (
        (pushed_state(CALLED, State.ALERTING, 2 * DAY), callback()), {**ANSWERED, "ring_ms": None, "started_at": at(10)}, {RANGE},
    ),
    "P2 A's setup in 2000": (
        (pushed_state(CALLER, State.SETUP, -26 * 365 * DAY), callback()), {**ANSWERED, "setup_at": None, "pdd_ms": None, "started_at": at(10)}, {RANGE},
    ),
    "P2 a release years later": (
        (*A_STATES[:3], pushed_state(CALLER, State.RELEASE, 400 * DAY), callback()), {**ANSWERED, "end_at": at(70), "started_at": at(0)}, {RANGE},
    ),
    "P2 a wrong alerting beside a right one": (
        (pushed_state(CALLED, State.ALERTING, -320 * DAY), pushed_state(CALLED, State.ALERTING, 14), callback()),
        {**ANSWERED, "ring_ms": 6000, "alerting_at": at(14)}, {RANGE},
    ),
    "P2 alerting an hour before is believed": (
        (pushed_state(CALLED, State.ALERTING, -3600), callback()), {**ANSWERED, "ring_ms": 3_620_000, "started_at": at(-3600)}, set(),
    ),
    "states alone, one of them years off": (
        (*A_STATES, pushed_state(CALLED, State.SETUP, -400 * DAY), pushed_state(CALLED, State.ANSWER, 20), pushed_state(CALLED, State.RELEASE, 70)),
        {"answer_at": at(20), "setup_at": at(0), "end_at": at(70), "talk_ms": 50_000, "started_at": at(0)}, {RANGE, Flag.MISSING_STATE},
    ),
    "two states years apart: the later one is believed": (
        (pushed_state(CALLER, State.SETUP, -400 * DAY), pushed_state(CALLER, State.RELEASE, 5)), {"setup_at": None, "end_at": at(5), "started_at": at(5)}, {RANGE},
    ),
    "P3 the vendor's seconds of two legs": (
        (leg_at(0, 60, vendor_duration_s=1 << 31, billable_s=1 << 31), leg_at(0, 60, CALLED, vendor_duration_s=1 << 31, billable_s=1 << 31)),
        {"vendor_duration_s": None, "billable_s": None, "talk_ms": 60_000, "cost": Decimal("0.088")}, {RANGE},
    ),
    "P3 one second too many": (
        (leg_at(0, 60, vendor_duration_s=MOST, billable_s=0), leg_at(0, 60, CALLED, vendor_duration_s=1, billable_s=0)),
        {"vendor_duration_s": None, "billable_s": 0}, {RANGE},
    ),
    "P3 as many as fit": (
        (leg_at(0, 60, vendor_duration_s=MOST, billable_s=0), leg_at(0, 60, CALLED, vendor_duration_s=0, billable_s=0)), {"vendor_duration_s": MOST}, set(),
    ),
    "P1 a sum of money beyond its column": (
        (leg_at(0, 60, cost=Decimal(500_000_000_000)), leg_at(0, 60, CALLED, cost=Decimal(500_000_000_000))),
        {"cost": None, "currency": "", "billable_s": 120, "disposition": Disposition.ANSWERED}, {RANGE},
    ),
    "P1 a negative sum beyond its column": (
        (leg_at(0, 60, cost=-COST), leg_at(0, 60, CALLED, cost=-COST)), {"cost": None, "currency": ""}, {RANGE},
    ),
    "P1 as much as fits": ((leg_at(0, 60, cost=COST), leg_at(0, 60, CALLED, cost=Decimal(0))), {"cost": COST, "currency": "CNY"}, set()),
    "P4 one leg answered in 2000": (
        (leg_at(-26 * 365 * DAY, 60), leg_at(0, 60, CALLED)),
        {"answer_at": at(0), "end_at": at(60), "talk_ms": 60_000, "started_at": at(0), "cost": Decimal("0.088"), "call_type": "conference"}, {ORDER},
    ),
    "P4 one leg of three altogether in 2000": (
        (leg_at(-9500 * DAY, -9499.9 * DAY), leg_at(0, 60, CALLED), leg_at(5, 50, STRANGER)),
        {"answer_at": at(0), "end_at": at(60), "talk_ms": 60_000, "started_at": at(0)}, {ORDER},
    ),
    "P4 one leg of two altogether in 2000": (
        (leg_at(-9500 * DAY, -9499.9 * DAY), leg_at(0, 60, CALLED)), {"answer_at": at(0), "end_at": at(60), "talk_ms": 60_000}, {ORDER},
    ),
    "P4 one leg of three ends a year later": (
        (leg_at(0, 365 * DAY), leg_at(0, 60, CALLED), leg_at(5, 50, STRANGER)), {"answer_at": at(0), "end_at": at(60), "talk_ms": 60_000}, {ORDER},
    ),
    "P4 alone, answered in 2000: answered, and nobody knows when": (
        (leg_at(-9500 * DAY, 60),), {"answer_at": None, "talk_ms": None, "disposition": Disposition.ANSWERED, "started_at": at(60)}, {ORDER, Flag.PEER_UNKNOWN},
    ),
    "P4 a participant's state of another year": (
        (leg_at(10, 60), leg_at(5, 60, CALLED), pushed_state(CALLER, State.SETUP, -400 * DAY)), {"setup_at": None, "started_at": at(5)}, {RANGE},
    ),
    "a conference without any time": (
        (participant(CALLER, None, None), participant(CALLED, None, None)), {"talk_ms": None, "started_at": T0}, set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("turn", [1, -1], ids=["as they came", "in reverse"])
@pytest.mark.parametrize(("sent", "expected", "flags"), CALLS.values(), ids=CALLS.keys())
def test_the_row_is_there_and_says_what_can_be_believed(
    sent: Sequence[Fact], expected: dict[str, Any], flags: set[Flag], turn: int
) -> None:
    timeline = shown(in_a_row(sent)[::turn])

    assert {name: getattr(timeline, name) for name in expected} == expected
    assert set(timeline.quality_flags) == flags
    assert TIMELINE.decode(TIMELINE.encode(timeline)) == timeline


STARTED: dict[str, tuple[Sequence[Fact], float | None]] = {
    "F1 A answered before the hour, B never": ((callback(a_answer=-20, b_answer=None, b_end=None, a_end=20, talk_ms=None),), -20),
    "F1 by the states, A was set up before": ((*A_STATES, callback()), 0),
    "F1 a leg that rang before the record's answer": ((callback(), pushed_state(CALLED, State.ALERTING, 14)), 10),
    "F1 only an end": ((callback(a_answer=None, a_end=30, b_answer=None, b_end=None),), 30),
    "F1 a privacy call's setup": ((privacy(),), 0),
    "F1 a voice code": ((voice(),), 5),
    "F1 a conference's first answer": ((participant(CALLER, 9, 30), participant(CALLED, 5, 36)), 5),
    "F1 no time at all: the first receipt": ((callback(a_answer=None, a_end=None, b_answer=None, b_end=None),), None),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "seconds"), STARTED.values(), ids=STARTED.keys())
def test_f1_a_call_starts_with_the_first_instant_of_any_leg(sent: Sequence[Fact], seconds: float | None) -> None:
    arrivals = in_a_row(sent)

    assert shown(arrivals).started_at == (at(seconds) if seconds is not None else arrivals[0].received_at)


TYPES = {
    "a two-way call": (callback(), "call"),
    "a privacy call": (privacy(), "call"),
    "a state": (A_STATES[0], "call"),
    "a voice code": (voice(), "voice_code"),
    "a participant": (participant(CALLER, 0, 30), "conference"),
}


@pytest.mark.parametrize(("fact", "expected"), TYPES.values(), ids=TYPES.keys())
def test_f3_calls_conferences_and_codes_are_distinguished(fact: Fact, expected: str) -> None:
    assert shown(in_a_row([fact])).call_type == expected


def test_s8_conference_zero_is_none() -> None:
    people = in_a_row([participant(CALLER, 0, 30, conference_id="0"), participant(CALLED, 5, 36, conference_id="0")])

    assert (shown(people).conference_id, shown(people[:1]).conference_id) == ("", "")


EXTREMES = (None, 0, -1, 1, (1 << 31) - 1, 1 << 31, MOST, MOST + 1, 10**18, (1 << 63) - 1)
YEARS = (None, 1900, 1970, 2000, 2026, 2038, 2106, 2262, 2299, 9999)
MONEY = (
    None,
    *(Decimal(text) for text in ("0", "-1", "0.000001", "2147483648", "999999999999.999999", "-999999999999.999999")),
)
instants = st.sampled_from(YEARS).map(lambda year: year and datetime(year, 6, 1, tzinfo=UTC))


@st.composite
def extreme_facts(draw: st.DrawFn) -> list[Fact]:
    """Facts of one call whose amounts, codes and instants may be anything that Avro can carry."""
    number = st.sampled_from(EXTREMES)
    facts: list[Fact] = []
    for base in draw(st.lists(st.sampled_from((callback(), voice(), participant(CALLER, 0, 30), participant(CALLED, 5, 9), *A_STATES)), min_size=1, max_size=5)):  # fmt: skip
        times = {name: draw(instants) for name in ("setup_at", "alerting_at", "answer_at", "end_at")}
        of_leg: dict[str, Any] = {name: draw(instants) for name in times}
        leg = Leg(role=Role.P, number=CALLER, sip_code=draw(number), **of_leg)
        changes: dict[str, Any] = {
            **times,
            **{
                name: draw(number)
                for name in ("pdd_ms", "ring_ms", "talk_ms", "vendor_duration_s", "billable_s", "q850")
            },
            "cost": draw(st.sampled_from(MONEY)),
            "event_at": draw(instants),
            "revised_at": draw(instants),
            "legs": (leg,) if draw(st.booleans()) else base.legs,
            "content_digest": f"{len(facts):032x}",
        }
        facts.append(msgspec.structs.replace(base, **changes))
    return in_a_row(facts)


@given(facts=extreme_facts())
def test_no_extreme_keeps_a_row_out(facts: list[Fact]) -> None:
    """Alone, in sums and in spans: every output can be encoded and fits its columns."""
    state = None
    for fact in facts:
        done = step(state, FACT.decode(FACT.encode(fact)), 0, SETTINGS)
        state = done.state
        assert done.normalized is not None
        assert _fits(done.normalized)
        Block([FACT.decode(FACT.encode(done.normalized))], NO_TOKENS).of(table_of(done.normalized))
        for timeline in done.timelines:
            assert _fits(timeline)
            assert timeline.started_at is not None
            Block([TIMELINE.decode(TIMELINE.encode(timeline))], NO_TOKENS).of(TIMELINES)


def _fits(row: Fact | Timeline) -> bool:
    amounts = (row.pdd_ms, row.ring_ms, row.talk_ms, row.vendor_duration_s, row.billable_s)
    times = [row.setup_at, row.alerting_at, row.answer_at, row.end_at]
    times += [at for leg in row.legs for at in (leg.setup_at, leg.alerting_at, leg.answer_at, leg.end_at)]
    codes = [row.q850, row.sip_code, *(leg.sip_code for leg in row.legs)]
    return (
        all(amount is None or 0 <= amount <= MOST for amount in amounts)
        and all(code is None or 0 <= code < 1 << 16 for code in codes)
        and all(at is None or 1900 <= at.year < 2300 for at in times)
        and (row.cost is None or abs(row.cost) < MONEY_LIMIT)
        and 0 <= row.version < 1 << 53
    )


def test_what_is_in_bounds_goes_on_as_it_came() -> None:
    fact = callback()

    assert bounded(fact) is fact


BEYOND: dict[str, tuple[dict[str, Any], str, Flag]] = {
    "talk": ({"talk_ms": MOST + 1}, "talk_ms", RANGE),
    "ringing": ({"ring_ms": -1}, "ring_ms", RANGE),
    "money": ({"cost": MONEY_LIMIT}, "cost", RANGE),
    "a cause": ({"q850": 1 << 16}, "q850", RANGE),
    "an instant": ({"end_at": datetime(9999, 1, 1, tzinfo=UTC)}, "end_at", Flag.BAD_TIME),
}


@pytest.mark.parametrize(("changes", "name", "flag"), BEYOND.values(), ids=BEYOND.keys())
def test_what_is_beyond_is_not_known(changes: dict[str, Any], name: str, flag: Flag) -> None:
    row = step(None, callback(**changes), 0, SETTINGS).normalized
    assert row is not None

    assert (getattr(row, name), row.quality_flags) == (None, (flag,))


def test_sums_of_nothing_are_not_known() -> None:
    flags: set[Flag] = set()

    assert (total([None], flags), total_money([None], flags), total([None, 5], flags), flags) == (None, None, 5, set())


def test_a_window_is_around_the_middle() -> None:
    window = window_of([at(0), at(60), T0 - timedelta(days=9000), None])
    assert window is not None

    assert window.holds(None)
    assert window.holds(at(-DAY))
    assert not window.holds(at(-DAY - 1))
    assert not window.holds(T0 + LONGEST)
    assert window_of([None]) is None
