"""The callback vendor that is pulled from: every value is a string; instants are epoch seconds, "0" for none."""

import json
import random
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from deploy.simulator.calls import leg_timing, parties
from deploy.simulator.calls.truth import Ending, Scenario, TrueCall
from deploy.simulator.expectation import Columns, Expectation, between_ms, leg_columns, ms, record_expectation
from deploy.simulator.vendor_contract import PULL_APP_ID, Maker, PullApi, PullQuery, PullServerOptions, SimulatedVendor
from schemas.facts import Direction, Disposition, Kind, Role

_VERSION: Final = "201511v3"
_LONGEST_SPAN_S: Final = 86_400
_MESSAGES: Final[Mapping[str, str]] = {
    "-1": "version not supported",
    "-2": "parameter error",
    "-201": "callId error",
    "-202": "timestamp error",
    "-203": "network error",
    "-401": "illegal appId",
    "-402": "url not match",
    "-403": "ip not in whitelist",
    "-423": "blocked",
    "-501": "server error",
}

# The document's table of causes, kept apart from the normaliser's, so that a slip in either shows as a difference.
ENDINGS: Final[dict[Scenario, tuple[Ending, ...]]] = {
    Scenario.ANSWERED: (Ending("1", Disposition.ANSWERED, 16, 200),),
    Scenario.A_NO_ANSWER: (Ending("2", Disposition.NO_ANSWER, 19, 480),),
    Scenario.NO_ANSWER: (Ending("3", Disposition.NO_ANSWER, 19, 480),),
    Scenario.A_UNREACHABLE: (Ending("4", Disposition.UNREACHABLE, 20, 480),),
    Scenario.SWITCHED_OFF: (Ending("5", Disposition.UNREACHABLE, 20, 480),),
}


def maker(rng: random.Random) -> Maker:
    """Returns the source of calls."""
    return lambda scenario, ended_at: (_call(rng, scenario, ended_at),)


def _call(rng: random.Random, scenario: Scenario, ended_at: datetime) -> TrueCall:
    """A callback that is pulled; its record shows one end for both legs."""
    caller, called = parties.two_mobiles(rng)
    timing_a, timing_b = leg_timing.two_party(rng, scenario)
    legs = leg_timing.legs(((Role.A, caller, timing_a), (Role.B, called, timing_b)), ended_at)
    cause = rng.choice(ENDINGS[scenario])
    hung_up_at = max(leg.end_at for leg in legs if leg.end_at)
    answered_at = legs[1].answer_at
    local = ended_at.strftime("%y%m%d")
    return TrueCall(
        vendor="tencent",
        kind=Kind.CALLBACK_CDR,
        scenario=scenario,
        account_id=PULL_APP_ID,
        call_id=f"12-{local}-{parties.hexadecimal(rng, 32)}",
        direction=Direction.CALLBACK,
        legs=legs,
        cause=cause.text,
        disposition=cause.disposition,
        q850=cause.q850,
        sip_code=cause.sip_code,
        # Billed time is the vendor's own rounding: a second more at times.
        duration_s=leg_timing.seconds(answered_at, hung_up_at) + (rng.randint(0, 1) if answered_at else 0),
        recording_url="https://record.example/" + parties.hexadecimal(rng, 16)
        if answered_at and rng.random() < 0.5
        else "",
        custom_ref=parties.digits(rng, 8) if rng.random() < 0.5 else "",
    )


def record(call: TrueCall) -> dict[str, str]:
    """Returns one item of `cdr`."""
    a, b = call.leg(Role.A), call.leg(Role.B)
    return {
        "bizId": call.custom_ref,
        "callEndStatus": call.cause,
        "callId": call.call_id,
        "callType": "3",
        "dst": _number(b.number),
        "dstAcceptTime": _epoch(b.answer_at),
        "duration": str(call.duration_s),
        "endCallTime": _epoch(call.ended_at),
        "orderId": "",
        "recordUrl": call.recording_url,
        "src": _number(a.number),
        "srcAcceptTime": _epoch(a.answer_at),
        "startDstCallTime": _epoch(b.setup_at),
        "startDstRingTime": _epoch(b.alerting_at),
        "startSrcCallTime": _epoch(a.setup_at),
        "startSrcRingTime": _epoch(a.alerting_at),
    }


