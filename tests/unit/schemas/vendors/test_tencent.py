"""Tencent's records and pages beyond the golden cases: one deviation from the documented example a row."""

import base64
import gzip
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest

from processors.normalise import Normalised, directory
from schemas.config.settings import Account, PollAccount
from schemas.errors import Undecodable
from schemas.facts import Direction, Disposition, Fact, Flag, Leg, RecordingState
from schemas.identity import call_key
from schemas.raw import RawCallback
from schemas.vendors import VENDORS
from tests.golden.cases import HERE, load, run

VENDOR = VENDORS["tencent"]
(GET_CDR,) = VENDOR.callbacks
POLL = VENDOR.poll or pytest.fail("a vendor that is polled")
SUCCESS = load(HERE / "tencent" / "getCdr-T01-document-success.json").raw.body
FAILURE = load(HERE / "tencent" / "getCdr-T02-document-failure.json").raw.body
DOCUMENTED: dict[str, str] = json.loads(SUCCESS)["cdr"][0]
T_S = 1_548_235_059  # the example's start
ANSWERED = {
    **DOCUMENTED,
    "callEndStatus": "1",
    "srcAcceptTime": str(T_S + 11),
    "startDstCallTime": str(T_S + 12),
    "startDstRingTime": str(T_S + 16),
    "dstAcceptTime": str(T_S + 31),
    "endCallTime": str(T_S + 91),
    "duration": "60",
}
A_ONLY = {**ANSWERED, "dstAcceptTime": "0", "duration": "0"}
GONE = object()
"""A field that is not sent."""
ACCOUNTS = directory((Account(vendor="tencent", name="callback", external_ids=("1400000000",)),))


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(T_S + seconds, UTC)


def outcome(body: Any, encoding: str = "") -> Normalised:
    sent = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    raw = RawCallback(
        vendor="tencent", callback="getCdr", account="callback", received_at=at(3600), request_id="r", source="poll",
        content_encoding=encoding, body=sent,
    )  # fmt: skip
    return run(raw, ACCOUNTS)


def page(*records: Any, **envelope: Any) -> dict[str, Any]:
    return {"cdr": list(records), "errorCode": "0", "offset": "0", "result": "Call Details", **envelope}


def fact(base: dict[str, str] = ANSWERED, **changes: Any) -> Fact:
    record = {name: value for name, value in {**base, **changes}.items() if value is not GONE}
    (found,) = outcome(page(record)).facts
    return found


def ended(found: Fact | Leg) -> tuple[str, int | None, int | None]:
    return found.disposition, found.q850, found.sip_code


NO_ANSWER, AWAY, OK, OPEN, NORMAL_31, SOMEHOW = (
    ("no_answer", 19, 480),
    ("unreachable", 20, 480),
    ("answered", 16, 200),
    ("unknown", None, None),
    ("answered", 31, None),
    ("answered", None, None),
)


def test_the_documented_example() -> None:
    found = fact(DOCUMENTED)
    assert ended(found) == NO_ANSWER
    assert [ended(leg) for leg in found.legs] == [NO_ANSWER, OPEN]
    assert (found.pdd_ms, found.ring_ms, found.talk_ms) == (3_000, 56_000, None)
    assert (found.vendor_duration_s, found.billable_s, found.billable_source) == (0, 0, "vendor")
    assert found.end_at == datetime(2019, 1, 23, 9, 18, 38, tzinfo=UTC)
    assert (found.from_number, found.to_number) == ("+8613500000000", "+8613631234568")
    assert (found.direction, found.account_id, found.is_final) == (Direction.CALLBACK, "1400000000", True)
    assert (found.cost, found.currency, found.quality_flags) == (None, "", ())
    assert found.call_key == call_key("tencent", "callback", DOCUMENTED["callId"])


def test_an_answered_call_is_timed_by_the_callee() -> None:
    found = fact()
    assert ended(found) == OK
    assert (found.setup_at, found.alerting_at, found.answer_at, found.end_at) == (at(0), at(16), at(31), at(91))
    assert (found.pdd_ms, found.ring_ms, found.talk_ms) == (4_000, 15_000, 60_000)
    a, b = found.legs
    assert (a.setup_at, a.alerting_at, a.answer_at, a.end_at) == (at(0), at(3), at(11), at(91))
    assert (b.setup_at, b.alerting_at, b.answer_at, b.end_at) == (at(12), at(16), at(31), at(91))


