"""Questions of support: what happened to a call."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from schemas.facts import Direction, Disposition, FactType, Flag, Kind, Leg, Role, State
from tests.contract.queries.made_days import OURS, OURS_MASKED, Case, Day, mobile
from tests.contract.views.samples import cny, record_content

_LADDER: Final = Day(0)
_T: Final = _LADDER.at(hours=9)
_LEG: Final[dict[str, Any]] = {
    "fact_type": FactType.STATE,
    "kind": Kind.CALLBACK_STATE,
    "vendor_call_id": "ladder",
    "leg_number": mobile(2),
}
_LADDER.fact(_T + timedelta(seconds=6), event_at=_T + timedelta(seconds=5), state=State.ALERTING, **_LEG)
_LADDER.fact(
    _T + timedelta(seconds=62),
    event_at=_T + timedelta(seconds=61),
    state=State.RELEASE,
    hangup_reason="no_answer",
    **_LEG,
)
_LADDER.call(
    vendor_call_id="ladder", to_number=mobile(2), end_at=_T + timedelta(seconds=60), hangup_cause="NO_ANSWER",
    legs=(
        Leg(role=Role.A, number=OURS, setup_at=_T, answer_at=_T + timedelta(seconds=1), end_at=_T + timedelta(seconds=60)),
        Leg(role=Role.B, number=mobile(2), alerting_at=_T + timedelta(seconds=5), hangup_reason="no_answer"),
    ),
)  # fmt: skip
_LADDER.call(vendor_call_id="another")

_SUMMARY: Final = Day(1)
_SUMMARY.answered(
    20,
    vendor_call_id="summary",
    hangup_cause="NORMAL_CLEARING",
    q850=16,
    hangup_party="b",
    billable_s=20,
    **cny("0.12"),
)
_SUMMARY.call(vendor_call_id="summary-2")

_NUMBER: Final = Day(2)
_NUMBER.call(_NUMBER.at(hours=1), vendor_call_id="made", from_number=mobile(77))
_NUMBER.answered(5, _NUMBER.at(hours=2), vendor_call_id="taken", to_number=mobile(77))
_NUMBER.call(_NUMBER.at(hours=3), vendor_call_id="leg", legs=(Leg(role=Role.B, number=mobile(77)),))
_NUMBER.call(_NUMBER.at(hours=4), vendor_call_id="somebody else's")
_NUMBER.call(_NUMBER.at(hours=24), vendor_call_id="the day after", to_number=mobile(77))

_REFERENCE: Final = Day(3)
_REFERENCE.call(vendor_call_id="first", custom_ref="order-4711")
_REFERENCE.answered(9, _REFERENCE.at(hours=10), vendor_call_id="second", custom_ref="order-4711")
_REFERENCE.call(vendor_call_id="third", custom_ref="order-47110")

_FAILING: Final = Day(4)
for _n in range(3):
    _FAILING.call(
        _FAILING.at(hours=_n),
        to_number=mobile(5),
        disposition=Disposition.UNREACHABLE,
        hangup_cause="SUBSCRIBER_ABSENT",
        q850=20,
    )
_FAILING.call(
    _FAILING.at(hours=5), to_number=mobile(5), disposition=Disposition.BUSY, hangup_cause="USER_BUSY", q850=17
)
_FAILING.answered(9, to_number=mobile(5))
_FAILING.call(to_number=mobile(6), disposition=Disposition.BUSY, hangup_cause="USER_BUSY", q850=17)

_MISSED: Final = Day(5)
_IN: Final[dict[str, Any]] = {"direction": Direction.INBOUND, "to_number": OURS}
_MISSED.call(_MISSED.at(hours=1), from_number=mobile(10), **_IN)
_MISSED.call(_MISSED.at(hours=2), from_number=mobile(10), **_IN)  # nobody called back
_MISSED.call(_MISSED.at(hours=1), from_number=mobile(11), **_IN)
_MISSED.answered(60, _MISSED.at(hours=3), to_number=mobile(11))  # called back
_MISSED.call(_MISSED.at(hours=1), from_number=mobile(12), **_IN)
_MISSED.answered(60, _MISSED.at(hours=2), from_number=mobile(12), **_IN)  # called again and was answered
_MISSED.answered(60, _MISSED.at(hours=1), from_number=mobile(13), **_IN)
_MISSED.call(_MISSED.at(hours=4), from_number=mobile(13), **_IN)  # spoken to before, and then in vain
_MISSED.call(_MISSED.at(hours=1), from_number=mobile(14), **_IN)
_MISSED.call(_MISSED.at(hours=2), to_number=mobile(14))  # called back in vain

_CONTRADICTING: Final = Day(6)
_FLAGGED: Final[dict[str, Any]] = {"is_final": True, "quality_flags": (Flag.CONFLICT_FINAL,)}
_CONTRADICTING.fact(
    vendor_call_id="contradicting",
    contents=(
        record_content("b2", is_shown=True, disposition=Disposition.ANSWERED, billable_s=60, **cny("1.20")),
        record_content("a1", disposition=Disposition.NO_ANSWER, billable_s=0, **cny("0")),
    ),
    **_FLAGGED,
)
_CONTRADICTING.fact(vendor_call_id="agreeing", is_final=True)

_BYTES: Final = Day(7)
_BYTES.fact(
    _BYTES.at(hours=2),
    vendor_call_id="bytes",
    raw_topic="calls.raw",
    raw_partition=3,
    raw_offset=70,
    raw_element=1,
    request_id="r2",
)
_BYTES.fact(
    _BYTES.at(hours=1), vendor_call_id="bytes", fact_type=FactType.STATE, kind=Kind.CALLBACK_STATE, raw_topic="calls.raw",
    raw_partition=5, raw_offset=9, request_id="r1",
)  # fmt: skip
_BYTES.fact(vendor_call_id="other bytes", raw_topic="calls.raw")

CASES: Final = (
    Case(
        question="call_ladder", day=_LADDER, params={"id": "ladder"}, columns="at told_by number step detail",
        expected=[
            (_T, "record, call", "", "setup", ""),
            (_T, "record, leg A", OURS_MASKED, "setup", ""),
            (_T + timedelta(seconds=1), "record, leg A", OURS_MASKED, "answer", ""),
            (_T + timedelta(seconds=5), "record, leg B", "+86131****0002", "alerting", ""),
            (_T + timedelta(seconds=5), "state event", "+86131****0002", "alerting", ""),
            (_T + timedelta(seconds=60), "record, call", "", "release", "no_answer NO_ANSWER"),
            (_T + timedelta(seconds=60), "record, leg A", OURS_MASKED, "release", ""),
            (_T + timedelta(seconds=61), "state event", "+86131****0002", "release", "no_answer"),
        ],
    ),
    Case(
        question="call_summary", day=_SUMMARY, params={"id": "summary"},
        columns="started_at from_masked to_masked disposition hangup_cause q850 hangup_party talk_ms billable_s cost currency",
        expected=[
            (_SUMMARY.at(hours=9), OURS_MASKED, "+86131****0001", "answered", "NORMAL_CLEARING", 16, "b", 20_000, 20, Decimal("0.12"), "CNY"),
        ],
    ),
    Case(
        question="calls_of_number", day=_NUMBER, params={"number": mobile(77)}, columns="vendor_call_id disposition",
        expected=[("leg", "no_answer"), ("taken", "answered"), ("made", "no_answer")],
    ),
    Case(
        question="calls_of_reference", day=_REFERENCE, params={"reference": "order-4711"}, columns="vendor_call_id disposition talk_ms",
        expected=[("first", "no_answer", None), ("second", "answered", 9000)],
    ),
    Case(
        question="why_calls_to_number_fail", day=_FAILING, params={"number": mobile(5)},
        columns="disposition hangup_cause q850 calls last_at",
        expected=[
            ("unreachable", "SUBSCRIBER_ABSENT", 20, 3, _FAILING.at(hours=2)),
            ("busy", "USER_BUSY", 17, 1, _FAILING.at(hours=5)),
        ],
    ),
    Case(
        question="missed_not_called_back", day=_MISSED, columns="account caller calls last_missed_at",
        expected=[
            ("main", "+86131****0014", 1, _MISSED.at(hours=1)),
            ("main", "+86131****0010", 2, _MISSED.at(hours=2)),
            ("main", "+86131****0013", 1, _MISSED.at(hours=4)),
        ],
    ),
    Case(
        question="call_contradictions", day=_CONTRADICTING, params={"id": "contradicting"},
        columns="digest is_shown is_resolved disposition billable_s cost",
        expected=[
            ("b2", True, False, "answered", 60, Decimal("1.20")),
            ("a1", False, False, "no_answer", 0, Decimal(0)),
        ],
    ),
    Case(
        question="call_bytes", day=_BYTES, params={"id": "bytes"}, columns="received_at raw_topic raw_partition raw_offset raw_element request_id",
        expected=[
            (_BYTES.at(hours=1), "calls.raw", 5, 9, 0, "r1"),
            (_BYTES.at(hours=2), "calls.raw", 3, 70, 1, "r2"),
        ],
    ),
)  # fmt: skip
