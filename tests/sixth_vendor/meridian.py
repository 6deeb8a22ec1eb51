"""Meridian Voice (fictitious): click to call, reported as signed flat forms, by POST or GET to one address.

Document: "Event hooks" of the fictitious vendor. Each event of a leg (`dial`, `ring`, `answer`, `end`) is one form, and
the call's record (`cdr`) another; `call_id` joins them. The header `X-Meridian-Signature` has the Base64 of HMAC-SHA256
over the body, or over the query string of a GET. After anything but 200 it sends again, at most five times.

Known lies and gaps:
- `from_to` has both numbers with a dash between them, in E.164 without "+"; a side that is withheld is blank.
- Times of events are epoch milliseconds, those of the record ISO 8601 in UTC, blank for what never happened.
- `sip` is the status of the leg that failed; an answered call has none.
"""

from typing import Any, Final

from schemas.body.peek import peek_form
from schemas.errors import Undecodable
from schemas.facts import Direction, Disposition, Fact, FactType, Flag, Kind, RecordingState, Role, State
from schemas.vendor_kit import phone_numbers
from schemas.vendor_kit.amounts import billed, charged, check_billed, check_duration
from schemas.vendor_kit.causes import Cause, cause_of_sip
from schemas.vendor_kit.columns import ended, leg
from schemas.vendor_kit.contract import Callback, Context, Element, Elements, Mapped, Reply, Vendor
from schemas.vendor_kit.fields import Fields
from schemas.vendor_kit.nested import listed
from schemas.vendor_kit.phone_numbers import NOBODY, PhoneNumber, columns
from schemas.vendor_kit.plausibility import account_of, check_order
from schemas.vendor_kit.signatures import hmac_of_body

_NAME: Final = "meridian"
_REGION: Final = "GB"
_ZONE: Final = "UTC"
_CURRENCY: Final = "GBP"

EVENT_FIELDS: Final = ("event", "call_id", "customer", "from_to", "leg", "at")
CDR_FIELDS: Final = (
    "event", "call_id", "customer", "from_to", "setup", "alerting", "answered", "ended", "seconds", "price", "sip", "recording",
    "ref",
)  # fmt: skip
_CDR: Final = "cdr"
CLICK_TO_CALL: Final = "click_to_call"
_STATES: Final = {"dial": State.SETUP, "ring": State.ALERTING, "answer": State.ANSWER, "end": State.RELEASE}
_LEGS: Final = ("from", "to")
_ANSWERED: Final = Cause("NORMAL_CLEARING", 16, 200, Disposition.ANSWERED, "normal")
_UNKNOWN: Final = Cause("", None, None, Disposition.UNKNOWN)
_FAILURES: Final = range(400, 700)


def _key(body: bytes) -> str:
    return peek_form(body, "call_id")


def _key_account(body: bytes, account: str) -> str:
    return account or peek_form(body, "customer")


def _elements(document: Any) -> Elements:
    return Elements(items=listed(document, "a form"))


def _normalise(element: Element, ctx: Context) -> Mapped:
    is_record = Fields(element, ctx.received_at).text("event") == _CDR
    if "event" not in element or "from_to" not in element:
        raise Undecodable("neither an event nor a record of this vendor", code="wrong_kind")
    fields = Fields(element, ctx.received_at, documented=CDR_FIELDS if is_record else EVENT_FIELDS)
    call_id, event = fields.need("call_id", code="no_id"), fields.need("event")
    account_id = account_of(fields, fields.text("customer"), ctx, "customer")
    fact, further = (_record if is_record else _event)(fields, call_id, account_id, event, ctx)
    return Mapped(fact=fact, dedupe=(call_id, *further), key_account=ctx.account or account_id)


def _parties(fields: Fields) -> tuple[PhoneNumber, PhoneNumber]:
    """Returns caller and callee, who share one field."""
    caller, _, callee = fields.text("from_to").partition("-")
    return _party(fields, caller), _party(fields, callee)


def _party(fields: Fields, text: str) -> PhoneNumber:
    if not text:
        return NOBODY
    read = phone_numbers.parse(text, _REGION, "44")
    fields.flag(*read.flags)
    return read