@pytest.mark.parametrize(
    ("base", "status", "call", "legs", "flags"),
    [
        pytest.param(ANSWERED, "0", NORMAL_31, (NORMAL_31, NORMAL_31), {Flag.STATE_VS_TIME}, id="0 but answered"),
        pytest.param(A_ONLY, "0", ("unknown", 31, None), (NORMAL_31, OPEN), {Flag.STATE_VS_TIME}, id="0 and A answered"),
        pytest.param(DOCUMENTED, "0", ("unknown", 31, None), (OPEN, OPEN), set(), id="0 and nobody answered"),
        pytest.param(ANSWERED, "1", OK, (OK, OK), set(), id="1 normal"),
        pytest.param(ANSWERED, 1, OK, (OK, OK), set(), id="T11 number"),
        pytest.param(A_ONLY, "1", OPEN, (OK, OPEN), {Flag.STATE_VS_TIME}, id="T04 1 but B did not answer"),
        pytest.param(DOCUMENTED, "1", OPEN, (OPEN, OPEN), {Flag.STATE_VS_TIME}, id="1 but nobody answered"),
        pytest.param(DOCUMENTED, "2", NO_ANSWER, (NO_ANSWER, OPEN), set(), id="2 A did not answer"),
        pytest.param(A_ONLY, "2", NO_ANSWER, (OK, NO_ANSWER), {Flag.STATE_VS_TIME}, id="T05 2 but A answered"),
        pytest.param(ANSWERED, "2", OK, (OK, OK), {Flag.STATE_VS_TIME}, id="2 but B answered"),
        pytest.param(A_ONLY, "3", NO_ANSWER, (OK, NO_ANSWER), set(), id="3 B did not answer"),
        pytest.param(ANSWERED, "3", OK, (OK, OK), {Flag.STATE_VS_TIME}, id="3 but B answered"),
        pytest.param(DOCUMENTED, "3", NO_ANSWER, (OPEN, NO_ANSWER), {Flag.STATE_VS_TIME}, id="3 but not even A answered"),
        pytest.param(DOCUMENTED, "4", AWAY, (AWAY, OPEN), set(), id="T07 4 A not reached"),
        pytest.param(A_ONLY, "4", NO_ANSWER, (OK, NO_ANSWER), {Flag.STATE_VS_TIME}, id="4 but A answered"),
        pytest.param(A_ONLY, "5", AWAY, (OK, AWAY), set(), id="T08 5 B not reached"),
        pytest.param(ANSWERED, "5", OK, (OK, OK), {Flag.STATE_VS_TIME}, id="5 but B answered"),
        pytest.param(DOCUMENTED, "6", OPEN, (OPEN, OPEN), {Flag.UNKNOWN_ENUM}, id="T10 6"),
        pytest.param(DOCUMENTED, "", OPEN, (OPEN, OPEN), {Flag.UNKNOWN_ENUM}, id="T10 empty"),
        pytest.param(DOCUMENTED, None, OPEN, (OPEN, OPEN), {Flag.UNKNOWN_ENUM}, id="T10 null"),
        pytest.param(ANSWERED, "6", SOMEHOW, (SOMEHOW, SOMEHOW), {Flag.UNKNOWN_ENUM}, id="T10 6 and answered"),
    ],
)  # fmt: skip
def test_status_and_times_tell_how_it_ended_and_the_times_win(
    base: dict[str, str], status: Any, *, call: Any, legs: Any, flags: set[Flag]
) -> None:
    found = fact(base, callEndStatus=status)
    assert ended(found) == call
    assert tuple(ended(leg) for leg in found.legs) == legs
    assert set(found.quality_flags) == flags


