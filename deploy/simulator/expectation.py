"""What one element of a payload tells: the columns that a reader of it can know, in canonical words.

A column that is missing here is not compared: the documents leave it open. Instants are epoch milliseconds, money is
text. Must not know how the element is spelt.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Final

import msgspec

from deploy.simulator.calls.truth import TrueBinding, TrueCall, TrueLeg
from schemas.facts import Direction, FactType, Kind, Role, State

Value = str | int | bool | None
Columns = dict[str, Value]

FLAG: Final = "flag_"
"""A column with this in front claims a quality flag."""
_BINDING_STATES: Final = {1: "bound", 0: "unbound", -1: "failed"}


class Expectation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One element and its fate."""

    vendor: str
    kind: str = ""
    fact_type: str = ""
    """record, state or binding; "" for what must end as a dead letter."""
    call: str = ""
    """The vendor's call id; of a binding its id."""
    identity: str = ""
    """Two elements with the same identity are one fact, or versions of it."""
    content: str = ""
    """Digest: the same identity with the same content is a duplicate."""
    columns: Columns = {}
    legs: tuple[Columns, ...] = ()
    binding: Columns = {}
    """What it says of a number binding, also in passing."""
    dead: str = ""
    """The dead letter's code."""
    rank: int = 0
    """Of contents that contradict each other the one with the highest is shown whole; 0: it is not claimed which one is."""
    disputes: bool = False
    """It contradicts one that was received before it, and the row must say so."""
    misleads: bool = False
    """A state whose instant is absurd: nothing can be measured from it."""


def ms(at: datetime | None) -> int | None:
    """Epoch milliseconds."""
    return None if at is None else round(at.timestamp() * 1000)


def between_ms(start: datetime | None, end: datetime | None) -> int | None:
    """Milliseconds between two instants; None when either did not happen."""
    return round((end - start).total_seconds() * 1000) if start and end else None


def dead(vendor: str, code: str) -> Expectation:
    """An element, or a whole body, that nobody can use."""
    return Expectation(vendor=vendor, dead=code)


def record(call: TrueCall) -> Expectation:
    """A call's record, whichever vendor wrote it."""
    columns, legs = _RECORDS[call.kind if call.vendor != "tencent" else "pulled"](call)
    columns |= {"disposition": str(call.disposition), "is_final": True}
    # The privacy relay sends no duration, so that what is billed is computed.
    columns |= {"vendor_duration_s": None if call.kind is Kind.PRIVACY_AX else call.duration_s}
    columns |= {"custom_ref": call.custom_ref} if call.kind is not Kind.VOICE_OTP else {}
    columns |= {name: value for name, value in (("q850", call.q850), ("sip_code", call.sip_code)) if value is not None}
    columns |= {"cost": None} if call.cost is None else {"cost": str(call.cost), "currency": "CNY"}
    return Expectation(
        vendor=call.vendor,
        kind=call.kind,
        fact_type=FactType.RECORD,
        call=call.call_id,
        identity="|".join((call.kind, call.account_id, call.call_id, *_party(call))),
        content=_digest(call),
        columns=columns,
        legs=legs,
        binding=_binding(call.binding, revised_at(call)) if call.binding else {},
    )


def state(call: TrueCall, leg: TrueLeg, what: State, at: datetime) -> Expectation:
    """One state push of a two-way call; it knows the phone that rings, not its part in the call."""
    return Expectation(
        vendor=call.vendor,
        kind=Kind.CALLBACK_STATE,
        fact_type=FactType.STATE,
        call=call.call_id,
        identity=f"state|{call.call_id}|{leg.number}|{what}|{ms(at)}",
        content="1",
        columns={"leg": leg.number, "state": str(what), "event_at": ms(at)},
    )


def binding(change: TrueBinding) -> Expectation:
    """A binding made or dissolved."""
    said = _binding(change, change.revised_at)
    return Expectation(
        vendor=change.vendor,
        kind=Kind.BINDING,
        fact_type=FactType.BINDING,
        call=change.binding_id,
        identity=f"binding|{change.account_id}|{change.row_id}|{ms(change.revised_at)}",
        content=_digest(change),
        columns={name: value for name, value in said.items() if name != "binding_id"},
        binding=said,
    )


def _binding(change: TrueBinding, revised: datetime) -> Columns:
    return {
        "binding_id": change.binding_id,
        "binding_state": _BINDING_STATES[change.status],
        "privacy_number": change.privacy_number,
        "bound_at": ms(change.bound_at),
        "unbound_at": ms(change.unbound_at),
        "revised_at": ms(revised),
    }


def revised_at(call: TrueCall) -> datetime:
    """The privacy relay's own clock in a call's row: it moves on when the recording is there."""
    return call.ended_at + timedelta(seconds=2 if call.recording_url else 1)


def _party(call: TrueCall) -> tuple[str, ...]:
    """What besides the id tells a conference's participants apart."""
    return tuple(f"{leg.number}|{ms(leg.answer_at)}" for leg in call.legs) if call.kind is Kind.CONFERENCE_LEG else ()


