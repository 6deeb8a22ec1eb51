"""The way a body came does not change the call: keys, charsets, encodings and wrappings, through to the facts.

Each row is a body as somebody sends it, what its facts must say, and which flags about its form they must carry.
"""

import gzip
import json
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from schemas.config.limits import DEFAULT
from schemas.facts import Disposition, Flag
from schemas.raw import RawCallback
from schemas.vendors import VENDORS
from tests.golden.cases import run
from tests.support.payloads.huawei_elements import CALL, FEE, FEES
from tests.support.payloads.ytx_elements import CONFERENCE, STATE, TWO_WAY, VOICE
from tests.unit.schemas.body.reading import (
    BODY,
    CALLBACKS,
    NX,
    TC,
    D,
    K,
    R,
    cdr,
    of_form,
    renamed,
    sent,
    text,
    with_pair,
    written,
)


@pytest.mark.parametrize(
    ("vendor", "body", "wanted", "flags"),
    [
        pytest.param("nxcloud", written(renamed(NX, sessionid=" SessionId ")), {"vendor_call_id": NX["sessionid"]}, {K}, id="K1 case and spaces"),
        pytest.param("nxcloud", written(renamed(NX, sessionid="SESSIONID")), {"vendor_call_id": NX["sessionid"]}, {K}, id="capitals"),
        pytest.param("nxcloud", written(renamed(NX, sessionid="\ufeffsessionid")), {"vendor_call_id": NX["sessionid"]}, {K}, id="a byte order mark in a key"),
        pytest.param("nxcloud", written(renamed(NX, sessionid="sessionid\u00a0\u3000\t")), {"vendor_call_id": NX["sessionid"]}, {K}, id="spaces of other scripts"),
        pytest.param("nxcloud", written({name.upper(): value for name, value in NX.items()}), {"vendor_call_id": NX["sessionid"], "billable_s": 3}, {K}, id="all keys in capitals"),
        pytest.param("ytx", cdr(text(renamed(TWO_WAY, oriamount="Oriamount", calledstime="Calledstime"))), {"cost": Decimal("2.94"), "disposition": Disposition.ANSWERED}, {K}, id="K2 amount and time"),
        pytest.param("ytx", written({"CDR": [TWO_WAY]}), {"cost": Decimal("2.94")}, {K}, id="K2 the wrapper"),
        pytest.param("ytx", written({" cdr ": TWO_WAY}), {"cost": Decimal("2.94")}, {K}, id="the wrapper with spaces, around one object"),
        pytest.param("ytx", cdr(text(renamed(CONFERENCE, confid="ConfId", singleoriamount="SingleOriAmount"))), {"conference_id": "516152", "cost": Decimal("0.044")}, {K}, id="a conference's keys"),
        pytest.param("ytx", cdr(text(renamed(VOICE, fid="FID", tel="Tel"))), {"cost": Decimal("0.06")}, {K}, id="a voice code's keys"),
        pytest.param("ytx", written(renamed(STATE, requestid="RequestId", dsc="DSC", state="State")), {"vendor_call_id": STATE["requestid"]}, {K}, id="a state's keys"),
        pytest.param("huawei", written(renamed(CALL, answerTime="AnswerTime")), {"disposition": Disposition.ANSWERED, "talk_ms": 60_000}, {K}, id="K2 a row's time"),
        pytest.param("huawei", written(renamed(CALL, callinTime="callInTime")), {"setup_at": datetime(2022, 3, 3, 6, 46, 40, tzinfo=UTC)}, {K}, id="the spelling of the other payload"),
        pytest.param("huawei", written({**FEES, "feeLst": [renamed(FEE, callInTime="callinTime", sessionId="SessionID")]}), {"vendor_call_id": FEE["sessionId"]}, {K}, id="the other way round"),
        pytest.param("huawei", written({"eventType": "fee", "FeeLst": [FEE]}), {"vendor_call_id": FEE["sessionId"]}, {K}, id="a notification's wrapper"),
        pytest.param("huawei", written({**CALL, "bindResponse": {"ResultCode": "1"}}), {"extras": {"bind.resultcode": "1"}}, {K}, id="inside the platform's answer"),
        pytest.param("huawei", written({**CALL, "bindResponse": '{"RESULTCODE":"1"}'}), {"extras": {"bind.resultcode": "1"}}, {K}, id="inside the platform's answer as text"),
        pytest.param("tencent", written({**TC, "cdr": [renamed(TC["cdr"][0], callId="CallId")]}), {"vendor_call_id": TC["cdr"][0]["callId"]}, {K}, id="K2 a pulled record's id"),
        pytest.param("tencent", written(renamed(TC, cdr="Cdr", errorCode="ErrorCode")), {"vendor_call_id": TC["cdr"][0]["callId"]}, {K}, id="a page's own keys"),
        pytest.param("nxcloud", written({**NX, "customer": {" A ": 1, "Sessionid": 2}}), {"extras": {"customer": '{" A ":1,"Sessionid":2}'}}, {Flag.SCHEMA_DRIFT}, id="a customer's own keys stay"),
        pytest.param("nxcloud", written({**NX, "\uff53\uff49\uff50\uff49\uff44": 1}), {"extras": {"\uff53\uff49\uff50\uff49\uff44": "1"}}, {Flag.SCHEMA_DRIFT}, id="full-width letters are another key"),
        pytest.param("huawei", written({**CALL, "a\u212a": "1"}), {"extras": {"a\u212a": "1"}}, {Flag.SCHEMA_DRIFT}, id="the Kelvin sign is no k"),
        pytest.param("ytx", cdr(with_pair(TWO_WAY, '"stateDesc":"应答|用户拒接"', '" stateDesc ":"应答|空号"')), {"hangup_cause": "应答|用户拒接", "extras": {"stateDesc#1": "应答|空号"}}, {K, D}, id="K3 the exact one of two"),
        pytest.param("ytx", cdr(with_pair(TWO_WAY, '" stateDesc ":"应答|空号"', '"stateDesc":"应答|用户拒接"')), {"hangup_cause": "应答|用户拒接"}, {K, D}, id="the exact one, although it comes first or last"),
        pytest.param("ytx", cdr(with_pair(TWO_WAY, '"oriamount":"2.94"', '" oriamount ":""')), {"cost": Decimal("2.94")}, {K, D}, id="K4 an empty one does not win"),
        pytest.param("ytx", cdr(with_pair(TWO_WAY, '"oriamount":"2.94"', '"OriAmount":"9.99"')), {"cost": Decimal("2.94"), "extras": {"oriamount#1": "9.99"}}, {K, D}, id="the exact one before another case"),
        pytest.param("ytx", cdr(with_pair(TWO_WAY, '" oriamount ":""', '"OriAmount":"2.94"', '"ORIAMOUNT":"7"')), {"cost": Decimal("2.94"), "extras": {"oriamount#2": "7"}}, {K, D}, id="none exact: the first that is not empty"),
        pytest.param("ytx", cdr(with_pair(TWO_WAY, '"Oriamount":null', '"oriAmount":"2.94"')), {"cost": Decimal("2.94")}, {K, D}, id="null is empty"),
        pytest.param("ytx", cdr(with_pair(TWO_WAY, '"oriamount":"1"', '"oriamount":"2.94"')), {"cost": Decimal("2.94"), "extras": {"oriamount#1": "1"}}, {D}, id="identical keys: the last"),
        pytest.param("nxcloud", with_pair(NX, '"duration":7', '"duration#1":8', '"duration":3').encode(), {"billable_s": 3, "extras": {"duration#1": "8", "duration#2": "7"}}, {D}, id="a key that looks like ours for a repeated one"),
    ],
)  # fmt: skip
def test_keys_are_found_however_they_are_spelt(
    vendor: str, body: bytes, wanted: dict[str, Any], flags: set[Flag]
) -> None:
    (fact,) = sent(vendor, body).facts

    extras = wanted.pop("extras", {})
    assert {name: getattr(fact, name) for name in wanted} == wanted
    assert {name: fact.extras.get(name) for name in extras} == extras
    assert of_form(fact) == flags


