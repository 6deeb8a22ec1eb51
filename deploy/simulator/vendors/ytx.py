"""The two-way platform: batches `{"cdr":[...]}` that mix three kinds of record, and bare state pushes.

Times are Beijing time without a zone. The record's printed form is broken JSON (a comma is missing before a key with
spaces, and a time lacks its space): the platform sends it so now and then, and so does this file.
"""

import json
import random
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

from deploy.simulator.calls import leg_timing, parties
from deploy.simulator.calls.truth import Ending, Occurrence, Scenario, TrueCall, TrueLeg
from deploy.simulator.expectation import Columns, Expectation, between_ms, leg_columns, ms, record_expectation
from deploy.simulator.requests import PushRequest, without
from deploy.simulator.vendor_contract import BatchFormat, Maker, RetryPolicy, SimulatedVendor, StatePush
from schemas.facts import Direction, Disposition, FactType, Kind, Role, State

PATH: Final = "/v1/ytx"
# From the platform's own printed example: a placeholder that belongs to nobody.
_APP: Final = "ff8080813fc70a7b013fc72312324213"
_YUAN_A_MINUTE: Final = Decimal("0.06")
_MIXED_CAUSES: Final = 0.9
"""Share of answered two-way records that give the cause of the end; the others leave it out, as seen live."""
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

_ANSWERED: Final = Disposition.ANSWERED
_SILENT: Final = Disposition.NO_ANSWER
_AWAY: Final = Disposition.UNREACHABLE
# The document's table of causes, kept apart from the normaliser's, so that a slip in either shows as a difference.
ENDINGS: Final[dict[Scenario, tuple[Ending, ...]]] = {
    Scenario.ANSWERED: (Ending("应答|正常", _ANSWERED, 16, 200), Ending("正常|正常", _ANSWERED, 16, 200)),
    Scenario.STATES_ONLY: (Ending("", _ANSWERED),),
    # The last one is false: the platform writes "answered" for a callee who never answered.
    Scenario.NO_ANSWER: (
        Ending("应答|无人接听", _SILENT, 19, 480),
        Ending("应答|未应答", _SILENT, 19, 480),
        Ending("应答|正常", _SILENT),
    ),
    Scenario.BUSY: (
        Ending("应答|用户正忙", Disposition.BUSY, 17, 486),
        Ending("应答|正在通话中", Disposition.BUSY, 17, 486),
    ),
    Scenario.REJECTED: (Ending("应答|用户拒接", Disposition.REJECTED, 21, 603),),
    Scenario.SWITCHED_OFF: (
        Ending("应答|关机", _AWAY, 20, 480),
        Ending("应答|无法接听", _AWAY, 20, 480),
        Ending("应答|无法拨通", _AWAY, 20, 480),
        Ending("应答|来电提醒", _AWAY, 20, 480),
    ),
    Scenario.INVALID_NUMBER: (
        Ending("应答|空号", Disposition.INVALID_NUMBER, 1, 404),
        Ending("应答|改号", Disposition.INVALID_NUMBER, 22, 410),
        Ending("应答|拨号方式不正确", Disposition.INVALID_NUMBER, 28, 484),
    ),
    Scenario.SUSPENDED: (
        Ending("应答|停机", Disposition.BARRED, 21, 403),
        Ending("应答|欠费", Disposition.BARRED, 21, 403),
        Ending("应答|暂停服务", Disposition.BARRED, 21, 403),
        Ending("应答|呼入限制", Disposition.BARRED, 54, 403),
    ),
    Scenario.CONGESTION: (
        Ending("应答|网络忙", Disposition.CONGESTION, 42, 503),
        Ending("应答|稍后再拨", Disposition.CONGESTION, 41, 503),
        Ending("应答|线路故障", Disposition.FAILED, 38, 503),
        Ending("应答|呼叫转移失败", Disposition.FAILED, 29, 501),
    ),
    Scenario.A_NO_ANSWER: (Ending("无人接听", _SILENT, 19, 480), Ending("未应答|", _SILENT, 19, 480)),
    Scenario.A_UNREACHABLE: (Ending("关机", _AWAY, 20, 480), Ending("关机|未知", _AWAY, 20, 480)),
}


