"""Bodies to rows: pushes that come late, alone, in another year or with absurd amounts."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from schemas.facts import Disposition, Flag
from tests.support.payloads.whole_rows import BEYOND_MS, RECEIVED, Rows, Sent, beijing, changed, printed

A, B, C = "13810603954", "18810207016", "15801445465"
BEGAN: Final = RECEIVED - timedelta(hours=1)
YEARS_AGO: Final = "2025-01-01 11:19:38"


def record(**changes: Any) -> Sent:
    """A two-way call: A from 0 to 70 s, B from 10 to 70 s, 2.94."""
    call = {
        "requestid": "y-1", "callerstime": beijing(0), "calleretime": beijing(70), "calledstime": beijing(10),
        "calledetime": beijing(70), "duration": "70", "oriamount": "2.94", "stateDesc": "应答|正常",
    }  # fmt: skip
    element = changed({**printed("ytx", "push-W02-the-same-in-valid-JSON"), **call}, **changes)
    return Sent("ytx", "push", {"cdr": [element]})


def state(word: str, phone: str, when: float | str) -> Sent:
    at = when if isinstance(when, str) else beijing(when)
    element = changed(printed("ytx", "push-S01-document-example"), requestid="y-1", dsc=phone, state=word, timestamp=at)
    return Sent("ytx", "push", element)


def leg(phone: str, **changes: Any) -> dict[str, Any]:
    took_part = {
        "requestid": "c-1", "confid": "7", "tel": phone, "stime": beijing(0), "etime": beijing(60), "duration": "60",
        "singleoriamount": "0.044",
    }  # fmt: skip
    return changed({**printed("ytx", "push-C01-document-example"), **took_part}, **changes)


def batch(*elements: dict[str, Any]) -> Sent:
    return Sent("ytx", "push", {"cdr": list(elements)})


ALL = [
    *(state(word, A, at) for word, at in (("callout", 0), ("alerting", 3), ("answer", 5), ("disconnect", 76))),
    *(state(word, B, at) for word, at in (("callout", 6), ("alerting", 8), ("answer", 20), ("disconnect", 50))),
]
ANSWERED = {"disposition": Disposition.ANSWERED, "cost": Decimal("2.94"), "is_final": True, "talk_ms": 60_000}
SHOWN: dict[str, tuple[Sequence[Sent], dict[str, Any], set[Flag]]] = {
    "P2 alerting in another year": (
        (state("alerting", B, YEARS_AGO), record()), {**ANSWERED, "ring_ms": None, "started_at": BEGAN}, {Flag.RANGE_ERROR},
    ),
    "P2 callout in another year": (
        (state("callout", A, YEARS_AGO), record()), {**ANSWERED, "setup_at": None, "started_at": BEGAN}, {Flag.RANGE_ERROR},
    ),
    "P2 disconnect in another year": (
        (record(), state("disconnect", B, YEARS_AGO)), {**ANSWERED, "started_at": BEGAN}, {Flag.RANGE_ERROR},
    ),
    "P3 absurd seconds of two legs": (
        (batch(leg(A, duration="2147483648"), leg(B, duration="2147483648")),),
        {"vendor_duration_s": None, "cost": Decimal("0.088"), "talk_ms": 60_000, "disposition": Disposition.ANSWERED}, {Flag.RANGE_ERROR},
    ),
    "P4 one leg of 2000": (
        (batch(leg(A, stime="2000-06-01 00:00:00"), leg(B)),),
        {"answer_at": BEGAN, "talk_ms": 60_000, "started_at": BEGAN, "cost": Decimal("0.088")}, {Flag.TIME_ORDER},
    ),
    "P4 one leg of 1999": (
        (batch(leg(A, stime="1999-12-31 00:00:00"), leg(B)),), {"answer_at": BEGAN, "talk_ms": 60_000, "started_at": BEGAN}, {Flag.BAD_TIME},
    ),
    "P1 absurd amounts of two legs": (
        (batch(leg(A, singleoriamount="500000000000"), leg(B, singleoriamount="500000000000")),),
        {"cost": None, "disposition": Disposition.ANSWERED}, {Flag.RANGE_ERROR},
    ),
    "S1 a lone disconnect": (
        (state("disconnect", A, 5),), {"disposition": Disposition.UNKNOWN, "from_number": None, "to_number": None}, set(),
    ),
    "S2 A's pushes lost but its disconnect": (
        (*ALL[3:],), {"disposition": Disposition.UNKNOWN, "from_number": None, "to_number": None, "answer_at": None}, set(),
    ),
    "S12 A clears 26 s after B": (ALL, {"disposition": Disposition.ANSWERED, "talk_ms": 30_000}, set()),
    "F1 A answered before the hour, B never": (
        (record(callerstime=beijing(-20), calledstime="", calledetime="", calleretime=beijing(20), stateDesc="应答|无人接听"),),
        {"started_at": BEGAN - timedelta(seconds=20), "answer_at": None}, set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "expected", "flags"), SHOWN.values(), ids=SHOWN.keys())
def test_a_call_is_shown(sent: Sequence[Sent], expected: dict[str, Any], flags: set[Flag]) -> None:
    rows = Rows().take(sent)

    assert rows.dead == []
    assert {name: getattr(rows.timeline, name) for name in expected} == expected
    assert flags <= set(rows.timeline.quality_flags)


def test_p1_what_stands_beside_it_is_joined() -> None:
    absurd = batch(leg(A, singleoriamount="500000000000"), leg(B, singleoriamount="500000000000"))
    rows = Rows().take([absurd, record()])

    assert {timeline.cost for timeline in rows.timelines.values()} == {None, Decimal("2.94")}


def test_f3_a_conference_of_three_ids_is_three_legs_of_a_conference_and_no_call() -> None:
    rows = Rows().take([batch(leg(A), leg(B, requestid="c-2"), leg(C, requestid="c-3"))])

    assert [(row.call_type, row.conference_id) for row in rows.timelines.values()] == [("conference", "7")] * 3


LATE_STATES: dict[str, Sequence[Sent]] = {
    "three of A's": (ALL[0], ALL[1], ALL[3]),
    "a lone disconnect": (ALL[3],),
    "all of both": ALL,
    "one of another year": (state("alerting", B, YEARS_AGO),),
}


@pytest.mark.parametrize("late", LATE_STATES.values(), ids=LATE_STATES.keys())
@pytest.mark.parametrize("weeks", [1, 3])
def test_v4_states_after_the_horizon_change_no_row(late: Sequence[Sent], weeks: int) -> None:
    rows = Rows().take([record()])
    before = rows.timeline
    rows.take(late, now_ms=weeks * BEYOND_MS)

    assert rows.timeline == before
    assert (before.cost, before.is_final) == (Decimal("2.94"), True)


EARLIER: dict[str, Sequence[Sent]] = {
    "five states": ALL[:5],
    "a lone disconnect": (ALL[3],),
    "all of both": ALL,
    "a record that was not over": (record(calledstime="", calledetime="", calleretime="", oriamount="", stateDesc="正在处理中"),),
}  # fmt: skip


@pytest.mark.parametrize("earlier", EARLIER.values(), ids=EARLIER.keys())
@pytest.mark.parametrize("weeks", [1, 3])
def test_v5_a_record_after_the_horizon_fills_the_row(earlier: Sequence[Sent], weeks: int) -> None:
    rows = Rows().take(earlier)
    rows.take([record()], now_ms=weeks * BEYOND_MS)

    assert {name: getattr(rows.timeline, name) for name in ANSWERED} == ANSWERED
    assert rows.timeline.has_record
    assert rows.record.cost == Decimal("2.94")


@pytest.mark.parametrize("first", ["the record", "the states"])
def test_a_dead_letter_replayed_three_weeks_later_takes_nothing_away(first: str) -> None:
    """It keeps its own time of receipt; the joiner forgot the rest meanwhile."""
    recorded, stated = [record()], ALL[:5]
    rows = Rows()
    later = rows.take(recorded if first == "the record" else stated)
    before = later.timeline
    again = Rows()
    again.timelines, again.records = rows.timelines, rows.records
    again.take(stated if first == "the record" else recorded, now_ms=3 * BEYOND_MS)

    assert again.timeline.cost == Decimal("2.94")
    assert again.timeline.is_final
    assert (again.timeline == before) is (first == "the record")