@pytest.mark.parametrize("vendor", CALLBACKS)
def test_every_documented_key_is_found_in_any_case_and_with_spaces(vendor: str) -> None:
    """Every field of every kind: the same fact, with the flag."""
    (callback,) = VENDORS[vendor].callbacks
    samples = {
        "nxcloud": [NX],
        "ytx": [VOICE, TWO_WAY, CONFERENCE, STATE],
        "huawei": [CALL, FEE],
        "tencent": [TC["cdr"][0]],
    }
    for element in samples[vendor]:
        wrapped = (lambda item: {"feeLst": [item]}) if element is FEE else (lambda item: item)
        (plain,) = sent(vendor, written(wrapped(element))).facts
        for name in element:
            for spelling in (name.upper(), f" {name}", name.swapcase() + "\u3000"):
                if spelling == name:
                    continue
                (fact,) = sent(vendor, written(wrapped(renamed(element, **{name: spelling})))).facts
                assert (fact.fact_id, fact.content_digest) == (plain.fact_id, plain.content_digest), spelling
                assert Flag.KEY_NORMALISED in fact.quality_flags
    assert callback.words.top.exact


BAD_BYTE = (
    text({**TWO_WAY, "stateDesc": "应答|关机", "calledstime": "", "customParm": "@abc"}).encode().replace(b"@", b"\xf9")
)
POWERED_OFF = {"disposition": Disposition.UNREACHABLE, "hangup_reason": "powered_off", "hangup_cause": "应答|关机"}
C = {Flag.CHARSET_REPAIRED}


