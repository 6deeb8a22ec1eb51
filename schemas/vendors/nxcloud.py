"""NXCloud softphone: one JSON object per finished call.

Document: "Call Detail Records (CDR) Callback Push Interface V1.0". It states neither the acknowledgement, nor retries,
nor a signature. Other documents of the vendor state "every minute for an hour, stops after 5 failures", and other
numbers again.

Known lies and gaps:
- `code` belongs to `phone` alone: the printed example has 86 beside a four-digit extension and a +62 display number.
- `phone` may already carry `code`; `show_phone` has no "+" and is not E.164 as it stands.
- `direction` is 0 in the vendor's own sample of an outgoing call (`effective_called_number` gives it away).
- `record` and `record_url` may contradict each other; the URL answers 302 and is stored as it is.
- The form of an unanswered call is not documented: "0", "", null and a missing `answer_time` all occur.
- Times are epoch seconds here and text of no stated zone in the pull API. There is no cost.
- `duration` is the charged time: it is the billed seconds when it comes, also of a call that nobody answered.
- Live records carry fields of the pull API, and `id` and `fee`, which the document calls removed.
"""

from typing import Any, Final

from msgspec.structs import replace

from schemas.body.peek import peek_text
from schemas.errors import Undecodable
from schemas.facts import Direction, Disposition, Fact, FactType, Flag, Kind, RecordingState, Role
from schemas.vendor_kit.amounts import billed, check_billed, check_duration
from schemas.vendor_kit.causes import Cause, cause, denies_answer, disposition_of, reason_of, sip_of
from schemas.vendor_kit.columns import leg
from schemas.vendor_kit.contract import Callback, Context, Element, Elements, Locale, Mapped, Reply, Vendor
from schemas.vendor_kit.fields import Fields
from schemas.vendor_kit.nested import listed
from schemas.vendor_kit.phone_numbers import NOBODY, PhoneNumber
from schemas.vendor_kit.plausibility import account_of, check_order

_NAME: Final = "nxcloud"
_ZONE: Final = "UTC?"  # for times as text, which the document does not have

CDR_FIELDS: Final = (
    "sessionid", "username", "mobile_name", "sipid", "orderid", "code", "phone", "show_phone", "duration", "direction",
    "record", "record_url", "start_time", "answer_time", "end_time", "hangup_cause",
)  # fmt: skip
_LIVE_FIELDS: Final = (*CDR_FIELDS, "effective_called_number", "country_code", "id", "fee")
_KNOWN_FIELDS: Final = frozenset(_LIVE_FIELDS)
# One of these distinguishes this payload from other vendors', which have session ids and times, too.
_TELLTALES: Final = frozenset({"show_phone", "hangup_cause", "sipid", "mobile_name"})

_DIRECTIONS: Final = {"1": Direction.OUTBOUND, "0": Direction.INBOUND, "": Direction.UNKNOWN}
_UNKNOWN: Final = Cause("", None, None, Disposition.UNKNOWN)
# An enum looks a member up each time it is named.
_INBOUND, _OUTBOUND, _NO_DIRECTION = Direction.INBOUND, Direction.OUTBOUND, Direction.UNKNOWN
_BARE: Final = Fact(fact_type=FactType.RECORD, vendor=_NAME, kind=Kind.SOFTPHONE_CDR)
# The party that hung up, by the reason of an unanswered call.
_PARTIES: Final = {"caller_hangup": "a", "caller_cancel": "a", "declined": "b", "platform": "platform"}


def _key(body: bytes) -> str:
    return peek_text(body, "sessionid")


def _elements(document: Any) -> Elements:
    return Elements(items=listed(document, "an object"))


