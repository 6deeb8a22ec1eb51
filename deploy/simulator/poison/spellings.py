"""Good records in keys, wrappings and encodings that no document has: they are read, and flagged where repaired."""

import gzip
import json
import random
import urllib.parse
from typing import Final

import msgspec

from deploy.simulator.calls.truth import Scenario, ended_with
from deploy.simulator.poison.ingredients import (
    PoisonTable,
    VendorFields,
    batch,
    expected_of,
    softphone,
    text_of,
    to_huawei,
    to_nxcloud,
    to_ytx,
    two_way,
    with_headers,
)
from deploy.simulator.requests import PushRequest
from deploy.simulator.vendors import expected_record, huawei, ytx
from deploy.simulator.world import World

_FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")
_JSON: Final = ("Content-Type", "application/json")


def _renamed(fields: VendorFields, **names: str) -> VendorFields:
    """The same fields under other keys."""
    return {names.get(name, name): value for name, value in fields.items()}


def _spaced_keys(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    call, fields = softphone(world, rng)
    sent = _renamed(fields, sessionid=" SessionId ", hangup_cause="Hangup_Cause")
    return (to_nxcloud(text_of(sent).encode(), expected_of(call, flag_key_normalised=True)),)


def _large_keys(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """The keys are in capitals, also the wrapper's."""
    call, fields = two_way(world, rng)
    sent = _renamed(fields, oriamount="Oriamount", calledstime="Calledstime", stateDesc="STATEDESC")
    body = json.dumps({"CDR": [sent]}, ensure_ascii=False).encode()
    return (to_ytx(body, expected_of(call, flag_key_normalised=True)),)


def _large_keys_of_the_relay(world: World, _rng: random.Random) -> tuple[PushRequest, ...]:
    call = world.call("huawei", Scenario.PRIVACY)
    sent = _renamed(huawei.record(call), sessionId="SessionId", answerTime="AnswerTime")
    return (to_huawei(sent, expected_of(call, flag_key_normalised=True)),)


def _twice_spelt(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """The exact key counts wherever it stands, and an empty value under another spelling takes nothing away."""
    call, fields = two_way(world, rng, Scenario.REJECTED)
    cause = ytx.ENDINGS[Scenario.REJECTED][0]
    call = ended_with(call, cause)
    pairs = [*(fields | {"stateDesc": cause.text}).items(), (" stateDesc ", "应答|空号"), (" oriamount ", "")]
    text = "{" + ",".join(f"{json.dumps(key)}:{json.dumps(value, ensure_ascii=False)}" for key, value in pairs) + "}"
    return (to_ytx(('{"cdr":[' + text + "]}").encode(), expected_of(call, flag_dup_key=True)),)


def _json_in_a_string(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    call, fields = softphone(world, rng)
    return (to_nxcloud(json.dumps(text_of(fields)).encode(), expected_of(call, flag_repaired_json=True)),)


def _lines(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """Two records, one on each line."""
    (one, first), (other, second) = softphone(world, rng), softphone(world, rng)
    body = f"{text_of(first)}\n{text_of(second)}\n".encode()
    claims = [expected_of(call, flag_repaired_json=True) for call in (one, other)]
    return (to_nxcloud(body, *claims),)


def _form_fields(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """The vendor's keys are the form's own."""
    call, fields = softphone(world, rng)
    form = {name: "" if value is None else value for name, value in fields.items()}
    return (with_headers(to_nxcloud(urllib.parse.urlencode(form).encode(), expected_of(call)), _FORM),)


def _payload_field(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """The JSON stands in a field of a form."""
    call, fields = two_way(world, rng)
    body = urllib.parse.urlencode({rng.choice(("payload", "json", "data", "cdr")): batch(fields)}).encode()
    return (with_headers(to_ytx(body, expected_of(call)), _FORM),)


def _missing_comma(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """A comma is missing after a number."""
    call, fields = two_way(world, rng)
    others = text_of({name: value for name, value in fields.items() if name not in ("duration", "oriamount")})
    element = f'{others[:-1]},"duration":{call.duration_s} "oriamount":"{call.cost}"}}'
    return (to_ytx(('{"cdr":[' + element + "]}").encode(), expected_of(call, flag_repaired_json=True)),)


def _lying_encoding(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """A charset named as compression, a compression that was not done, or one that was done and not declared."""
    call, fields = softphone(world, rng)
    body = text_of(fields).encode()
    named, sent = rng.choice(
        ((("utf-8"), body), ("gzip", body), ("", gzip.compress(body, mtime=0)), ("x-unknown", body))
    )
    request = to_nxcloud(sent, expected_of(call))
    return (with_headers(request, _JSON, *((("Content-Encoding", named),) if named else ())),)


def _slashes(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """The address has more slashes than it should."""
    call, fields = two_way(world, rng)
    request = to_ytx(batch(fields), expected_record(call))
    return (msgspec.structs.replace(request, path=rng.choice(("//v1//ytx/", "/v1/ytx/", "/v1//ytx"))),)


TABLE: Final[PoisonTable] = {
    "nxcloud": {
        "keys with spaces": _spaced_keys,
        "JSON in a string": _json_in_a_string,
        "a record a line": _lines,
        "a form's fields": _form_fields,
        "a lie about compression": _lying_encoding,
    },
    "ytx": {
        "keys in capitals": _large_keys,
        "a key in two spellings": _twice_spelt,
        "JSON in a form": _payload_field,
        "a missing comma": _missing_comma,
        "slashes": _slashes,
    },
    "huawei": {"a key in capitals": _large_keys_of_the_relay},
}