def _event(fields: Fields, call_id: str, account_id: str, event: str, _ctx: Context) -> tuple[Fact, tuple[str, ...]]:
    state = _STATES.get(event, State.UNKNOWN)
    side = fields.need("leg")
    if state is State.UNKNOWN or side not in _LEGS:
        fields.flag(Flag.UNKNOWN_ENUM)
    caller, callee = _parties(fields)
    phone = caller if side == _LEGS[0] else callee
    at = fields.instant("at", _ZONE)
    if at is None:
        fields.flag(Flag.BAD_TIME)
    fact = Fact(
        fact_type=FactType.STATE,
        vendor=_NAME,
        kind=Kind.CALLBACK_STATE,
        account_id=account_id,
        vendor_call_id=call_id,
        direction=Direction.CALLBACK,
        **columns("from", caller),
        **columns("to", callee),
        leg=phone.raw,
        leg_number=phone.number,
        state=state,
        event_at=at,
        time_precision=fields.time_precision,
        extras=fields.extras(*(("event",) if state is State.UNKNOWN else ()), *(() if side in _LEGS else ("leg",))),
        quality_flags=tuple(sorted(fields.flags)),
    )
    return fact, (side, event, at.isoformat() if at else fields.glance("at"))


def _record(
    fields: Fields, call_id: str, account_id: str, _event_name: str, ctx: Context
) -> tuple[Fact, tuple[str, ...]]:
    caller, callee = _parties(fields)
    setup, alerting, answer, end = (fields.instant(name, _ZONE) for name in ("setup", "alerting", "answered", "ended"))
    check_order(fields, setup, alerting, answer, end)
    sip = fields.integer("sip", high=699)
    failed = cause_of_sip(sip) if sip is not None and sip in _FAILURES else _UNKNOWN
    found = _ANSWERED if answer else failed
    talk_ms = fields.span_ms(answer, end)
    duration_s = fields.seconds("seconds", setup, end)
    spoken_ms = 0 if end and not answer else talk_ms
    check_duration(fields, duration_s, spoken_ms)
    cost = fields.money("price", _CURRENCY, ctx.cost_limit(account_id))
    check_billed(fields, found.disposition, duration_s, cost)
    url = fields.text("recording")
    fact = Fact(
        fact_type=FactType.RECORD,
        vendor=_NAME,
        kind=CLICK_TO_CALL,
        account_id=account_id,
        vendor_call_id=call_id,
        direction=Direction.CALLBACK,
        **columns("from", caller),
        **columns("to", callee),
        setup_at=setup,
        alerting_at=alerting,
        answer_at=answer,
        end_at=end,
        legs=(
            leg(Role.A, caller, _UNKNOWN, end_at=end),
            leg(Role.B, callee, found, setup_at=setup, alerting_at=alerting, answer_at=answer, end_at=end),
        ),
        pdd_ms=fields.span_ms(setup, alerting),
        ring_ms=fields.span_ms(alerting, answer or end),
        talk_ms=talk_ms,
        **billed(duration_s, spoken_ms, garbled=fields.unreadable("seconds")),
        **ended(found),
        cause_confidence="derived" if found.q850 else "none",
        **charged(fields, cost, _CURRENCY, garbled=fields.unreadable("price")),
        recording_state=RecordingState.AVAILABLE if url else RecordingState.NONE,
        recording_url=url,
        custom_ref=fields.text("ref"),
        time_precision=fields.time_precision,
        extras=fields.extras("sip"),
        is_final=end is not None,
        quality_flags=tuple(sorted(fields.flags)),
    )
    return fact, ()


VENDOR = Vendor(
    name=_NAME,
    title="Meridian Voice",
    adapter_version=1,
    callbacks=(
        Callback(
            name="event",
            path="",
            key=_key,
            key_account=_key_account,
            elements=_elements,
            normalise=_normalise,
            methods=("POST", "GET"),
            verify=hmac_of_body("x-meridian-signature", encoding="base64"),
            body="form",
            example=b"event=ring&call_id=7c2f&customer=acme&from_to=442079460018-442079460123&leg=to&at=1772359203250",
            documented={CLICK_TO_CALL: CDR_FIELDS, Kind.CALLBACK_STATE: EVENT_FIELDS},
        ),
    ),
    accepted=Reply(status=200, body=b"OK"),
    retry=Reply(status=503),
    sends_at_most=5,
    kinds={CLICK_TO_CALL: "The CDR of a call that a click on a page started."},
)