def nx_named(name: bytes) -> bytes:
    return written({**NX, "mobile_name": "@"}).replace(b"@", name)


@pytest.mark.parametrize(
    ("vendor", "body", "content_type", "wanted", "flags"),
    [
        pytest.param("ytx", BAD_BYTE, "", {**POWERED_OFF, "custom_ref": "\ufffdabc"}, C, id="K5 a bad byte before letters"),
        pytest.param("ytx", BAD_BYTE.replace(b"\xf9abc", b"abc\xe5\xba"), "", {**POWERED_OFF, "custom_ref": "abc\ufffd"}, C, id="a character cut off"),
        pytest.param("ytx", BAD_BYTE.replace(b"\xf9abc", b"\xff\xfe"), "", {**POWERED_OFF, "custom_ref": "\ufffd\ufffd"}, C, id="two bytes of no charset"),
        pytest.param("ytx", BAD_BYTE.replace(b"\xf9abc", b"\x80"), "application/json;charset=utf-8", {**POWERED_OFF, "custom_ref": "\ufffd"}, C, id="a lone tail, declared as UTF-8"),
        pytest.param("nxcloud", nx_named(b"a\xf9\\ud800\\udc81b"), "", {"agent_name": "a\ufffd\U00010081b"}, C, id="a bad byte before a whole pair"),
        pytest.param("nxcloud", nx_named(b"\xf9\\udfff\\udc81\\ud83d"), "", {"agent_name": "\ufffd" * 4}, C, id="a bad byte before halves of pairs"),
        pytest.param("nxcloud", nx_named("Jos\xe9".encode("latin-1")), "", {"agent_name": "Jos\ufffd"}, C, id="Latin-1 that nobody declares"),
        pytest.param("nxcloud", nx_named("Andr\xe9a Zo\xeb B".encode("latin-1")), "", {"agent_name": "Andr\ufffda Zo\ufffd B"}, C, id="two such bytes apart"),
        pytest.param("nxcloud", nx_named("医院".encode("gbk")), "application/json;charset=GBK", {"agent_name": "医院"}, set(), id="K7 GBK that would be UTF-8, too"),
        pytest.param("nxcloud", nx_named("医院".encode("gbk")), 'application/json; Charset="gb2312"', {"agent_name": "医院"}, set(), id="quoted, and by its old name"),
        pytest.param("nxcloud", nx_named("医院".encode("gbk")), "text/plain;charset=GB18030", {"agent_name": "医院"}, set(), id="by its new name"),
        pytest.param("nxcloud", nx_named("José".encode("latin-1")), "application/json; charset=ISO-8859-1", {"agent_name": "José"}, set(), id="K7 Latin-1"),
        pytest.param("nxcloud", nx_named("Łódź".encode("cp1250")), "text/json; charset=windows-1250", {"agent_name": "Łódź"}, set(), id="Windows-1250"),
        pytest.param("nxcloud", nx_named("香港".encode("big5")), "text/json; charset=Big5", {"agent_name": "香港"}, set(), id="Big5"),
        pytest.param("nxcloud", nx_named("José".encode()), "application/json; charset=ISO-8859-1", {"agent_name": "José"}, C, id="UTF-8 declared as Latin-1"),
        pytest.param("nxcloud", nx_named("应答正常".encode()), "application/json; charset=GBK", {"agent_name": "应答正常"}, C, id="UTF-8 declared as GBK"),
        pytest.param("nxcloud", nx_named("正常关机".encode("gbk")), "application/json; charset=utf-8", {"agent_name": "正常关机"}, C, id="GBK declared as UTF-8"),
        pytest.param("nxcloud", nx_named("正常关机".encode("gbk")), "", {"agent_name": "正常关机"}, C, id="GBK that nobody declares"),
        pytest.param("nxcloud", nx_named("前台电话".encode("gbk")), "", {"agent_name": "前台电话"}, C, id="GBK of which all but one byte could be UTF-8"),
        pytest.param("nxcloud", nx_named("电话".encode("gbk")), "", {"agent_name": "电话"}, C, id="two letters of GBK, the second of which could be UTF-8"),
        pytest.param("nxcloud", nx_named("José Müller \xe9b".encode("latin-1").replace(b"\xe9 ", "é ".encode()).replace(b"\xfc", "ü".encode())), "", {"agent_name": "José Müller \ufffdb"}, C, id="letters of two bytes, and a bad byte"),
        pytest.param("ytx", BAD_BYTE.replace(b"\xf9abc", "中".encode() + b"\xf9" + "文".encode()), "", {**POWERED_OFF, "custom_ref": "中\ufffd文"}, C, id="a bad byte between Chinese letters"),
        pytest.param("nxcloud", nx_named("张先生办公室电话".encode("gbk") + b"\xff"), "", {"agent_name": "张先生办公室电话\ufffd"}, C, id="GBK with a bad byte"),
        pytest.param("nxcloud", nx_named(b"abc"), "application/json; charset=rot13", {"agent_name": "abc"}, set(), id="a codec that is no charset"),
        pytest.param("nxcloud", nx_named("医生".encode()), "application/json; charset=unicode_escape", {"agent_name": "医生"}, set(), id="another one"),
        pytest.param("nxcloud", nx_named("医生".encode()), "application/json; charset=nonsense", {"agent_name": "医生"}, set(), id="a charset that is not known"),
        pytest.param("nxcloud", b"\xef\xbb\xbf" + nx_named("医生".encode()), "application/json; charset=GBK", {"agent_name": "医生"}, C, id="a mark of UTF-8, declared as GBK"),
        pytest.param("nxcloud", nx_named("医生".encode()).decode().encode("utf-16"), "", {"agent_name": "医生"}, set(), id="UTF-16 with its mark"),
        pytest.param("nxcloud", b"\xfe\xff" + nx_named("医生".encode()).decode().encode("utf-16-be"), "", {"agent_name": "医生"}, set(), id="UTF-16, the other end first"),
        pytest.param("nxcloud", nx_named("医生".encode()).decode().encode("utf-16-le"), "", {"agent_name": "医生"}, C, id="UTF-16 without a mark"),
        pytest.param("nxcloud", nx_named("Zoë".encode()).decode().encode("utf-16-be"), "text/json; charset=utf-16", {"agent_name": "Zoë"}, C, id="UTF-16 declared, without a mark"),
    ],
)  # fmt: skip
def test_text_is_read_in_its_charset(
    vendor: str, body: bytes, content_type: str, wanted: dict[str, Any], flags: set[Flag]
) -> None:
    body = b'{"cdr":[' + body + b"]}" if vendor == "ytx" else body
    (fact,) = sent(vendor, body, content_type).facts

    assert {name: getattr(fact, name) for name in wanted} == wanted
    assert of_form(fact) & C == flags


