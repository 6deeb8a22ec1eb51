"""The privacy-number relay: bindings of a privacy number to a party, and calls over them.

A payload is the binding's row, with a call's columns filled when a call happened, so that a call needs its binding.
"""

import json
import random
from datetime import datetime, timedelta
from typing import Final

import msgspec

from deploy.simulator.calls import leg_timing, parties
from deploy.simulator.calls.truth import Ending, Occurrence, Scenario, TrueBinding, TrueCall
from deploy.simulator.expectation import Columns, Expectation, between_ms, digest_of_truth, ms, record_expectation
from deploy.simulator.vendor_contract import Maker, RetryPolicy, SimulatedVendor
from schemas.facts import Direction, Disposition, FactType, Kind, Role

PATH: Final = "/v1/huawei/ax"
# From the vendor's own printed example.
_SYSTEM: Final = "AC5A23CF0E42435C9FF52E401EE897BC"
_MAX_MINUTES: Final = 60
_MOST_BINDINGS: Final = 200
_SETTLED: Final = timedelta(seconds=2)
"""After its end a call's row is written for the last time."""
_DIRECTIONS: Final = {0: Direction.UNKNOWN, 1: Direction.OUTBOUND, 2: Direction.INBOUND}
_BINDING_STATES: Final = {1: "bound", 0: "unbound", -1: "failed"}

ENDINGS: Final[dict[Scenario, tuple[Ending, ...]]] = {
    Scenario.PRIVACY: (Ending("", Disposition.ANSWERED, 16),),
    Scenario.PRIVACY_NO_ANSWER: (Ending("", Disposition.NO_ANSWER),),
}


class Bindings:
    """The bindings in force; beyond `_MOST_BINDINGS` the oldest are forgotten."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._open: list[TrueBinding] = []

    def make(self, scenario: Scenario, ended_at: datetime) -> Occurrence:
        """Makes a binding, dissolves one, or makes a call over one, within a second of that instant."""
        at = ended_at + timedelta(milliseconds=self._rng.randrange(1000))
        if scenario is Scenario.BOUND or (scenario is Scenario.UNBOUND and not self._open):
            return self._bind(at)
        if scenario is Scenario.UNBOUND:
            return self._unbind(at)
        return (self._call(scenario, at),)

    def _bind(self, at: datetime) -> TrueBinding:
        rng = self._rng
        made = TrueBinding(
            vendor="huawei",
            scenario=Scenario.BOUND,
            row_id=rng.randrange(1, 2**31),
            account_id=_SYSTEM,
            number=parties.cn_mobile(rng),
            privacy_number=parties.privacy_number(rng),
            binding_id=parties.call_uuid(rng),
            status=1,
            allowed_direction=rng.choice((0, 0, 0, 1, 2)),
            custom_ref=parties.digits(rng, 19),
            recorded=rng.random() < 0.3,
            bound_at=at,
            revised_at=at,
        )
        self._open = [*self._open[1 - _MOST_BINDINGS :], made]
        return made

    def _unbind(self, at: datetime) -> TrueBinding:
        ended = self._open.pop(self._rng.randrange(len(self._open)))
        at = max(at, ended.revised_at + timedelta(milliseconds=1))
        return msgspec.structs.replace(ended, scenario=Scenario.UNBOUND, status=0, unbound_at=at, revised_at=at)

    def _call(self, scenario: Scenario, ended_at: datetime) -> TrueCall:
        rng = self._rng
        timing = leg_timing.single(rng, scenario)
        cause = rng.choice(ENDINGS[scenario])
        leg = leg_timing.legs(((Role.A, "", timing),), ended_at)[0]
        assert leg.setup_at is not None
        # A call's binding was made before the call, whether or not its own push was ever sent.
        known = [made for made in self._open if made.bound_at < leg.setup_at]
        binding = rng.choice(known) if known else self._bind(leg.setup_at - timedelta(minutes=rng.randint(1, 60)))
        self._revise(binding, ended_at + _SETTLED)
        leg = msgspec.structs.replace(leg, number=binding.number)
        available = leg.answer_at is not None and binding.recorded
        return TrueCall(
            vendor="huawei",
            kind=Kind.PRIVACY_AX,
            scenario=scenario,
            account_id=_SYSTEM,
            call_id=parties.call_uuid(rng),
            direction=_DIRECTIONS[binding.allowed_direction],
            legs=(leg,),
            disposition=cause.disposition,
            q850=cause.q850,
            duration_s=leg_timing.seconds(leg.answer_at, leg.end_at),
            recording_url=f"https://record.example/{parties.hexadecimal(rng, 24)}" if available else "",
            custom_ref=binding.custom_ref,
            binding=binding,
        )

    def _revise(self, binding: TrueBinding, at: datetime) -> None:
        """Moves a binding's clock on: a call's row has the binding's state, and what comes after it must be later."""
        self._open = [
            msgspec.structs.replace(made, revised_at=max(at, made.revised_at)) if made is binding else made
            for made in self._open
        ]


