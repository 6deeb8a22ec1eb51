"""Tencent Cloud two-way callback: call records are not pushed, they are pulled with getCdr.

Document: "getCdr" of the callback product (201511v3). A page is `{"cdr": [...], "errorCode": "0", "offset": "0"}`;
a failure carries only the code and a text. A page that somebody pushes to us is read alike.

Known lies and gaps:
- Times are documented as `yyyy-MM-dd HH:mm:ss`; live ones are epoch seconds as text, "0" for what never happened.
- `duration` is the billed time ("通话计费时间") with the vendor's own rounding: it need not be a difference of the times.
- `offset` is answered but cannot be sent. In a sibling's sample it looks like a start time to go on from.
- `recordUrl` is empty for "not recorded", for "failed", and for "not yet": it may come with a later page.
- `compress` is documented as zlib without its wrapping: plain zlib, gzip and Base64 all occur.
- Sibling APIs fail with `msg` instead of `result`, and one prints a trailing comma.
- `callEndStatus` is text that may contradict the times; a sibling API has other statuses up to 10. The times decide.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final
from urllib.parse import quote

from schemas.body.document import decode
from schemas.body.peek import peek_text
from schemas.body.scalars import blank
from schemas.config.limits import DEFAULT
from schemas.config.settings import PollAccount
from schemas.errors import Undecodable
from schemas.facts import EPOCH, Direction, Disposition, Fact, FactType, Flag, Kind, RecordingState, Role
from schemas.raw import RawCallback
from schemas.vendor_kit.amounts import billed, check_billed
from schemas.vendor_kit.causes import Cause
from schemas.vendor_kit.columns import ended, leg
from schemas.vendor_kit.contract import (
    Advice,
    Callback,
    Context,
    Element,
    Elements,
    Locale,
    Mapped,
    Page,
    Poll,
    PollRequest,
    Reply,
    Vendor,
)
from schemas.vendor_kit.fields import Fields
from schemas.vendor_kit.nested import listed
from schemas.vendor_kit.phone_numbers import columns
from schemas.vendor_kit.plausibility import account_of, check_order

_NAME: Final = "tencent"
_CALLBACK: Final = "getCdr"
_REGION: Final = "CN"
_ZONE: Final = "Asia/Shanghai"
_BEIJING: Final = timezone(timedelta(hours=8))

CDR_FIELDS: Final = (
    "callId", "src", "dst", "startSrcCallTime", "startSrcRingTime", "srcAcceptTime", "startDstCallTime",
    "startDstRingTime", "dstAcceptTime", "endCallTime", "callEndStatus", "duration", "recordUrl", "callType", "bizId",
    "orderId",
)  # fmt: skip
_KNOWN_FIELDS: Final = frozenset(CDR_FIELDS)
_EXAMPLE: Final = (
    b'{"cdr":[{"bizId":"","callEndStatus":"2","callId":"12-190123-2773afbbe32943668a2fb98exxxxxx","callType":"3","dst":"008613631234568",'
    b'"dstAcceptTime":"0","duration":"0","endCallTime":"1548235118","orderId":"","recordUrl":"","src":"008613500000000","srcAcceptTime":"0",'
    b'"startDstCallTime":"0","startDstRingTime":"0","startSrcCallTime":"1548235059","startSrcRingTime":"1548235062"}],"errorCode":"0","offset":"0","result":"Call Details"}'
)
# One of these distinguishes this record from other vendors' that are wrapped in `cdr`, too.
_TELLTALES: Final = frozenset({"callEndStatus", "startSrcCallTime", "srcAcceptTime", "endCallTime"})
_A_TIMES: Final = ("startSrcCallTime", "startSrcRingTime", "srcAcceptTime")
_B_TIMES: Final = ("startDstCallTime", "startDstRingTime", "dstAcceptTime")
_CALL_ID_DATE: Final = re.compile(r"-([0-9]{6})-")
_PAGE_LIMITS: Final = DEFAULT.for_pages()
_DEFAULT_CALL_TYPE: Final = "3"

_D: Final = Disposition
_ANSWERED: Final = Cause("NORMAL_CLEARING", 16, 200, _D.ANSWERED, "normal")
_SILENT: Final = Cause("NO_ANSWER", 19, 480, _D.NO_ANSWER, "no_answer")
_AWAY: Final = Cause("SUBSCRIBER_ABSENT", 20, 480, _D.UNREACHABLE, "cannot_reach")
_OPEN: Final = Cause("", None, None, _D.UNKNOWN)
# callEndStatus: the causes of leg A and of leg B; the first leg that was not answered ended the call.
_STATUSES: Final[Mapping[str, tuple[Cause, Cause]]] = {
    "0": (_OPEN, _OPEN),
    "1": (_ANSWERED, _ANSWERED),
    "2": (_SILENT, _OPEN),
    "3": (_ANSWERED, _SILENT),
    "4": (_AWAY, _OPEN),
    "5": (_ANSWERED, _AWAY),
}
_UNSPECIFIED: Final = Cause("NORMAL_UNSPECIFIED", 31, None, _D.UNKNOWN)
# The status gives the cause of an answered call: "0" (unknown) is unspecified, and an undocumented status gives none.
_ENDS: Final[Mapping[str, Cause]] = {
    "0": Cause("NORMAL_UNSPECIFIED", 31, None, _D.ANSWERED, "unspecified"),
    **dict.fromkeys("12345", _ANSWERED),
}
_ANSWERED_SOMEHOW: Final = Cause("", None, None, _D.ANSWERED)

ADVICE: Final[Mapping[str, Advice]] = {
    "0": Advice(action="advance", description="success"),
    "-1": Advice(action="stop", alert="page", description="version not supported"),
    "-2": Advice(action="resend_plain", alert="log", tries=1, then="park", description="bad parameter"),
    # The record of a call may not exist yet; asked for by window it is a parameter like any other.
    "-201": Advice(
        action="retry_id",
        alert="log",
        tries=6,
        then="not_found",
        first_s=20.0,
        cap_s=600.0,
        description="call id abnormal",
    ),
    "-202": Advice(action="halve", alert="log", tries=1, then="park", description="bad time stamps"),
    "-203": Advice(action="backoff", description="network fault at the vendor"),
    "-401": Advice(action="stop", alert="page", description="appId illegal"),
    "-402": Advice(action="stop", alert="page", description="URL does not match"),
    "-403": Advice(
        action="probe", alert="page", first_s=600.0, cap_s=600.0, description="our address is not on their list"
    ),
    "-423": Advice(action="stop", alert="security", description="blocked: caller compromised or abnormal"),
    "-501": Advice(action="backoff", tries=10, then="probe", description="server fault"),
    "transport": Advice(action="backoff", tries=10, then="probe", description="no answer, or none that is a page"),
    "": Advice(
        action="backoff", alert="log", tries=3, then="park", description="a code that the document does not have"
    ),
}


def _key(body: bytes) -> str:
    return peek_text(body, "callId")


def _elements(document: Any) -> Elements:
    if isinstance(document, list):
        return Elements(items=tuple(document))
    if not isinstance(document, Mapping):
        raise Undecodable("a page (an object with cdr) is expected", code="shape")
    code = _code(document)
    if code != "0":
        return Elements(items=(), page_error=code if code in ADVICE else "other")
    return Elements(items=_records(document))


def _code(document: Mapping[str, Any]) -> str:
    """Returns the page's error code as text; a page without one is good when it has records."""
    if "errorCode" not in document and "cdr" not in document and "callId" not in document:
        raise Undecodable("neither errorCode nor cdr: not a page", code="wrong_kind")
    return Fields(document, EPOCH).text("errorCode") or "0"


