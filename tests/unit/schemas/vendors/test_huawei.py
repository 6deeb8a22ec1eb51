"""Huawei's rows and notifications beyond the golden cases: one deviation from the documented example a row."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processors.normalise import directory
from schemas.config.settings import Account
from schemas.facts import Direction, Disposition, FactType, Flag, Kind, NumberKind, RecordingState, Role
from schemas.identity import call_key
from schemas.raw import RawCallback
from schemas.vendors import VENDORS
from tests.golden.cases import run
from tests.support.payloads.huawei_elements import CALL, FEE, GONE, RECEIVED, ROW, T_MS, at, fact, outcome

(AX,) = VENDORS["huawei"].callbacks
ANSWERED: dict[str, Any] = {"disposition": Disposition.ANSWERED, "q850": 16, "talk_ms": 60_000, "billable_s": 60}


@pytest.mark.parametrize(
    ("changes", "expected", "flags"),
    [
        pytest.param({}, {**ANSWERED, "billable_source": "computed", "is_final": True, "to_number": None}, (), id="H02"),
        pytest.param({"answerTime": None}, {
            "disposition": Disposition.NO_ANSWER, "q850": None, "cause_confidence": "none", "billable_s": 0,
            "talk_ms": None, "is_final": True,
        }, (), id="called and hung up"),
        pytest.param({"disconnectTime": None}, {
            "disposition": Disposition.ANSWERED, "is_final": False, "talk_ms": None, "billable_s": None,
        }, (), id="answered, not over"),
        pytest.param({"bindTime": T_MS}, ANSWERED, (), id="H20 called as soon as bound"),
        pytest.param({"status": -1}, {**ANSWERED, "binding_state": "failed"}, (Flag.STATE_VS_TIME,), id="H13"),
        pytest.param({"status": 0}, {**ANSWERED, "binding_state": "unbound"}, (), id="unbound since"),
        pytest.param({"status": "1"}, {**ANSWERED, "binding_state": "bound"}, (), id="status as text"),
        pytest.param({"answerTime": None, "callinTime": T_MS, "disconnectTime": T_MS - 28_800_000},
                     {"setup_at": at(0), "end_at": at(-28_800)}, (Flag.TIME_ORDER, Flag.TZ_SUSPECT), id="G34 eight hours back"),
        pytest.param({"maxDuration": 1}, ANSWERED, (), id="within the longest time"),
        pytest.param({"maxDuration": 1, "disconnectTime": T_MS + 5_000 + 120_000}, {"billable_s": 120}, (), id="H25 grace"),
        pytest.param({"maxDuration": 1, "disconnectTime": T_MS + 5_000 + 120_001}, {"billable_s": 120}, (Flag.OVER_MAX,),
                     id="H25 over"),
        pytest.param({"maxDuration": None, "disconnectTime": T_MS + 7_200_000}, {}, (), id="H26 none sent"),
        pytest.param({"maxDuration": 1441}, ANSWERED, (Flag.RANGE_ERROR,), id="a longest time out of range"),
        pytest.param({"answerTime": "2022-02-30 06:46:45"}, {"answer_at": None, "disposition": Disposition.UNKNOWN, "billable_s": None},
                     (Flag.BAD_TIME,), id="G35 30 February"),
        pytest.param({"ak": 12345}, {"account_id": "12345"}, (), id="account as a number"),
        pytest.param({"sessionId": 20180635240289460415365120401}, {"vendor_call_id": "20180635240289460415365120401"}, (),
                     id="G13 a 29-digit id"),
        pytest.param({"remark": "=cmd()|'<b>😀"}, {}, (), id="G37 formula in a remark"),
        pytest.param({"remark": {"a": 1}}, {}, (Flag.TYPE_DRIFT,), id="G38 object for a remark"),
        pytest.param({"newField": 1}, {}, (Flag.SCHEMA_DRIFT,), id="G16 unknown field"),
    ],
)  # fmt: skip
def test_a_call_is_what_its_times_say(
    changes: dict[str, Any], expected: dict[str, Any], flags: tuple[Flag, ...]
) -> None:
    found = fact(**changes)
    assert {name: getattr(found, name) for name in expected} == expected
    assert set(found.quality_flags) == {Flag.PEER_UNKNOWN, *flags}


@pytest.mark.parametrize(
    ("allowed", "direction", "side", "flags"),
    [
        pytest.param(0, Direction.UNKNOWN, "", (), id="H31 both ways"),
        pytest.param(None, Direction.UNKNOWN, "", (), id="H31 null"),
        pytest.param(1, Direction.OUTBOUND, "from", (), id="H29 A calls"),
        pytest.param("2", Direction.INBOUND, "to", (), id="others call"),
        pytest.param(9, Direction.UNKNOWN, "", (Flag.UNKNOWN_ENUM,), id="H32 unknown"),
    ],
)
def test_the_direction_is_known_only_when_one_is_allowed(
    allowed: Any, direction: Direction, side: str, flags: tuple[Flag, ...]
) -> None:
    found = fact(callDirection=allowed)
    assert found.direction == direction
    assert {"from": found.from_number, "to": found.to_number} == {"from": None, "to": None} | (
        {side: "+8618801330084"} if side else {}
    )
    assert set(found.quality_flags) == {Flag.PEER_UNKNOWN, *flags}
    (leg,) = found.legs
    assert (leg.role, leg.number) == (Role.A, "+8618801330084")
    assert "origNum" not in found.extras


@pytest.mark.parametrize(
    ("sent", "number", "kind"),
    [
        pytest.param("8618801330084", "+8618801330084", NumberKind.E164, id="without plus"),
        pytest.param("008618801330084", "+8618801330084", NumberKind.E164, id="with zeros"),
        pytest.param("18801330084", "+8618801330084", NumberKind.E164, id="national"),
        pytest.param("+86188****0084", "+86188****0084", NumberKind.MASKED, id="masked"),
    ],
)
def test_a_s_number_in_every_spelling(sent: str, number: str, kind: NumberKind) -> None:

    (leg,) = fact(origNum=sent).legs
    assert (leg.number, leg.number_kind, leg.number_raw) == (number, kind, sent)


@pytest.mark.parametrize(
    ("changes", "state", "url", "flags"),
    [
        pytest.param({"recordFlag": True}, RecordingState.PENDING, "", (), id="asked for, not there yet"),
        pytest.param({"recordFlag": True, "disconnectTime": T_MS + 8_000}, RecordingState.PENDING, "", (), id="3 s are enough"),
        pytest.param({"recordFlag": "true"}, RecordingState.PENDING, "", (), id="H38 text"),
        pytest.param({"recordFlag": 1}, RecordingState.PENDING, "", (), id="H38 number"),
        pytest.param({"recordFlag": 0}, RecordingState.NONE, "", (), id="H38 zero"),
        pytest.param({"recordFlag": None}, RecordingState.UNKNOWN, "", (), id="not sent"),
        pytest.param({"recordFlag": "maybe"}, RecordingState.UNKNOWN, "", (Flag.TYPE_DRIFT,), id="neither"),
        pytest.param({"recordFlag": True, "disconnectTime": T_MS + 7_000}, RecordingState.NONE, "", (), id="H40 2 s of talk"),
        pytest.param({"recordFlag": True, "answerTime": None}, RecordingState.NONE, "", (), id="never answered"),
        pytest.param({"recordFlag": True, "recordUrl": "https://r.example/1"}, RecordingState.AVAILABLE,
                     "https://r.example/1", (), id="there"),
        pytest.param({"recordUrl": "https://r.example/1"}, RecordingState.AVAILABLE, "https://r.example/1",
                     (Flag.REC_MISMATCH,), id="there although not asked for"),
    ],
)  # fmt: skip
def test_a_recording_is_expected_where_one_can_be(
    changes: dict[str, Any], state: RecordingState, url: str, flags: tuple[Flag, ...]
) -> None:
    found = fact(**changes)
    assert (found.recording_state, found.recording_url) == (state, url)
    assert set(found.quality_flags) == {Flag.PEER_UNKNOWN, *flags}


ANSWER = {"resultcode": "0", "subscriptionId": ROW["subscriptionId"], "privateNum": "008616512884987"}


@pytest.mark.parametrize(
    ("answer", "extras", "flags"),
    [
        pytest.param(json.dumps(ANSWER), {"bind.resultcode": "0"}, (), id="text"),
        pytest.param(ANSWER, {"bind.resultcode": "0"}, (), id="H34 object"),
        pytest.param(json.dumps(json.dumps(ANSWER)), {"bind.resultcode": "0"}, (), id="H35 escaped twice"),
        pytest.param(json.dumps(json.dumps(json.dumps(ANSWER))), {"bindResponse": json.dumps(ANSWER)}, (), id="H35 escaped three times"),
        pytest.param("{oops", {"bindResponse": "{oops"}, (), id="no JSON"),
        pytest.param("[1,2]", {"bindResponse": "[1,2]"}, (), id="a list"),
        pytest.param(None, {}, (), id="null"),
        pytest.param({**ANSWER, "resultcode": "1011005"}, {"bind.resultcode": "1011005"}, (Flag.STATE_VS_TIME,), id="H37"),
        pytest.param({**ANSWER, "subscriptionId": "other"}, {"bind.subscriptionId": "other"}, (Flag.FIELD_CONFLICT,),
                     id="another binding"),
        pytest.param({**ANSWER, "privateNum": "+8616512884988"}, {}, (Flag.FIELD_CONFLICT,), id="another number"),
    ],
)  # fmt: skip
def test_the_nested_answer_is_unpacked_and_compared(
    answer: Any, extras: dict[str, str], flags: tuple[Flag, ...]
) -> None:
    found = fact(ROW, bindResponse=answer)
    assert {name: found.extras.get(name) for name in extras} == extras
    assert set(found.quality_flags) == set(flags)


def test_an_answer_about_unbinding_is_unpacked_too() -> None:
    assert fact(ROW, unbindResponse='{"resultcode":"1"}').extras["unbind.resultcode"] == "1"


@pytest.mark.parametrize(
    ("sent", "decoded"),
    [
        pytest.param(base64.b64encode("订单42".encode()).decode(), "订单42", id="H43 Base64 of Chinese"),
        pytest.param("1499268874687315968", None, id="H43 an id of digits"),
        pytest.param("1499268874687315", None, id="an id of sixteen digits is Base64, too"),
        pytest.param("abcd", None, id="a word that is Base64, too"),
        pytest.param(base64.b64encode(b"plain text!!").decode(), None, id="Base64 of ASCII"),
        pytest.param(base64.b64encode("订单42".encode("gb18030")).decode(), None, id="Base64 of GBK"),
    ],
)
def test_user_data_is_kept_and_decoded_only_when_it_is_surely_encoded(sent: str, decoded: str | None) -> None:
    found = fact(userData=sent)
    assert found.custom_ref == sent
    assert found.extras.get("userData.decoded") == decoded


def test_a_row_without_a_call_is_a_binding() -> None:
    found = fact(ROW, sessionId="", unbindTime=1_646_288_830_000)
    assert (found.fact_type, found.kind, found.vendor_call_id) == (FactType.BINDING, Kind.BINDING, "")
    assert found.bound_at == datetime(2022, 3, 3, 6, 22, 10, tzinfo=UTC)
    assert found.unbound_at == datetime(2022, 3, 3, 6, 27, 10, tzinfo=UTC)
    assert "binding_held_min" not in found.extras


@pytest.mark.parametrize(("minutes", "noted"), [(4, None), (6, None), (7, "7"), (3, "3"), (120, "120")])
def test_a_binding_that_held_otherwise_than_agreed_is_noted(minutes: int, noted: str | None) -> None:
    """H28: five minutes were agreed, and clocks may differ by one minute."""
    assert fact(unbindTime=1_646_288_530_000 + minutes * 60_000).extras.get("binding_held_min") == noted


def test_two_calls_of_one_binding_are_two_records_and_one_call_sent_twice_is_one() -> None:
    """H07, H08; the binding itself is a third thing."""
    first, second, repeated, binding = fact(), fact(sessionId="s-2"), fact(), fact(ROW)
    assert len({first.fact_id, second.fact_id, binding.fact_id}) == 3
    assert (first.fact_id, first.content_digest) == (repeated.fact_id, repeated.content_digest)
    assert first.call_key != second.call_key


def test_a_revision_says_when_and_changes_the_content() -> None:
    older, newer = fact(updatedAt=T_MS + 70_000), fact(updatedAt=T_MS + 80_000, answerTime=T_MS + 6_000)
    assert older.fact_id == newer.fact_id
    assert older.content_digest != newer.content_digest
    assert older.revised_at is not None
    assert newer.revised_at is not None
    assert older.revised_at < newer.revised_at


def test_snapshots_of_a_binding_differ_by_when_they_were_taken() -> None:
    assert fact(ROW).fact_id != fact(ROW, updatedAt=ROW["updatedAt"] + 1).fact_id
    assert fact(ROW).fact_id == fact(ROW, updatedAt=str(ROW["updatedAt"]), id="1").fact_id
    assert fact(ROW).fact_id == fact(ROW, updatedAt="2022-03-03T06:22:10Z").fact_id
    assert fact(ROW).fact_id != fact(ROW, id=2).fact_id
    assert fact(ROW, id=None).fact_id == fact(ROW, id=ROW["subscriptionId"]).fact_id
    assert fact(ROW).call_key == fact(ROW, updatedAt=ROW["updatedAt"] + 1).call_key


@pytest.mark.parametrize(
    ("received_at", "bound", "flags"),
    [
        pytest.param(at(28_800 + 100), ROW["bindTime"], {Flag.TZ_ASSUMED}, id="H16 it fits as UTC"),
        pytest.param(
            at(100), ROW["bindTime"], {Flag.TZ_ASSUMED, Flag.TZ_SUSPECT}, id="H17 it fits as Beijing time only"
        ),
        pytest.param(at(65), T_MS, {Flag.TZ_ASSUMED, Flag.TZ_SUSPECT}, id="H17 bound, called and reported at once"),
        pytest.param(at(100), None, {Flag.TZ_ASSUMED, Flag.TZ_SUSPECT}, id="H17 bound nobody knows when"),
        pytest.param(at(100), T_MS + 1, {Flag.TZ_ASSUMED}, id="it fits as neither"),
    ],
)
def test_text_times_are_utc_until_only_beijing_fits(received_at: datetime, bound: int | None, flags: set[Flag]) -> None:
    beijing: dict[str, Any] = {
        name: (at(seconds) + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")
        for name, seconds in (("callinTime", 0), ("answerTime", 5), ("disconnectTime", 65))
    }
    found = fact(received_at=received_at, bindTime=bound, **beijing)
    assert found.setup_at == at(28_800)
    assert set(found.quality_flags) == {Flag.PEER_UNKNOWN, *flags}
    assert found.extras.get("callinTime.beijing") == (at(0).isoformat() if Flag.TZ_SUSPECT in flags else None)


@pytest.mark.parametrize(
    ("element", "code"),
    [
        pytest.param({}, "wrong_kind", id="empty object"),
        pytest.param({"origNum": "+8618801330084"}, "no_id", id="no id at all"),
        pytest.param({**CALL, "sessionId": ["x"]}, "field", id="list for the id"),
        pytest.param({**CALL, "sessionId": True}, "field", id="truth for the id"),
        pytest.param(
            {"eventType": "callin", "statusInfo": {"sessionId": "s"}}, "wrong_kind", id="a native state event"
        ),
        pytest.param({"eventType": "fee", "feeLst": [{"sessionId": ""}]}, "no_id", id="a fee without its id"),
        pytest.param({"eventType": "fee", "feeLst": "x"}, "shape", id="no list of fees"),
    ],
)
def test_what_cannot_be_read_is_a_dead_letter(element: Any, code: str) -> None:
    found = outcome(element)
    assert ([dead.code for dead in found.dead], found.facts) == ([code], ())


@pytest.mark.parametrize(
    ("configured", "code", "flags"),
    [
        pytest.param({"a": (ROW["ak"],)}, None, set(), id="ours"),
        pytest.param({"a": ("OTHER",), "b": (ROW["ak"],)}, "wrong_account", set(), id="another of our accounts"),
        pytest.param({"a": (), "b": ("OTHER",)}, None, {Flag.UNKNOWN_ACCOUNT}, id="V37 nobody's"),
    ],
)
def test_a_row_belongs_to_the_account_that_it_was_sent_to(
    configured: dict[str, tuple[str, ...]], code: str | None, flags: set[Flag]
) -> None:
    raw = RawCallback(
        vendor="huawei", callback="ax", account="a", received_at=RECEIVED, request_id="r", body=json.dumps(CALL).encode()
    )  # fmt: skip
    found = run(raw, directory(tuple(Account(vendor="huawei", name=n, external_ids=i) for n, i in configured.items())))
    assert [dead.code for dead in found.dead] == ([code] if code else [])
    assert [set(fact.quality_flags) for fact in found.facts] == ([] if code else [{Flag.PEER_UNKNOWN, *flags}])


@pytest.mark.parametrize("element", [ROW, CALL, {"eventType": "fee", "feeLst": [FEE]}], ids=["binding", "call", "fee"])
def test_the_key_is_seen_in_the_body(element: dict[str, Any]) -> None:
    for body in (json.dumps(element).encode(), json.dumps(element, indent=2).encode()):
        key = call_key("huawei", AX.key_account(body, "account"), AX.key(body))
        assert [found.call_key for found in outcome(body, account="account").facts] == [key]


def test_it_is_told_once_that_we_have_it_and_to_come_again_when_not() -> None:
    """H44: when the platform reads a reply, its code decides."""
    vendor = VENDORS["huawei"]
    assert (vendor.accepted.status, json.loads(vendor.accepted.body)["resultcode"]) == (200, "0")
    assert vendor.accepted.content_type == "application/json"
    assert (vendor.retry.status, vendor.sends_at_most) == (503, 1)


NO_SESSIONS: tuple[Any, ...] = (None, "", " ", "null", "NULL", "none", "0", 0, "-1", "undefined", "n/a", False, {}, [])
NO_TIMES = {"callinTime": None, "answerTime": "", "disconnectTime": 0}


@pytest.mark.parametrize("session", NO_SESSIONS, ids=repr)
@pytest.mark.parametrize(
    ("times", "shown"),
    [
        pytest.param({}, "callinTime 2022-03-03T06:46:40+00:00", id="all of them"),
        pytest.param({**NO_TIMES, "callinTime": T_MS}, "callinTime 2022-03-03T06:46:40+00:00", id="the first"),
        pytest.param({**NO_TIMES, "answerTime": "n/a"}, "answerTime unreadable", id="the second, unreadable"),
        pytest.param({**NO_TIMES, "disconnectTime": "2022-03-03 06:47:40"}, "disconnectTime 2022-03-03T06:47:40+00:00", id="the last, as text"),
    ],
)  # fmt: skip
def test_a_row_with_call_times_and_no_session_is_no_binding(session: Any, times: dict[str, Any], shown: str) -> None:
    """V1: the dead letter names the binding and the times, and shows no phone number."""
    found = outcome({**CALL, "sessionId": session, **times})
    assert ([dead.code for dead in found.dead], found.facts) == (["no_id"], ())
    detail = found.dead[0].detail
    assert shown in detail
    assert f"subscriptionId {ROW['subscriptionId']}, id 1" in detail
    assert not re.search(r"\+?86\d{6}", detail)


@pytest.mark.parametrize("session", NO_SESSIONS, ids=repr)
@pytest.mark.parametrize(
    "times", [NO_TIMES, dict.fromkeys(NO_TIMES, GONE), {**NO_TIMES, "answerTime": {}}], ids=["blank", "absent", "empty"]
)
def test_a_row_without_call_times_and_session_is_a_binding(session: Any, times: dict[str, Any]) -> None:
    found = fact(ROW, sessionId=session, **times)
    assert (found.fact_type, found.vendor_call_id, found.disposition) == (FactType.BINDING, "", Disposition.UNKNOWN)


def test_a_letter_about_a_row_is_short_whatever_the_row_says() -> None:
    (dead,) = outcome({**CALL, "sessionId": None, "subscriptionId": "x" * 5000, "id": "\x1b[31m\u202e" * 5000}).dead
    assert len(dead.detail) < 500
    assert dead.detail.isprintable()


@pytest.mark.parametrize("session", ["0", "none", "null", "n/a"])
def test_the_place_of_a_row_without_a_session_is_its_binding_s(session: str) -> None:
    body = json.dumps({**ROW, "sessionId": session}).encode()
    assert AX.key(body) == ROW["subscriptionId"]
    assert [found.call_key for found in outcome(body).facts] == [call_key("huawei", ROW["ak"], ROW["subscriptionId"])]


@pytest.mark.parametrize(
    ("base", "changes", "flags"),
    [
        pytest.param(CALL, {"unbindTime": T_MS - 1}, {Flag.TIME_ORDER}, id="S10 called after it was unbound"),
        pytest.param(CALL, {"unbindTime": T_MS}, set(), id="called as it was unbound"),
        pytest.param(CALL, {"unbindTime": T_MS + 1}, set(), id="unbound while it rang"),
        pytest.param(CALL, {"callinTime": None, "unbindTime": T_MS}, set(), id="when it was called is not known"),
        pytest.param(ROW, {"unbindTime": ROW["bindTime"] - 1}, {Flag.TIME_ORDER}, id="unbound before it was bound"),
        pytest.param(ROW, {"unbindTime": ROW["bindTime"]}, set(), id="unbound as it was bound"),
        pytest.param(CALL, {"privateNum": CALL["origNum"]}, {Flag.NUMBER_AMBIGUOUS, Flag.FIELD_CONFLICT}, id="S10 X is A"),
        pytest.param(ROW, {"privateNum": "008618801330084", "bindResponse": None}, {Flag.NUMBER_AMBIGUOUS}, id="X is A in another spelling"),
        pytest.param(ROW, {"privateNum": None, "origNum": None, "bindResponse": None}, set(), id="neither is sent"),
        pytest.param(ROW, {"privateNum": "188****0084", "origNum": "188****0085", "bindResponse": None}, {Flag.MASKED_NUMBER}, id="both are masked"),
        pytest.param(ROW, {"status": 0, "unbindResponse": '{"resultcode":"1011005"}'}, {Flag.STATE_VS_TIME}, id="S10 unbound although refused"),
        pytest.param(ROW, {"status": "0", "unbindResponse": {"resultcode": 1}}, {Flag.STATE_VS_TIME}, id="refused by a number"),
        pytest.param(ROW, {"status": 0, "unbindResponse": '{"resultcode":"0"}'}, set(), id="unbound as asked"),
        pytest.param(ROW, {"status": 1, "unbindResponse": '{"resultcode":"1011005"}'}, set(), id="refused, and still bound"),
        pytest.param(ROW, {"status": 0, "bindResponse": '{"resultcode":"1011005"}'}, set(), id="not bound, as refused"),
    ],
)  # fmt: skip
def test_what_a_binding_cannot_be_is_flagged(base: dict[str, Any], changes: dict[str, Any], flags: set[Flag]) -> None:
    assert set(fact(base, **changes).quality_flags) - {Flag.PEER_UNKNOWN} == flags


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"answerTime": "n/a"}, {"disposition": Disposition.UNKNOWN, "billable_s": None, "q850": None}, id="its answer"),
        pytest.param({"answerTime": "2022-03-03 06:46:45+99:99"}, {"disposition": Disposition.UNKNOWN, "sip_code": None}, id="P10 its answer's offset"),
        pytest.param({"answerTime": None, "disconnectTime": "n/a"}, {"disposition": Disposition.UNKNOWN, "billable_s": None}, id="its end"),
        pytest.param({"answerTime": None, "callinTime": "n/a"}, {"disposition": Disposition.UNKNOWN}, id="its beginning"),
        pytest.param({"answerTime": 20220303064645}, {"answer_at": at(5), "talk_ms": 60_000}, id="fourteen digits are read"),
        pytest.param({"disconnectTime": T_MS + 5_000 + 604_800_000}, {"talk_ms": 604_800_000, "billable_s": 604_800}, id="a week of talk"),
        pytest.param({"disconnectTime": T_MS + 5_000 + 604_801_000}, {"talk_ms": 604_801_000, "billable_s": None}, id="more than a week"),
        pytest.param({"answerTime": 1_262_304_000_000}, {"talk_ms": None, "billable_s": None, "disposition": Disposition.ANSWERED}, id="twelve years"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_or_be_is_not_known(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    found = fact(received_at=datetime(2022, 4, 3, tzinfo=UTC), **changes)
    assert {name: getattr(found, name) for name in expected} == expected
