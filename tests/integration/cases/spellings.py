"""Keys, charsets and wrappings."""

import gzip
import json
import urllib.parse
from typing import Any, Final

from tests.integration.cases.parts import HUAWEI, NXCLOUD, YTX, Case, Push, call, element, plain, push, record

_FORM: Final = b"application/x-www-form-urlencoded"


def _renamed(fields: dict[str, Any], **names: str) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in fields.items()}


def _two_way(case: str, **changes: Any) -> dict[str, Any]:
    return element("callback_cdr", case, **changes)


def _softphone(case: str, **changes: Any) -> dict[str, Any]:
    return element("softphone_cdr", case, **changes)


def _text(fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False)


def _pairs(fields: dict[str, Any], *more: tuple[str, Any]) -> str:
    """Returns the text of an object in which a key may occur twice."""
    pairs = [*fields.items(), *more]
    return "{" + ",".join(f"{json.dumps(name)}:{_text(value)}" for name, value in pairs) + "}"


def _batch(*texts: str) -> bytes:
    return ('{"cdr":[' + ",".join(texts) + "]}").encode()


def _off(case: str) -> dict[str, Any]:
    return _two_way(case, stateDesc="应答|关机", calledstime="", customParm="@abc")


def _bad_byte(*cases: str) -> Push:
    """Puts a byte that is no UTF-8 into the second of these records, or into the only one."""
    body = _batch(*map(_text, map(_off, cases)))
    parts = body.split(b"@abc")
    spoilt = min(1, len(cases) - 1)
    joined = b"".join(part + (b"\xf9abc" if n == spoilt else b"@abc") for n, part in enumerate(parts[:-1]))
    return plain(YTX, joined + parts[-1])


def _named(case: str, name: str, encoding: str, declared: bytes) -> Case:
    body = _text(_softphone(f"case-{case}", mobile_name=name)).encode(encoding)
    return Case(
        name=f"{case} {name} in {encoding}",
        pushes=(plain(NXCLOUD, body, content_type=b"application/json" + declared),),
        wants=(record(f"case-{case}", agent_name=name),),
    )


_ANSWERED: Final[dict[str, Any]] = {"disposition": "answered", "cost": "2.94"}

