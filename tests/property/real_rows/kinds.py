"""Bodies of every payload kind: an answered call in the vendor's own words, with any field replaced.

Which of its fields are times, seconds, money or other numbers stands here, so that a test can drive all of them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Literal

import msgspec

START: Final = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
RECEIVED: Final = START + timedelta(minutes=10)
APP: Final = "ff8080813fc70a7b013fc72312324213"
SYSTEM: Final = "AC5A23CF0E42435C9FF52E401EE897BC"
CALLER: Final = "13800000001"
CALLED: Final = "13900000002"
CONFERENCE: Final = "conference_leg"
_BEIJING: Final = timezone(timedelta(hours=8))

Element = dict[str, Any]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One payload kind."""

    vendor: str
    callback: str
    of: Callable[[str], Element]
    """The element of an answered call, or of the kind's other subject, with that id."""
    wrap: Callable[[Sequence[Element]], Any] = lambda elements: elements[0]
    times: tuple[str, ...]
    spell: Callable[[datetime], Any]
    """A time as this kind writes it."""
    seconds: tuple[str, ...] = ()
    money: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Fields with codes, counts and switches."""
    unanswered: Element = {}
    """The fields of another record of the same call, which was not answered."""
    unfinished: Element = {}
    """The fields of an earlier record of the same call; empty where the vendor sends none."""
    source: Literal["push", "poll"] = "push"

    @property
    def driven(self) -> tuple[str, ...]:
        """All fields that extremes are put into."""
        return (*self.times, *self.seconds, *self.money, *self.others)

    def body(self, *elements: Element) -> bytes:
        """The bytes on the wire."""
        return json.dumps(self.wrap(elements), ensure_ascii=False).encode()


def after(seconds: float) -> datetime:
    """Return the instant that many seconds after the call began."""
    return START + timedelta(seconds=seconds)


def epoch_s(at: datetime) -> str:
    """Seconds since 1970, as text."""
    return str(int(at.timestamp()))


def epoch_ms(at: datetime) -> int:
    """Milliseconds since 1970."""
    return int(at.timestamp()) * 1000


def beijing(at: datetime) -> str:
    """A civil time of China."""
    return _civil(at, _BEIJING) + ".000"


def utc(at: datetime) -> str:
    """A civil time of UTC."""
    return _civil(at, UTC)


def _civil(at: datetime, zone: Any) -> str:
    try:
        local = at.astimezone(zone)
    except OverflowError:  # the last hours of the year 9999
        local = at
    return f"{local.year:04}-{local:%m-%d %H:%M:%S}"


def _softphone(call_id: str) -> Element:
    return {
        "sessionid": call_id,
        "username": "1001",
        "mobile_name": "desk",
        "sipid": "1049002",
        "orderid": "7",
        "code": "86",
        "phone": CALLED,
        "show_phone": "6298881888",
        "duration": 40,
        "direction": 1,
        "record": 0,
        "record_url": "",
        "start_time": epoch_s(after(0)),
        "answer_time": epoch_s(after(20)),
        "end_time": epoch_s(after(60)),
        "hangup_cause": "NORMAL_CLEARING",
    }


def _voice(call_id: str) -> Element:
    return {
        "requestid": call_id,
        "appid": APP,
        "fid": "2",
        "tel": CALLED,
        "stime": beijing(after(0)),
        "etime": beijing(after(20)),
        "duration": "20",
        "oriamount": "0.06",
    }


def _two_way(call_id: str) -> Element:
    return {
        "requestid": call_id,
        "appid": APP,
        "fid": "4",
        "caller": CALLER,
        "called": CALLED,
        "callerstime": beijing(after(10)),
        "calleretime": beijing(after(80)),
        "calledstime": beijing(after(20)),
        "calledetime": beijing(after(80)),
        "tapesurl": "NoTapes",
        "duration": "70",
        "oriamount": "2.94",
        "stateDesc": "应答|正常",
        "customParm": "ref",
    }


def _participant(call_id: str) -> Element:
    return {
        "requestid": call_id,
        "appid": APP,
        "fid": "5",
        "tel": CALLED,
        "stime": beijing(after(0)),
        "etime": beijing(after(31)),
        "confid": f"c{call_id}",
        "duration": "31",
        "singleoriamount": "0.044",
        "customParm": "ref",
        "tapesurl": "NoTapes",
    }


def _state(call_id: str) -> Element:
    return {
        "requestid": call_id,
        "src": "01055500002",
        "dsc": CALLED,
        "timestamp": f"{after(12).astimezone(_BEIJING):%Y-%m-%d %H:%M:%S}",
        "state": "alerting",
    }


def _binding(binding_id: str) -> Element:
    return {
        "id": 1,
        "ak": SYSTEM,
        "origNum": f"+86{CALLER}",
        "privateNum": "+8616512880001",
        "recordFlag": False,
        "recordHintTone": None,
        "maxDuration": 60,
        "lastMinVoice": None,
        "userData": "ref",
        "callDirection": 0,
        "subscriptionId": binding_id,
        "status": 1,
        "businessType": None,
        "bindResponse": json.dumps({"resultcode": "0", "subscriptionId": binding_id, "resultdesc": "Success"}),
        "unbindResponse": None,
        "bindingDuration": 5,
        "bindTime": epoch_ms(after(-600)),
        "unbindTime": None,
        "sessionId": None,
        "callinTime": None,
        "answerTime": None,
        "disconnectTime": None,
        "recordUrl": None,
        "createdAt": epoch_ms(after(-600)),
        "updatedAt": epoch_ms(after(-600)),
        "remark": None,
    }


def _privacy(call_id: str) -> Element:
    return _binding(f"b-{call_id}") | {
        "sessionId": call_id,
        "callinTime": epoch_ms(after(0)),
        "answerTime": epoch_ms(after(5)),
        "disconnectTime": epoch_ms(after(65)),
        "updatedAt": epoch_ms(after(66)),
    }


def _native(call_id: str) -> Element:
    return {
        "direction": 1,
        "spId": "CaaS_Test_01",
        "appKey": SYSTEM,
        "icid": "ba171f34e6953fcd751edc77127748f4.3757223714.337238282.9",
        "bindNum": "+8616512880001",
        "sessionId": call_id,
        "subscriptionId": f"b-{call_id}",
        "callerNum": f"+86{CALLER}",
        "calleeNum": "+8616512880001",
        "fwdDisplayNum": "+8616512880001",
        "fwdDstNum": f"+86{CALLED}",
        "callInTime": utc(after(0)),
        "fwdStartTime": utc(after(1)),
        "fwdAlertingTime": utc(after(5)),
        "fwdAnswerTime": utc(after(20)),
        "callEndTime": utc(after(80)),
        "fwdUnaswRsn": 0,
        "failTime": "",
        "ulFailReason": 0,
        "sipStatusCode": 0,
        "callOutStartTime": "",
        "callOutAlertingTime": "",
        "callOutAnswerTime": "",
        "callOutUnaswRsn": 0,
        "recordFlag": 0,
        "recordStartTime": "",
        "serviceType": "003",
        "hostName": "callenabler.example",
        "userData": "ref",
    }


def _pulled(call_id: str) -> Element:
    return {
        "bizId": "ref",
        "callEndStatus": "1",
        "callId": call_id,
        "callType": "3",
        "dst": f"0086{CALLED}",
        "dstAcceptTime": epoch_s(after(20)),
        "duration": "60",
        "endCallTime": epoch_s(after(80)),
        "orderId": "",
        "recordUrl": "",
        "src": f"0086{CALLER}",
        "srcAcceptTime": epoch_s(after(5)),
        "startDstCallTime": epoch_s(after(6)),
        "startDstRingTime": epoch_s(after(9)),
        "startSrcCallTime": epoch_s(after(0)),
        "startSrcRingTime": epoch_s(after(2)),
    }


def _batch(elements: Sequence[Element]) -> Any:
    return {"cdr": list(elements)}


def _fees(elements: Sequence[Element]) -> Any:
    return {"eventType": "fee", "feeLst": list(elements)}


def _page(elements: Sequence[Element]) -> Any:
    return {"cdr": list(elements), "errorCode": "0", "offset": "0", "result": "Call Details"}


_ROW_TIMES: Final = (
    "callinTime", "answerTime", "disconnectTime", "bindTime", "unbindTime", "createdAt", "updatedAt",
)  # fmt: skip
_ROW_NUMBERS: Final = ("id", "maxDuration", "bindingDuration", "lastMinVoice", "status", "callDirection", "recordFlag")
_NATIVE_TIMES: Final = (
    "callInTime", "fwdStartTime", "fwdAlertingTime", "fwdAnswerTime", "callEndTime", "failTime", "callOutStartTime",
    "callOutAlertingTime", "callOutAnswerTime", "recordStartTime",
)  # fmt: skip
_PULLED_TIMES: Final = (
    "startSrcCallTime", "startSrcRingTime", "srcAcceptTime", "startDstCallTime", "startDstRingTime", "dstAcceptTime",
    "endCallTime",
)  # fmt: skip
_TWO_WAY_TIMES: Final = ("callerstime", "calleretime", "calledstime", "calledetime")

KINDS: Final[Mapping[str, Kind]] = {
    "softphone_cdr": Kind(
        vendor="nxcloud",
        callback="cdr",
        of=_softphone,
        times=("start_time", "answer_time", "end_time"),
        spell=epoch_s,
        seconds=("duration",),
        others=("direction", "record", "code", "sipid"),
        unanswered={"answer_time": "", "duration": 0, "hangup_cause": "NO_ANSWER"},
    ),
    "voice_otp": Kind(
        vendor="ytx",
        callback="push",
        of=_voice,
        wrap=_batch,
        times=("stime", "etime"),
        spell=beijing,
        seconds=("duration",),
        money=("oriamount",),
        unanswered={"stime": "", "duration": "0", "oriamount": "0.00"},
    ),
    "callback_cdr": Kind(
        vendor="ytx",
        callback="push",
        of=_two_way,
        wrap=_batch,
        times=_TWO_WAY_TIMES,
        spell=beijing,
        seconds=("duration",),
        money=("oriamount",),
        unanswered={"calledstime": "", "stateDesc": "应答|无人接听"},
    ),
    CONFERENCE: Kind(
        vendor="ytx",
        callback="push",
        of=_participant,
        wrap=_batch,
        times=("stime", "etime"),
        spell=beijing,
        seconds=("duration",),
        money=("singleoriamount", "oriamount"),
        others=("confid",),
    ),
    "callback_state": Kind(
        vendor="ytx", callback="push", of=_state, times=("timestamp",), spell=beijing, others=("state",)
    ),
    "privacy_ax": Kind(
        vendor="huawei",
        callback="ax",
        of=_privacy,
        times=_ROW_TIMES,
        spell=epoch_ms,
        others=_ROW_NUMBERS,
        unanswered={"answerTime": None},
        unfinished={"answerTime": None, "disconnectTime": None, "updatedAt": epoch_ms(after(1))},
    ),
    "binding": Kind(
        vendor="huawei",
        callback="ax",
        of=_binding,
        times=("bindTime", "unbindTime", "createdAt", "updatedAt"),
        spell=epoch_ms,
        others=_ROW_NUMBERS,
    ),
    "notification": Kind(
        vendor="huawei",
        callback="ax",
        of=_native,
        wrap=_fees,
        times=_NATIVE_TIMES,
        spell=utc,
        others=("direction", "fwdUnaswRsn", "ulFailReason", "sipStatusCode", "callOutUnaswRsn", "recordFlag"),
        unanswered={"fwdAnswerTime": "", "fwdUnaswRsn": 19},
    ),
    "pulled": Kind(
        vendor="tencent",
        callback="getCdr",
        of=_pulled,
        wrap=_page,
        times=_PULLED_TIMES,
        spell=epoch_s,
        seconds=("duration",),
        others=("callEndStatus", "callType"),
        unanswered={"dstAcceptTime": "0", "duration": "0", "callEndStatus": "3"},
        source="poll",
    ),
}
