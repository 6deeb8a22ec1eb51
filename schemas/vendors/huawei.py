"""Huawei Cloud private numbers (AX): the customer's relay pushes a binding's row, with the call's columns in it.

Documents: the relay's description of its push, and the platform's own "AX call record notification"
(support.huaweicloud.com, api-PrivateNumber), whose body comes to the same URL when the platform calls us directly.

Known lies and gaps, from the document itself:
- The row is a binding's: `status` is the binding's state, `id` and `subscriptionId` repeat for every call. The printed
  example has no call in it at all. Only `sessionId` names a call; without it the row is a snapshot of the binding.
  A row with call times and no `sessionId` is a call that cannot be distinguished from others, and no snapshot.
- It is sent once, "whether or not it succeeded": a row that is not stored is lost.
- There is no other party, no duration, no cause, no ringing: the billed seconds are the talk, the peer stays unknown.
- `callDirection` is the direction that the binding allows; it gives this call's only when it allows just one.
- `recordFlag` only requests a recording; below 3 s of talk there is none. Times as text may be UTC or Beijing.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec.structs import replace

from schemas.body.peek import peek_text
from schemas.body.scalars import compact, names_call
from schemas.errors import Undecodable
from schemas.facts import Direction, Disposition, Fact, FactType, Flag, Kind, RecordingState, Role
from schemas.vendor_kit import causes, phone_numbers
from schemas.vendor_kit.causes import Cause
from schemas.vendor_kit.columns import computed, ended, leg
from schemas.vendor_kit.contract import Callback, Context, Element, Elements, Locale, Mapped, Reply, Vendor
from schemas.vendor_kit.fields import Fields
from schemas.vendor_kit.nested import decoded, listed
from schemas.vendor_kit.phone_numbers import columns
from schemas.vendor_kit.plausibility import account_of, beijing_readings, check_order, shown

_NAME: Final = "huawei"
_REGION: Final = "CN"

RELAY_FIELDS: Final = (
    "id", "ak", "origNum", "privateNum", "recordFlag", "recordHintTone", "maxDuration", "lastMinVoice", "userData",
    "callDirection", "subscriptionId", "status", "businessType", "bindResponse", "unbindResponse", "bindingDuration",
    "bindTime", "unbindTime", "sessionId", "callinTime", "answerTime", "disconnectTime", "recordUrl", "createdAt",
    "updatedAt", "remark",
)  # fmt: skip
NATIVE_FIELDS: Final = (
    "direction", "spId", "appKey", "icid", "bindNum", "sessionId", "subscriptionId", "callerNum", "calleeNum",
    "fwdDisplayNum", "fwdDstNum", "callInTime", "fwdStartTime", "fwdAlertingTime", "fwdAnswerTime", "callEndTime",
    "fwdUnaswRsn", "failTime", "ulFailReason", "sipStatusCode", "callOutStartTime", "callOutAlertingTime",
    "callOutAnswerTime", "callOutUnaswRsn", "recordFlag", "recordStartTime", "recordObjectName", "recordBucketName",
    "recordDomain", "recordFileDownloadUrl", "ttsPlayTimes", "ttsTransDuration", "mptyId", "serviceType", "hostName", "userData",
    "voiceCheckType",
)  # fmt: skip
# More fields, from the guides of the platform's other modes and services.
_SIBLING_FIELDS: Final = (
    "origCalleeNum", "dynIVRStartTime", "dynIVRPath", "recordPushURL", "createMptyTime", "joinMptyTime", "callType", "endToEndID",
    "billType", "subbillType", "callerType", "calleeType",
)  # fmt: skip
_OF_RELAY, _OF_PLATFORM = frozenset(RELAY_FIELDS), frozenset((*NATIVE_FIELDS, *_SIBLING_FIELDS))
_ANSWER_FIELDS: Final = ("resultcode", "resultdesc", "origNum", "privateNum", "subscriptionId")

_EXAMPLE: Final = (
    rb'{"id":1,"ak":"AC5A23CF0E42435C9FF52E401EE897BC","origNum":"+8618801330084","privateNum":"+8616512884987","recordFlag":false,"recordHintTone":null,"maxDuration":60,"lastMinVoice":null,"userData":"1499268874687315968","callDirection":0,"subscriptionId":"88ec9feb-ed7d-4b0a-bf65-cc6be2b9213e","status":1,"businessType":null,'
    rb'"bindResponse":"{\"origNum\":\"+8618801330084\",\"resultcode\":\"0\",\"subscriptionId\":\"88ec9feb-ed7d-4b0a-bf65-cc6be2b9213e\",\"privateNum\":\"+8616512884987\",\"resultdesc\":\"Success\"}","unbindResponse":null,'
    rb'"bindingDuration":5,"bindTime":1646288530000,"unbindTime":null,"sessionId":null,"callinTime":null,"answerTime":null,"disconnectTime":null,"recordUrl":null,"createdAt":1646288530000,"updatedAt":1646288530000,"remark":null}'
)
_RELAY_ZONE, _NATIVE_ZONE = "UTC?", "UTC"
_TELLTALES: Final = frozenset({"subscriptionId", "privateNum", "origNum", "callinTime"})
_CALL_TIMES: Final = ("callinTime", "answerTime", "disconnectTime")
_MAX_GRACE_S: Final = 60
_SHORTEST_RECORDING_MS: Final = 3_000
_RECORDING_KEPT: Final = timedelta(days=7)

_SIP_FAILURES: Final = range(400, 700)
_BINDING_STATES: Final = {"-1": "failed", "0": "unbound", "1": "bound"}
_DONE: Final = {"bind": "bound", "unbind": "unbound"}
_ALLOWED: Final = {"0": Direction.UNKNOWN, "1": Direction.OUTBOUND, "2": Direction.INBOUND}

# The platform's release points (`ulFailReason`): codes, disposition, reason, Q.850. Others are "failed".
_RELEASE_POINTS: Final = {
    code: Cause("", q850, None, disposition, reason)
    for codes, disposition, reason, q850 in (
        ((7501, 7502, 7516), Disposition.CANCELLED, "caller_hangup", 16),
        ((7503, 7504), Disposition.REJECTED, "declined", 21),
        ((8100,), Disposition.INVALID_NUMBER, "unallocated", 1),
        ((8101,), Disposition.NO_ANSWER, "no_answer", 19),
        ((8102,), Disposition.BUSY, "user_busy", 17),
        ((8103,), Disposition.UNREACHABLE, "absent", 20),
        ((8104,), Disposition.UNREACHABLE, "powered_off", 20),
        ((8105,), Disposition.BARRED, "suspended", 21),
        ((8010,), Disposition.FAILED, "max_duration", None),
        ((8035,), Disposition.FAILED, "timer", 102),
        ((*range(7001, 7006), 7500, 8018, 8023, 8024, *range(8042, 8058)), Disposition.BARRED, "policy", None),
        # 522 is a release point (no voice port left), although it looks like a SIP status.
        ((522, 7102, 7109, 8011, 8020), Disposition.CONGESTION, "platform", None),
        ((8013, 8014, 8019, 8022, 8030), Disposition.FAILED, "no_binding", None),
    )
    for code in codes
}
# Times alone give no cause: an answered call counts as released normally.
_ANSWERED: Final = Cause("NORMAL_CLEARING", 16, 200, Disposition.ANSWERED, "normal")
_SILENT: Final = Cause("", None, None, Disposition.NO_ANSWER)
_RUNNING: Final = Cause("", None, None, Disposition.IN_PROGRESS)
_UNKNOWN: Final = Cause("", None, None, Disposition.UNKNOWN)


def _key(body: bytes) -> str:
    """Returns the call of a relay's row, else its binding; the call of a notification with one record."""
    session = peek_text(body, "sessionId")
    if b'"feeLst"' in body or names_call(session):
        return session
    return peek_text(body, "subscriptionId") or peek_text(body, "id")