def page(records: list[dict[str, str]], offset: str, *, compressed: bool) -> bytes:
    """Returns a page of records; `offset` is where the next one starts, "0" when there is none."""
    text = json.dumps({"cdr": records, "errorCode": "0", "offset": offset, "result": "Call Details"}, indent=4)
    return zlib.compress(text.encode()) if compressed else text.encode()


def failure(code: str) -> bytes:
    """Returns the body of a failure, with the trailing comma that the vendor's document prints."""
    return f'{{\n\t"errorCode": "{code}",\n\t"result": "{_MESSAGES[code]}",\n}}\n'.encode()


def _page(calls: Sequence[TrueCall], offset: str, compressed: bool) -> bytes:  # noqa: FBT001  # the contract's order
    return page([record(call) for call in calls], offset, compressed=compressed)


def _read(route: Mapping[str, str], key_id: str, body: bytes, options: PullServerOptions) -> PullQuery | str:
    """The query of a request, or the first code that applies."""
    try:
        asked = json.loads(body)
    except ValueError:
        return "-2"
    if not isinstance(asked, dict) or not all(isinstance(value, str) for value in asked.values()):
        return "-2"
    call_id = asked.get("callId", "")
    checks = (
        ("-1", route["version"] == _VERSION),
        ("-402", key_id == options.key_id),
        ("-401", asked.get("appId") == options.app_id),
        ("-2", asked.get("compress", "0") in ("", "0", "1")),
        ("-202", bool(call_id) or _is_window(asked)),
    )
    if refused := next((code for code, passed in checks if not passed), ""):
        return refused
    return PullQuery(
        call_id=call_id,
        start_s=0 if call_id else int(asked["startTimeStamp"]),
        end_s=0 if call_id else int(asked["endTimeStamp"]),
        party=asked.get("src", ""),
        compressed=asked.get("compress") == "1",
    )


def _is_window(asked: Mapping[str, str]) -> bool:
    start, end = asked.get("startTimeStamp", ""), asked.get("endTimeStamp", "")
    return start.isdecimal() and end.isdecimal() and 0 < int(end) - int(start) <= _LONGEST_SPAN_S


def _number(number: str) -> str:
    return "00" + number.removeprefix("+")


def _epoch(at: datetime | None) -> str:
    return str(int(at.timestamp())) if at else "0"


def _expected(call: TrueCall) -> Expectation:
    a, b = call.leg(Role.A), call.leg(Role.B)
    known: Columns = {
        "direction": str(call.direction),
        "from_number": a.number,
        "to_number": b.number,
        "setup_at": ms(a.setup_at),
        "answer_at": ms(b.answer_at),
        "end_at": ms(call.ended_at),
        "talk_ms": between_ms(b.answer_at, call.ended_at),
        "billable_s": call.duration_s,
    }
    alerted = b if b.setup_at else a
    if alerted.alerting_at:
        known["ring_ms"] = between_ms(alerted.alerting_at, alerted.answer_at or call.ended_at)
    if b.setup_at:
        known |= {"alerting_at": ms(b.alerting_at), "pdd_ms": between_ms(b.setup_at, b.alerting_at)}
    if call.recording_url:
        known["recording_state"] = "available"
    names = ("setup_at", "alerting_at", "answer_at")
    return record_expectation(call, known, (leg_columns(a, *names), leg_columns(b, *names)))


SIMULATED: Final = SimulatedVendor(
    name="tencent",
    order=4,
    share=2.0,
    weights={
        Scenario.ANSWERED: 60,
        Scenario.NO_ANSWER: 15,
        Scenario.A_NO_ANSWER: 12,
        Scenario.A_UNREACHABLE: 6,
        Scenario.SWITCHED_OFF: 7,
    },
    maker=maker,
    expected=_expected,
    pull=PullApi(
        name="getcdr",
        route="/{version}/getCdr",
        read=_read,
        party=lambda call: record(call)["src"],
        page=_page,
        failure=failure,
        codes=tuple(_MESSAGES),
        unknown_call="-201",
        accidents=("-203", "-501"),
    ),
)