RIGHT = text({**TWO_WAY, "stateDesc": "应答|关机", "calledstime": "", "customParm": "医生"}).encode()


@pytest.mark.parametrize(
    ("body", "references", "flagged"),
    [
        pytest.param(b",".join((RIGHT, BAD_BYTE, RIGHT)), ["医生", "\ufffdabc", "医生"], [False, True, False], id="K6 in the second of three"),
        pytest.param(b",".join((BAD_BYTE, RIGHT, RIGHT)), ["\ufffdabc", "医生", "医生"], [True, False, False], id="in the first"),
        pytest.param(b",".join((RIGHT, RIGHT, RIGHT.replace("医生".encode(), b"\xe5\x8c"))), ["医生", "医生", "\ufffd"], [False, False, True], id="a character cut off in the last"),
        pytest.param(b",".join((BAD_BYTE, BAD_BYTE, RIGHT)), ["\ufffdabc", "\ufffdabc", "医生"], [True, True, False], id="in two of them"),
    ],
)  # fmt: skip
def test_a_bad_byte_spoils_its_own_field_only(body: bytes, references: list[str], flagged: list[bool]) -> None:
    facts = sent("ytx", b'{"cdr":[' + body + b"]}").facts

    assert [{name: getattr(fact, name) for name in POWERED_OFF} for fact in facts] == [POWERED_OFF] * 3
    assert [fact.custom_ref for fact in facts] == references
    assert [Flag.CHARSET_REPAIRED in fact.quality_flags for fact in facts] == flagged


