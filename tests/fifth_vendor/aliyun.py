"""Alibaba Cloud private numbers: a list of finished calls per push, two parties behind one number.

Document: "SecretReport" by HTTP batch push (help.aliyun.com, 305596). It wants a reply within 700 ms; after anything
but 200 it sends again after 1, 5 and 10 minutes, and it announces duplicates.

Known lies and gaps:
- No time is ever empty: unanswered is `start_time` = `release_time`, not called out is `call_out_time` = `call_time`,
  no alerting is `free_ring_time` = `call_out_time`. The zone of the times is not stated.
- `phone_no` is always A: `call_type` has the direction.
- `release_cause` is Q.850, and 31 on calls that went well.
- The printed example is not JSON: its ids are masked with asterisks.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from schemas.body.peek import peek_text
from schemas.errors import Undecodable
from schemas.facts import Direction, Disposition, Fact, FactType, Flag, Kind, RecordingState, Role
from schemas.vendor_kit import causes
from schemas.vendor_kit.causes import Cause
from schemas.vendor_kit.columns import computed, ended, leg
from schemas.vendor_kit.contract import Callback, Context, Element, Elements, Filtered, Mapped, Reply, Vendor
from schemas.vendor_kit.fields import Fields
from schemas.vendor_kit.phone_numbers import columns
from schemas.vendor_kit.plausibility import account_of, check_order

_NAME: Final = "aliyun"
_REGION: Final = "CN"
_ZONE: Final = "Asia/Shanghai"
_RECORDING_KEPT: Final = timedelta(days=7)

REPORT_FIELDS: Final = (
    "phone_no", "city", "call_out_time", "ring_time", "record_url", "ring_record_url", "free_ring_time", "control_msg", "id",
    "secret_no", "call_type", "control_type", "release_time", "pool_key", "sub_id", "unconnected_cause", "call_time", "peer_no",
    "called_display_no", "release_dir", "call_id", "start_time", "partner_key", "out_id", "release_cause",
)  # fmt: skip
_TELLTALES: Final = ("secret_no", "peer_no", "release_dir", "pool_key")
_TIMES: Final = ("call_time", "call_out_time", "ring_time", "free_ring_time", "start_time", "release_time")

_DIRECTIONS: Final = {"0": Direction.OUTBOUND, "1": Direction.INBOUND, "4": Direction.UNKNOWN}
_SMS: Final = ("2", "3")
_PARTIES: Final = {"0": "platform", "1": "a", "2": "b"}
# unconnected_cause: the platform's own reason not to connect; with 0 the release cause counts.
_REFUSED: Final = {
    "1": Cause("", 21, None, Disposition.BARRED, "blocked"),
    "2": Cause("", None, None, Disposition.FAILED, "no_binding"),
    "3": Cause("", 21, None, Disposition.BARRED, "policy"),
}
_ANSWERED: Final = Cause("NORMAL_CLEARING", 16, 200, Disposition.ANSWERED, "normal")
_UNKNOWN: Final = Cause("", None, None, Disposition.UNKNOWN)


def _key(body: bytes) -> str:
    return peek_text(body, "call_id")


def _key_account(body: bytes, account: str) -> str:
    return account or peek_text(body, "pool_key")


def _elements(document: Any) -> Elements:
    if isinstance(document, Mapping):
        document = [document]
    if not isinstance(document, list):
        raise Undecodable("a list of reports is expected", code="shape")
    return Elements(items=tuple(document))


def _normalise(element: Element, ctx: Context) -> Mapped | Filtered:
    fields = Fields(element, ctx.received_at, documented=REPORT_FIELDS)
    if not any(name in element for name in _TELLTALES):
        raise Undecodable("not a report of a private number's call", code="wrong_kind")
    call_id = fields.need("call_id", code="no_id")
    call_type = fields.text("call_type")
    if call_type in _SMS:
        return Filtered(reason="sms")
    if call_type not in _DIRECTIONS:
        fields.flag(Flag.UNKNOWN_ENUM)
    direction = _DIRECTIONS.get(call_type, Direction.UNKNOWN)
    setup, called, ring, free_ring, start, end = (fields.instant(name, _ZONE) for name in _TIMES)
    check_order(fields, setup, called, start, end)
    answer = None if start == end else start
    alerting = next((at for at in (free_ring, ring) if at and called and at > called), None)
    talk_ms = fields.span_ms(answer, end)
    found = _ANSWERED if answer else _cause(fields)
    a, b = fields.number("phone_no", _REGION), fields.number("peer_no", _REGION)
    caller, callee = (b, a) if direction is Direction.INBOUND else (a, b)
    url, account_id = fields.text("record_url"), account_of(fields, fields.text("pool_key"), ctx, "pool_key")
    fact = Fact(
        fact_type=FactType.RECORD,
        vendor=_NAME,
        kind=Kind.PRIVACY_AX,
        account_id=account_id,
        vendor_call_id=call_id,
        binding_id=fields.text("sub_id"),
        direction=direction,
        **columns("from", caller),
        **columns("to", callee),
        **columns("display", fields.number("called_display_no", _REGION)),
        **columns("privacy", fields.number("secret_no", _REGION)),
        setup_at=setup,
        alerting_at=alerting,
        answer_at=answer,
        end_at=end,
        time_precision=fields.time_precision,
        legs=(
            leg(Role.A, caller, _UNKNOWN, setup_at=setup, end_at=end),
            leg(Role.B, callee, found, setup_at=called, alerting_at=alerting, answer_at=answer, end_at=end),
        ),
        pdd_ms=fields.span_ms(setup, alerting),
        ring_ms=fields.span_ms(alerting, answer or end),
        talk_ms=talk_ms,
        **computed(talk_ms, answered=answer is not None, over=end is not None),
        **ended(found),
        cause_confidence="derived" if answer else "exact" if found.q850 else "none",
        hangup_party=_PARTIES.get(fields.text("release_dir"), "unknown"),
        recording_state=RecordingState.AVAILABLE if url else RecordingState.UNKNOWN if answer else RecordingState.NONE,
        recording_url=url,
        recording_expires_at=end + _RECORDING_KEPT if url and end else None,
        custom_ref=fields.text("out_id"),
        extras=fields.extras("release_cause", "unconnected_cause", "call_type", "release_dir"),
        is_final=end is not None,
        quality_flags=tuple(sorted(fields.flags)),
    )
    return Mapped(fact=fact, dedupe=(call_id,), key_account=ctx.account or account_id)


def _cause(fields: Fields) -> Cause:
    """Returns the cause of an unanswered call."""
    refused = _REFUSED.get(fields.text("unconnected_cause"))
    found = refused or causes.cause(fields.text("release_cause")) or _UNKNOWN
    if not found.known:
        fields.flag(Flag.UNKNOWN_ENUM)
    return found


VENDOR = Vendor(
    name=_NAME,
    title="Alibaba Cloud private numbers",
    adapter_version=1,
    callbacks=(
        Callback(
            name="report",
            path="/report",
            key=_key,
            key_account=_key_account,
            elements=_elements,
            normalise=_normalise,
            documented={Kind.PRIVACY_AX: REPORT_FIELDS},
        ),
    ),
    accepted=Reply(status=200, body=b'{"code":0,"msg":"ok"}', content_type="application/json"),
    retry=Reply(status=500),
    sends_at_most=4,
)
