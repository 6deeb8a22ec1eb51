"""Good records in keys, wrappings and encodings that no document has: what stands in them is read, and flagged where it was repaired."""

import gzip
import json
import random
import urllib.parse
from typing import Final

import msgspec

from deploy.simulator import expectation
from deploy.simulator.calls import endings
from deploy.simulator.calls.truth import Scenario
from deploy.simulator.calls.world import World
from deploy.simulator.poison.ingredients import (
    PoisonTable,
    VendorFields,
    batch,
    softphone,
    text_of,
    to_huawei,
    to_nxcloud,
    to_ytx,
    told_of,
    two_way,
    with_headers,
)
from deploy.simulator.requests import Send
from deploy.simulator.vendors import huawei

_FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")
_JSON: Final = ("Content-Type", "application/json")


def _renamed(fields: VendorFields, **names: str) -> VendorFields:
    """The same fields under other keys."""
    return {names.get(name, name): value for name, value in fields.items()}


def _spaced_keys(world: World, rng: random.Random) -> tuple[Send, ...]:
    call, fields = softphone(world, rng)
    sent = _renamed(fields, sessionid=" SessionId ", hangup_cause="Hangup_Cause")
    return (to_nxcloud(text_of(sent).encode(), told_of(call, flag_key_normalised=True)),)


def _large_keys(world: World, rng: random.Random) -> tuple[Send, ...]:
    """Also the wrapper's."""
    call, fields = two_way(world, rng)
    sent = _renamed(fields, oriamount="Oriamount", calledstime="Calledstime", stateDesc="STATEDESC")
    body = json.dumps({"CDR": [sent]}, ensure_ascii=False).encode()
    return (to_ytx(body, told_of(call, flag_key_normalised=True)),)


def _large_keys_of_the_relay(world: World, _rng: random.Random) -> tuple[Send, ...]:
    call = world.call("huawei", Scenario.PRIVACY)
    sent = _renamed(huawei.record(call), sessionId="SessionId", answerTime="AnswerTime")
    return (to_huawei(sent, told_of(call, flag_key_normalised=True)),)


def _twice_spelt(world: World, rng: random.Random) -> tuple[Send, ...]:
    """The exact key counts, wherever it stands, and an empty other one takes nothing away."""
    call, fields = two_way(world, rng, Scenario.REJECTED)
    cause = endings.YTX[Scenario.REJECTED][0]
    call = msgspec.structs.replace(
        call, cause=cause.text, disposition=cause.disposition, q850=cause.q850, sip_code=cause.sip_code
    )
    pairs = [*(fields | {"stateDesc": cause.text}).items(), (" stateDesc ", "应答|空号"), (" oriamount ", "")]
    text = "{" + ",".join(f"{json.dumps(key)}:{json.dumps(value, ensure_ascii=False)}" for key, value in pairs) + "}"
    return (to_ytx(('{"cdr":[' + text + "]}").encode(), told_of(call, flag_dup_key=True)),)


def _json_in_a_string(world: World, rng: random.Random) -> tuple[Send, ...]:
    call, fields = softphone(world, rng)
    return (to_nxcloud(json.dumps(text_of(fields)).encode(), told_of(call, flag_repaired_json=True)),)


def _lines(world: World, rng: random.Random) -> tuple[Send, ...]:
    """Two records, a line each."""
    (one, first), (other, second) = softphone(world, rng), softphone(world, rng)
    body = f"{text_of(first)}\n{text_of(second)}\n".encode()
    claims = [told_of(call, flag_repaired_json=True) for call in (one, other)]
    return (to_nxcloud(body, *claims),)


def _form_fields(world: World, rng: random.Random) -> tuple[Send, ...]:
    """The vendor's keys as the form's own."""
    call, fields = softphone(world, rng)
    said = {name: "" if value is None else value for name, value in fields.items()}
    return (with_headers(to_nxcloud(urllib.parse.urlencode(said).encode(), told_of(call)), _FORM),)


def _payload_field(world: World, rng: random.Random) -> tuple[Send, ...]:
    """The JSON in a form's field."""
    call, fields = two_way(world, rng)
    body = urllib.parse.urlencode({rng.choice(("payload", "json", "data", "cdr")): batch(fields)}).encode()
    return (with_headers(to_ytx(body, told_of(call)), _FORM),)


def _missing_comma(world: World, rng: random.Random) -> tuple[Send, ...]:
    """After a number."""
    call, fields = two_way(world, rng)
    others = text_of({name: value for name, value in fields.items() if name not in ("duration", "oriamount")})
    element = f'{others[:-1]},"duration":{call.duration_s} "oriamount":"{call.cost}"}}'
    return (to_ytx(('{"cdr":[' + element + "]}").encode(), told_of(call, flag_repaired_json=True)),)


def _lying_encoding(world: World, rng: random.Random) -> tuple[Send, ...]:
    """A charset where a compression is named, a compression that was not done, and one that was done and not said."""
    call, fields = softphone(world, rng)
    body = text_of(fields).encode()
    named, sent = rng.choice(
        ((("utf-8"), body), ("gzip", body), ("", gzip.compress(body, mtime=0)), ("x-unknown", body))
    )
    send = to_nxcloud(sent, told_of(call))
    return (with_headers(send, _JSON, *((("Content-Encoding", named),) if named else ())),)


def _slashes(world: World, rng: random.Random) -> tuple[Send, ...]:
    """An address with more of them than it has."""
    call, fields = two_way(world, rng)
    send = to_ytx(batch(fields), expectation.record(call))
    return (msgspec.structs.replace(send, path=rng.choice(("//v1//ytx/", "/v1/ytx/", "/v1//ytx"))),)


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