def _key_account(body: bytes, account: str) -> str:
    """Returns the account of the address, so that nothing from another address joins it; else the body's account."""
    return account or peek_text(body, "ak") or peek_text(body, "appKey")


def _elements(document: Any) -> Elements:
    if isinstance(document, Mapping) and isinstance(document.get("feeLst"), list):
        return Elements(items=tuple({"feeLst": fee} for fee in document["feeLst"]))
    return Elements(items=listed(document, "a row (an object)"))


def _normalise(element: Element, ctx: Context) -> Mapped:
    fields = Fields(element, ctx.received_at, documented=_OF_RELAY)
    if "feeLst" in element:
        return _native(element["feeLst"], ctx)
    if _TELLTALES.isdisjoint(element):
        raise Undecodable("neither a binding's row nor a call record notification", code="wrong_kind")
    if names_call(element.get("sessionId")):
        return _call(fields, ctx)
    _refuse_call(fields, element)
    return _binding(fields, ctx)


def _refuse_call(fields: Fields, element: Element) -> None:
    """Raises Undecodable when a row that names no call has call times, readable or not; names them and the binding."""
    times: list[str] = []
    for name in _CALL_TIMES:
        at = fields.instant(name, _RELAY_ZONE)
        if at or (fields.unreadable(name) and element[name] not in (False, {}, [])):
            times.append(f"{name} {at.isoformat() if at else 'unreadable'}")
    if times:
        sent = [*(f"{name} {shown(fields.text(name))}" for name in ("subscriptionId", "id")), *times]
        raise Undecodable(f"names no call in a row with call times ({', '.join(sent)})", code="no_id", path="sessionId")