def maker(rng: random.Random) -> Maker:
    """Returns the source of voice codes, conferences and two-way calls."""

    def make(scenario: Scenario, ended_at: datetime) -> Occurrence:
        if scenario in (Scenario.OTP, Scenario.OTP_NO_ANSWER):
            return (_voice_code_call(rng, scenario, ended_at),)
        if scenario is Scenario.CONFERENCE:
            return _conference_calls(rng, ended_at)
        return (_two_way_call(rng, scenario, ended_at),)

    return make


def _voice_code_call(rng: random.Random, scenario: Scenario, ended_at: datetime) -> TrueCall:
    answered = scenario is Scenario.OTP
    number = parties.cn_mobile(rng) if rng.random() < 0.9 else "+" + "".join(parties.foreign_mobile(rng))
    length = rng.randint(4, 30)
    answered_at = ended_at - timedelta(seconds=length) if answered else None
    return TrueCall(
        vendor="ytx",
        kind=Kind.VOICE_OTP,
        scenario=scenario,
        account_id=_APP,
        call_id=_request_id(rng),
        legs=(TrueLeg(role=Role.B, number=number, answer_at=answered_at, end_at=ended_at),),
        disposition=Disposition.ANSWERED if answered else Disposition.NO_ANSWER,
        duration_s=length if answered else 0,
        cost=_YUAN_A_MINUTE if answered else Decimal("0.00"),
    )


