"""The platform's own notification: causes, release points, recordings."""

from decimal import Decimal
from typing import Any

import pytest

from schemas.facts import Disposition, Flag, RecordingState
from tests.support.payloads.huawei_elements import BUSY, FEE, fee, outcome


@pytest.mark.parametrize(
    ("changes", "disposition", "reason", "q850", "sip"),
    [
        pytest.param({"fwdUnaswRsn": 1}, "invalid_number", "unallocated", 1, 486, id="Q.850 1"),
        pytest.param({"fwdUnaswRsn": 0, "callOutUnaswRsn": 19}, "no_answer", "no_answer", 19, 486, id="Q.850 of the second"),
        pytest.param({"fwdUnaswRsn": 31, "sipStatusCode": 486}, "unknown", "unspecified", 31, 486, id="Q.850 unspecified"),
        pytest.param({"fwdUnaswRsn": 0, "sipStatusCode": 0, "ulFailReason": 0}, "no_answer", "", None, None, id="no code"),
    ],
)  # fmt: skip
def test_an_unanswered_notification_tells_why(
    changes: dict[str, Any], disposition: str, reason: str, *, q850: int | None, sip: int | None
) -> None:
    found = fee(BUSY, **changes)
    assert (found.disposition, found.hangup_reason, found.q850, found.sip_code) == (disposition, reason, q850, sip)
    assert found.legs[1].disposition == disposition
    assert found.cause_confidence == ("exact" if q850 or sip else "none")
    assert Flag.UNKNOWN_ENUM not in found.quality_flags


# SIP status, disposition, reason, Q.850; by hand from RFC 3261, RFC 8197 and the table of RFC 3398
STATUSES = """
400 failed sip -
401 failed auth 21
402 failed auth 21
403 barred barred 21
404 invalid_number unallocated 1
405 failed resource 63
406 failed not_implemented 79
407 failed auth 21
408 no_answer no_response 18
410 invalid_number number_changed 22
413 failed protocol 127
415 failed not_implemented 79
420 failed protocol 127
433 failed sip -
438 failed auth_identity -
480 no_answer no_response 18
481 failed temporary 41
482 failed routing_loop 25
483 failed routing_loop 25
484 invalid_number format 28
485 invalid_number ambiguous 1
486 busy user_busy 17
487 cancelled caller_cancel -
488 failed not_acceptable 31
500 failed temporary 41
501 failed not_implemented 79
502 failed network 38
503 congestion congestion 41
504 failed timer 102
513 failed protocol 127
600 busy user_busy 17
603 rejected declined 21
604 invalid_number unallocated 1
606 failed not_acceptable 31
607 rejected spam 21
608 rejected spam 21
699 failed sip -
"""
BY_STATUS = [line.split() for line in STATUSES.strip().splitlines()]


@pytest.mark.parametrize(("status", "disposition", "reason", "q850"), BY_STATUS, ids=[row[0] for row in BY_STATUS])
@pytest.mark.parametrize(
    "codes",
    [
        pytest.param({"sipStatusCode": "{}", "ulFailReason": 0}, id="status alone"),
        pytest.param({"sipStatusCode": "{}", "ulFailReason": 518}, id="beside a release point that is a status"),
        pytest.param({"sipStatusCode": "{}", "ulFailReason": 9999}, id="beside a release point that nobody knows"),
        pytest.param({"sipStatusCode": 0, "ulFailReason": "{}"}, id="as the release point"),
        pytest.param({"sipStatusCode": "{}", "ulFailReason": ""}, id="the release point blank"),
    ],
)
def test_without_a_cause_the_sip_status_tells_why(
    codes: dict[str, Any], status: str, disposition: str, reason: str, q850: str
) -> None:
    changes = {name: code.format(status) if isinstance(code, str) else code for name, code in codes.items()}
    found = fee(BUSY, fwdUnaswRsn=0, **changes)
    assert (found.disposition, found.hangup_reason, str(found.q850 or "-")) == (disposition, reason, q850)
    assert (found.sip_code, found.cause_confidence) == (int(status), "derived")
    assert found.legs[1].disposition == disposition
    assert found.quality_flags == ((Flag.UNKNOWN_ENUM,) if codes["ulFailReason"] == 9999 else ())


@pytest.mark.parametrize("status", [0, 100, 180, 200, 302, 399, 700, 999, "", None])
def test_a_status_that_is_no_failure_tells_nothing(status: Any) -> None:
    found = fee(BUSY, fwdUnaswRsn=0, sipStatusCode=status, ulFailReason=0)
    assert (found.disposition, found.hangup_reason, found.q850) == (Disposition.NO_ANSWER, "", None)


