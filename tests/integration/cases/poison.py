"""Poison, and rows that never arrived."""

import gzip
import json
import zlib
from typing import Final

from tests.integration.cases.parts import HUAWEI, NXCLOUD, YTX, Case, Want, call, element, plain, push, record
from tests.property.real_rows.kinds import CALLED, after, beijing

SECRET: Final = "9b1d6f0c3a7e4f58b2c6d1e09a3f7c54"
OWN_APP: Final = "app-with-a-secret"
_SECRET_WAY: Final = f"/v1/a/{SECRET}/ytx"
_LONG: Final = 1_000_000


def _leg(case: str, phone: str, **changes: object) -> dict[str, object]:
    return element("conference_leg", case, tel=phone, **changes)


def _state(case: str, phone: str, what: str, at: str) -> dict[str, object]:
    return element("callback_state", case, dsc=phone, state=what, timestamp=at)


def _unfolding(number: int) -> bytes:
    body = json.dumps(element("softphone_cdr", f"case-P8-{number}", show_phone="\ufdfa" * _LONG), ensure_ascii=False)
    return gzip.compress(body.encode())


CASES: Final = (
    Case(
        name="P1 two participants of half a trillion each",
        pushes=(
            push(
                "conference_leg",
                _leg("case-P1", "13900000001", singleoriamount="500000000000"),
                _leg("case-P1", "13900000002", singleoriamount="500000000000"),
            ),
        ),
        wants=(call("case-P1", "range_error", cost=None, has_record=True),),
    ),
    Case(
        name="P1 a sum that no column holds of amounts that one does",
        pushes=(
            push("conference_leg", *(_leg("case-P1b", f"1390000000{n}", singleoriamount="99999.99") for n in range(4))),
        ),
        wants=(Want(view="v_cdr", of={"vendor_call_id": "case-P1b"}, count=4, shows={"cost": "99999.99"}),),
    ),
    Case(
        name="P2 ringing in the year before",
        pushes=(
            push("callback_state", _state("case-P2", CALLED, "alerting", "2025-01-01 11:19:38")),
            push("callback_cdr", element("callback_cdr", "case-P2")),
        ),
        wants=(call("case-P2", "range_error", disposition="answered", cost="2.94", ring_ms=None, is_final=True),),
    ),
    Case(
        name="P2 the record first, and the caller's phone rang in the year 2000",
        pushes=(
            push("callback_cdr", element("callback_cdr", "case-P2b")),
            push("callback_state", _state("case-P2b", "13800000001", "callout", "2000-01-02 00:00:00")),
        ),
        wants=(call("case-P2b", disposition="answered", cost="2.94", talk_ms=60_000),),
    ),
    Case(
        name="P3 two participants of 68 years",
        pushes=(
            push(
                "conference_leg",
                _leg("case-P3", "13900000001", duration="2147483648"),
                _leg("case-P3", "13900000002", duration="2147483648"),
            ),
        ),
        wants=(call("case-P3", "range_error", vendor_duration_s=None, billable_s=None, cost="0.088"),),
    ),
    Case(
        name="P4 a participant who joined in the year 2000",
        pushes=(
            push(
                "conference_leg",
                _leg("case-P4", "13900000001", stime="2000-01-01 00:00:00"),
                _leg("case-P4", "13900000002", stime=beijing(after(5))),
            ),
        ),
        wants=(call("case-P4", has_record=True, end_at="2026-03-01 08:00:31.000000"),),
    ),
    Case(
        name="P5 an exponent of three billion digits",
        pushes=(plain(NXCLOUD, '{"sessionid":"case-P5","show_phone":"1","start_time":1e2999999999}'),),
        wants=(call("case-P5", setup_at=None),),
    ),
    Case(
        name="P5 the same as a fee, and five hundred thousand digits as a duration",
        pushes=(
            plain(
                YTX,
                b'{"cdr":[{"requestid":"case-P5b","appid":"a","fid":"2","tel":"13900000002","stime":"","etime":"2026-03-01 16:00:20",'
                b'"duration":' + b"7" * 500_000 + b',"oriamount":1e2999999999}]}',
            ),
        ),
        wants=(call("case-P5b", cost=None, billable_s=None),),
    ),
    Case(
        name="P6 two million empty members, compressed once more",
        pushes=(plain(YTX, zlib.compress(zlib.compress(b"") * 2_000_000), encoding="deflate, deflate"),),
        dead=("inflate",),
    ),
    Case(
        name="P7 five million zeros",
        pushes=(plain(YTX, gzip.compress(b"[" + b"0," * 4_999_999 + b"0]"), encoding="gzip"),),
        dead=("limit",),
    ),
    Case(
        name="P8 thirty numbers of a million characters that unfold",
        pushes=tuple(plain(NXCLOUD, _unfolding(number), encoding="gzip") for number in range(30)),
        wants=tuple(call(f"case-P8-{number}", disposition="answered") for number in range(30)),
    ),
    Case(
        name="P9 a content type of no letters",
        pushes=(push("softphone_cdr", element("softphone_cdr", "case-P9"), content_type=b"\xff\xfe"),),
        wants=(call("case-P9", disposition="answered"),),
    ),
    Case(
        name="P10 an offset that no zone has, and a country code of 4,400 digits",
        pushes=(
            push(
                "softphone_cdr",
                element("softphone_cdr", "case-P10", start_time="2026-03-01 08:00:00+99:99", code="8" * 4400),
            ),
        ),
        wants=(call("case-P10", "bad_time", setup_at=None, disposition="answered"),),
    ),
    Case(
        name="P11 a forged record after the real one",
        pushes=(
            plain(_SECRET_WAY, push("callback_cdr", element("callback_cdr", "case-P11", appid=OWN_APP)).body),
            push("callback_cdr", element("callback_cdr", "case-P11", appid=OWN_APP, oriamount="0.00")),
        ),
        wants=(call("case-P11", cost="2.94", disposition="answered"), record("case-P11", cost="2.94", account="main")),
        dead=("wrong_account",),
    ),
    Case(
        name="P11 a forged record before the real one",
        pushes=(
            push("callback_cdr", element("callback_cdr", "case-P11b", appid=OWN_APP, oriamount="0.00")),
            plain(_SECRET_WAY, push("callback_cdr", element("callback_cdr", "case-P11b", appid=OWN_APP)).body),
        ),
        wants=(call("case-P11b", cost="2.94", disposition="answered"),),
        dead=("wrong_account",),
    ),
    Case(
        name="P13 a hundred thousand levels",
        pushes=(plain(HUAWEI, b'{"a":' * 100_000 + b"1" + b"}" * 100_000),),
        dead=("limit",),
    ),
    Case(
        name="P14 epochs at the ends of clocks",
        pushes=tuple(
            push("softphone_cdr", element("softphone_cdr", f"case-P14-{value}", answer_time=str(value)))
            for value in (2**31, 2**32, 2**63, 10**18, -1)
        ),
        wants=tuple(
            Want(
                view="v_timelines",
                of={"vendor_call_id": f"case-P14-{value}"},
                shows={"end_at": "2026-03-01 08:01:00.000000"},
            )
            for value in (2**31, 2**32, 2**63, 10**18, -1)
        ),
    ),
)