@pytest.mark.parametrize(
    ("base", "changes", "expected", "flags"),
    [
        pytest.param(ANSWERED, {"duration": GONE}, {"billable_s": 60, "billable_source": "computed"}, set(),
                     id="T19 duration absent"),
        pytest.param(DOCUMENTED, {"duration": ""}, {"billable_s": 0, "billable_source": "computed"}, set(),
                     id="T19 unanswered"),
        pytest.param(ANSWERED, {"duration": 61}, {"billable_s": 61}, set(), id="duration as a number"),
        pytest.param(ANSWERED, {"duration": "-1"}, {"vendor_duration_s": None, "billable_s": None}, {Flag.RANGE_ERROR},
                     id="a negative duration"),
        pytest.param(ANSWERED, {"dstAcceptTime": "2019-01-23 17:18:10"}, {"answer_at": at(31)}, set(), id="text in Beijing time"),
        pytest.param(ANSWERED, {"dstAcceptTime": T_S + 31}, {"answer_at": at(31)}, set(), id="time as a number"),
        pytest.param(ANSWERED, {"dstAcceptTime": "2019-01-23 24:18:10", "duration": ""},
                     {"answer_at": None, "disposition": Disposition.UNKNOWN, "billable_s": None},
                     {Flag.BAD_TIME}, id="G35 hour 24"),
        pytest.param(ANSWERED, {"endCallTime": str(T_S - 28_800)}, {}, {Flag.TIME_ORDER, Flag.TZ_SUSPECT}, id="G34"),
        pytest.param(ANSWERED, {"src": "0086075586013388"}, {"from_number": "+8675586013388"}, set(), id="trunk zero"),
        pytest.param(ANSWERED, {"recordUrl": ""}, {"recording_state": RecordingState.UNKNOWN}, set(),
                     id="T25 not yet, or never"),
        pytest.param(DOCUMENTED, {}, {"recording_state": RecordingState.NONE}, set(), id="nothing to record"),
        pytest.param(ANSWERED, {"recordUrl": "https://r.example/1"},
                     {"recording_state": RecordingState.AVAILABLE, "recording_url": "https://r.example/1"}, set(),
                     id="T25 there"),
        pytest.param(ANSWERED, {"bizId": "=1+1<b>😀"}, {"custom_ref": "=1+1<b>😀"}, set(), id="G37 a formula"),
        pytest.param(ANSWERED, {"callId": 20180635240289460415365120401}, {"vendor_call_id": "20180635240289460415365120401"},
                     set(), id="G13 a 29-digit id"),
        pytest.param(ANSWERED, {"orderId": {"a": 1}}, {}, {Flag.TYPE_DRIFT}, id="G38 object"),
        *[
            pytest.param(ANSWERED, {"duration": duration}, {"vendor_duration_s": None, "billable_s": None, "talk_ms": 60_000,
                         "extras": {"callEndStatus": "1", "call_type": "3", "duration": str(duration)}}, {Flag.RANGE_ERROR},
                         id=f"A2 {duration} seconds")
            for duration in ("2147483648", 2**32, 2**63, 604_801, 91 + 86_401, "1e9")
        ],
        pytest.param(ANSWERED, {"duration": "abc"}, {"billable_s": None}, {Flag.TYPE_DRIFT}, id="A2 seconds that cannot be read"),
        pytest.param({**A_ONLY, "callEndStatus": "3", "duration": "14"}, {}, {"disposition": Disposition.NO_ANSWER, "billable_s": 14},
                     {Flag.BILLED_UNANSWERED}, id="billed for A alone"),
        pytest.param({**A_ONLY, "callEndStatus": "3"}, {}, {"disposition": Disposition.NO_ANSWER, "billable_s": 0}, set(),
                     id="A alone, and not billed"),
        pytest.param(ANSWERED, {"dstAcceptTime": "n/a"}, {"disposition": Disposition.UNKNOWN, "ring_ms": None, "billable_s": 60,
                     "q850": None, "sip_code": None}, {Flag.BAD_TIME}, id="S4 an answer that cannot be read"),
        pytest.param(ANSWERED, {"dstAcceptTime": "2019-01-23 17:18:10+99:99"}, {"disposition": Disposition.UNKNOWN},
                     {Flag.BAD_TIME}, id="P10 an offset that no zone has"),
        pytest.param(ANSWERED, {"dstAcceptTime": "20190123171810"}, {"answer_at": at(31), "talk_ms": 60_000}, set(),
                     id="S4 fourteen digits in Beijing time"),
        pytest.param(ANSWERED, {"endCallTime": "n/a"}, {"disposition": Disposition.ANSWERED, "talk_ms": None, "billable_s": 60,
                     "end_at": None}, {Flag.BAD_TIME}, id="an end that cannot be read"),
        pytest.param(ANSWERED, {"startDstCallTime": "n/a", "startDstRingTime": "n/a", "dstAcceptTime": "n/a"},
                     {"disposition": Disposition.UNKNOWN, "ring_ms": None, "pdd_ms": None}, {Flag.BAD_TIME},
                     id="nothing of B that can be read: A's ringing is not the call's"),
        pytest.param(ANSWERED, {"news": "x"}, {}, {Flag.SCHEMA_DRIFT}, id="G16 unknown field"),
    ],
)  # fmt: skip
def test_one_field_otherwise(
    base: dict[str, str], changes: dict[str, Any], expected: dict[str, Any], flags: set[Flag]
) -> None:
    found = fact(base, **changes)
    assert {name: getattr(found, name) for name in expected} == expected
    assert set(found.quality_flags) == flags


