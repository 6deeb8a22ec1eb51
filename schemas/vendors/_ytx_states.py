"""YTX's state pushes, two of three of its payloads, and the words and texts that its records have, too: part of `ytx`.

In a state push `src` is the platform's display number and `dsc` the phone of this leg: leg A's or leg B's.
"""

import re
from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Final

from msgspec.structs import force_setattr, replace

from schemas.body.scalars import MOST_NO_ID
from schemas.facts import Disposition, Fact, Flag, State
from schemas.vendor_kit import instants
from schemas.vendor_kit.causes import Cause
from schemas.vendor_kit.contract import Context, Element, Mapped
from schemas.vendor_kit.fields import Fields
from schemas.vendor_kit.phone_numbers import PhoneNumber, parse
from schemas.vendor_kit.plausibility import own_account

ZONE: Final = "Asia/Shanghai"
REGION: Final = "CN"

STATE_FIELDS: Final = ("requestid", "src", "dsc", "timestamp", "state")
_ORDINARY: Final = frozenset((*STATE_FIELDS, "stateDesc"))
_values: Final = itemgetter(*STATE_FIELDS)

_STATES: Final = {
    "callout": State.SETUP, "alerting": State.ALERTING, "answer": State.ANSWER, "disconnect": State.RELEASE,
}  # fmt: skip
PAIR: Final = re.compile(r"[|｜]")

_D = Disposition
RINGING: Final = "振铃"
PROCESSING: Final = "正在处理中"
# Announcements that the platform recognised, in its own words: disposition, reason, Q.850, SIP (by RFC 3398).
_ANNOUNCED: Final = {
    "正常": (_D.ANSWERED, "normal", 16, 200),
    PROCESSING: (_D.IN_PROGRESS, "processing", None, None),
    RINGING: (_D.NO_ANSWER, "ringing", 19, 480),  # while nothing has ended: in progress
    "未应答": (_D.NO_ANSWER, "no_answer", 19, 480),
    "应答": (_D.ANSWERED, "answered", 16, 200),
    "关机": (_D.UNREACHABLE, "powered_off", 20, 480),
    "空号": (_D.INVALID_NUMBER, "unallocated", 1, 404),
    "停机": (_D.BARRED, "suspended", 21, 403),
    "正在通话中": (_D.BUSY, "in_call", 17, 486),
    "用户拒接": (_D.REJECTED, "declined", 21, 603),
    "无法拨通": (_D.UNREACHABLE, "cannot_reach", 20, 480),
    "暂停服务": (_D.BARRED, "suspended", 21, 403),
    "用户正忙": (_D.BUSY, "user_busy", 17, 486),
    "拨号方式不正确": (_D.INVALID_NUMBER, "dial_format", 28, 484),
    "呼入限制": (_D.BARRED, "incoming_barred", 54, 403),
    "来电提醒": (_D.UNREACHABLE, "missed_call_service", 20, 480),
    "呼叫转移失败": (_D.FAILED, "forward_failed", 29, 501),
    "网络忙": (_D.CONGESTION, "network_busy", 42, 503),
    "无人接听": (_D.NO_ANSWER, "no_answer", 19, 480),
    "欠费": (_D.BARRED, "arrears", 21, 403),
    "无法接听": (_D.UNREACHABLE, "cannot_answer", 20, 480),
    "改号": (_D.INVALID_NUMBER, "number_changed", 22, 410),
    "线路故障": (_D.FAILED, "line_fault", 38, 503),
    "稍后再拨": (_D.CONGESTION, "retry_later", 41, 503),
}
TEXTS: Final = {
    text: Cause(text, q850, sip, disposition, reason) for text, (disposition, reason, q850, sip) in _ANNOUNCED.items()
}
UNKNOWN: Final = Cause("", None, None, _D.UNKNOWN)
# An enum looks a member up each time it is named.
_RELEASED, NO_STATE, SPOKEN = State.RELEASE, State.UNKNOWN, _D.ANSWERED

Read = tuple[Fact, tuple[str, ...]]
"""The fact with the columns that one kind of payload has, and the parts of its identity beside the call's id."""


