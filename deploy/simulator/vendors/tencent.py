"""The pulled records: every value a string, instants as epoch seconds with "0" for what did not happen."""

import json
import zlib
from datetime import datetime
from typing import Final

from deploy.simulator.calls.truth import TrueCall
from schemas.facts import Role

PATH: Final = "/201511v3/getCdr"


def record(call: TrueCall) -> dict[str, str]:
    """One item of `cdr`."""
    a, b = call.leg(Role.A), call.leg(Role.B)
    return {
        "bizId": call.custom_ref,
        "callEndStatus": call.cause,
        "callId": call.call_id,
        "callType": "3",
        "dst": _number(b.number),
        "dstAcceptTime": _epoch(b.answer_at),
        "duration": str(call.duration_s),
        "endCallTime": _epoch(max(leg.end_at for leg in call.legs if leg.end_at)),
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
    """A page of records; `offset` is where the next one starts, "0" when there is none."""
    text = json.dumps({"cdr": records, "errorCode": "0", "offset": offset, "result": "Call Details"}, indent=4)
    return zlib.compress(text.encode()) if compressed else text.encode()


def failure(code: str, message: str) -> bytes:
    """An error's body, with the trailing comma that the vendor's documents print."""
    return f'{{\n\t"errorCode": "{code}",\n\t"result": "{message}",\n}}\n'.encode()


def _number(number: str) -> str:
    return "00" + number.removeprefix("+")


def _epoch(at: datetime | None) -> str:
    return str(int(at.timestamp())) if at else "0"
