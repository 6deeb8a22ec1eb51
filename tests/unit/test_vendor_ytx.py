"""YTX beyond the golden cases: one deviation from a documented example a row, and the whole table of announcements."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from processors.normalise import Directory, Outcome, directory
from schemas.facts import Disposition, Fact, Flag, Kind, NumberKind, RecordingState, Role, State
from schemas.raw import RawCallback
from schemas.settings import Account
from schemas.vendors import VENDORS
from tests.golden.cases import HERE, load, run

GOLDEN = HERE / "ytx"


def example(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(load(GOLDEN / f"push-{name}.json").raw.body)
    return document["cdr"][0] if "cdr" in document else document  # type: ignore[no-any-return]  # the documents' own shape


VOICE = example("V01-document-example")
TWO_WAY = example("W02-the-same-in-valid-JSON")
STATE = example("S01-document-example")
CONFERENCE = example("C01-document-example")
GONE = object()
"""A field that is not sent."""


def outcome(
    document: Any, *, account: str = "", accounts: Directory | None = None, at: datetime | None = None
) -> Outcome:
    body = document if isinstance(document, bytes) else json.dumps(document, ensure_ascii=False).encode()
    raw = RawCallback(
        vendor="ytx",
        callback="push",
        account=account,
        received_at=at or datetime(2018, 6, 5, tzinfo=UTC),
        request_id="r",
        body=body,
    )
    return run(raw, accounts)


def sent(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**base, **changes}.items() if value is not GONE}


def fact(base: dict[str, Any], **changes: Any) -> Fact:
    element = sent(base, changes)
    (found,) = outcome(element if base is STATE else {"cdr": [element]}).facts
    return found


def code(base: dict[str, Any], **changes: Any) -> str:
    element = sent(base, changes)
    (letter,) = outcome(element if base is STATE else {"cdr": [element]}).dead
    return letter.code


def told(found: Fact, names: Any) -> dict[str, Any]:
    return {name: getattr(found, name) for name in names}


def same(one: Fact, other: Fact) -> bool:
    """Whether the second is the first sent again."""
    return (one.fact_id, one.content_digest) == (other.fact_id, other.content_digest)


DOUBTFUL = (Flag.DURATION_MISMATCH, Flag.NUMBER_UNVERIFIED)  # what the documented voice example has anyway


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"duration": "22"}, {"billable_s": 22, "quality_flags": DOUBTFUL[1:]}, id="duration as the times say"
        ),
        pytest.param({"duration": "60"}, {"billable_s": 60, "quality_flags": DOUBTFUL}, id="V25 billed by the minute"),
        pytest.param({"oriamount": "0.00"}, {"cost": Decimal(0), "currency": "CNY"}, id="V08 free"),
        pytest.param({"oriamount": 0.06}, {"cost": Decimal("0.06")}, id="V10 float"),
        pytest.param({"oriamount": "0.0600000001"}, {"cost": Decimal("0.06")}, id="V11 too many places"),
        *[
            pytest.param(
                {"oriamount": amount},
                {"cost": Decimal("0.06"), "quality_flags": (*DOUBTFUL, Flag.TYPE_DRIFT)},
                id=f"V13 {amount}",
            )
            for amount in ("0,06", "0.06元", "￥0.06")
        ],
        pytest.param({"oriamount": "6e-2"}, {"cost": Decimal("0.06"), "quality_flags": DOUBTFUL}, id="V14 exponent"),
        pytest.param(
            {"oriamount": GONE},
            {"cost": None, "currency": "", "quality_flags": (Flag.COST_MISSING, *DOUBTFUL)},
            id="V09 no cost is not free",
        ),
        pytest.param(
            {"etime": "2016-02-02 11:19:30.000"},
            {"talk_ms": None, "billable_s": 10, "quality_flags": (Flag.NUMBER_UNVERIFIED, Flag.TIME_ORDER)},
            id="V26 ends before it starts",
        ),
        pytest.param(
            {"etime": "2016-02-02 03:19:36.000"},
            {"quality_flags": (Flag.NUMBER_UNVERIFIED, Flag.TIME_ORDER, Flag.TZ_SUSPECT)},
            id="G34 ends eight hours before",
        ),
        pytest.param(
            {"etime": "2016-02-30 11:19:58"},
            {"end_at": None, "quality_flags": (Flag.BAD_TIME, Flag.NUMBER_UNVERIFIED), "is_final": False},
            id="G35 30 February",
        ),
        *[
            pytest.param({"tel": tel}, {"to_number": "+8613800138000", "to_kind": NumberKind.E164}, id=f"V31 {tel}")
            for tel in ("13800138000", "+8613800138000", "008613800138000", "8613800138000", "013800138000")
        ],
        pytest.param({"tel": "+6281314382782"}, {"to_number": "+6281314382782"}, id="V32 foreign"),
        pytest.param({"tel": ""}, {"to_number": None, "quality_flags": DOUBTFUL}, id="V34 nobody"),
        pytest.param(
            {"caller": "10086"},
            {"extras": {"caller": "10086"}, "quality_flags": (*DOUBTFUL, Flag.SCHEMA_DRIFT)},
            id="V35 a caller",
        ),
        pytest.param(
            {"tel": {"n": 1}}, {"to_number": None, "quality_flags": (Flag.DURATION_MISMATCH, Flag.TYPE_DRIFT)}, id="G38"
        ),
        pytest.param(
            {"stime": "", "etime": "", "duration": "0", "oriamount": "0"},
            {
                "disposition": Disposition.NO_ANSWER,
                "billable_s": 0,
                "is_final": True,
                "quality_flags": (Flag.NUMBER_UNVERIFIED,),
            },
            id="V06 unanswered and free",
        ),
    ],
)
def test_voice_code(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert told(fact(VOICE, **changes), expected) == expected


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        pytest.param(VOICE, {"fid": 2, "duration": 10, "oriamount": 0.06}, id="V02 types of the pull API"),
        pytest.param(VOICE, {"stime": "1454383176000", "etime": 1454383198000}, id="V29 epoch ms"),
        pytest.param(VOICE, {"stime": "2016-02-0211:19:36.000"}, id="V28 no space"),
        pytest.param(VOICE, {"requestid": 2016010000000205}, id="G13 bare id"),
        pytest.param(VOICE, {"fid": GONE}, id="fid told by the fields"),
        pytest.param(
            TWO_WAY,
            {"fid": 4, "duration": 60, "oriamount": 2.94, "callerstime": "2016-02-02 11:19:36", "customParm": 123456},
            id="W44 types of the pull API",
        ),
        pytest.param(TWO_WAY, {"caller": "008613810603954", "called": "+8618810207016"}, id="W32 with the country"),
        pytest.param(TWO_WAY, {"stateDesc": " 应答|正常 "}, id="spaces"),
        pytest.param(TWO_WAY, {"stateDesc": "应答|正常".encode().decode("latin-1")}, id="W22 Latin-1 of UTF-8"),
        pytest.param(STATE, {"dsc": "013600007556"}, id="S19 trunk zero"),
        pytest.param(STATE, {"dsc": "8613600007556"}, id="S19 country code"),
        pytest.param(STATE, {"dsc": GONE, "dst": "13600007556"}, id="S20 dst"),
        pytest.param(STATE, {"state": "CALLOUT "}, id="S23 spelling"),
        pytest.param(STATE, {"timestamp": "2018-06-04 11:13:04.000"}, id="S28 with milliseconds"),
        pytest.param(STATE, {"timestamp": "1528081984"}, id="S29 epoch"),
        pytest.param(STATE, {"requestid": 20180635240289460415365120401}, id="G13 bare id of 29 digits"),
        pytest.param(CONFERENCE, {"confid": 516152, "customParm": 123456}, id="C08 C37 numbers"),
    ],
)
def test_another_spelling_is_the_same_fact(base: dict[str, Any], changes: dict[str, Any]) -> None:
    assert same(fact(base), fact(base, **changes))


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        pytest.param(VOICE, {"duration": "11"}, id="V22 duration"),
        pytest.param(VOICE, {"oriamount": "0.07"}, id="V40 cost"),
        pytest.param(TWO_WAY, {"stateDesc": ""}, id="W40 text filled in later"),
        pytest.param(TWO_WAY, {"called": "18810207017"}, id="W41 another callee"),
        pytest.param(TWO_WAY, {"tapesurl": "http://203.0.113.9/1.mp3"}, id="recording"),
        pytest.param(CONFERENCE, {"etime": "2016-03-14 10:45:00.000"}, id="C05 longer"),
    ],
)
def test_another_content_is_a_later_copy_of_the_same_record(base: dict[str, Any], changes: dict[str, Any]) -> None:
    first, later = fact(base), fact(base, **changes)
    assert first.fact_id == later.fact_id
    assert first.content_digest != later.content_digest


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        pytest.param(TWO_WAY, {"requestid": "2016010000000299"}, id="another call"),
        pytest.param(TWO_WAY, {"appid": "00000000000000000000000000000001"}, id="W38 another application"),
        pytest.param(CONFERENCE, {"tel": "15801445466"}, id="C02 another participant"),
        pytest.param(CONFERENCE, {"stime": "2016-03-14 10:43:50.000"}, id="the participant again, later"),
        pytest.param(STATE, {"state": "answer"}, id="another state"),
        pytest.param(STATE, {"timestamp": "2018-06-04 11:13:09"}, id="S11 the state again, later"),
        pytest.param(STATE, {"dsc": "13600007557"}, id="the other leg"),
        pytest.param(STATE, {"requestid": STATE["requestid"] + "01"}, id="S37 an id that only starts alike"),
    ],
)
def test_another_identity_is_another_fact(base: dict[str, Any], changes: dict[str, Any]) -> None:
    assert fact(base).fact_id != fact(base, **changes).fact_id


def test_one_id_in_two_kinds_is_two_records_of_one_call() -> None:
    """W37."""
    voice, two_way = fact(VOICE), fact(TWO_WAY, requestid=VOICE["requestid"])
    assert voice.fact_id != two_way.fact_id
    assert voice.call_key == two_way.call_key


@pytest.mark.parametrize(
    ("base", "changes", "dead"),
    [
        pytest.param(VOICE, {"fid": "4"}, "wrong_kind", id="V04 voice fields under the two-way id"),
        pytest.param(VOICE, {"fid": "9"}, "wrong_kind", id="V05 unknown fid"),
        pytest.param(VOICE, {"fid": {}}, "wrong_kind", id="fid is an object"),
        pytest.param(TWO_WAY, {"fid": "2"}, "wrong_kind", id="two-way fields under the voice id"),
        *[
            pytest.param(base, {"requestid": GONE}, "no_id", id=f"G17 {n}")
            for n, base in enumerate((VOICE, TWO_WAY, STATE))
        ],
        pytest.param(CONFERENCE, {"requestid": None}, "no_id", id="G17 null"),
        pytest.param(TWO_WAY, {"requestid": ["x"]}, "field", id="G38 id in a list"),
        pytest.param(STATE, {"state": ""}, "field", id="S25 no state"),
        pytest.param(STATE, {"state": {}}, "field", id="G38 state is an object"),
        pytest.param(STATE, {"dsc": ""}, "field", id="a state of no phone"),
        pytest.param({"state": 1, "sessionid": "x"}, {}, "wrong_kind", id="another vendor's state"),
    ],
)
def test_what_cannot_be_placed_is_a_dead_letter(base: dict[str, Any], changes: dict[str, Any], dead: str) -> None:
    assert code(base, **changes) == dead


UNDER_A = {"calledstime": "", "duration": "60", "tapesurl": "NoTapes"}  # A answered, B did not
UNDER_NONE = {"callerstime": "", "calledstime": "", "duration": "0", "tapesurl": "NoTapes"}
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
            {**UNDER_A, "stateDesc": "应答|空号"},
            {"disposition": Disposition.INVALID_NUMBER, "q850": 1, "sip_code": 404, "is_final": True},
            id="W11 no such number",
        ),
        pytest.param(
            {**UNDER_NONE, "stateDesc": "|空号"},
            {"disposition": Disposition.INVALID_NUMBER, "hangup_reason": "unallocated"},
            id="W13 only B's text",
        ),
        pytest.param(
            {**NO_TIMES, "stateDesc": "未知|未知"},
            {
                "disposition": Disposition.UNKNOWN,
                "hangup_cause": "未知|未知",
                "quality_flags": (Flag.UNKNOWN_ENUM,),
                "is_final": False,
            },
            id="W16 unknown twice",
        ),
        pytest.param(
            {**UNDER_A, "stateDesc": "应答|未知"},
            {"disposition": Disposition.NO_ANSWER, "quality_flags": (Flag.STATE_VS_TIME, Flag.UNKNOWN_ENUM)},
            id="W15 B unknown",
        ),
        pytest.param(
            {**UNDER_A, "stateDesc": "应答|外星人"},
            {"disposition": Disposition.UNKNOWN, "hangup_cause": "应答|外星人", "quality_flags": (Flag.UNKNOWN_ENUM,)},
            id="W18 a text that nobody knows",
        ),
        pytest.param(
            {"stateDesc": "应答|正常|x", "tapesurl": "NoTapes"},
            {"disposition": Disposition.ANSWERED, "hangup_reason": "normal", "quality_flags": (Flag.TYPE_DRIFT,)},
            id="W19 three parts",
        ),
        pytest.param(
            {"stateDesc": GONE, "tapesurl": "NoTapes"},
            {"disposition": Disposition.ANSWERED, "q850": None, "cause_confidence": "none", "quality_flags": ()},
            id="W20 no text, answered",
        ),
        pytest.param(
            {**UNDER_A, "stateDesc": GONE},
            {"disposition": Disposition.NO_ANSWER, "q850": None, "quality_flags": (), "is_final": True},
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
            {"disposition": Disposition.ANSWERED, "talk_ms": 60_000, "quality_flags": (Flag.STATE_VS_TIME,)},
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
        pytest.param({"tapesurl": "notapes"}, {"recording_state": RecordingState.NONE, "recording_url": ""}, id="W25"),
        pytest.param({"tapesurl": GONE}, {"recording_state": RecordingState.UNKNOWN}, id="no word of a recording"),
        pytest.param(
            {"tapesurl": "http://203.0.113.9/1.mp3?user=u&password=p"},
            {
                "recording_state": RecordingState.AVAILABLE,
                "recording_url": "http://203.0.113.9/1.mp3?user=u&password=p",
                "quality_flags": (),
            },
            id="C25 a recording",
        ),
        pytest.param(
            {"calledstime": "2016-02-02 11:19:30.000", "tapesurl": "NoTapes"},
            {"quality_flags": (Flag.TIME_ORDER,)},
            id="W28 B before A",
        ),
        pytest.param(
            {"calledetime": "2016-02-02 11:20:30.000", "tapesurl": "NoTapes"},
            {"talk_ms": 56_000, "end_at": datetime(2016, 2, 2, 3, 20, 36, tzinfo=UTC), "quality_flags": ()},
            id="W30 B hangs up first: talk is from the answer to the call's end",
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
            {"duration": "45", "tapesurl": "NoTapes"},
            {"billable_s": 45, "talk_ms": 60_000, "quality_flags": (Flag.DURATION_MISMATCH,)},
            id="W07 the duration of neither leg",
        ),
        pytest.param(
            {"duration": GONE, "tapesurl": "NoTapes"},
            {"vendor_duration_s": None, "billable_s": 60, "billable_source": "computed"},
            id="no duration",
        ),
        pytest.param(
            {**UNDER_A, "duration": GONE}, {"billable_s": 0, "billable_source": "computed"}, id="no duration, no answer"
        ),
        pytest.param(
            {"called": "13810603954", "tapesurl": "NoTapes"},
            {"quality_flags": (Flag.SAME_NUMBER,)},
            id="W31 calls itself",
        ),
        pytest.param(
            {"called": "95588"}, {"to_number": "95588", "to_kind": NumberKind.SHORT}, id="W34 a service number"
        ),
        pytest.param(
            {"called": "1381060395", "tapesurl": "NoTapes"},
            {"to_kind": NumberKind.UNVERIFIED, "quality_flags": (Flag.NUMBER_UNVERIFIED,)},
            id="W35 a digit is missing",
        ),
    ],
)
def test_two_way_call(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert told(fact(TWO_WAY, **changes), expected) == expected


def test_a_pair_with_only_bs_text_leaves_a_unknown() -> None:
    """W13."""
    found = fact(TWO_WAY, **UNDER_NONE, stateDesc="|空号")
    assert [leg.disposition for leg in found.legs] == [Disposition.UNKNOWN, Disposition.INVALID_NUMBER]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        *[
            pytest.param({"state": word}, {"state": state}, id=word)
            for word, state in (
                ("callout", State.SETUP),
                ("alerting", State.ALERTING),
                ("Answer", State.ANSWER),
                ("DISCONNECT ", State.RELEASE),
            )
        ],
        pytest.param(
            {"state": 3},
            {"state": State.UNKNOWN, "quality_flags": (Flag.UNKNOWN_ENUM,), "extras": {"state": "3"}},
            id="S26",
        ),
        pytest.param(
            {"state": "disconnect", "stateDesc": "空号"},
            {"disposition": Disposition.INVALID_NUMBER, "hangup_cause": "空号", "q850": 1, "quality_flags": ()},
            id="a leg's ending, which live pushes have",
        ),
        pytest.param(
            {"state": "disconnect", "stateDesc": "应答"},
            {"disposition": Disposition.UNKNOWN, "hangup_reason": "answered"},
            id="a text alone is no answer",
        ),
        pytest.param(
            {"state": "disconnect", "stateDesc": "应答|空号"},
            {"disposition": Disposition.UNKNOWN, "hangup_cause": "应答|空号", "quality_flags": ()},
            id="a pair: which of them is this leg's is not known here",
        ),
        pytest.param(
            {"timestamp": "2018-06-04 25:00:00"},
            {"event_at": None, "quality_flags": (Flag.BAD_TIME,), "extras": {"timestamp": "2018-06-04 25:00:00"}},
            id="bad time",
        ),
        pytest.param({"src": GONE}, {"display_number": None, "quality_flags": ()}, id="no display number"),
        pytest.param({"src": "13600007556"}, {"display_number": "+8613600007556", "leg": "13600007556"}, id="S22"),
        pytest.param({"dsc": "138****8000"}, {"leg_number": "138****8000", "leg": "138****8000"}, id="masked leg"),
    ],
)
def test_state(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    found = fact(STATE, **changes)
    assert told(found, expected) == expected
    assert (found.kind, found.is_final) == (Kind.CALLBACK_STATE, False)


@pytest.mark.parametrize(("hours", "suspect"), [(0, False), (8, True), (-8, False), (5, False)])
def test_an_event_eight_hours_ahead_of_its_receipt_is_suspect(hours: int, suspect: bool) -> None:  # noqa: FBT001 - a table's column
    """S31: somebody mixed up Beijing and UTC; said, not mended."""
    received = datetime(2018, 6, 4, (3 - hours) % 24, 13, 9, tzinfo=UTC)
    if hours > 3:
        received = received.replace(day=3)
    (found,) = outcome(STATE, at=received).facts
    assert found.event_at == datetime(2018, 6, 4, 3, 13, 4, tzinfo=UTC)
    assert (Flag.TZ_SUSPECT in found.quality_flags) is suspect


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"confid": GONE},
            {"conference_id": "", "quality_flags": (Flag.PLACEHOLDER, Flag.SCHEMA_DRIFT)},
            id="C07 no conference",
        ),
        pytest.param(
            {"singleoriamount": GONE, "oriamount": "0.044"},
            {"cost": Decimal("0.044"), "quality_flags": (Flag.PLACEHOLDER, Flag.SCHEMA_DRIFT)},
            id="C11 the other kinds' name for the cost",
        ),
        pytest.param(
            {"stime": "", "duration": "0"},
            {
                "disposition": Disposition.NO_ANSWER,
                "cost": Decimal("0.044"),
                "quality_flags": (Flag.PLACEHOLDER, Flag.STATE_VS_TIME),
            },
            id="C16 never answered, and charged",
        ),
        pytest.param(
            {"etime": CONFERENCE["stime"], "duration": "0"},
            {"disposition": Disposition.ANSWERED, "talk_ms": 0, "billable_s": 0, "quality_flags": (Flag.PLACEHOLDER,)},
            id="C17 answered for no time",
        ),
        pytest.param(
            {"etime": "2016-03-14 10:44:12.600"}, {"talk_ms": 30_600, "quality_flags": (Flag.PLACEHOLDER,)}, id="C19"
        ),
        pytest.param(
            {"duration": "0"},
            {"billable_s": 0, "quality_flags": (Flag.DURATION_MISMATCH, Flag.PLACEHOLDER)},
            id="C20 nothing billed for half a minute",
        ),
        pytest.param(
            {"stime": "2016-03-14 24:00:00"},
            {
                "answer_at": None,
                "disposition": Disposition.UNKNOWN,
                "billable_s": 31,
                "extras": {"stime": "2016-03-14 24:00:00"},
                "quality_flags": (Flag.BAD_TIME, Flag.PLACEHOLDER),
            },
            id="G35 answered at hour 24",
        ),
        pytest.param({"tapesurl": GONE}, {"recording_state": RecordingState.UNKNOWN, "quality_flags": ()}, id="C22"),
        pytest.param({"tapesurl": "NoTapes"}, {"recording_state": RecordingState.NONE, "quality_flags": ()}, id="C23"),
    ],
)
def test_conference(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    found = fact(CONFERENCE, **changes)
    assert told(found, expected) == expected
    assert [leg.role for leg in found.legs] == [Role.P]


def test_a_host_who_is_the_platform_itself_is_a_participant() -> None:
    """C34."""
    (leg,) = fact(CONFERENCE, tel="01053180002").legs
    assert (leg.role, leg.number, leg.number_kind) == (Role.P, "+861053180002", NumberKind.E164)


def test_five_hundred_participants_are_as_many_facts() -> None:
    """C28."""
    tels = [str(13_800_138_000 + n) for n in range(500)]
    found = outcome({"cdr": [{**CONFERENCE, "tel": tel} for tel in tels]})
    assert [fact.legs[0].number for fact in found.facts] == [f"+86{tel}" for tel in tels]
    assert len({fact.fact_id for fact in found.facts}) == 500


@pytest.mark.parametrize(
    ("document", "facts", "dead"),
    [
        pytest.param({"cdr": []}, 0, [], id="G05 none"),
        pytest.param({"cdr": None}, 0, [], id="null"),
        pytest.param({"cdr": ""}, 0, [], id="blank"),
        pytest.param({"cdr": VOICE}, 1, [], id="one without its list"),
        pytest.param([VOICE, STATE], 2, [], id="a bare list of anything"),
        pytest.param(VOICE, 1, [], id="a bare record"),
        pytest.param({"cdr": json.dumps([VOICE, TWO_WAY])}, 2, [], id="V19 inside a string"),
        pytest.param({"cdr": [VOICE, None, "", 7]}, 1, [("shape", 1), ("shape", 2), ("shape", 3)], id="V20 no objects"),
        pytest.param(
            {"cdr": [*[{**VOICE, "requestid": str(n)} for n in range(9)], {"fid": "2", "tel": "1"}]},
            9,
            [("no_id", 9)],
            id="V17 one bad of ten",
        ),
        pytest.param({"cdr": 7}, 0, [("shape", -1)], id="a number"),
        pytest.param({"cdr": "not JSON"}, 0, [("json", -1)], id="a string that is not JSON"),
    ],
)
def test_bodies(document: Any, facts: int, dead: list[tuple[str, int]]) -> None:
    found = outcome(document)
    assert len(found.facts) == facts
    assert [(letter.code, letter.element) for letter in found.dead] == dead


def test_records_inside_a_string_are_flagged() -> None:
    (found,) = outcome({"cdr": json.dumps([VOICE])}).facts
    assert Flag.REPAIRED_JSON in found.quality_flags


OURS = VOICE["appid"]
ACCOUNTS = directory((Account(vendor="ytx", name="shop", external_ids=(OURS,)),))


@pytest.mark.parametrize(
    ("document", "account", "account_id", "call_key", "flagged"),
    [
        pytest.param(VOICE, "shop", OURS, f"ytx|shop|{VOICE['requestid']}", False, id="a record of the account"),
        pytest.param(VOICE, "", OURS, f"ytx||{VOICE['requestid']}", False, id="a record without an account"),
        pytest.param(STATE, "shop", OURS, f"ytx|shop|{STATE['requestid']}", False, id="a state of the account"),
        pytest.param(STATE, "", "", f"ytx||{STATE['requestid']}", False, id="a state without an account"),
        pytest.param(
            {**VOICE, "appid": "new"},
            "",
            "new",
            f"ytx||{VOICE['requestid']}",
            True,
            id="V37 an application nobody knows",
        ),
    ],
)
def test_accounts(document: Any, account: str, account_id: str, call_key: str, flagged: bool) -> None:  # noqa: FBT001 - a table's column
    (found,) = outcome(document, account=account, accounts=ACCOUNTS).facts
    assert (found.account_id, found.call_key) == (account_id, call_key)
    assert (Flag.UNKNOWN_ACCOUNT in found.quality_flags) is flagged


def test_states_of_an_account_with_several_applications_are_the_accounts_own() -> None:
    accounts = directory((Account(vendor="ytx", name="shop", external_ids=(OURS, "other")),))
    (found,) = outcome(STATE, account="shop", accounts=accounts).facts
    assert found.account_id == "shop"


def test_a_record_of_another_tenant_is_of_the_wrong_kind() -> None:
    found = outcome({"cdr": [{**VOICE, "appid": "other"}]}, account="shop", accounts=ACCOUNTS)
    assert [letter.code for letter in found.dead] == ["wrong_kind"]


def test_the_replies_are_as_documented() -> None:
    """500 makes it send again, at most three times in all; 200 is the success."""
    page = VENDORS["ytx"]
    assert (page.accepted.status, page.retry.status, page.sends_at_most) == (200, 500, 3)