def mapped(
    fact: Fact,
    call_id: str,
    account_id: str,
    precision: str,
    extras: dict[str, str],
    flags: Collection[Flag],
    further: tuple[str, ...],
    ctx: Context,
) -> Mapped:
    """Sets what all payloads have in a fact that was made for this element alone, which spares a copy."""
    force_setattr(fact, "account_id", account_id)
    force_setattr(fact, "vendor_call_id", call_id)
    force_setattr(fact, "time_precision", precision)
    force_setattr(fact, "extras", extras)
    if flags:
        force_setattr(fact, "quality_flags", tuple(sorted(flags)))
    # A state names no appid: what all payloads of a call can show is the account of the URL.
    return Mapped(fact=fact, dedupe=(call_id, *further), key_account=ctx.account)


def ordinary_state(element: Element, bare: Fact, ctx: Context) -> Mapped | None:
    """Maps a state whose fields are as documented and need no tolerance, in a third of the time that `Fields` take.

    None for any other element; the fact is the one that `state` makes.
    """
    if (
        type(element) is not dict
        or not _ORDINARY.issuperset(element)
        or len(element) != len(STATE_FIELDS) + ("stateDesc" in element)
    ):
        return None
    call_id, shown, called, stamp, word = _values(element)
    text = element.get("stateDesc", "")
    if not type(call_id) is type(shown) is type(called) is type(stamp) is type(word) is type(text) is str:
        return None
    announced, now = TEXTS.get(text, UNKNOWN), _STATES.get(word)
    if now is None or (text and announced is UNKNOWN) or len(call_id) <= MOST_NO_ID:
        return None
    if not (called.isdecimal() and shown.isdecimal() and call_id.isalnum() and (call_id + called + shown).isascii()):
        return None
    read = instants.parse(stamp, ZONE, ctx.received_at)
    if read.at is None or read.at > ctx.received_at:
        return None
    phone, display = parse(called, REGION), parse(shown, REGION)
    fact = _fact(bare, called, phone, display, now, read.at, text, announced)
    flags, further = phone.flags | display.flags | read.flags, (phone.number or called, word, stamp_of(read.at))
    return mapped(fact, call_id, own_account(ctx), read.precision, {}, flags, further, ctx)


def state(fields: Fields, bare: Fact, _account_id: str, _ctx: Context) -> Read:
    """Maps a state field by field."""
    leg_field = "dsc" if fields.has("dsc") or not fields.has("dst") else "dst"
    if leg_field == "dst":
        fields.flag(Flag.KEY_NORMALISED)
    called = fields.need("dsc", "dst")
    phone = fields.number(leg_field, REGION)
    word = fields.need("state").lower()
    now = _STATES.get(word, NO_STATE)
    if now is NO_STATE:
        fields.flag(Flag.UNKNOWN_ENUM)
    at = fields.instant("timestamp", ZONE)
    if at is None:
        fields.flag(Flag.BAD_TIME)
    text = fields.text("stateDesc")
    # A pair of texts gives no cause here: only the record shows which of the two legs this is.
    announced = TEXTS.get(text, UNKNOWN)
    if text and announced is UNKNOWN and not PAIR.search(text):
        fields.flag(Flag.UNKNOWN_ENUM)
    fact = _fact(bare, called, phone, fields.number("src", REGION), now, at, text, announced)
    return fact, (phone.number or called, word, stamp_of(at) or fields.glance("timestamp"))


def _fact(
    bare: Fact,
    called: str,
    phone: PhoneNumber,
    display: PhoneNumber,
    now: State,
    at: datetime | None,
    text: str,
    announced: Cause,
) -> Fact:
    is_outcome = now is _RELEASED and announced.disposition is not SPOKEN
    return replace(
        bare,
        display_number=display.number,
        display_raw=display.raw,
        display_kind=display.kind,
        leg=called,
        leg_number=phone.number,
        state=now,
        event_at=at,
        q850=announced.q850,
        sip_code=announced.sip,
        hangup_reason=announced.reason,
        hangup_cause=text,
        disposition=announced.disposition if is_outcome else UNKNOWN.disposition,
        cause_confidence="derived" if announced.q850 else "none",
    )


@lru_cache(maxsize=1 << 10)  # nearly all have whole seconds, in which many states come
def stamp_of(at: datetime | None) -> str:
    """Returns an instant in milliseconds, as part of an identity; "" for none."""
    return str(round(at.timestamp() * 1000)) if at else ""
