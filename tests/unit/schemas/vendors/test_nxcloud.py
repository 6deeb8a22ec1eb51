"""NXCloud's softphone records beyond the golden cases: one deviation from the documented example a row."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from processors.normalise import Normalised
from schemas.facts import Direction, Disposition, Fact, Flag, NumberKind, RecordingState
from schemas.raw import RawCallback
from tests.golden.cases import HERE, load, run

EXAMPLE: dict[str, Any] = json.loads(load(HERE / "nxcloud" / "cdr-N01-document-example.json").raw.body)
UNVERIFIED = (Flag.NUMBER_UNVERIFIED,)  # the example's display number, in every row
GONE = object()
"""A field that is not sent."""


def outcome(element: Any) -> Normalised:
    body = element if isinstance(element, bytes) else json.dumps(element, ensure_ascii=False).encode()
    return run(
        RawCallback(
            vendor="nxcloud",
            callback="cdr",
            received_at=datetime(2019, 4, 17, 7, tzinfo=UTC),
            request_id="r",
            body=body,
        )
    )


def fact(**changes: Any) -> Fact:
    element = {name: value for name, value in {**EXAMPLE, **changes}.items() if value is not GONE}
    (found,) = outcome(element).facts
    return found


def fields_of(found: Fact, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(found, name) for name in names}


def at(second: int, micro: int = 0) -> datetime:
    return datetime(2019, 4, 17, 6, 54, second, micro, tzinfo=UTC)


UNANSWERED: dict[str, Any] = {
    "disposition": Disposition.NO_ANSWER,
    "q850": 19,
    "sip_code": 480,
    "answer_at": None,
    "talk_ms": None,
    "ring_ms": 14_000,
    "vendor_duration_s": 0,
    "billable_s": 0,
    "billable_source": "vendor",
    "is_final": True,
    "quality_flags": UNVERIFIED,
}
NOBODY: dict[str, Any] = {"hangup_cause": "NO_ANSWER", "duration": 0, "record": 0, "record_url": GONE}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({**NOBODY, "answer_time": 0}, UNANSWERED, id="N02 answer time 0 as a number"),
        pytest.param({**NOBODY, "answer_time": ""}, UNANSWERED, id="N06 answer time empty"),
        pytest.param(
            {"answer_time": "0", "hangup_cause": "NO_ANSWER"},
            {
                "disposition": Disposition.NO_ANSWER,
                "vendor_duration_s": 3,
                "billable_s": 3,
                "billable_source": "vendor",
                "quality_flags": (Flag.BILLED_UNANSWERED, Flag.DURATION_MISMATCH, *UNVERIFIED),
            },
            id="N03 what is billed without an answer stays the vendor's figure",
        ),
        pytest.param(
            {"answer_time": "0", "duration": 0, "hangup_cause": "NORMAL_CLEARING"},
            {"disposition": Disposition.CANCELLED, "q850": 16, "sip_code": 480, "hangup_party": "a"},
            id="N09 cleared before the answer",
        ),
        pytest.param(
            {"answer_time": "0", "duration": 0, "hangup_cause": "487"},
            {"disposition": Disposition.CANCELLED, "q850": None, "sip_code": 487, "hangup_cause": "ORIGINATOR_CANCEL"},
            id="N38 a cause above 127 has no Q.850 code",
        ),
        pytest.param({"duration": 4}, {"billable_s": 4, "quality_flags": UNVERIFIED}, id="N10 one second off"),
        pytest.param(
            {"answer_time": "1555484075", "duration": 14},
            {"ring_ms": 0, "talk_ms": 14_000, "quality_flags": UNVERIFIED},
            id="answered at once",
        ),
        pytest.param(
            {"duration": "-5"},
            {"vendor_duration_s": None, "billable_s": None, "quality_flags": (*UNVERIFIED, Flag.RANGE_ERROR)},
            id="N15 a negative duration",
        ),
        pytest.param(
            {"answer_time": "2019-02-30 06:54:46"},
            {
                "disposition": Disposition.UNKNOWN,
                "billable_s": 3,
                "billable_source": "vendor",
                "quality_flags": (Flag.BAD_TIME, *UNVERIFIED),
            },
            id="G35 an answer time that cannot be read is not no answer",
        ),
        pytest.param(
            {"start_time": "1555512889", "answer_time": "0", "end_time": "1555484089", **NOBODY},
            {"ring_ms": None, "quality_flags": (*UNVERIFIED, Flag.TIME_ORDER, Flag.TZ_SUSPECT)},
            id="G34 ends eight hours before it starts",
        ),
        pytest.param(
            {"direction": "2"},
            {"direction": Direction.UNKNOWN, "quality_flags": (*UNVERIFIED, Flag.UNKNOWN_ENUM)},
            id="N27 direction 2",
        ),
        *[
            pytest.param(
                {"code": code, "phone": "81234567890"},
                {"from_number": "+6281234567890", "from_kind": NumberKind.E164},
                id=f"N29 code {code}",
            )
            for code in ("62", 62)
        ],
        pytest.param(
            {"code": "852", "phone": "85235757584"},
            {"from_number": "+85235757584", "from_kind": NumberKind.E164},
            id="N31 the code is in the phone already",
        ),
        pytest.param(
            {"code": "62", "phone": "+8613800138000"},
            {"from_number": "+8613800138000", "quality_flags": (Flag.NUMBER_AMBIGUOUS, *UNVERIFIED)},
            id="N32 a plus is believed",
        ),
        pytest.param(
            {"phone": "138****8000"},
            {"from_number": "138****8000", "quality_flags": (Flag.MASKED_NUMBER, *UNVERIFIED)},
            id="N33 masked",
        ),
        pytest.param(
            {"record": GONE, "record_url": None},
            {"recording_state": RecordingState.UNKNOWN, "quality_flags": UNVERIFIED},
            id="N36 nothing sent about a recording",
        ),
        pytest.param(
            {**NOBODY, "answer_time": "0", "record": 1},
            {"recording_state": RecordingState.NONE, "quality_flags": UNVERIFIED},
            id="N36 an unanswered call has no recording to miss",
        ),
        pytest.param({"hangup_cause": "NORMAL CLEARING"}, {"hangup_cause": "NORMAL_CLEARING"}, id="N38 space"),
        pytest.param({"answer_time": "0", "end_time": "", "hangup_cause": ""}, {"is_final": False}, id="not over yet"),
        *[
            pytest.param(
                {"answer_time": word, "record_url": GONE},
                {
                    "disposition": Disposition.UNKNOWN,
                    "hangup_party": "unknown",
                    "sip_code": None,
                    "hangup_reason": "",
                    "hangup_cause": "NORMAL_CLEARING",
                    "ring_ms": None,
                    "talk_ms": None,
                    "billable_s": 3,
                    "recording_state": RecordingState.UNKNOWN,
                    "extras": {"answer_time": word, "code": "86", "sipid": "1049002"},
                    "quality_flags": (Flag.BAD_TIME, *UNVERIFIED),
                },
                id=f"S4 {word}",
            )
            for word in ("n/a", "2019-04-17 06:54:46+99:99", "201904170654", "unknown", "155548408612")
        ],
        pytest.param(
            {"answer_time": "n/a", "hangup_cause": "USER_BUSY"},
            {"disposition": Disposition.UNKNOWN, "sip_code": None, "q850": 17, "hangup_party": "unknown"},
            id="S4 whether a busy party answered is not known either",
        ),
        pytest.param(
            {"answer_time": "n/a", "duration": GONE},
            {"billable_s": None, "billable_source": ""},
            id="S4 nor how long they spoke",
        ),
        pytest.param(
            {"answer_time": "20190417065446"},
            {"answer_at": at(46), "talk_ms": 3_000, "quality_flags": (*UNVERIFIED, Flag.TZ_ASSUMED)},
            id="S4 fourteen digits are read",
        ),
        pytest.param(
            {"answer_time": "2019-04-17 14:54:46+08:00"},
            {"answer_at": at(46), "quality_flags": UNVERIFIED},
            id="an offset is read",
        ),
        *[
            pytest.param(
                {"duration": duration},
                {
                    "vendor_duration_s": None,
                    "billable_s": None,
                    "billable_source": "",
                    "talk_ms": 3_000,
                    "extras": {"code": "86", "duration": str(duration), "sipid": "1049002"},
                    "quality_flags": (*UNVERIFIED, Flag.RANGE_ERROR),
                },
                id=f"A1 {duration} seconds",
            )
            for duration in (2**31, "2147483648", 2**32, 2**63, 10**12, 604_801, 14 + 86_401, -1, "1e9", "1E+9")
        ],
        pytest.param({"duration": 14 + 86_400}, {"billable_s": 14 + 86_400}, id="A1 a day more than the call itself"),
        pytest.param(
            {"duration": "soon"},
            {"vendor_duration_s": None, "billable_s": None, "quality_flags": (*UNVERIFIED, Flag.TYPE_DRIFT)},
            id="A1 seconds that cannot be read are not known",
        ),
        pytest.param(
            {**NOBODY, "answer_time": "", "duration": 14, "hangup_cause": "USER_BUSY"},
            {
                "disposition": Disposition.BUSY,
                "billable_s": 14,
                "billable_source": "vendor",
                "quality_flags": (Flag.BILLED_UNANSWERED, Flag.DURATION_MISMATCH, *UNVERIFIED),
            },
            id="billed although busy",
        ),
        pytest.param(
            {**NOBODY, "answer_time": "", "duration": 86_400 * 3},
            {"vendor_duration_s": None, "billable_s": None, "quality_flags": (*UNVERIFIED, Flag.RANGE_ERROR)},
            id="billed for three days although not answered",
        ),
        pytest.param(
            {"code": "9" * 4400, "phone": "81234567890"},
            {"from_number": "81234567890", "from_kind": NumberKind.UNVERIFIED, "quality_flags": UNVERIFIED},
            id="P10 a code of 4,400 digits",
        ),
        *[
            pytest.param(
                {"code": code, "phone": phone},
                {"from_number": f"+{phone}", "from_kind": NumberKind.E164},
                id=f"S11 {code}",
            )
            for code, phone in (
                ("62", "62811234567"),
                ("86", "8613800138000"),
                ("852", "85291234567"),
                ("1", "12015550123"),
                ("44", "447911123456"),
                ("65", "6581234567"),
            )
        ],
        *[
            pytest.param(
                {"answer_time": "", "hangup_cause": number},
                {"hangup_cause": name, "sip_code": sip, "q850": None},
                id=f"S7 {number}",
            )
            for number, name, sip in (
                ("820", "NO_IDENTITY", 428),
                ("821", "BAD_IDENTITY_INFO", 429),
                ("822", "UNSUPPORTED_CERTIFICATE", 437),
                ("823", "INVALID_IDENTITY", 438),
                ("824", "STALE_DATE", 403),
                ("825", "REJECT_ALL", 603),
                ("620", "NO_IDENTITY", 428),
                ("615", "BUSY_EVERYWHERE", 600),
                ("500", "CRASH", 480),
                ("503", "MANAGER_REQUEST", 480),
            )
        ],
        pytest.param(
            {"hangup_cause": "625"},
            {"hangup_cause": "625", "quality_flags": (*UNVERIFIED, Flag.UNKNOWN_ENUM)},
            id="S7 625 never was a cause",
        ),
        *[
            pytest.param({name: "6281314382782"}, {"quality_flags": UNVERIFIED}, id=f"S6 {name} is the platform's own")
            for name in ("country_code", "id", "fee")
        ],
        pytest.param({"mobile_name": "æ\x89\x8bæ\x9cº"}, {"agent_name": "手机"}, id="a name in Latin-1 of UTF-8"),
    ],
)
def test_a_deviation_from_the_example(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    found = fact(**changes)
    assert fields_of(found, tuple(expected)) == expected


@pytest.mark.parametrize("name", sorted(set(EXAMPLE) - {"sessionid"}))
def test_any_field_but_the_id_may_be_missing(name: str) -> None:
    assert fact(**{name: GONE}).vendor_call_id == EXAMPLE["sessionid"]


@pytest.mark.parametrize("name", sorted(set(EXAMPLE) - {"sessionid"}))
def test_any_field_but_the_id_may_be_an_object(name: str) -> None:
    """G38: it is flagged, and the call is not lost."""
    assert Flag.TYPE_DRIFT in fact(**{name: {"value": EXAMPLE[name]}}).quality_flags


def test_the_recordings_address_is_content_and_no_identity() -> None:
    """N37: a later copy with another address updates the same record."""
    first, later = fact(), fact(record_url="https://as02.nxcloud.com/record/other")
    assert first.fact_id == later.fact_id
    assert first.content_digest != later.content_digest


def test_two_calls_of_one_order_are_two_records() -> None:

    assert fact().fact_id != fact(sessionid="other").fact_id


def test_a_list_of_records_is_taken_apart() -> None:
    found = outcome([EXAMPLE, {**EXAMPLE, "sessionid": ""}, {**EXAMPLE, "sessionid": "other"}])
    assert [f.raw_element for f in found.facts] == [0, 2]
    assert [(dead.code, dead.element) for dead in found.dead] == [("no_id", 1)]


@pytest.mark.parametrize(
    "element",
    [
        pytest.param({"sessionid": "x", "state": 3, "time": "1552628370.54565", "info": ""}, id="its own status push"),
        pytest.param({"sessionId": "x", "ak": "y"}, id="another's session"),
        pytest.param({}, id="nothing"),
    ],
)
def test_other_payloads_are_of_the_wrong_kind(element: Any) -> None:
    assert [dead.code for dead in outcome(element).dead] == ["wrong_kind"]
