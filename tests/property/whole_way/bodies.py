"""Bodies of a world: real ones of three vendors about a few calls, corrected, contradicted, rebatched, broken.

Fictitious numbers and accounts. How many elements a body has is known here, so that nothing can be lost unseen.
"""

import json
import random
from collections.abc import Iterator
from typing import Any, Final

import msgspec


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a vendor."""

    vendor: str
    path: str
    body: bytes
    elements: int = 1


_CALLS: Final = tuple(f"2026030108{number:019d}" for number in range(6))
_CALLER: Final = "13900000001"
_CALLED: Final = "13900000002"
_DAY: Final = "2026-03-01 15"


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


def _two_way(call: str, **more: Any) -> bytes:
    fields = {
        "requestid": call,
        "appid": "app-of-nobody",
        "fid": "4",
        "caller": _CALLER,
        "called": _CALLED,
        "callerstime": f"{_DAY}:00:10.000",
        "calleretime": f"{_DAY}:01:10.000",
        "calledstime": f"{_DAY}:00:20.000",
        "calledetime": f"{_DAY}:01:10.000",
        "tapesurl": "NoTapes",
        "duration": "60",
        "oriamount": "2.94",
        "stateDesc": "应答|正常",
        "customParm": "",
    }
    return _json(fields | more)


def _one_way(call: str, fid: str, **more: Any) -> bytes:
    fields = {
        "requestid": call,
        "appid": "app-of-nobody",
        "fid": fid,
        "tel": _CALLED,
        "stime": f"{_DAY}:00:05.000",
        "etime": f"{_DAY}:00:27.000",
        "duration": "22",
        "oriamount": "0.06",
    }
    return _json(fields | more)


def _state(call: str, phone: str, state: str, second: int) -> bytes:
    return _json(
        {"requestid": call, "src": "01053180002", "dsc": phone, "timestamp": f"{_DAY}:00:{second:02d}", "state": state}
    )


def _records(call: str) -> tuple[bytes, ...]:
    unfinished = {"calledstime": "", "calledetime": "", "calleretime": "", "stateDesc": "正在处理中"}
    return (
        _two_way(call),
        _two_way(call),
        _two_way(call, duration="61"),
        _two_way(call, customParm="ref-1", oriamount="0.15"),
        _two_way(call, customParm="ref-2"),
        _two_way(call, **unfinished),
        _two_way(call, **unfinished),
        _two_way(call, calledstime="", calledetime="", stateDesc="应答|无人接听"),
        _two_way(call, tapesurl="http://recordings.example/1.wav"),
        _two_way(call, appid="another-app"),
        _one_way(call, "2"),
        _one_way(call, "5", confid="516152", singleoriamount="0.044"),
        _one_way(call, "5", confid="516152", tel="13900000003", stime=f"{_DAY}:00:06.000"),
    )


def _states(call: str) -> tuple[bytes, ...]:
    return (
        _state(call, _CALLER, "callout", 0),
        _state(call, _CALLER, "alerting", 3),
        _state(call, _CALLER, "answer", 9),
        _state(call, _CALLER, "disconnect", 58),
        _state(call, _CALLED, "callout", 11),
        _state(call, _CALLED, "alerting", 14),
        _state(call, _CALLED, "answer", 20),
        _state(call, _CALLED, "disconnect", 58),
        _state(call, _CALLED, "answer", 25),
        _state(call, _CALLER, "callout", 5),
    )


def _softphone(call: str, **more: Any) -> bytes:
    fields = {
        "sessionid": f"00000000-0000-4000-8000-{call[-12:]}",
        "username": "agent-1",
        "mobile_name": "first mobile",
        "sipid": "1000001",
        "orderid": "1001233",
        "code": "86",
        "phone": _CALLED,
        "show_phone": "6280000000",
        "duration": 3,
        "direction": 1,
        "record": 0,
        "record_url": "",
        "start_time": "1772348400",
        "answer_time": "1772348411",
        "end_time": "1772348414",
        "hangup_cause": "NORMAL_CLEARING",
    }
    return _json(fields | more)


def _privacy(call: str, **more: Any) -> bytes:
    fields = {
        "id": int(call[-3:]) + 1,
        "ak": "AC00000000000000000000000000000000",
        "origNum": "+8613900000001",
        "privateNum": "+8616500000001",
        "recordFlag": False,
        "maxDuration": 60,
        "userData": "",
        "callDirection": 0,
        "subscriptionId": f"binding-{call[-3:]}",
        "status": 1,
        "bindTime": 1772348000000,
        "unbindTime": None,
        "updatedAt": 1772348000000,
        "sessionId": f"session-{call[-3:]}",
        "callinTime": 1772348400000,
        "answerTime": 1772348408000,
        "disconnectTime": 1772348468000,
    }
    return _json(fields | more)


_RECORDS: Final = {call: _records(call) for call in _CALLS}
_STATES: Final = {call: _states(call) for call in _CALLS}
_SOFTPHONE: Final = {
    call: (_softphone(call), _softphone(call), _softphone(call, duration=4), _softphone(call, orderid=""))
    for call in _CALLS
}
_PRIVACY: Final = {
    call: (
        _privacy(call),
        _privacy(call, disconnectTime=None),
        _privacy(call, answerTime=None, disconnectTime=None),
        _privacy(call, sessionId=None, callinTime=None, answerTime=None, disconnectTime=None),
        _privacy(call, sessionId=None, callinTime=None, answerTime=None, disconnectTime=None, status=0, updatedAt=1772348500000),
    )
    for call in _CALLS
}  # fmt: skip
_BROKEN: Final = (
    Send(vendor="ytx", path="/v1/ytx", body=b""),
    Send(vendor="ytx", path="/v1/ytx", body=b'{"cdr":[{"requestid":"2026'),
    Send(vendor="huawei", path="/v1/huawei/ax", body=b"42"),
    Send(vendor="nxcloud", path="/v1/nxcloud/cdr", body=b'{"sessionid":""}'),
)
_BAD_ELEMENTS: Final = (b"null", b'{"requestid":"1","fid":"9","tel":"1"}')


def sends(dice: random.Random) -> list[Send]:
    """Make all requests of one world, in the order in which they are first sent."""
    sends = [*_ytx(dice), *_others(dice)]
    dice.shuffle(sends)
    repeated = [send for send in sends if dice.random() < 0.15]
    return sends + repeated


def _ytx(dice: random.Random) -> Iterator[Send]:
    calls = dice.sample(_CALLS, 2)
    records = [dice.choice(_RECORDS[dice.choice(calls)]) for _ in range(dice.randint(2, 6))]
    while records:
        part = [records.pop() for _ in range(min(len(records), dice.randint(1, 3)))]
        if dice.random() < 0.15:
            part.append(dice.choice(part))
        if dice.random() < 0.05:
            part.append(dice.choice(_BAD_ELEMENTS))
        yield Send(vendor="ytx", path="/v1/ytx", body=b'{"cdr":[' + b",".join(part) + b"]}", elements=len(part))
    for _ in range(dice.randint(0, 4)):
        yield Send(vendor="ytx", path="/v1/ytx", body=dice.choice(_STATES[dice.choice(calls)]))


def _others(dice: random.Random) -> Iterator[Send]:
    call = dice.choice(_CALLS)
    for _ in range(dice.randint(0, 2)):
        yield Send(vendor="nxcloud", path="/v1/nxcloud/cdr", body=dice.choice(_SOFTPHONE[call]))
    for _ in range(dice.randint(0, 2)):
        yield Send(vendor="huawei", path="/v1/huawei/ax", body=dice.choice(_PRIVACY[call]))
    if dice.random() < 0.15:
        yield dice.choice(_BROKEN)
