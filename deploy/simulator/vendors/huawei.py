"""The privacy-number relay's payload: the binding's row, with a call's columns filled when a call happened."""

import json
from typing import Final

from deploy.simulator.calls.truth import TrueBinding, TrueCall
from deploy.simulator.expectation import ms, revised_at

PATH: Final = "/v1/huawei/ax"
_MAX_MINUTES: Final = 60


def binding(change: TrueBinding) -> dict[str, object]:
    """The row of a binding without a call."""
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
    """The row of a call over its binding, as it is when the call is over."""
    assert call.binding is not None
    leg = call.legs[0]
    return binding(call.binding) | {
        "sessionId": call.call_id,
        "callinTime": ms(leg.setup_at),
        "answerTime": ms(leg.answer_at),
        "disconnectTime": ms(leg.end_at),
        "recordUrl": call.recording_url or None,
        "updatedAt": ms(revised_at(call)),
    }


def body(fields: dict[str, object]) -> bytes:
    """The bytes on the wire."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _text(answer: dict[str, str]) -> str:
    return json.dumps(answer, separators=(",", ":"))
