"""The two-way platform's payloads: batches `{"cdr":[...]}` that mix three kinds, and bare state pushes.

Times are Beijing time without a zone. The record's printed form is broken JSON (a comma is missing before a key with
spaces, and a time lacks its space): the platform sends it so now and then, and so does this.
"""

import json
import random
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Final

from deploy.simulator.calls import people
from deploy.simulator.calls.truth import TrueCall, TrueLeg
from schemas.facts import Kind, Role, State

PATH: Final = "/v1/ytx"
_BEIJING: Final = timezone(timedelta(hours=8))
_FID: Final = {Kind.VOICE_OTP: "2", Kind.CALLBACK_CDR: "4", Kind.CONFERENCE_LEG: "5"}
_NUMERIC: Final = frozenset({"fid", "duration", "oriamount", "singleoriamount"})
_WHOLE: Final = '","stateDesc":'
_BROKEN: Final = '"" stateDesc ":'
_WORDS: Final = {
    State.SETUP: "callout",
    State.ALERTING: "alerting",
    State.ANSWER: "answer",
    State.RELEASE: "disconnect",
}


def record(call: TrueCall, rng: random.Random) -> str:
    """One element of a batch as JSON text."""
    head = {"requestid": call.call_id, "appid": call.account_id, "fid": _FID[call.kind]}
    fields: dict[str, str] = head | _BODIES[call.kind](call, rng)
    if rng.random() < 0.2:
        # Live records carry bare numbers where the printed ones are quoted.
        pairs = (f'"{k}":{v if k in _NUMERIC else json.dumps(v, ensure_ascii=False)}' for k, v in fields.items())
        return "{" + ",".join(pairs) + "}"
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def spoil(element: str) -> str:
    """The element in the broken form of the document's example; unchanged where it has no `stateDesc` to spoil."""
    return element.replace(_WHOLE, _BROKEN)


def mend(element: str) -> str:
    """The element as valid JSON."""
    return element.replace(_BROKEN, _WHOLE)


def batch(elements: Sequence[str]) -> bytes:
    """A batch's bytes on the wire."""
    return ('{"cdr":[' + ",\n".join(elements) + "]}").encode()


def states(call: TrueCall, rng: random.Random) -> list[tuple[TrueLeg, State, datetime, bytes]]:
    """All state pushes of a two-way call, each leg's in its order."""
    pushes = []
    for leg in call.legs:
        phone = _phone(leg.number, rng)
        course = (
            (State.SETUP, leg.setup_at),
            (State.ALERTING, leg.alerting_at),
            (State.ANSWER, leg.answer_at),
            (State.RELEASE, leg.released_at),
        )
        for state, at in course:
            if at:
                pushes.append((leg, state, at, state_push(call, phone, state, at)))
    return pushes


def state_push(call: TrueCall, phone: str, what: State, at: datetime) -> bytes:
    """One state push, of the leg that rings `phone`."""
    fields = {
        "requestid": call.call_id,
        "src": call.display,
        "dsc": phone,
        "timestamp": f"{at.astimezone(_BEIJING):%Y-%m-%d %H:%M:%S}",
        "state": _WORDS[what],
    }
    return json.dumps(fields, ensure_ascii=False).encode()


def _phone(number: str, rng: random.Random) -> str:
    return rng.choices(("", "0", "86"), (90, 5, 5))[0] + people.national(number)


def _time(at: datetime | None) -> str:
    return f"{at.astimezone(_BEIJING):%Y-%m-%d %H:%M:%S}.000" if at else ""


def _voice_code(call: TrueCall, _rng: random.Random) -> dict[str, str]:
    leg = call.legs[0]
    return {
        "tel": people.national(leg.number),
        "stime": _time(leg.answer_at),
        "etime": _time(leg.end_at),
        "duration": str(call.duration_s),
        "oriamount": str(call.cost),
    }


def _two_way(call: TrueCall, rng: random.Random) -> dict[str, str]:
    a, b = call.leg(Role.A), call.leg(Role.B)
    called_end = _time(b.end_at)
    fields = {
        "caller": people.national(a.number),
        "called": people.national(b.number),
        "callerstime": _time(a.answer_at),
        "calleretime": _time(a.end_at),
        "calledstime": _time(b.answer_at),
        "calledetime": called_end.replace(" ", "") if rng.random() < 0.1 else called_end,
        "tapesurl": call.recording_url or "NoTapes",
        "duration": str(call.duration_s),
        "oriamount": str(call.cost),
        "customParm": call.custom_ref,
    }
    return fields | ({"stateDesc": call.cause} if call.cause else {})


def _participant(call: TrueCall, _rng: random.Random) -> dict[str, str]:
    leg = call.legs[0]
    return {
        "tel": people.national(leg.number),
        "stime": _time(leg.answer_at),
        "etime": _time(leg.end_at),
        "confid": call.conference_id,
        "duration": str(call.duration_s),
        "singleoriamount": str(call.cost),
        "customParm": call.custom_ref,
        "tapesurl": call.recording_url,
    }


_BODIES: Final = {Kind.VOICE_OTP: _voice_code, Kind.CALLBACK_CDR: _two_way, Kind.CONFERENCE_LEG: _participant}