def maker(rng: random.Random) -> Maker:
    """Returns the source of bindings and calls."""
    return Bindings(rng).make


def binding_row(change: TrueBinding) -> dict[str, object]:
    """Returns the row of a binding without a call."""
    answer = {
        "origNum": change.number,
        "resultcode": "0",
        "subscriptionId": change.binding_id,
        "privateNum": change.privacy_number,
        "resultdesc": "Success",
    }
    unbound = {"resultcode": "0", "resultdesc": "Success"} if change.unbound_at else None
    return {
        "id": change.row_id,
        "ak": change.account_id,
        "origNum": change.number,
        "privateNum": change.privacy_number,
        "recordFlag": change.recorded,
        "recordHintTone": None,
        "maxDuration": _MAX_MINUTES,
        "lastMinVoice": None,
        "userData": change.custom_ref,
        "callDirection": change.allowed_direction,
        "subscriptionId": change.binding_id,
        "status": change.status,
        "businessType": None,
        "bindResponse": _text(answer),
        "unbindResponse": _text(unbound) if unbound else None,
        "bindingDuration": 5,
        "bindTime": ms(change.bound_at),
        "unbindTime": ms(change.unbound_at),
        "sessionId": None,
        "callinTime": None,
        "answerTime": None,
        "disconnectTime": None,
        "recordUrl": None,
        "createdAt": ms(change.bound_at),
        "updatedAt": ms(change.revised_at),
        "remark": None,
    }


def record(call: TrueCall) -> dict[str, object]:
    """Returns the row of a call over its binding, as it is when the call is over."""
    assert call.binding is not None
    leg = call.legs[0]
    return binding_row(call.binding) | {
        "sessionId": call.call_id,
        "callinTime": ms(leg.setup_at),
        "answerTime": ms(leg.answer_at),
        "disconnectTime": ms(leg.end_at),
        "recordUrl": call.recording_url or None,
        "updatedAt": ms(_revised_at(call)),
    }


def body(fields: dict[str, object]) -> bytes:
    """Returns the bytes on the wire."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _text(answer: dict[str, str]) -> str:
    return json.dumps(answer, separators=(",", ":"))


def _revised_at(call: TrueCall) -> datetime:
    """The relay's own clock in a call's row: it moves on when the recording is there."""
    return call.ended_at + timedelta(seconds=2 if call.recording_url else 1)


def _expected(call: TrueCall) -> Expectation:
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
    # The relay never names the other party; where only others may call, A stands at the other end or nowhere.
    if call.direction is not Direction.INBOUND:
        known["to_number"] = None
    if call.direction is Direction.OUTBOUND:
        known["from_number"] = leg.number
    if leg.answer_at:
        known["billable_s"] = call.duration_s
    if call.recording_url:
        known["recording_state"] = "available"
    return record_expectation(call, known, binding=_binding_columns(call.binding, _revised_at(call)))


def _binding_pushed(change: TrueBinding) -> tuple[bytes, Expectation]:
    columns = _binding_columns(change, change.revised_at)
    expected = Expectation(
        vendor=change.vendor,
        kind=Kind.BINDING,
        fact_type=FactType.BINDING,
        call=change.binding_id,
        identity=f"binding|{change.account_id}|{change.row_id}|{ms(change.revised_at)}",
        content=digest_of_truth(change),
        columns={name: value for name, value in columns.items() if name != "binding_id"},
        binding=columns,
    )
    return body(binding_row(change)), expected


def _binding_columns(change: TrueBinding, revised: datetime) -> Columns:
    return {
        "binding_id": change.binding_id,
        "binding_state": _BINDING_STATES[change.status],
        "privacy_number": change.privacy_number,
        "bound_at": ms(change.bound_at),
        "unbound_at": ms(change.unbound_at),
        "revised_at": ms(revised),
    }


SIMULATED: Final = SimulatedVendor(
    name="huawei",
    order=3,
    share=2.0,
    weights={Scenario.PRIVACY: 50, Scenario.PRIVACY_NO_ANSWER: 20, Scenario.BOUND: 20, Scenario.UNBOUND: 10},
    maker=maker,
    expected=_expected,
    path=PATH,
    record=lambda call, _rng: body(record(call)),
    binding=_binding_pushed,
    retry=RetryPolicy(attempts=1),
    stranger=b'{"show_phone":"6298881888","direction":0,"sipid":"1049002","phone":"4444","sessionid":"%b"}',
)
