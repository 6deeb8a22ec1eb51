"""How YTX's two-way calls end: the whole table of announcements, and where texts, times and durations disagree."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from schemas.facts import Disposition, Flag, RecordingState
from tests.support.ytx_elements import GONE, TWO_WAY, fact, fields_of

UNDER_A = {"calledstime": "", "duration": "60", "tapesurl": "NoTapes"}  # A answered, B did not
UNDER_NONE = {"callerstime": "", "calledstime": "", "duration": "0", "tapesurl": "NoTapes"}
BILLED = (Flag.BILLED_UNANSWERED,)  # the example's minute and fee, of a call that B did not answer
NO_TIMES = {**UNDER_NONE, "calleretime": "", "calledetime": ""}

# text, disposition, reason, Q.850, SIP of a leg without an answer time on a call that has ended; by hand
ANNOUNCED = """
正在处理中 in_progress processing - -
振铃 no_answer ringing 19 480
未应答 no_answer no_answer 19 480
关机 unreachable powered_off 20 480
空号 invalid_number unallocated 1 404
停机 barred suspended 21 403
正在通话中 busy in_call 17 486
用户拒接 rejected declined 21 603
无法拨通 unreachable cannot_reach 20 480
暂停服务 barred suspended 21 403
用户正忙 busy user_busy 17 486
拨号方式不正确 invalid_number dial_format 28 484
呼入限制 barred incoming_barred 54 403
来电提醒 unreachable missed_call_service 20 480
呼叫转移失败 failed forward_failed 29 501
网络忙 congestion network_busy 42 503
无人接听 no_answer no_answer 19 480
欠费 barred arrears 21 403
无法接听 unreachable cannot_answer 20 480
改号 invalid_number number_changed 22 410
线路故障 failed line_fault 38 503
稍后再拨 congestion retry_later 41 503
"""
TABLE = [line.split() for line in ANNOUNCED.strip().splitlines()]


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
@pytest.mark.parametrize(
    ("text", "changes", "role"),
    [
        pytest.param("{}|正常", UNDER_NONE, 0, id="A of a pair"),
        pytest.param("应答|{}", UNDER_A, 1, id="B of a pair"),
        pytest.param("{}", UNDER_NONE, 0, id="alone, nobody answered"),
        pytest.param("{}", UNDER_A, 1, id="alone, A answered"),
        pytest.param("应答｜{}", UNDER_A, 1, id="a full-width bar"),
    ],
)
def test_an_announcement_decides_a_leg_without_an_answer(
    row: list[str], text: str, changes: dict[str, Any], role: int
) -> None:
    """W17: each value as A's and as B's; the leg's ending is the call's."""
    said, *ending = row
    found = fact(TWO_WAY, **changes, stateDesc=text.format(said))
    leg = found.legs[role]
    shown = [str(part or "-") for part in (leg.disposition, leg.hangup_reason, leg.q850, leg.sip_code)]
    assert shown == ending
    assert [found.disposition, found.hangup_reason, found.q850, found.sip_code] == [
        leg.disposition,
        leg.hangup_reason,
        leg.q850,
        leg.sip_code,
    ]
    assert found.cause_confidence == ("derived" if leg.q850 else "none")
    assert found.is_final is (said != "正在处理中")


@pytest.mark.parametrize("text", ["正常", "应答"])
@pytest.mark.parametrize(
    ("pattern", "changes", "disposition"),
    [
        pytest.param("{}|正常", UNDER_NONE, Disposition.UNKNOWN, id="A of a pair"),
        pytest.param("应答|{}", UNDER_A, Disposition.NO_ANSWER, id="B of a pair"),
        pytest.param("{}", UNDER_NONE, Disposition.UNKNOWN, id="alone, nobody answered"),
        pytest.param("{}", UNDER_A, Disposition.NO_ANSWER, id="W14 alone, A answered"),
    ],
)
def test_a_text_that_claims_an_answer_without_a_time(
    text: str, pattern: str, changes: dict[str, Any], disposition: Disposition
) -> None:
    found = fact(TWO_WAY, **changes, stateDesc=pattern.format(text))
    assert found.disposition == disposition
    assert Flag.STATE_VS_TIME in found.quality_flags
    assert (found.answer_at, found.talk_ms) == (None, None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {**NO_TIMES, "stateDesc": "振铃"},
            {"disposition": Disposition.IN_PROGRESS, "hangup_reason": "ringing", "is_final": False},
            id="still ringing",
        ),
        pytest.param(
            {**UNDER_A, "stateDesc": "应答|未知"},
            {"disposition": Disposition.NO_ANSWER, "quality_flags": (*BILLED, Flag.STATE_VS_TIME, Flag.UNKNOWN_ENUM)},
            id="W15 B unknown",
        ),
        pytest.param(
            {**UNDER_A, "stateDesc": "应答|外星人"},
            {"disposition": Disposition.UNKNOWN, "hangup_cause": "应答|外星人", "quality_flags": (Flag.UNKNOWN_ENUM,)},
            id="W18 a text that nobody knows",
        ),
        pytest.param(
            {**UNDER_A, "stateDesc": GONE},
            {"disposition": Disposition.NO_ANSWER, "q850": None, "quality_flags": BILLED, "is_final": True},
            id="W20 no text, B did not answer",
        ),
        pytest.param(
            {**UNDER_NONE, "stateDesc": GONE}, {"disposition": Disposition.NO_ANSWER}, id="W20 no text, nobody answered"
        ),
        pytest.param(
            {**NO_TIMES, "stateDesc": GONE},
            {"disposition": Disposition.UNKNOWN, "is_final": False},
            id="W20 no text, no times",
        ),
        pytest.param(
            {"stateDesc": "应答|空号", "tapesurl": "NoTapes"},
            {"disposition": Disposition.ANSWERED, "talk_ms": 56_000, "quality_flags": (Flag.STATE_VS_TIME,)},
            id="W12 a time outranks the text",
        ),
        pytest.param(
            {"stateDesc": "正在处理中", "tapesurl": "NoTapes"},
            {"disposition": Disposition.ANSWERED, "is_final": False},
            id="W23 answered, and still being processed",
        ),
        pytest.param(
            {"calledstime": "2016-02-30 11:19:40.000", "duration": GONE, "tapesurl": "NoTapes"},
            {
                "disposition": Disposition.UNKNOWN,
                "billable_s": None,
                "quality_flags": (Flag.BAD_TIME, Flag.STATE_VS_TIME),
            },
            id="G35 an answer time that cannot be read is not no answer",
        ),
        pytest.param({"tapesurl": GONE}, {"recording_state": RecordingState.UNKNOWN}, id="no word of a recording"),
        pytest.param(
            {"calledetime": "2016-02-02 11:20:30.000", "tapesurl": "NoTapes"},
            {"talk_ms": 50_000, "end_at": datetime(2016, 2, 2, 3, 20, 36, tzinfo=UTC), "quality_flags": ()},
            id="W30 B hangs up first: talk is from the answer to the first who does",
        ),
        pytest.param(
            {
                "calledstime": "2016-02-02 11:20:06.000",
                "calledetime": "2016-02-02 11:20:36.000",
                "calleretime": "2016-02-02 11:21:02.000",
                "tapesurl": "NoTapes",
            },
            {"talk_ms": 30_000, "end_at": datetime(2016, 2, 2, 3, 21, 2, tzinfo=UTC), "billable_s": 60},
            id="S12 A is cleared 26 s after B hung up",
        ),
        pytest.param(
            {}, {"talk_ms": 56_000, "billable_s": 60, "billable_source": "vendor"}, id="S12 the printed example"
        ),
        pytest.param(
            {"calleretime": "2016-02-02 11:19:38.000"},
            {"talk_ms": None, "billable_s": 60, "disposition": Disposition.ANSWERED},
            id="S12 A hung up before B answered",
        ),
        pytest.param(
            {"calledetime": "n/a", "tapesurl": "NoTapes"},
            {"talk_ms": None, "billable_s": 60, "end_at": datetime(2016, 2, 2, 3, 20, 36, tzinfo=UTC)},
            id="S12 B's end cannot be read: who hung up first is not known",
        ),
        pytest.param(
            {"calledetime": "n/a", "duration": GONE, "tapesurl": "NoTapes"},
            {"talk_ms": None, "billable_s": None},
            id="S12 nor how long they spoke",
        ),
        pytest.param(
            {"calledetime": "", "tapesurl": "NoTapes"},
            {"talk_ms": 56_000, "end_at": datetime(2016, 2, 2, 3, 20, 36, tzinfo=UTC)},
            id="W30 B's end is missing: the call's end",
        ),
        pytest.param(
            {"calledetime": "2016-02-02 11:20:30.000", "duration": "50", "tapesurl": "NoTapes"},
            {"billable_s": 50, "quality_flags": ()},
            id="W06 the duration of leg B is one of the two that count",
        ),
        pytest.param(
            {"duration": GONE, "tapesurl": "NoTapes"},
            {"vendor_duration_s": None, "billable_s": 56, "billable_source": "computed"},
            id="no duration",
        ),
        pytest.param(
            {**UNDER_A, "duration": GONE}, {"billable_s": 0, "billable_source": "computed"}, id="no duration, no answer"
        ),
    ],
)
def test_two_way_call(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fields_of(fact(TWO_WAY, **changes), expected) == expected


@pytest.mark.parametrize(
    ("text", "changes", "party"),
    [
        pytest.param("用户拒接|用户拒接", UNDER_NONE, "a", id="S3 both declined, nobody answered"),
        pytest.param("用户拒接|用户拒接", UNDER_A, "b", id="both declined, A had answered"),
        pytest.param("用户拒接", UNDER_NONE, "a", id="a single text, nobody answered"),
        pytest.param("用户拒接", UNDER_A, "b", id="a single text, A had answered"),
        pytest.param("用户拒接|空号", UNDER_NONE, "a", id="A declined"),
        pytest.param("|用户拒接", UNDER_NONE, "b", id="only B's text"),
        pytest.param("应答|用户拒接", UNDER_A, "b", id="B declined"),
        pytest.param("空号|用户拒接", UNDER_NONE, "unknown", id="A's number does not exist"),
        pytest.param("无人接听|无人接听", UNDER_NONE, "unknown", id="nobody hung up"),
        pytest.param("用户拒接|用户拒接", {}, "unknown", id="they spoke"),
    ],
)
def test_who_declined_is_whose_leg_decided(text: str, changes: dict[str, Any], party: str) -> None:
    assert fact(TWO_WAY, **changes, stateDesc=text).hangup_party == party


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"calledstime": "n/a"}, {"disposition": Disposition.UNKNOWN, "q850": None}, id="B's answer is a word"
        ),
        pytest.param(
            {"calledstime": "2016-02-02 11:19:40+99:99"},
            {"disposition": Disposition.UNKNOWN},
            id="P10 an offset that no zone has",
        ),
        pytest.param({"calledstime": {}}, {"disposition": Disposition.UNKNOWN}, id="an object"),
        pytest.param(
            {"calledstime": "", "callerstime": "n/a", "stateDesc": "用户拒接|用户拒接"},
            {"disposition": Disposition.UNKNOWN, "hangup_party": "unknown", "sip_code": None},
            id="A's answer is a word",
        ),
        pytest.param(
            {"calledstime": "20160202111940"},
            {"disposition": Disposition.ANSWERED, "talk_ms": 56_000},
            id="fourteen digits",
        ),
    ],
)
def test_an_answer_that_cannot_be_read_is_neither_an_answer_nor_none(
    changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert fields_of(fact(TWO_WAY, **changes), expected) == expected


@pytest.mark.parametrize(
    ("changes", "billable_s", "cost", "flagged"),
    [
        pytest.param({}, 60, "2.94", False, id="answered"),
        pytest.param({**UNDER_A, "duration": "14", "oriamount": "0.15"}, 14, "0.15", True, id="W04 A's leg is billed"),
        pytest.param({**UNDER_A, "duration": "0", "oriamount": "0.15"}, 0, "0.15", True, id="a fee alone"),
        pytest.param({**UNDER_A, "duration": "14", "oriamount": "0"}, 14, "0", True, id="seconds alone"),
        pytest.param({**UNDER_A, "duration": "0", "oriamount": "0"}, 0, "0", False, id="neither"),
        pytest.param({**UNDER_A, "duration": GONE, "oriamount": GONE}, 0, None, False, id="none named"),
        pytest.param({"calledstime": "n/a"}, 60, "2.94", False, id="whether it was answered is not known"),
    ],
)
def test_what_is_billed_without_an_answer_stays_and_is_flagged(
    changes: dict[str, Any], billable_s: int, cost: str | None, *, flagged: bool
) -> None:
    found = fact(TWO_WAY, **changes)
    assert (found.billable_s, found.cost) == (billable_s, None if cost is None else Decimal(cost))
    assert (Flag.BILLED_UNANSWERED in found.quality_flags) is flagged