def _records(document: Mapping[str, Any]) -> tuple[Any, ...]:
    if blank(document.get("cdr")):
        return (document,) if "callId" in document else ()
    return listed(document["cdr"], "a list of records", "cdr")


def _normalise(element: Element, ctx: Context) -> Mapped:
    fields = Fields(element, ctx.received_at, documented=_KNOWN_FIELDS)
    if _TELLTALES.isdisjoint(element):
        raise Undecodable("not a callback's call record", code="wrong_kind")
    call_id = fields.need("callId", code="no_id")
    a_setup, a_alerting, a_answer = (fields.instant(name, _ZONE) for name in _A_TIMES)
    b_setup, b_alerting, b_answer = (fields.instant(name, _ZONE) for name in _B_TIMES)
    end = fields.instant("endCallTime", _ZONE)
    check_order(fields, a_setup, a_alerting, a_answer, end)
    check_order(fields, b_setup, b_alerting, b_answer, end)
    status = fields.text("callEndStatus")
    garbled = fields.unreadable("srcAcceptTime") or fields.unreadable("dstAcceptTime")
    if status not in _STATUSES:
        fields.flag(Flag.UNKNOWN_ENUM)
    if garbled:  # answered at an unknown time, which is not "no answer"
        a_found, b_found = (_ENDS.get(status, _ANSWERED_SOMEHOW) if at else _OPEN for at in (a_answer, b_answer))
    else:
        a_found, b_found = _legs_found(fields, status, a_answer, b_answer)
    found = _call_found(status, a_found, b_found)
    # Delay and ringing are those of the leg that was called last: B, unless B was never called.
    b_called = bool(b_setup or b_alerting or b_answer) or any(map(fields.unreadable, _B_TIMES))
    setup, alerting, answer = (b_setup, b_alerting, b_answer) if b_called else (a_setup, a_alerting, a_answer)
    b_end = end if b_called else None
    talk_ms = fields.span_ms(b_answer, end)
    duration_s = fields.seconds("duration", a_setup, a_alerting, a_answer, b_setup, b_alerting, b_answer, end)
    spoken_ms = 0 if end and not b_answer and not garbled else talk_ms
    amounts = billed(duration_s, spoken_ms, garbled=fields.unreadable("duration"))
    check_billed(fields, found.disposition, duration_s)
    last_called = _B_TIMES if b_called else _A_TIMES
    rang_until = None if fields.unreadable(last_called[-1]) else answer or end
    src, dst, url = fields.number("src", _REGION), fields.number("dst", _REGION), fields.text("recordUrl")
    call_type, custom_ref = fields.text("callType") or _DEFAULT_CALL_TYPE, fields.text("bizId")
    extras = {**fields.extras("callEndStatus"), "call_type": call_type, **_date_note(call_id, a_setup)}
    fact = Fact(
        fact_type=FactType.RECORD,
        vendor=_NAME,
        kind=Kind.CALLBACK_CDR,
        account_id=account_of(fields, "", ctx, ""),
        vendor_call_id=call_id,
        direction=Direction.CALLBACK,
        **columns("from", src),
        **columns("to", dst),
        setup_at=a_setup,
        alerting_at=alerting,
        answer_at=b_answer,
        end_at=end,
        time_precision=fields.time_precision,
        legs=(
            leg(Role.A, src, a_found, setup_at=a_setup, alerting_at=a_alerting, answer_at=a_answer, end_at=end),
            leg(Role.B, dst, b_found, setup_at=b_setup, alerting_at=b_alerting, answer_at=b_answer, end_at=b_end),
        ),
        pdd_ms=fields.span_ms(setup, alerting),
        ring_ms=fields.span_ms(alerting, rang_until),
        talk_ms=talk_ms,
        **amounts,
        **ended(found),
        cause_confidence="derived" if found.q850 else "none",
        recording_state=_recording(url, b_answer),
        recording_url=url,
        custom_ref=custom_ref,
        extras=extras,
        is_final=end is not None or found.disposition in (_D.NO_ANSWER, _D.UNREACHABLE),
        quality_flags=tuple(sorted(fields.flags)),
    )
    return Mapped(fact=fact, dedupe=(call_id,), key_account=ctx.account)