def _binding(fields: Fields, ctx: Context) -> Mapped:
    """Maps a row without a call: the binding's state. Two bindings with one row number have a Kafka key each."""
    found = _row(fields, ctx)
    row = fields.text("id") or found["binding_id"]
    if not row:
        raise Undecodable("neither sessionId nor subscriptionId nor id", code="no_id", path="subscriptionId")
    revised_at: datetime | None = found["revised_at"]
    revised = str(int(revised_at.timestamp() * 1000)) if revised_at else fields.text("updatedAt")
    found.update(
        fact_type=FactType.BINDING,
        kind=Kind.BINDING,
        binding_id=found["binding_id"] or row,
        **columns("from", fields.number("origNum", _REGION)),
        is_final=True,
    )
    return _finished(fields, Fact(**found), ctx, dedupe=(found["binding_id"], row, revised))


def _call(fields: Fields, ctx: Context) -> Mapped:
    """Maps a row with a call; only its times give the outcome."""
    session = fields.need("sessionId", code="no_id")
    found = _row(fields, ctx)
    setup, answer, end = (fields.instant(name, _RELAY_ZONE) for name in _CALL_TIMES)
    check_order(fields, setup, answer, end)
    bound, unbound = found["bound_at"], found["unbound_at"]
    if setup and ((bound and setup < bound) or (unbound and setup > unbound)):
        fields.flag(Flag.TIME_ORDER)
    talk_ms = fields.span_ms(answer, end)
    if found["binding_state"] == "failed" and (setup or answer or end):
        fields.flag(Flag.STATE_VS_TIME)
    longest_min = fields.integer("maxDuration", high=1440)
    if talk_ms is not None and longest_min and talk_ms > (longest_min * 60 + _MAX_GRACE_S) * 1000:
        fields.flag(Flag.OVER_MAX)
    garbled = fields.unreadable("answerTime")  # answered at an unknown time, which is not "no answer"
    # With an end that cannot be read, it is not known either if the call is over.
    unclear = garbled or (answer is None and fields.unreadable("disconnectTime"))
    cause = _UNKNOWN if unclear else _by_times(setup, answer, end)
    recording, url = _recording(fields, "recordUrl", talk_ms, answered=garbled or answer is not None)
    side = {Direction.OUTBOUND: "from", Direction.INBOUND: "to"}.get(found["direction"])
    fields.flag(Flag.PEER_UNKNOWN)
    found.update(
        vendor_call_id=session,
        setup_at=setup,
        answer_at=answer,
        end_at=end,
        talk_ms=talk_ms,
        **computed(talk_ms, answered=garbled or answer is not None, over=end is not None),
        **ended(cause),
        cause_confidence="derived" if cause.q850 else "none",
        **(columns(side, fields.number("origNum", _REGION)) if side else {}),
        recording_state=recording,
        recording_url=url,
        is_final=end is not None,
    )
    fact = Fact(**found, extras=beijing_readings(fields, "bindTime", _CALL_TIMES, ctx.received_at))
    return _finished(fields, fact, ctx, dedupe=(session,))


def _row(fields: Fields, ctx: Context) -> dict[str, Any]:
    """Returns the columns that both kinds of row share."""
    private = fields.number("privateNum", _REGION)
    if private.number and private.number == fields.number("origNum", _REGION).number:
        fields.flag(Flag.NUMBER_AMBIGUOUS)
    bound, unbound = fields.instant("bindTime", _RELAY_ZONE), fields.instant("unbindTime", _RELAY_ZONE)
    if bound and unbound and unbound < bound:
        fields.flag(Flag.TIME_ORDER)
    status, allowed = fields.text("status"), fields.text("callDirection")
    if (status and status not in _BINDING_STATES) or (allowed and allowed not in _ALLOWED):
        fields.flag(Flag.UNKNOWN_ENUM)
    return {
        "fact_type": FactType.RECORD,
        "vendor": _NAME,
        "kind": Kind.PRIVACY_AX,
        "account_id": account_of(fields, fields.text("ak"), ctx, "ak"),
        "binding_id": fields.text("subscriptionId"),
        "direction": _ALLOWED.get(allowed, Direction.UNKNOWN),
        **columns("privacy", private),
        **columns("display", private),
        "binding_state": _BINDING_STATES.get(status, ""),
        "bound_at": bound,
        "unbound_at": unbound,
        "revised_at": fields.instant("updatedAt", _RELAY_ZONE),
        "custom_ref": fields.text("userData"),
    }


