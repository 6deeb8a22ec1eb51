"""YTX beyond the golden cases: one deviation from a documented example a row; outcomes of two-way calls are apart."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from processors.normalise import directory
from schemas.config.settings import Account
from schemas.facts import Disposition, Flag, Kind, NumberKind
from schemas.vendors import VENDORS
from tests.support.payloads.ytx_elements import (
    CONFERENCE,
    GONE,
    STATE,
    TWO_WAY,
    VOICE,
    code,
    fact,
    fields_of,
    outcome,
    same,
)

DOUBTFUL = (Flag.DURATION_MISMATCH, Flag.NUMBER_UNVERIFIED)  # the flags of the documented voice example


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"duration": "22"}, {"billable_s": 22, "quality_flags": DOUBTFUL[1:]}, id="duration as the times say"
        ),
        *[
            pytest.param(
                {"oriamount": amount},
                {"cost": Decimal("0.06"), "quality_flags": (*DOUBTFUL, Flag.TYPE_DRIFT)},
                id=f"V13 {amount}",
            )
            for amount in ("￥0.06", "0.06CNY")
        ],
        pytest.param(
            {"oriamount": GONE},
            {"cost": None, "currency": "", "quality_flags": (Flag.COST_MISSING, *DOUBTFUL)},
            id="V09 no cost is not free",
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
            for tel in ("13800138000", "+86 138-0013-8000")
        ],
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
    assert fields_of(fact(VOICE, **changes), expected) == expected


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        pytest.param(VOICE, {"fid": 2, "duration": 10, "oriamount": 0.06}, id="V02 types of the pull API"),
        pytest.param(VOICE, {"stime": "1454383176000", "etime": 1454383198000}, id="V29 epoch ms"),
        pytest.param(VOICE, {"stime": "2016-02-0211:19:36.000"}, id="V28 no space"),
        pytest.param(VOICE, {"requestid": 2016010000000205}, id="G13 bare id"),
        pytest.param(VOICE, {"fid": GONE}, id="fid known by the fields"),
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
        pytest.param(CONFERENCE, {"tel": "008615801445465"}, id="a participant with the country"),
        pytest.param(CONFERENCE, {"stime": "2016-03-14 10:43:42"}, id="a participant without milliseconds"),
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


@pytest.mark.parametrize(
    "base",
    [
        pytest.param(VOICE, id="V23 voice codes"),
        pytest.param(TWO_WAY, id="two-way calls"),
        pytest.param(STATE, id="S10 states"),
        pytest.param(CONFERENCE, id="C04 participants"),
    ],
)
def test_two_batches_that_overlap_by_five_repeat_five_facts(base: dict[str, Any]) -> None:
    """Neither the body, nor the place in it, nor the hour of the receipt is part of a fact's identity."""
    items = [{**base, "requestid": str(2016010000000300 + number)} for number in range(15)]
    first, second = outcome(items[:10]).facts, outcome(items[5:], at=datetime(2018, 6, 5, 3, tzinfo=UTC)).facts
    known = {(fact.fact_id, fact.content_digest) for fact in first}
    assert [(fact.fact_id, fact.content_digest) in known for fact in second] == [True] * 5 + [False] * 5
    assert len(known | {(fact.fact_id, fact.content_digest) for fact in second}) == 15


def test_a_record_that_names_a_state_is_still_a_record() -> None:
    found = fact(TWO_WAY, state="answer")
    assert (found.kind, found.extras) == (Kind.CALLBACK_CDR, {"state": "answer"})


def test_one_id_in_two_kinds_is_two_records_of_one_call() -> None:

    voice, two_way = fact(VOICE), fact(TWO_WAY, requestid=VOICE["requestid"])
    assert voice.fact_id != two_way.fact_id
    assert voice.call_key == two_way.call_key