def _legs_found(
    fields: Fields, status: str, a_answer: datetime | None, b_answer: datetime | None
) -> tuple[Cause, Cause]:
    """Returns the cause of each leg: by its times; the status adds the reason when one was not answered."""
    a_status, b_status = _STATUSES.get(status, (_OPEN, _OPEN))
    a_claimed = status in ("1", "3")
    if (a_answer and (a_status in (_SILENT, _AWAY) or status == "0")) or (not a_answer and a_claimed):
        fields.flag(Flag.STATE_VS_TIME)
    if (b_answer and status in _STATUSES and b_status is not _ANSWERED) or (not b_answer and b_status is _ANSWERED):
        fields.flag(Flag.STATE_VS_TIME)
    answered = _ENDS.get(status, _ANSWERED_SOMEHOW)
    a_found = answered if a_answer or b_answer else _OPEN if a_status is _ANSWERED else a_status
    if b_answer:
        return a_found, answered
    if a_answer and a_status in (_SILENT, _AWAY):
        return a_found, _SILENT  # A answered, so the status is about B
    return a_found, _OPEN if b_status is _ANSWERED else b_status


def _call_found(status: str, a_found: Cause, b_found: Cause) -> Cause:
    """Returns the call's cause: answered when B was, else that of the first leg that is known to have failed."""
    if b_found.disposition is _D.ANSWERED:
        return b_found
    if a_found.disposition not in (_D.ANSWERED, _D.UNKNOWN):
        return a_found
    return _UNSPECIFIED if b_found is _OPEN and status == "0" else b_found