def _normalise(element: Element, ctx: Context) -> Mapped:
    fields = Fields(element, ctx.received_at, documented=_KNOWN_FIELDS)
    if _TELLTALES.isdisjoint(element):
        raise Undecodable("not a softphone call record", code="wrong_kind")
    call_id = fields.need("sessionid", code="no_id")
    direction = _direction(fields)
    phone = fields.number("phone", "", fields.text("code"))
    shown = fields.number("show_phone", "")
    caller, callee = _parties(direction, phone, shown)

    setup, answer = fields.instant("start_time", _ZONE), fields.instant("answer_time", _ZONE)
    end = fields.instant("end_time", _ZONE)
    check_order(fields, setup, answer, end)
    answered, garbled = answer is not None, fields.unreadable("answer_time")
    # Ringing is not reported, so it counts from the start, as this vendor does; it needs a readable answer time.
    ring_ms = None if garbled else fields.span_ms(setup, answer or end)
    early = setup is not None and answer is not None and answer < setup
    talk_ms = None if early else fields.span_ms(answer, end)
    duration_s = fields.seconds("duration", setup, answer, end)
    spoken_ms = 0 if end and not answered and not garbled else talk_ms
    check_duration(fields, duration_s, spoken_ms)
    amounts = billed(duration_s, spoken_ms, garbled=fields.unreadable("duration"))

    found = cause(fields.text("hangup_cause"))
    if found and not found.known:
        fields.flag(Flag.UNKNOWN_ENUM)
    if answered and denies_answer(found):
        fields.flag(Flag.STATE_VS_TIME)
    # A cause has one sense on an answered call and one on an unanswered: without that, only its name is kept.
    disposition = Disposition.UNKNOWN if garbled else disposition_of(found, answered=answered)
    reason = "" if garbled else reason_of(found, answered=answered)
    check_billed(fields, disposition, amounts.get("billable_s"))
    recording, url = _recording(fields, answered=None if garbled else answered)
    # Every column by its name: with `**columns(...)` in between the call would take twice as long.
    fact = replace(
        _BARE,
        account_id=account_of(fields, "", ctx, ""),
        vendor_call_id=call_id,
        direction=direction,
        from_number=caller.number,
        from_raw=caller.raw,
        from_kind=caller.kind,
        to_number=callee.number,
        to_raw=callee.raw,
        to_kind=callee.kind,
        display_number=shown.number,
        display_raw=shown.raw,
        display_kind=shown.kind,
        setup_at=setup,
        answer_at=answer,
        end_at=end,
        time_precision=fields.time_precision,
        legs=(leg(Role.X, phone, _UNKNOWN),) if direction is _NO_DIRECTION and phone.raw else (),
        ring_ms=ring_ms,
        talk_ms=talk_ms,
        vendor_duration_s=duration_s,
        billable_s=amounts.get("billable_s"),
        billable_source=amounts.get("billable_source", ""),
        disposition=disposition,
        hangup_cause=found.name if found else "",
        q850=found.q850 if found else None,
        sip_code=None if garbled else sip_of(found, answered=answered),
        hangup_reason=reason,
        cause_confidence="exact" if found and found.known else "none",
        hangup_party="unknown" if answered else _PARTIES.get(reason, "unknown"),
        recording_state=recording,
        recording_url=url,
        custom_ref=fields.text("orderid"),
        agent_id=fields.text("username"),
        agent_name=fields.text("mobile_name"),
        extras=fields.extras("code", *(("direction",) if direction is _NO_DIRECTION else ())),
        is_final=end is not None or found is not None,
        quality_flags=tuple(sorted(fields.flags)),
    )
    return Mapped(fact=fact, dedupe=(call_id,), key_account=ctx.account)


def _direction(fields: Fields) -> Direction:
    sent = fields.text("direction")
    if sent not in _DIRECTIONS:
        fields.flag(Flag.UNKNOWN_ENUM)
    direction = _DIRECTIONS.get(sent, _NO_DIRECTION)
    if direction is _INBOUND and fields.has("effective_called_number"):
        fields.flag(Flag.DIRECTION_SUSPECT)
    return direction


def _parties(direction: Direction, phone: PhoneNumber, shown: PhoneNumber) -> tuple[PhoneNumber, PhoneNumber]:
    """Returns caller and callee; nobody when the direction is not known."""
    if direction is _OUTBOUND:
        return shown, phone
    return (phone, shown) if direction is _INBOUND else (NOBODY, NOBODY)


def _recording(fields: Fields, *, answered: bool | None) -> tuple[RecordingState, str]:
    wanted, url = fields.boolean("record"), fields.text("record_url")
    if url:
        if wanted is False:
            fields.flag(Flag.REC_MISMATCH)
        return RecordingState.AVAILABLE, url
    if wanted and answered:
        fields.flag(Flag.REC_MISMATCH)
        return RecordingState.PENDING, ""
    unknown = wanted is None or (wanted and answered is None)
    return RecordingState.UNKNOWN if unknown else RecordingState.NONE, ""


_EXAMPLE: Final = (
    b'{"show_phone":"6298881888","direction":0,"end_time":"1555484089","record":1,"answer_time":"1555484086","sipid":"1049002","code":"86",'
    b'"start_time":"1555484075","duration":3,"phone":"4444","username":"6298881888","mobile_name":"first mobile","orderid":"1001233",'
    b'"record_url":"https://as01.nxcloud.com/record/bf1b9043-cb9f-048f-cc97-0f939dc94609","hangup_cause":"NORMAL_CLEARING",'
    b'"sessionid":"bf1b9043-cb9f-048f-cc97-0f939dc94609"}'
)

VENDOR = Vendor(
    name=_NAME,
    title="NXCloud softphone",
    adapter_version=2,
    callbacks=(
        Callback(
            name="cdr",
            path="/cdr",
            key=_key,
            elements=_elements,
            normalise=_normalise,
            example=_EXAMPLE,
            documented={Kind.SOFTPHONE_CDR: CDR_FIELDS},
            also=_LIVE_FIELDS,
        ),
    ),
    accepted=Reply(status=200),
    retry=Reply(status=503),
    sends_at_most=0,
    locale=Locale(_ZONE),
)