@pytest.mark.parametrize(("sent", "kept"), [("1", "1"), (2, "2"), ("3", "3"), ("", "3"), (None, "3"), (GONE, "3")])
def test_a_missing_call_type_is_a_callback(sent: Any, kept: str) -> None:
    assert fact(callType=sent).extras["call_type"] == kept


def test_blank_references_are_no_content() -> None:
    digests = {fact(bizId=blank, orderId=blank).content_digest for blank in ("", None, GONE)}
    assert len(digests) == 1


def test_a_day_in_the_id_that_is_not_the_call_s_is_noted() -> None:
    """T28; the day is Beijing's."""
    assert fact(callId="12-190122-ab").extras["call_id_date"] == "190122"
    assert "call_id_date" not in fact(callId="12-190123-ab").extras
    late: dict[str, Any] = {"startSrcCallTime": "2019-01-23 01:00:00"}  # still the 22nd in UTC
    assert "call_id_date" not in fact(callId="12-190123-ab", **late).extras


def test_the_same_call_in_a_page_and_pushed_alone_is_one_fact() -> None:
    (pulled,) = outcome(page(ANSWERED)).facts
    (pushed,) = outcome(ANSWERED).facts
    assert (pulled.fact_id, pulled.content_digest) == (pushed.fact_id, pushed.content_digest)


def test_a_recording_that_comes_later_is_other_content_of_the_same_fact() -> None:
    before, after = fact(), fact(recordUrl="https://r.example/1")
    assert before.fact_id == after.fact_id
    assert before.content_digest != after.content_digest


@pytest.mark.parametrize(
    ("body", "facts", "dead", "filtered"),
    [
        pytest.param(page(), 0, [], (), id="G05 no records"),
        pytest.param([], 0, [], (), id="G05 empty list"),
        pytest.param(page(cdr=None), 0, [], (), id="T31 null"),
        pytest.param(page(cdr=""), 0, [], (), id="empty text"),
        pytest.param({"errorCode": "0"}, 0, [], (), id="no cdr"),
        pytest.param({"cdr": [ANSWERED]}, 1, [], (), id="no code"),
        pytest.param(page(cdr=ANSWERED), 1, [], (), id="T32 one object"),
        pytest.param([ANSWERED, DOCUMENTED], 2, [], (), id="a bare list"),
        pytest.param(
            page(ANSWERED, None, "", DOCUMENTED), 2, ["shape", "shape"], (), id="V20 null and empty among them"
        ),
        pytest.param(page({**ANSWERED, "callId": None}), 0, ["no_id"], (), id="G17 no id"),
        pytest.param(page({**ANSWERED, "callId": {}}), 0, ["field"], (), id="G38 object for the id"),
        pytest.param(page(cdr=5), 0, ["shape"], (), id="a number for the list"),
        pytest.param({"x": 1}, 0, ["wrong_kind"], (), id="G40 something else"),
        pytest.param({"errorCode": "-1", "result": "version not supported"}, 0, [], ("page_error:-1",), id="T02"),
        pytest.param({"errorCode": -501}, 0, [], ("page_error:-501",), id="code as a number"),
        pytest.param({"errorCode": "busy"}, 0, [], ("page_error:other",), id="a code that nobody knows"),
        pytest.param(b'{"errorCode":"-501","msg":"busy",}', 0, [], ("page_error:-501",), id="T34 trailing comma"),
    ],
)
def test_a_page_is_taken_apart(body: Any, facts: int, dead: list[str], filtered: tuple[str, ...]) -> None:
    found = outcome(body)
    assert (len(found.facts), [dead.code for dead in found.dead], found.filtered) == (facts, dead, filtered)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        pytest.param(zlib.compress(SUCCESS), "deflate", id="zlib"),
        pytest.param(gzip.compress(SUCCESS), "gzip", id="gzip"),
        pytest.param(base64.b64encode(zlib.compress(SUCCESS)), "deflate,base64", id="Base64 of zlib"),
        pytest.param(gzip.compress(zlib.compress(SUCCESS)), "deflate,gzip", id="zlib in gzip"),
    ],
)
def test_a_compressed_page_is_the_same_page(body: bytes, encoding: str) -> None:
    assert [f.content_digest for f in outcome(body, encoding).facts] == [
        f.content_digest for f in outcome(SUCCESS).facts
    ]
    assert POLL.read_page(body, encoding) == POLL.read_page(SUCCESS, "")


