"""The softphone vendor: one JSON object of 16 fields, times as epoch-second strings, numbers without "+"."""

import json
import random
from datetime import datetime
from typing import Final

from deploy.simulator.calls import leg_timing, parties
from deploy.simulator.calls.truth import Ending, Scenario, TrueCall
from deploy.simulator.expectation import Columns, Expectation, between_ms, ms, record_expectation
from deploy.simulator.requests import PushRequest, without
from deploy.simulator.vendor_contract import Maker, RetryPolicy, SimulatedVendor
from schemas.facts import Direction, Disposition, Kind, Role

PATH: Final = "/v1/nxcloud/cdr"
_DIALLED_TWICE: Final = 0.05
"""Share of numbers that carry their country code although `code` has it too, as the vendor's pull API shows."""
_GB_SHARE: Final = 0.03
"""Share of bodies in GB 18030, which some senders use."""

# The document's table of causes, kept apart from the normaliser's, so that a slip in either shows as a difference.
ENDINGS: Final[dict[Scenario, tuple[Ending, ...]]] = {
    Scenario.ANSWERED: (Ending("NORMAL_CLEARING", Disposition.ANSWERED, 16, 200),),
    Scenario.TIMER_EXPIRED: (Ending("RECOVERY_ON_TIMER_EXPIRE", Disposition.ANSWERED, 102),),
    Scenario.NO_ANSWER: (
        Ending("NO_ANSWER", Disposition.NO_ANSWER, 19, 480),
        Ending("NO_USER_RESPONSE", Disposition.NO_ANSWER, 18, 408),
    ),
    Scenario.BUSY: (Ending("USER_BUSY", Disposition.BUSY, 17, 486),),
    Scenario.REJECTED: (Ending("CALL_REJECTED", Disposition.REJECTED, 21, 603),),
    Scenario.SWITCHED_OFF: (Ending("SUBSCRIBER_ABSENT", Disposition.UNREACHABLE, 20, 480),),
    Scenario.INVALID_NUMBER: (
        Ending("UNALLOCATED_NUMBER", Disposition.INVALID_NUMBER, 1, 404),
        Ending("INVALID_NUMBER_FORMAT", Disposition.INVALID_NUMBER, 28, 484),
    ),
    Scenario.CONGESTION: (
        Ending("NORMAL_TEMPORARY_FAILURE", Disposition.CONGESTION, 41, 503),
        Ending("NORMAL_CIRCUIT_CONGESTION", Disposition.CONGESTION, 34, 503),
    ),
    # Beyond 127 a cause is FreeSWITCH's own and has no Q.850 number.
    Scenario.CANCELLED: (Ending("ORIGINATOR_CANCEL", Disposition.CANCELLED, None, 487),),
}


def maker(rng: random.Random) -> Maker:
    """Returns the source of calls."""
    return lambda scenario, ended_at: (_call(rng, scenario, ended_at),)


def _call(rng: random.Random, scenario: Scenario, ended_at: datetime) -> TrueCall:
    """A softphone's call, in or out; now and then with an extension on the other side."""
    cause = rng.choice(ENDINGS[scenario])
    if rng.random() < 0.8:
        code, number = "86", parties.national(parties.cn_mobile(rng))
    else:
        code, number = parties.foreign_mobile(rng)
    extension = parties.digits(rng, 4) if rng.random() < 0.08 else ""
    leg = leg_timing.legs(((Role.B, f"+{code}{number}", leg_timing.single(rng, scenario)),), ended_at)[0]
    session = parties.call_uuid(rng)
    recorded = leg.answer_at is not None and rng.random() < 0.6
    display = f"62988{parties.digits(rng, 5)}"
    return TrueCall(
        vendor="nxcloud",
        kind=Kind.SOFTPHONE_CDR,
        scenario=scenario,
        call_id=session,
        direction=rng.choice((Direction.INBOUND, Direction.OUTBOUND, Direction.OUTBOUND)),
        legs=(leg,),
        display=display,
        cause=cause.text,
        disposition=cause.disposition,
        q850=cause.q850,
        sip_code=cause.sip_code,
        duration_s=leg_timing.seconds(leg.answer_at, leg.end_at),
        recorded=recorded,
        recording_url=f"https://record.example/record/{session}" if recorded else "",
        custom_ref=parties.digits(rng, 7) if rng.random() < 0.9 else "",
        agent_id=display,
        agent_name=parties.name(rng),
        extension=extension,
    )