@pytest.mark.parametrize(
    ("base", "changes", "dead"),
    [
        pytest.param(VOICE, {"fid": {}}, "wrong_kind", id="fid is an object"),
        pytest.param(TWO_WAY, {"fid": "2"}, "wrong_kind", id="two-way fields under the voice id"),
        *[
            pytest.param(base, {"requestid": GONE}, "no_id", id=f"G17 {n}")
            for n, base in enumerate((VOICE, TWO_WAY, STATE))
        ],
        pytest.param(CONFERENCE, {"requestid": None}, "no_id", id="G17 null"),
        pytest.param(TWO_WAY, {"requestid": ["x"]}, "field", id="G38 id in a list"),
        pytest.param(STATE, {"state": {}}, "field", id="G38 state is an object"),
        pytest.param(STATE, {"state": GONE}, "field", id="a state without its word"),
        pytest.param(STATE, {"dsc": ""}, "field", id="a state of no phone"),
        pytest.param({"requestid": "1", "appid": "a", "fid": "4"}, {}, "wrong_kind", id="nothing but ids"),
        pytest.param({"state": 1, "sessionid": "x"}, {}, "wrong_kind", id="another vendor's state"),
    ],
)
def test_what_cannot_be_placed_is_a_dead_letter(base: dict[str, Any], changes: dict[str, Any], dead: str) -> None:
    assert code(base, **changes) == dead


CODE = "8421"
HOLDERS: dict[str, Any] = {
    "code": CODE, "Code": CODE, " code ": CODE, "captcha": CODE, "captchaCode": CODE, "verifyCode": CODE, "verify_code": CODE,
    "verificationCode": CODE, "voiceCode": CODE, "voice-code": CODE, "smscode": CODE, "authCode": CODE, "checkCode": CODE,
    "vcode": CODE, "validateCode": CODE, "otp": CODE, "smsOtp": CODE, "pin": CODE, "passcode": CODE, "dynamicCode": CODE,
    "randomCode": CODE, "yzm": CODE, "验证码": CODE, "playCode": int(CODE), "codeText": CODE, "content": "您的验证码是8421，请勿泄露",
    "ttsText": "Your verification code is 8421.", "param": {"code": CODE}, "params": [{"verifyCode": CODE}],
    "text": '{"code":"8421"}', "query": "tel=1&code=8421", "code#1": CODE,
}  # fmt: skip


@pytest.mark.parametrize("name", HOLDERS)
@pytest.mark.parametrize("base", [VOICE, TWO_WAY, STATE, CONFERENCE], ids=["voice", "two-way", "state", "conference"])
def test_a_verification_code_is_kept_nowhere(base: dict[str, Any], name: str) -> None:

    found = fact(base, **{name: HOLDERS[name]})
    assert CODE not in json.dumps(msgspec.to_builtins(found), ensure_ascii=False, default=str)


@pytest.mark.parametrize("name", ["spoken", "message", "digits", "playContent", "x"])
def test_a_voice_record_keeps_nothing_that_looks_like_a_code(name: str) -> None:
    assert name not in fact(VOICE, **{name: CODE}).extras
    assert fact(TWO_WAY, **{name: CODE}).extras[name] == CODE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("caller", "13800138000"), ("displayNum", "01053180002"), ("statusCode", "ok"), ("areaCode", "a"), ("errorcode", "E1"),
        ("lang", "zh"), ("sentAt", "2016-02-02 11:19:36"), ("tries", 2), ("template", {"id": 7}),
    ],
)  # fmt: skip
def test_a_voice_record_keeps_what_is_no_code(name: str, value: Any) -> None:
    found = fact(VOICE, **{name: value})
    assert found.extras[name] == (json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else str(value))
    assert Flag.SCHEMA_DRIFT in found.quality_flags


def test_five_hundred_participants_are_as_many_facts() -> None:

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
            {"cdr": [*[{**VOICE, "requestid": f"r-{n}"} for n in range(9)], {"fid": "2", "tel": "1"}]},
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
    assert [(dead.code, dead.element) for dead in found.dead] == dead


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


def test_a_record_of_another_tenant_is_of_the_wrong_account() -> None:
    found = outcome({"cdr": [{**VOICE, "appid": "other"}]}, account="shop", accounts=ACCOUNTS)
    assert [dead.code for dead in found.dead] == ["wrong_account"]


def test_the_replies_are_as_documented() -> None:
    """500 makes it send again, at most three times in all; 200 is the success."""
    page = VENDORS["ytx"]
    assert (page.accepted.status, page.retry.status, page.sends_at_most) == (200, 500, 3)