def test_of_a_guessed_body_only_the_elements_with_foreign_letters_are_flagged() -> None:
    plain = {**TWO_WAY, "stateDesc": "", "customParm": "abc"}
    facts = sent("ytx", text({"cdr": [plain, {**plain, "customParm": "张先生"}]}).encode("gbk")).facts
    assert [fact.custom_ref for fact in facts] == ["abc", "张先生"]
    assert [Flag.CHARSET_REPAIRED in fact.quality_flags for fact in facts] == [False, True]


MEMBERS = (
    '"requestid":"r1","fid":"4","caller":"13810603954","called":"18810207016","calledstime":"2016-02-02 11:19:40",'
)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(MEMBERS + '"duration":60 "oriamount":"0.15"', id="K10 after a number"),
        pytest.param(MEMBERS + '"duration":60"oriamount":"0.15"', id="after a number, without a space"),
        pytest.param(MEMBERS + '"duration":6.0e1\n "oriamount":"0.15"', id="after a number with an exponent"),
        pytest.param(MEMBERS + '"x":true "oriamount":"0.15"', id="after true"),
        pytest.param(MEMBERS + '"x":false"oriamount":"0.15"', id="after false"),
        pytest.param(MEMBERS + '"x":null "oriamount":"0.15"', id="after null"),
        pytest.param(MEMBERS + '"x":{"y":1} "oriamount":"0.15"', id="after an object"),
        pytest.param(MEMBERS + '"x":[1,2]"oriamount":"0.15"', id="after a list"),
        pytest.param(MEMBERS + '"customParm":"123456"" oriamount ":"0.15"', id="after a text"),
        pytest.param(MEMBERS + '"customParm":"" "oriamount":"0.15"', id="after an empty text"),
        pytest.param(MEMBERS + '"customParm":"a " "oriamount":"0.15"', id="after a text that ends in a space"),
        pytest.param(MEMBERS + '"customParm":"5 \\"b\\": {}[" "oriamount":"0.15",', id="two faults, and a text that looks like one"),
    ],
)  # fmt: skip
def test_a_missing_comma_is_found(body: str) -> None:
    (fact,) = sent("ytx", ('{"cdr":[{' + body + "}]}").encode()).facts
    assert fact.cost == Decimal("0.15")
    assert R in fact.quality_flags
    assert "5 " not in fact.custom_ref or fact.custom_ref == '5 "b": {}['


def nested(levels: int) -> bytes:
    return b'{"sessionid":"x","show_phone":"1","x":' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"[" + b"0," * 4_999 + b"0]", "shape", id="as many elements as a body may have"),
        pytest.param(b"[" + b"0," * 5_000 + b"0]", "limit", id="P7 one element too many"),
        pytest.param(b"[" + b"0," * 499_999 + b"0]", "limit", id="half a million zeros"),
        pytest.param(gzip.compress(b"[" + b"{}," * 299_999 + b"{}]"), "limit", id="three hundred thousand empty objects, compressed"),
        pytest.param(b"{}\n" * 100_000, "limit", id="a hundred thousand lines"),
        pytest.param(b"[" * 100_000, "limit", id="a hundred thousand levels"),
        pytest.param(b'{"a":[' * 50_000, "limit", id="of two sorts"),
        pytest.param(nested(64), "limit", id="a level too many inside an element"),
        pytest.param(b"[" * 65 + b"]" * 65, "limit", id="and without one"),
        pytest.param(zlib.compress(b"") * 65, "inflate", id="a compressed member too many"),
        pytest.param(zlib.compress(zlib.compress(b"") * 2_000_000), "inflate", id="P6 millions of empty members, compressed again"),
        pytest.param(gzip.compress(gzip.compress(gzip.compress(BODY))), "inflate", id="a layer too many"),
        pytest.param(gzip.compress(bytes(DEFAULT.inflate_bytes + 1)), "inflate", id="a byte too many"),
    ],
)  # fmt: skip
def test_what_is_beyond_a_bound_is_a_dead_letter(body: bytes, code: str) -> None:
    outcome = sent("nxcloud", body)
    assert {dead.code for dead in outcome.dead} == {code}
    assert len(outcome.dead) == (5_000 if code == "shape" else 1)
    assert not outcome.facts