def _finished(fields: Fields, fact: Fact, ctx: Context, *, dedupe: tuple[str, ...]) -> Mapped:
    """Adds the A leg, the fields of the two nested responses, the extras and the flags."""
    party = fields.number("origNum", _REGION)
    nested = {**_answer(fields, "bind", fact), **_answer(fields, "unbind", fact)}
    extras = fields.extras("recordFlag", "callDirection", "maxDuration", *(() if fact.binding_state else ("status",)))
    extras.pop("id", None)
    if row := fields.text("id"):
        extras["binding_row_id"] = row
    if text := decoded(fact.custom_ref):
        extras["userData.decoded"] = text
    asked_min = fields.integer("bindingDuration")
    if asked_min and fact.bound_at and fact.unbound_at:
        held_min = (fact.unbound_at - fact.bound_at) // timedelta(minutes=1)
        if abs(held_min - asked_min) > 1:
            extras["binding_held_min"] = str(held_min)
    found = Cause("", fact.q850, fact.sip_code, fact.disposition, fact.hangup_reason)
    if fact.disposition is Disposition.NO_ANSWER and fact.direction is not Direction.INBOUND:
        found = _UNKNOWN  # A may have called: then another party did not answer
    fact = replace(
        fact,
        legs=(leg(Role.A, party, found, setup_at=fact.setup_at, answer_at=fact.answer_at, end_at=fact.end_at),),
        extras={**extras, **nested, **fact.extras},
        time_precision=fields.time_precision,
        quality_flags=tuple(sorted(fields.flags)),
    )
    return Mapped(fact=fact, dedupe=dedupe, key_account=ctx.account or fact.account_id)


def _by_times(setup: datetime | None, answer: datetime | None, end: datetime | None) -> Cause:
    if answer or not setup:
        return _ANSWERED if answer else _UNKNOWN
    return _SILENT if end else _RUNNING


def _recording(fields: Fields, name: str, talk_ms: int | None, *, answered: bool) -> tuple[RecordingState, str]:
    wanted, url = fields.boolean("recordFlag"), fields.text(name)
    if url:
        if wanted is False:
            fields.flag(Flag.REC_MISMATCH)
        return RecordingState.AVAILABLE, url
    if wanted is None:
        return RecordingState.UNKNOWN, ""
    long_enough = answered and (talk_ms is None or talk_ms >= _SHORTEST_RECORDING_MS)
    return RecordingState.PENDING if wanted and long_enough else RecordingState.NONE, ""


def _answer(fields: Fields, which: str, fact: Fact) -> dict[str, str]:
    """Reads the platform's response to (un)binding: JSON text in a field, escaped once or twice, or an object."""
    name = f"{which}Response"
    response = fields.raw(name)  # the decoder has read the JSON in it, as `nested` declares
    if response is None:
        return {}
    if not isinstance(response, Mapping):
        return {name: response if isinstance(response, str) else compact(response)}
    sent = Fields(response, fact.received_at).extras()
    if fact.binding_state == _DONE[which] and sent.get("resultcode", "0") != "0":
        fields.flag(Flag.STATE_VS_TIME)
    other_x = "privateNum" in sent and phone_numbers.parse(sent["privateNum"], _REGION).number != fact.privacy_number
    if other_x or sent.get("subscriptionId", fact.binding_id) != fact.binding_id:
        fields.flag(Flag.FIELD_CONFLICT)
    return {f"{which}.{key}": value for key, value in sent.items()}