def _digest(truth: TrueCall | TrueBinding) -> str:
    return hashlib.blake2b(msgspec.json.encode(truth), digest_size=8).hexdigest()


def _leg(leg: TrueLeg, *names: str) -> Columns:
    return {"role": str(leg.role), "number": leg.number, **{name: ms(getattr(leg, name)) for name in names}}


def _softphone(call: TrueCall) -> tuple[Columns, tuple[Columns, ...]]:
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
        "recording_state": _softphone_recording(call),
    }
    # The customer's own number is written without "+" and fits no plan, so that only the other side is claimed.
    if not call.extension:
        known["to_number" if call.direction is Direction.OUTBOUND else "from_number"] = leg.number
    if leg.answer_at:
        known["ring_ms"] = between_ms(leg.setup_at, leg.answer_at)
    return known, ()


def _softphone_recording(call: TrueCall) -> str:
    if call.recording_url:
        return "available"
    return "pending" if call.recorded else "none"


def _voice_code(call: TrueCall) -> tuple[Columns, tuple[Columns, ...]]:
    leg = call.legs[0]
    return {
        "account_id": call.account_id,
        "to_number": leg.number,
        "setup_at": None,
        "answer_at": ms(leg.answer_at),
        "end_at": ms(leg.end_at),
        "talk_ms": between_ms(leg.answer_at, leg.end_at),
    }, ()


def _two_way(call: TrueCall) -> tuple[Columns, tuple[Columns, ...]]:
    a, b = call.leg(Role.A), call.leg(Role.B)
    end_at = max(leg.end_at for leg in call.legs if leg.end_at)
    return {
        "account_id": call.account_id,
        "direction": str(call.direction),
        "from_number": a.number,
        "to_number": b.number,
        "setup_at": None,
        "alerting_at": None,
        "answer_at": ms(b.answer_at),
        "end_at": ms(end_at),
        "talk_ms": between_ms(b.answer_at, min(leg.end_at for leg in call.legs if leg.end_at)),
        "pdd_ms": None,
        "recording_state": "available" if call.recording_url else "none",
    }, (_leg(a, "answer_at", "end_at"), _leg(b, "answer_at", "end_at"))


def _participant(call: TrueCall) -> tuple[Columns, tuple[Columns, ...]]:
    leg = call.legs[0]
    return {
        "account_id": call.account_id,
        "direction": str(call.direction),
        "conference_id": call.conference_id,
        "answer_at": ms(leg.answer_at),
        "end_at": ms(leg.end_at),
        "talk_ms": between_ms(leg.answer_at, leg.end_at),
        "recording_state": "available",
    }, (_leg(leg, "answer_at", "end_at"),)


def _privacy(call: TrueCall) -> tuple[Columns, tuple[Columns, ...]]:
    leg = call.legs[0]
    assert call.binding is not None
    known: Columns = {
        "account_id": call.account_id,
        "direction": str(call.direction),
        "privacy_number": call.binding.privacy_number,
        "binding_id": call.binding.binding_id,
        "setup_at": ms(leg.setup_at),
        "answer_at": ms(leg.answer_at),
        "end_at": ms(leg.end_at),
        "talk_ms": between_ms(leg.answer_at, leg.end_at),
        "pdd_ms": None,
    }
    # The other party is never told; where only others may call, A stands at the other end or nowhere.
    if call.direction is not Direction.INBOUND:
        known["to_number"] = None
    if call.direction is Direction.OUTBOUND:
        known["from_number"] = leg.number
    if leg.answer_at:
        known["billable_s"] = call.duration_s
    if call.recording_url:
        known["recording_state"] = "available"
    return known, ()


def _pulled(call: TrueCall) -> tuple[Columns, tuple[Columns, ...]]:
    a, b = call.leg(Role.A), call.leg(Role.B)
    end_at = max(leg.end_at for leg in call.legs if leg.end_at)
    known: Columns = {
        "direction": str(call.direction),
        "from_number": a.number,
        "to_number": b.number,
        "setup_at": ms(a.setup_at),
        "answer_at": ms(b.answer_at),
        "end_at": ms(end_at),
        "talk_ms": between_ms(b.answer_at, end_at),
        "billable_s": call.duration_s,
    }
    rung = b if b.setup_at else a
    if rung.alerting_at:
        known["ring_ms"] = between_ms(rung.alerting_at, rung.answer_at or end_at)
    if b.setup_at:
        known |= {"alerting_at": ms(b.alerting_at), "pdd_ms": between_ms(b.setup_at, b.alerting_at)}
    if call.recording_url:
        known["recording_state"] = "available"
    names = ("setup_at", "alerting_at", "answer_at")
    return known, (_leg(a, *names), _leg(b, *names))


_RECORDS: Final = {
    Kind.SOFTPHONE_CDR: _softphone,
    Kind.VOICE_OTP: _voice_code,
    Kind.CALLBACK_CDR: _two_way,
    Kind.CONFERENCE_LEG: _participant,
    Kind.PRIVACY_AX: _privacy,
    "pulled": _pulled,
}