@pytest.mark.parametrize(
    ("members", "extras", "flags"),
    [
        pytest.param('"start_time":1e2999999999', {"start_time": "1e2999999999"}, set(), id="P5 an absurd exponent"),
        pytest.param('"start_time":-1E+999999999', {"start_time": "-1E+999999999"}, set(), id="written otherwise"),
        pytest.param('"x":1e-2999999999', {"x": "1e-2999999999"}, {Flag.SCHEMA_DRIFT}, id="a vanishing one"),
        pytest.param('"x":[1e2999999999,0.1e999999]', {"x": '["1e2999999999","0.1e999999"]'}, {Flag.SCHEMA_DRIFT}, id="inside a list"),
        pytest.param(f'"x":{"7" * 129}', {"x": "7" * 129}, {Flag.SCHEMA_DRIFT}, id="a digit too many"),
        pytest.param(f'"x":0.{"7" * 5_000}', {"x": "0." + "7" * 5_000}, {Flag.SCHEMA_DRIFT}, id="thousands of places"),
        pytest.param(f'"x":"{"7" * 65_537}"', {"x": "7" * 65_536}, {Flag.SCHEMA_DRIFT, Flag.RANGE_ERROR}, id="a text too long"),
        pytest.param(f'"x":["{"7" * 70_000}"]', {"x": '["' + "7" * 65_534}, {Flag.SCHEMA_DRIFT, Flag.RANGE_ERROR}, id="inside a list, cut as text"),
        pytest.param(f'"{"k" * 257}":1', {"k" * 256: "1"}, {Flag.SCHEMA_DRIFT, Flag.RANGE_ERROR}, id="a key too long"),
    ],
)  # fmt: skip
def test_what_is_too_long_is_kept_as_text_or_cut(members: str, extras: dict[str, str], flags: set[Flag]) -> None:
    (fact,) = sent("nxcloud", ('{"sessionid":"x","show_phone":"1",' + members + "}").encode()).facts
    assert {name: fact.extras.get(name) for name in extras} == extras
    assert of_form(fact) == flags


def test_as_deep_as_a_body_may_be_is_read() -> None:
    (fact,) = sent("nxcloud", nested(63)).facts
    assert fact.extras["x"] == "[" * 63 + "]" * 63


def test_of_very_many_keys_the_known_ones_are_read() -> None:
    odd = ",".join(f'"k{number}":1' for number in range(50_000))
    (fact,) = sent("nxcloud", f'{{{odd},"sessionid":"x","show_phone":"1","hangup_cause":"USER_BUSY"}}'.encode()).facts
    assert (fact.vendor_call_id, fact.disposition) == ("x", Disposition.BUSY)
    assert len(fact.extras) <= DEFAULT.keys
    assert Flag.RANGE_ERROR in fact.quality_flags


def test_a_large_body_is_hashed_once_for_all_its_letters() -> None:
    outcome = sent("nxcloud", b"[" + b"0," * 3_000 + b'"' + b"x" * 900_000 + b'"]')
    assert len({dead.origin_hash for dead in outcome.dead}) == 1
    assert sum(len(dead.original) for dead in outcome.dead) < 5 * 1024 * 1024


def test_a_page_of_a_busy_hour_is_read_and_a_push_of_that_size_is_not() -> None:
    """The poller goes on after a page: one that ends as a dead letter would lose all of its calls."""
    record = {"callId": "c", "src": "008613500000000", "callEndStatus": "1", "endCallTime": "1548235118"}
    page = json.dumps({"errorCode": "0", "cdr": [record] * (DEFAULT.elements + 1)}).encode()

    outcomes = [
        run(
            RawCallback(
                vendor="tencent",
                callback="getCdr",
                received_at=datetime(2026, 3, 1, tzinfo=UTC),
                request_id="r",
                source=source,
                body=page,
            )
        )
        for source in ("poll", "push")
    ]

    assert [len(outcome.facts) for outcome in outcomes] == [DEFAULT.elements + 1, 0]
    assert [dead.code for dead in outcomes[1].dead] == ["limit"]