def _conference_calls(rng: random.Random, ended_at: datetime) -> tuple[TrueCall, ...]:
    call_id, conference = _request_id(rng), parties.digits(rng, 6)
    numbers = sorted({parties.cn_mobile(rng) for _ in range(rng.choice((2, 3, 3, 4, 5, 6)))})
    ends = [ended_at - timedelta(seconds=rng.randint(0, 20)) for _ in numbers]
    # All of them overlap: nobody leaves before everybody has come.
    return tuple(
        TrueCall(
            vendor="ytx",
            kind=Kind.CONFERENCE_LEG,
            scenario=Scenario.CONFERENCE,
            account_id=_APP,
            call_id=call_id,
            direction=Direction.CONFERENCE,
            legs=(TrueLeg(role=Role.P, number=number, answer_at=end - timedelta(seconds=length), end_at=end),),
            disposition=Disposition.ANSWERED,
            duration_s=length,
            cost=Decimal("0.022") * (1 + length // 60),
            recording_url=f"http://record.example/{call_id}.mp3",
            custom_ref=conference,
            conference_id=conference,
        )
        for number, end, length in ((n, e, 25 + leg_timing.talk_s(rng)) for n, e in zip(numbers, ends, strict=True))
    )


def _two_way_call(rng: random.Random, scenario: Scenario, ended_at: datetime) -> TrueCall:
    caller, called = parties.two_mobiles(rng)
    timing_a, timing_b = leg_timing.two_party(rng, scenario)
    legs = leg_timing.legs(((Role.A, caller, timing_a), (Role.B, called, timing_b)), ended_at)
    cause = rng.choice(ENDINGS[scenario])
    call_id = _request_id(rng)
    answered = legs[1].answer_at is not None
    length = leg_timing.seconds(legs[0].answer_at, legs[0].end_at)
    shown = cause if not answered or rng.random() < _MIXED_CAUSES else Ending("", cause.disposition)
    return TrueCall(
        vendor="ytx",
        kind=Kind.CALLBACK_CDR,
        scenario=scenario,
        account_id=_APP,
        call_id=call_id,
        direction=Direction.CALLBACK,
        legs=legs,
        display=parties.fixed_line(rng),
        cause=shown.text,
        disposition=shown.disposition,
        q850=shown.q850,
        sip_code=shown.sip_code,
        duration_s=length,
        cost=_YUAN_A_MINUTE * ((length + 59) // 60),
        recording_url=f"http://record.example/{call_id}.mp3" if answered and rng.random() < 0.7 else "",
        custom_ref=parties.digits(rng, 6) if rng.random() < 0.8 else "",
        has_states=scenario is Scenario.STATES_ONLY or rng.random() < 0.85,
        has_record=scenario is not Scenario.STATES_ONLY,
    )


def _request_id(rng: random.Random) -> str:
    """29 digits, as the platform's live ids have: more than 64 bits can hold."""
    return "20" + parties.digits(rng, 27)


def record(call: TrueCall, rng: random.Random) -> str:
    """Returns one element of a batch as JSON text."""
    head = {"requestid": call.call_id, "appid": call.account_id, "fid": _FID[call.kind]}
    fields: dict[str, str] = head | _KINDS[call.kind][0](call, rng)
    if rng.random() < 0.2:
        # Live records carry bare numbers where the printed ones are quoted.
        pairs = (f'"{k}":{v if k in _NUMERIC else json.dumps(v, ensure_ascii=False)}' for k, v in fields.items())
        return "{" + ",".join(pairs) + "}"
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def spoil(element: str) -> str:
    """Returns the element in the broken form of the document's example; unchanged where it has no `stateDesc`."""
    return element.replace(_WHOLE, _BROKEN)


def mend(element: str) -> str:
    """Returns the element as valid JSON."""
    return element.replace(_BROKEN, _WHOLE)


def batch(elements: Sequence[str]) -> bytes:
    """Returns a batch's bytes on the wire."""
    return ('{"cdr":[' + ",\n".join(elements) + "]}").encode()


def states(call: TrueCall, rng: random.Random) -> list[tuple[TrueLeg, State, datetime, bytes]]:
    """Returns all states of a two-way call with the bodies that push them, each leg's in its order."""
    pushes = []
    for leg in call.legs:
        phone = _phone(leg.number, rng)
        milestones = (
            (State.SETUP, leg.setup_at),
            (State.ALERTING, leg.alerting_at),
            (State.ANSWER, leg.answer_at),
            (State.RELEASE, leg.released_at),
        )
        for state, at in milestones:
            if at:
                pushes.append((leg, state, at, state_push(call, phone, state, at)))
    return pushes


def state_push(call: TrueCall, phone: str, state: State, at: datetime) -> bytes:
    """Returns the body that pushes one state of the leg of `phone`."""
    fields = {
        "requestid": call.call_id,
        "src": call.display,
        "dsc": phone,
        "timestamp": f"{at.astimezone(_BEIJING):%Y-%m-%d %H:%M:%S}",
        "state": _WORDS[state],
    }
    return json.dumps(fields, ensure_ascii=False).encode()


def _phone(number: str, rng: random.Random) -> str:
    return rng.choices(("", "0", "86"), (90, 5, 5))[0] + parties.national(number)


def _time(at: datetime | None) -> str:
    return f"{at.astimezone(_BEIJING):%Y-%m-%d %H:%M:%S}.000" if at else ""


def _voice_code(call: TrueCall, _rng: random.Random) -> dict[str, str]:
    leg = call.legs[0]
    return {
        "tel": parties.national(leg.number),
        "stime": _time(leg.answer_at),
        "etime": _time(leg.end_at),
        "duration": str(call.duration_s),
        "oriamount": str(call.cost),
    }


def _two_way(call: TrueCall, rng: random.Random) -> dict[str, str]:
    a, b = call.leg(Role.A), call.leg(Role.B)
    called_end = _time(b.end_at)
    fields = {
        "caller": parties.national(a.number),
        "called": parties.national(b.number),
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
        "tel": parties.national(leg.number),
        "stime": _time(leg.answer_at),
        "etime": _time(leg.end_at),
        "confid": call.conference_id,
        "duration": str(call.duration_s),
        "singleoriamount": str(call.cost),
        "customParm": call.custom_ref,
        "tapesurl": call.recording_url,
    }


def expected_state(call: TrueCall, leg: TrueLeg, state: State, at: datetime) -> Expectation:
    """Returns the expectation of one state push; it names the phone of the leg, not the leg's role."""
    return Expectation(
        vendor=call.vendor,
        kind=Kind.CALLBACK_STATE,
        fact_type=FactType.STATE,
        call=call.call_id,
        identity=f"state|{call.call_id}|{leg.number}|{state}|{ms(at)}",
        content="1",
        columns={"leg": leg.number, "state": str(state), "event_at": ms(at)},
    )


def _state_pushes(call: TrueCall, rng: random.Random) -> list[StatePush]:
    return [(at, body, expected_state(call, leg, state, at)) for leg, state, at, body in states(call, rng)]


def _expected(call: TrueCall) -> Expectation:
    return record_expectation(call, *_KINDS[call.kind][1](call))


def _voice_code_columns(call: TrueCall) -> tuple[Columns, tuple[Columns, ...]]:
    leg = call.legs[0]
    return {
        "account_id": call.account_id,
        "to_number": leg.number,
        "setup_at": None,
        "answer_at": ms(leg.answer_at),
        "end_at": ms(leg.end_at),
        "talk_ms": between_ms(leg.answer_at, leg.end_at),
    }, ()


def _two_way_columns(call: TrueCall) -> tuple[Columns, tuple[Columns, ...]]:
    a, b = call.leg(Role.A), call.leg(Role.B)
    return {
        "account_id": call.account_id,
        "direction": str(call.direction),
        "from_number": a.number,
        "to_number": b.number,
        "setup_at": None,
        "alerting_at": None,
        "answer_at": ms(b.answer_at),
        "end_at": ms(call.ended_at),
        "talk_ms": between_ms(b.answer_at, min(leg.end_at for leg in call.legs if leg.end_at)),
        "pdd_ms": None,
        "recording_state": "available" if call.recording_url else "none",
    }, (leg_columns(a, "answer_at", "end_at"), leg_columns(b, "answer_at", "end_at"))


def _participant_columns(call: TrueCall) -> tuple[Columns, tuple[Columns, ...]]:
    leg = call.legs[0]
    return {
        "account_id": call.account_id,
        "direction": str(call.direction),
        "conference_id": call.conference_id,
        "answer_at": ms(leg.answer_at),
        "end_at": ms(leg.end_at),
        "talk_ms": between_ms(leg.answer_at, leg.end_at),
        "recording_state": "available",
    }, (leg_columns(leg, "answer_at", "end_at"),)


_KINDS: Final = {
    Kind.VOICE_OTP: (_voice_code, _voice_code_columns),
    Kind.CALLBACK_CDR: (_two_way, _two_way_columns),
    Kind.CONFERENCE_LEG: (_participant, _participant_columns),
}
"""The body and the expected columns of each kind of record."""


def _bad_element(rng: random.Random) -> tuple[str, str]:
    other_kind = {"requestid": parties.digits(rng, 29), "appid": "x", "fid": "9", "tel": "10086"}
    no_id = {"appid": "x", "fid": "2", "tel": "10086", "stime": "", "etime": ""}
    codes = {"null": "shape", '"retry"': "shape", json.dumps(other_kind): "wrong_kind", json.dumps(no_id): "no_id"}
    return rng.choice(tuple(codes.items()))


def _no_id(_rng: random.Random, like: PushRequest) -> tuple[bytes, str] | None:
    return (without(like.body, "requestid"), "no_id") if like.label == "state" else None


def _empty_state(_rng: random.Random, like: PushRequest) -> tuple[bytes, str] | None:
    return (json.dumps(json.loads(like.body) | {"state": ""}).encode(), "field") if like.label == "state" else None


SIMULATED: Final = SimulatedVendor(
    name="ytx",
    order=2,
    share=4.0,
    weights={
        Scenario.ANSWERED: 38,
        Scenario.NO_ANSWER: 10,
        Scenario.OTP: 14,
        Scenario.CONFERENCE: 7,
        Scenario.A_NO_ANSWER: 6,
        Scenario.BUSY: 4,
        Scenario.REJECTED: 4,
        Scenario.SWITCHED_OFF: 4,
        Scenario.A_UNREACHABLE: 3,
        Scenario.OTP_NO_ANSWER: 3,
        Scenario.INVALID_NUMBER: 2,
        Scenario.SUSPENDED: 2,
        Scenario.CONGESTION: 2,
        Scenario.STATES_ONLY: 1,
    },
    maker=maker,
    expected=_expected,
    path=PATH,
    batch=BatchFormat(element=record, body=batch, spoil=spoil, mend=mend, bad_element=_bad_element),
    states=_state_pushes,
    recounts=True,
    # The document says "later" and names no time.
    retry=RetryPolicy(attempts=3, delay_s=180.0, only_500=True),
    stranger=b'{"show_phone":"6298881888","direction":0,"sipid":"1049002","phone":"4444","sessionid":"%b"}',
    breakers={"no id": _no_id, "empty state": _empty_state},
)