def test_a_poller_reads_what_it_needs_of_a_page() -> None:
    """T35: a sibling API has msg in the place of result."""
    read = POLL.read_page(json.dumps(page(ANSWERED, DOCUMENTED, None, offset="1440820800")).encode(), "")
    assert (read.code, read.records, read.cursor) == ("0", 2, "1440820800")
    assert read.call_ids == frozenset({DOCUMENTED["callId"]})
    assert POLL.read_page(FAILURE, "").message == "version not supported"
    assert POLL.read_page(b'{"errorCode":"-501","msg":"busy",}', "").message == "busy"
    assert [POLL.read_page(json.dumps(page(offset=o)).encode(), "").cursor for o in ("0", "", None, 0)] == [""] * 4


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"ok":true}'])
def test_what_is_no_page_is_not_taken_for_one(body: bytes) -> None:
    with pytest.raises(Undecodable):
        POLL.read_page(body, "")


@pytest.mark.parametrize(
    ("asked", "plain", "expected"),
    [
        pytest.param({"start_s": 1, "end_s": 2}, False,
                     {"src": "", "compress": "1", "startTimeStamp": "1", "endTimeStamp": "2"}, id="a window"),
        pytest.param({"start_s": 1, "end_s": 2}, True, {"startTimeStamp": "1", "endTimeStamp": "2"}, id="a window, plainly"),
        pytest.param({"call_id": "12-190123-ab"}, True, {"callId": "12-190123-ab"}, id="one call"),
    ],
)  # fmt: skip
def test_a_request_is_all_text(asked: dict[str, Any], expected: dict[str, str], *, plain: bool) -> None:
    account = PollAccount(vendor="tencent", url="https://vendor.example/", app_id="1400000000", key_id="a b&c")
    request = POLL.request(account, plain=plain, **asked)
    assert request.url == "https://vendor.example/201511v3/getCdr?id=a%20b%26c"
    assert json.loads(request.body) == {"appId": "1400000000", **expected}
    assert dict(request.headers)["Content-Type"] == "application/json;charset=utf-8"


@pytest.mark.parametrize(
    ("code", "action", "alert"),
    [
        ("0", "advance", ""),
        ("-1", "stop", "page"),
        ("-2", "resend_plain", "log"),
        ("-201", "retry_id", "log"),
        ("-202", "halve", "log"),
        ("-203", "backoff", ""),
        ("-401", "stop", "page"),
        ("-402", "stop", "page"),
        ("-403", "probe", "page"),
        ("-423", "stop", "security"),
        ("-501", "backoff", ""),
    ],
)
def test_each_code_of_the_document_has_its_advice(code: str, action: str, alert: str) -> None:
    advice = POLL.advice[code]
    assert (advice.action, advice.alert) == (action, alert)
    assert advice.description


def test_how_it_ended_is_one_of_our_words() -> None:
    assert {fact(callEndStatus=str(status)).disposition for status in range(11)} <= set(Disposition)