def record(call: TrueCall, rng: random.Random) -> dict[str, object]:
    """Returns the fields of a payload. The document leaves open how an unanswered call looks, so it varies."""
    leg = call.legs[0]
    code, phone = _dialled(call, rng)
    fields: dict[str, object] = {
        "show_phone": call.display,
        "direction": 1 if call.direction is Direction.OUTBOUND else 0,
        "end_time": _epoch(leg.end_at),
        "record": int(call.recorded),
        "answer_time": _epoch(leg.answer_at) if leg.answer_at else rng.choice(("0", "", None)),
        "sipid": f"1{call.display[-6:]}",
        "code": code,
        "start_time": _epoch(leg.setup_at),
        "duration": call.duration_s if rng.random() < 0.9 else str(call.duration_s),
        "phone": phone,
        "username": call.agent_id,
        "mobile_name": call.agent_name,
        "orderid": call.custom_ref,
        "record_url": call.recording_url,
        "hangup_cause": call.cause,
        "sessionid": call.call_id,
    }
    if fields["answer_time"] is None and rng.random() < 0.5:
        del fields["answer_time"]
    if not call.recording_url and rng.random() < 0.5:
        del fields["record_url"]
    return fields


def body(fields: dict[str, object], encoding: str = "utf-8") -> bytes:
    """Returns the bytes on the wire."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(encoding)


def _pushed(call: TrueCall, rng: random.Random) -> bytes:
    encoding = "gb18030" if rng.random() < _GB_SHARE else "utf-8"
    return body(record(call, rng), encoding)


def _dialled(call: TrueCall, rng: random.Random) -> tuple[str, str]:
    if call.extension:
        return "86", call.extension
    number = call.legs[0].number.removeprefix("+")
    code = next(code for code in ("86", "46", "61", "1") if number.startswith(code))
    phone = number if code == "86" and rng.random() < _DIALLED_TWICE else number.removeprefix(code)
    return (f"{rng.choice(('+', '00'))}{code}" if rng.random() < _DIALLED_TWICE else code), phone


def _epoch(at: datetime | None) -> str:
    return str(int(at.timestamp())) if at else "0"


def _expected(call: TrueCall) -> Expectation:
    leg = call.legs[0]
    known: Columns = {
        "direction": str(call.direction),
        "setup_at": ms(leg.setup_at),
        "alerting_at": None,
        "answer_at": ms(leg.answer_at),
        "end_at": ms(leg.end_at),
        "talk_ms": between_ms(leg.answer_at, leg.end_at),
        "pdd_ms": None,
        "billable_s": call.duration_s,
        "hangup_cause": call.cause,
        "agent_id": call.agent_id,
        "agent_name": call.agent_name,
        "recording_state": _recording_state(call),
    }
    # The customer's own number is written without "+" and fits no plan, so that only the other side is claimed.
    if not call.extension:
        known["to_number" if call.direction is Direction.OUTBOUND else "from_number"] = leg.number
    if leg.answer_at:
        known["ring_ms"] = between_ms(leg.setup_at, leg.answer_at)
    return record_expectation(call, known)


def _recording_state(call: TrueCall) -> str:
    if call.recording_url:
        return "available"
    return "pending" if call.recorded else "none"


def _no_id(_rng: random.Random, like: PushRequest) -> tuple[bytes, str]:
    return without(like.body, "sessionid"), "no_id"


SIMULATED: Final = SimulatedVendor(
    name="nxcloud",
    order=1,
    share=3.0,
    weights={
        Scenario.ANSWERED: 54,
        Scenario.TIMER_EXPIRED: 2,
        Scenario.NO_ANSWER: 14,
        Scenario.CANCELLED: 8,
        Scenario.BUSY: 6,
        Scenario.REJECTED: 5,
        Scenario.SWITCHED_OFF: 5,
        Scenario.INVALID_NUMBER: 3,
        Scenario.CONGESTION: 3,
    },
    maker=maker,
    expected=_expected,
    path=PATH,
    record=_pushed,
    recounts=True,
    retry=RetryPolicy(attempts=5, delay_s=60.0),
    stranger=b'{"id":7,"ak":"AC5A23CF0E42435C9FF52E401EE897BC","status":1,"subscriptionId":"%b","sessionId":null}',
    breakers={"no id": _no_id},
)