def _native(element: Any, ctx: Context) -> Mapped:
    """Maps one record of the platform's own notification, which has both parties, the ringing and the cause."""
    fields = Fields(element, ctx.received_at, documented=_OF_PLATFORM)
    session = fields.need("sessionId", code="no_id")
    account_id = account_of(fields, fields.text("appKey"), ctx, "appKey")
    caller = fields.number("callerNum", _REGION)
    called = fields.number("fwdDstNum" if fields.has("fwdDstNum") else "calleeNum", _REGION)
    setup, forwarded, alerting, answer, end, failed = (
        fields.instant(name, _NATIVE_ZONE)
        for name in ("callInTime", "fwdStartTime", "fwdAlertingTime", "fwdAnswerTime", "callEndTime", "failTime")
    )
    end = end or failed
    check_order(fields, setup, forwarded, alerting, answer, end)
    talk_ms = fields.span_ms(answer, end)
    garbled = fields.unreadable("fwdAnswerTime")
    unended = not (answer or end) and any(map(fields.unreadable, ("callEndTime", "failTime")))
    found = _UNKNOWN if garbled or unended else _by_times(setup or forwarded, answer, end)
    confidence = "derived" if answer else "none"
    if end and not answer and not garbled:
        found, confidence = _native_cause(fields)
    recording, url = _recording(fields, "recordFileDownloadUrl", talk_ms, answered=garbled or answer is not None)
    if fields.boolean("recordFlag") and fields.has("recordObjectName"):
        recording = RecordingState.AVAILABLE  # its address has to be requested
    b_leg = leg(Role.B, called, found, setup_at=forwarded, alerting_at=alerting, answer_at=answer, end_at=end)
    fact = Fact(
        fact_type=FactType.RECORD,
        vendor=_NAME,
        kind=Kind.PRIVACY_AX,
        account_id=account_id,
        vendor_call_id=session,
        binding_id=fields.text("subscriptionId"),
        **columns("from", caller),
        **columns("to", called),
        **columns("display", fields.number("fwdDisplayNum", _REGION)),
        **columns("privacy", fields.number("bindNum", _REGION)),
        setup_at=setup or forwarded,
        alerting_at=alerting,
        answer_at=answer,
        end_at=end,
        time_precision=fields.time_precision,
        legs=(leg(Role.A, caller, _UNKNOWN, setup_at=setup, end_at=end), b_leg),
        pdd_ms=fields.span_ms(forwarded or setup, alerting),
        ring_ms=None if garbled else fields.span_ms(alerting, answer or end),
        talk_ms=talk_ms,
        **computed(talk_ms, answered=garbled or answer is not None, over=end is not None),
        **ended(found),
        cause_confidence=confidence,
        recording_state=recording,
        recording_url=url,
        recording_expires_at=end + _RECORDING_KEPT if end and recording is RecordingState.AVAILABLE else None,
        custom_ref=fields.text("userData"),
        extras=fields.extras("ulFailReason", "fwdUnaswRsn", "callOutUnaswRsn", "sipStatusCode", "failTime"),
        is_final=end is not None,
        quality_flags=tuple(sorted(fields.flags)),
    )
    return Mapped(fact=fact, dedupe=(session,), key_account=ctx.account or account_id)


def _native_cause(fields: Fields) -> tuple[Cause, str]:
    """Returns the cause of an unanswered call, by the most specific of four codes, and its confidence; 0 is no code."""
    q850 = fields.integer("fwdUnaswRsn") or fields.integer("callOutUnaswRsn")
    point = fields.integer("ulFailReason") or 0
    sip = fields.integer("sipStatusCode") or (
        point if point in _SIP_FAILURES and point not in _RELEASE_POINTS else None
    )
    if q850:
        found, confidence = causes.cause(str(q850)) or _SILENT, "exact"
    elif point in _RELEASE_POINTS:
        found, confidence = _RELEASE_POINTS[point], "exact"
    elif sip is not None and sip in _SIP_FAILURES:
        found, confidence = causes.cause_of_sip(sip), "derived"
    else:
        found, confidence = (Cause("", None, None, Disposition.FAILED, "platform") if point else _SILENT), "exact"
    if not found.known or (point and point not in _RELEASE_POINTS and point not in _SIP_FAILURES):
        fields.flag(Flag.UNKNOWN_ENUM)
    found = replace(found, sip=sip or found.sip)
    return found, confidence if found.q850 or found.sip else "none"


VENDOR = Vendor(
    name=_NAME,
    title="Huawei Cloud private numbers",
    adapter_version=3,
    callbacks=(
        Callback(
            name="ax",
            path="/ax",
            key=_key,
            key_account=_key_account,
            elements=_elements,
            normalise=_normalise,
            example=_EXAMPLE,
            documented={"privacy_ax": RELAY_FIELDS, "notification": NATIVE_FIELDS},
            holders={"feeLst": ("notification",)},
            also=("eventType", *_SIBLING_FIELDS),
            nested={"bindResponse": _ANSWER_FIELDS, "unbindResponse": _ANSWER_FIELDS},
        ),
    ),
    # The relay reads no reply; one of the platform's services reads the code.
    accepted=Reply(status=200, body=b'{"resultcode":"0","resultdesc":"Success"}', content_type="application/json"),
    retry=Reply(status=503),
    sends_at_most=1,
    locale=Locale(_RELAY_ZONE, _REGION),
)