CASES: Final = (
    Case(
        name="K1 a key with spaces and capitals",
        pushes=(push("softphone_cdr", _renamed(_softphone("case-K1"), sessionid=" SessionId ")),),
        wants=(call("case-K1", "key_normalised", disposition="answered"),),
    ),
    Case(
        name="K2 keys in capitals, the wrapper's too",
        pushes=(
            plain(
                YTX,
                _text({"CDR": [_renamed(_two_way("case-K2"), oriamount="Oriamount", calledstime="Calledstime")]}),
            ),
        ),
        wants=(call("case-K2", "key_normalised", **_ANSWERED),),
    ),
    Case(
        name="K2 a key of the relay's in capitals",
        pushes=(plain(HUAWEI, _text(_renamed(element("privacy_ax", "case-K2h"), answerTime="AnswerTime"))),),
        wants=(call("case-K2h", "key_normalised", disposition="answered"),),
    ),
    Case(
        name="K3 a text in two spellings",
        pushes=(
            plain(
                YTX,
                _batch(
                    _pairs(_two_way("case-K3", calledstime="", stateDesc="应答|用户拒接"), (" stateDesc ", "应答|空号"))
                ),
            ),
        ),
        wants=(call("case-K3", "dup_key", disposition="rejected"),),
    ),
    Case(
        name="K4 a fee, and an empty one in another spelling",
        pushes=(plain(YTX, _batch(_pairs(_two_way("case-K4"), (" oriamount ", "")))),),
        wants=(call("case-K4", **_ANSWERED),),
    ),
    Case(
        name="K4 an empty fee, and one in another spelling",
        pushes=(plain(YTX, _batch(_pairs(_two_way("case-K4b", oriamount=""), ("Oriamount", "0.15")))),),
        wants=(record("case-K4b", has_recording=False),),
    ),
    Case(
        name="K5 one bad byte",
        pushes=(_bad_byte("case-K5"),),
        wants=(
            record(
                "case-K5",
                "charset_repaired",
                disposition="unreachable",
                hangup_reason="powered_off",
                custom_ref="\ufffdabc",
            ),
        ),
    ),
    Case(
        name="K6 one bad byte in the second of three",
        pushes=(_bad_byte("case-K6a", "case-K6b", "case-K6c"),),
        wants=(
            record("case-K6a", disposition="unreachable", custom_ref="@abc"),
            record("case-K6b", "charset_repaired", disposition="unreachable", custom_ref="\ufffdabc"),
            record("case-K6c", disposition="unreachable", custom_ref="@abc"),
        ),
    ),
    _named("K7", "医院", "gbk", b"; charset=GBK"),
    _named("K7b", "José", "latin-1", b"; charset=ISO-8859-1"),
    _named("K7c", "前台一号", "utf-8-sig", b""),
    _named("K7d", "客服中心夜班电话前台接待", "gb18030", b""),
    Case(
        name="K8 a charset where a compression is named",
        pushes=(push("softphone_cdr", _softphone("case-K8"), encoding="utf-8"),),
        wants=(call("case-K8", disposition="answered"),),
    ),
    Case(
        name="K8 a compression that was not done",
        pushes=(push("softphone_cdr", _softphone("case-K8b"), encoding="gzip"),),
        wants=(call("case-K8b", disposition="answered"),),
    ),
    Case(
        name="K8 a compression that was not declared",
        pushes=(plain(NXCLOUD, gzip.compress(_text(_softphone("case-K8c")).encode())),),
        wants=(call("case-K8c", disposition="answered"),),
    ),
    Case(
        name="K9 JSON in a JSON string",
        pushes=(plain(NXCLOUD, json.dumps(_text(_softphone("case-K9")))),),
        wants=(call("case-K9", "repaired_json", disposition="answered"),),
    ),
    Case(
        name="K9 the vendor's keys as a form",
        pushes=(plain(NXCLOUD, urllib.parse.urlencode(_softphone("case-K9b")), content_type=_FORM),),
        wants=(call("case-K9b", disposition="answered"),),
    ),
    *(
        Case(
            name=f"K9 JSON in the form's field {field}",
            pushes=(
                plain(
                    YTX,
                    urllib.parse.urlencode({field: _batch(_text(_two_way(f"case-K9-{field}")))}),
                    content_type=_FORM,
                ),
            ),
            wants=(call(f"case-K9-{field}", **_ANSWERED),),
        )
        for field in ("payload", "json", "data", "cdr")
    ),
    Case(
        name="K9 two records, a line each",
        pushes=(plain(NXCLOUD, f"{_text(_softphone('case-K9l'))}\n{_text(_softphone('case-K9m'))}\n"),),
        wants=(call("case-K9l", "repaired_json"), call("case-K9m", "repaired_json")),
    ),
    *(
        Case(
            name=f"K10 a comma is missing after {name}",
            pushes=(
                plain(
                    YTX,
                    _batch(_text(_two_way(f"case-K10{number}"))[:-1] + f', "{key}": {value} "more":"x"}}'),
                ),
            ),
            wants=(call(f"case-K10{number}", "repaired_json", disposition="answered"),),
        )
        for number, (name, key, value) in enumerate(
            (("a number", "duration", "60"), ("null", "x", "null"), ("a list", "x", "[1]"), ("an object", "x", "{}"))
        )
    ),
    Case(
        name="K11 slashes",
        pushes=tuple(
            plain(path, _batch(_text(_two_way(f"case-K11-{number}"))))
            for number, path in enumerate(("//v1//ytx/", "/v1/ytx/", "/v1//ytx"))
        ),
        wants=tuple(call(f"case-K11-{number}", **_ANSWERED) for number in range(3)),
    ),
)