# release points, disposition, reason, Q.850; by hand
RELEASE_POINTS = """
7501,7502,7516 cancelled caller_hangup 16
7503,7504 rejected declined 21
8100 invalid_number unallocated 1
8101 no_answer no_answer 19
8102 busy user_busy 17
8103 unreachable absent 20
8104 unreachable powered_off 20
8105 barred suspended 21
8010 failed max_duration -
8035 failed timer 102
7001,7002,7003,7004,7005,7500,8018,8023,8024,8042,8057 barred policy -
522,7102,7109,8011,8020 congestion platform -
8013,8014,8019,8022,8030 failed no_binding -
"""
POINTS = [
    (point, *ending)
    for points, *ending in map(str.split, RELEASE_POINTS.strip().splitlines())
    for point in points.split(",")
]


@pytest.mark.parametrize(("point", "disposition", "reason", "q850"), POINTS, ids=[point for point, *_ in POINTS])
def test_a_release_point_tells_why_where_no_cause_does(point: str, disposition: str, reason: str, q850: str) -> None:
    found = fee(BUSY, fwdUnaswRsn=0, sipStatusCode=0, ulFailReason=point)
    assert (found.disposition, found.hangup_reason, str(found.q850 or "-")) == (disposition, reason, q850)
    assert (found.sip_code, found.quality_flags) == (None, ())
    assert found.cause_confidence == ("none" if q850 == "-" else "exact")


@pytest.mark.parametrize(
    ("changes", "state", "flags"),
    [
        pytest.param({}, RecordingState.AVAILABLE, (), id="stored, its address is to be asked for"),
        pytest.param({"recordObjectName": ""}, RecordingState.PENDING, (), id="not there yet"),
        pytest.param({"recordObjectName": "", "callEndTime": "2019-01-23 09:15:38"}, RecordingState.NONE, (),
                     id="H40 2 s of talk"),
        pytest.param({"recordObjectName": "", "fwdAnswerTime": ""}, RecordingState.NONE, (), id="never answered"),
        pytest.param({"recordFlag": 0, "recordObjectName": ""}, RecordingState.NONE, (), id="not recorded"),
        pytest.param({"recordFlag": None, "recordObjectName": ""}, RecordingState.UNKNOWN, (), id="not sent"),
        pytest.param({"recordFlag": 0, "recordFileDownloadUrl": "https://r.example/1"}, RecordingState.AVAILABLE,
                     (Flag.REC_MISMATCH,), id="not recorded, and here it is"),
    ],
)  # fmt: skip
def test_a_notification_expects_a_recording_where_one_can_be(
    changes: dict[str, Any], state: RecordingState, flags: tuple[Flag, ...]
) -> None:
    found = fee(**changes)
    assert (found.recording_state, found.quality_flags) == (state, flags)
    assert (found.recording_expires_at is not None) is (state is RecordingState.AVAILABLE)


@pytest.mark.parametrize("point", [9999, 399, 700])
def test_a_release_point_that_nobody_knows_is_flagged(point: int) -> None:
    found = fee(BUSY, fwdUnaswRsn=0, sipStatusCode=0, ulFailReason=point)
    assert found.disposition == Disposition.FAILED
    assert found.quality_flags == (Flag.UNKNOWN_ENUM,)


def test_an_answer_at_an_unreadable_time_is_not_no_answer() -> None:
    found = fee(fwdAnswerTime="2019-01-23 24:15:36")
    assert (found.disposition, found.answer_at, found.billable_s) == (Disposition.UNKNOWN, None, None)
    assert found.extras["fwdAnswerTime"] == "2019-01-23 24:15:36"


@pytest.mark.parametrize(
    ("changes", "expected", "flags"),
    [
        pytest.param({"callInTime": "2019-01-23 09:15:16"}, {"pdd_ms": 6_000}, (Flag.TIME_ORDER,), id="forwarded before called"),
        pytest.param({"callInTime": "", "fwdAnswerTime": "", "callEndTime": ""}, {"disposition": Disposition.IN_PROGRESS},
                     (), id="only forwarded as yet"),
        pytest.param({"fwdAnswerTime": "n/a"}, {"disposition": Disposition.UNKNOWN, "ring_ms": None, "q850": None, "sip_code": None},
                     (Flag.BAD_TIME,), id="an answer that cannot be read"),
        pytest.param({"fwdAnswerTime": "", "callEndTime": "n/a"}, {"disposition": Disposition.UNKNOWN, "is_final": False},
                     (Flag.BAD_TIME,), id="an end that cannot be read"),
        pytest.param({"color": "blue"}, {}, (Flag.SCHEMA_DRIFT,), id="G16 unknown field"),
    ],
)  # fmt: skip
def test_a_notification_that_deviates(
    changes: dict[str, Any], expected: dict[str, Any], flags: tuple[Flag, ...]
) -> None:
    found = fee(**changes)
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.quality_flags == flags


def test_fifty_notifications_are_fifty_records() -> None:
    fees = [{**FEE, "sessionId": f"s-{n}"} for n in range(50)]
    facts = outcome({"eventType": "fee", "feeLst": fees}).facts
    assert [found.vendor_call_id for found in facts] == [f"s-{n}" for n in range(50)]
    assert {(found.cost, found.currency) for found in facts} == {(None, "")}
    assert Decimal(sum(found.billable_s or 0 for found in facts)) == 65 * 50
