"""The softphone vendor's payload: one JSON object of 16 fields, times as epoch-second strings, numbers without "+"."""

import json
import random
from datetime import datetime
from typing import Final

from deploy.simulator.calls.truth import TrueCall
from schemas.facts import Direction

PATH: Final = "/v1/nxcloud/cdr"
_DIALLED_TWICE: Final = 0.05
"""Share of numbers that carry their country code although `code` has it too, as the vendor's pull API shows."""


def record(call: TrueCall, rng: random.Random) -> dict[str, object]:
    """The payload's fields in the vendor's words; how an unanswered call shows is not documented, so it varies."""
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
    """The bytes on the wire; some senders use GB 18030."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(encoding)


def _dialled(call: TrueCall, rng: random.Random) -> tuple[str, str]:
    if call.extension:
        return "86", call.extension
    number = call.legs[0].number.removeprefix("+")
    code = next(code for code in ("86", "46", "61", "1") if number.startswith(code))
    phone = number if code == "86" and rng.random() < _DIALLED_TWICE else number.removeprefix(code)
    return (f"{rng.choice(('+', '00'))}{code}" if rng.random() < _DIALLED_TWICE else code), phone


def _epoch(at: datetime | None) -> str:
    return str(int(at.timestamp())) if at else "0"