def _recording(url: str, answer: datetime | None) -> RecordingState:
    if url:
        return RecordingState.AVAILABLE
    return RecordingState.UNKNOWN if answer else RecordingState.NONE


def _date_note(call_id: str, setup: datetime | None) -> dict[str, str]:
    """Returns the day inside the call id when it is not the day of the call."""
    dated = _CALL_ID_DATE.search(call_id)
    if dated is None or setup is None or setup.astimezone(_BEIJING).strftime("%y%m%d") == dated[1]:
        return {}
    return {"call_id_date": dated[1]}


def _request(
    account: PollAccount, *, start_s: int = 0, end_s: int = 0, call_id: str = "", plain: bool = False
) -> PollRequest:
    """Returns the request for one page: the calls that started in [start_s, end_s), or one call.

    `plain` leaves out every optional parameter.
    """
    asked = {"appId": account.app_id}
    if not plain:
        asked |= {"src": "", "compress": "1" if account.compress else "0"}
    if call_id:
        asked["callId"] = call_id
    else:
        asked |= {"startTimeStamp": str(start_s), "endTimeStamp": str(end_s)}
    return PollRequest(
        url=f"{account.url.rstrip('/')}/201511v3/getCdr?id={quote(account.key_id, safe='')}",
        headers=(("Content-Type", "application/json;charset=utf-8"),),
        body=json.dumps(asked).encode(),
    )


def _read_page(body: bytes, encoding: str) -> Page:
    """Reads the poller's part of a page; raises Undecodable when the body is none."""
    raw = RawCallback(
        vendor=_NAME, callback=_CALLBACK, received_at=EPOCH, request_id="", content_encoding=encoding, body=body
    )
    document = decode(raw, (), VENDOR.callbacks[0].words, _PAGE_LIMITS).document
    if not isinstance(document, Mapping):
        raise Undecodable("a page (an object) is expected", code="shape")
    code = _code(document)
    head = Fields(document, EPOCH)
    if code != "0":
        return Page(code=code, message=head.text("result", "msg"))
    records = [record for record in _records(document) if isinstance(record, Mapping)]
    offset = head.text("offset")
    return Page(
        code=code,
        message=head.text("result", "msg"),
        records=len(records),
        cursor="" if offset == "0" else offset,
        call_ids=frozenset(filter(None, (Fields(record, EPOCH).text("callId") for record in records))),
    )


VENDOR = Vendor(
    name=_NAME,
    title="Tencent Cloud two-way callback",
    adapter_version=3,
    callbacks=(
        Callback(
            name=_CALLBACK,
            path="/getCdr",
            key=_key,
            elements=_elements,
            normalise=_normalise,
            example=_EXAMPLE,
            documented={Kind.CALLBACK_CDR: CDR_FIELDS},
            holders={"cdr": ()},
            also=("errorCode", "result", "msg", "offset"),
        ),
    ),
    accepted=Reply(status=200, content_type="text/plain;charset=utf-8"),
    retry=Reply(status=503),
    sends_at_most=0,
    locale=Locale(_ZONE, _REGION),
    poll=Poll(callback=_CALLBACK, request=_request, read_page=_read_page, advice=ADVICE),
)
