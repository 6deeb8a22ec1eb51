"""YTX (api.ytx.net): voice codes, two-way calls and conferences, as records and as state pushes to one address.

Document: "话单回调" (call record callback). `{"cdr":[...]}` holds records of three kinds, distinguished by `fid`; a
state push is a bare object without `appid` and `fid`. HTTP 500 makes it send again later, at most three times in all.

Known lies and gaps:
- The document's own two-way example is not JSON: a comma is missing, a key has spaces in it, a time has lost its.
- A two-way call's `duration` is the A leg's time, not talk time; calls that B never answered have `应答|正常`, too.
  A call was answered when it has an answer time.
- The fee is for `duration`, so it is the billed seconds of all three records, also when nobody answered.
- The voice example has 22 s between its times and a duration of 10; `tel` in it is not a phone number.
- Voice records may carry the code that was read out: it is a secret, and is kept in the raw body only.
- `confid` "0" is no conference. A participant's fee is `singleoriamount`; `oriamount` beside it is another amount.
- In a state push `src` is the platform's display number and `dsc` the phone of this leg: leg A's or leg B's.
- Live records have numbers where the example has text, no `.000`, sometimes no `stateDesc`; live states have one.
- Times are Beijing's, which is not documented. A conference's participants may share a `requestid`; `confid` is reused.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from schemas.body.peek import peek_text
from schemas.errors import Undecodable
from schemas.facts import EPOCH, Direction, Disposition, Fact, FactType, Flag, Kind, Role
from schemas.vendor_kit.amounts import billed, charged, check_billed, check_duration, fee_field, recorded
from schemas.vendor_kit.causes import Cause
from schemas.vendor_kit.columns import leg
from schemas.vendor_kit.contract import Callback, Context, Element, Elements, Locale, Mapped, Reply, Vendor
from schemas.vendor_kit.fields import Fields
from schemas.vendor_kit.nested import listed
from schemas.vendor_kit.phone_numbers import PhoneNumber, columns
from schemas.vendor_kit.plausibility import account_of, check_ahead, check_order
from schemas.vendor_kit.secret_fields import holds_code
from schemas.vendors._ytx_states import (
    NO_STATE,
    PAIR,
    PROCESSING,
    REGION,
    RINGING,
    SPOKEN,
    STATE_FIELDS,
    TEXTS,
    UNKNOWN,
    ZONE,
    Read,
    mapped,
    ordinary_state,
    stamp_of,
    state,
)

_NAME: Final = "ytx"
_CURRENCY: Final = "CNY"

VOICE_FIELDS: Final = ("requestid", "appid", "fid", "tel", "stime", "etime", "duration", "oriamount")
TWO_WAY_FIELDS: Final = (
    "requestid", "appid", "fid", "caller", "called", "callerstime", "calleretime", "calledstime", "calledetime",
    "tapesurl", "duration", "oriamount", "stateDesc", "customParm",
)  # fmt: skip
CONFERENCE_FIELDS: Final = (
    "requestid", "appid", "fid", "tel", "stime", "etime", "confid", "duration", "singleoriamount", "customParm",
    "tapesurl",  # in the example only
)  # fmt: skip
# More fields of live pushes.
_LIVE_FIELDS: Final = {Kind.CONFERENCE_LEG: ("oriamount",), Kind.CALLBACK_STATE: ("stateDesc", "appid", "dst")}
_NO_CONFERENCE: Final = re.compile(r"0+(?:\.0*)?|-1")

_TWO_WAY_TELLTALES: Final = frozenset({"caller", "called", "callerstime", "calledstime"})
_ONE_WAY_TELLTALES: Final = frozenset({"tel", "stime", "etime"})
_STATE_TELLTALES: Final = frozenset({"requestid", "src", "dsc", "dst", "timestamp"})

_D = Disposition
_FIDS: Final = frozenset({"", "2", "4", "5"})
_UNLISTED: Final = "未知"
_OPEN: Final = (_D.IN_PROGRESS, _D.UNKNOWN)
_STILL_RINGING: Final = Cause(RINGING, None, None, _D.IN_PROGRESS, "ringing")
_ANSWERED: Final = Cause("", None, None, _D.ANSWERED)  # by its time, without a text
_CLAIMED: Final = Cause("", None, None, _D.UNKNOWN)  # answered by its text, without a time
_NO_ANSWER: Final = Cause("", None, None, _D.NO_ANSWER)
# An enum looks a member up each time it is named.
_A, _B = Role.A, Role.B


def _key(body: bytes) -> str:
    return peek_text(body, "requestid")


def _elements(document: Any) -> Elements:
    if (type(document) is not dict and not isinstance(document, Mapping)) or "cdr" not in document:
        return Elements(items=listed(document, "an object or a list"))
    return Elements(items=listed(document["cdr"], "a list of records", "cdr"))


def _normalise(element: Element, ctx: Context) -> Mapped:
    if (done := ordinary_state(element, _BARE_STATE, ctx)) is not None:  # two payloads of three
        return done
    bare, known, hides, mapping = _READ_AS[_sort(element)]
    fields = Fields(element, ctx.received_at, documented=known, hides=hides)
    call_id = fields.need("requestid", code="no_id")
    account_id = account_of(fields, fields.text("appid"), ctx, "appid")
    fields.text("fid")
    fact, further = mapping(fields, bare, account_id, ctx)
    check_ahead(fields, fact.event_at or fact.end_at or fact.answer_at, ctx.received_at)
    is_unknown = mapping is state and fact.state is NO_STATE
    extras = fields.extras("state") if is_unknown else fields.extras()
    return mapped(fact, call_id, account_id, fields.time_precision, extras, fields.flags, further, ctx)


def _sort(element: Any) -> str:
    """The key of `_KINDS`: `fid`, checked against the fields that come with it, or "state"; raises `wrong_kind`."""
    if type(element) is not dict and not isinstance(element, Mapping):
        raise Undecodable("an object is expected", code="shape")
    two_way = not _TWO_WAY_TELLTALES.isdisjoint(element)
    one_way = not _ONE_WAY_TELLTALES.isdisjoint(element)
    fid = element.get("fid", "")
    if type(fid) is not str or fid not in _FIDS:
        fid = Fields(element, EPOCH).text("fid")
    if ("state" in element or "dsc" in element) and not (two_way or one_way):
        if not _STATE_TELLTALES.isdisjoint(element):
            return "state"
    elif (fid == "4" and two_way) or (fid in ("2", "5") and one_way):
        return fid
    elif not fid and two_way:
        return "4"
    elif not fid and one_way and "requestid" in element:
        return "5" if "confid" in element else "2"
    raise Undecodable("none of the four payloads of this vendor", code="wrong_kind", path="fid" if fid else "")


def _voice(fields: Fields, bare: Fact, account_id: str, ctx: Context) -> Read:
    found, tel = _one_way(fields, account_id, ctx, "oriamount")
    return replace(bare, **found, **columns("to", tel)), ()


def _conference(fields: Fields, bare: Fact, account_id: str, ctx: Context) -> Read:
    """Maps one participant; several may share the request id, so the phone and its answer time distinguish them.

    A participant that did not answer has no such time and may be called again: then the end distinguishes attempts.
    """
    conference_id = fields.text("confid")
    if not conference_id:
        fields.flag(Flag.SCHEMA_DRIFT)
    if _NO_CONFERENCE.fullmatch(conference_id):
        conference_id = ""
    found, tel = _one_way(fields, account_id, ctx, fee_field(fields, "singleoriamount", "oriamount", _CURRENCY))
    answer, end = found["answer_at"], found["end_at"]
    fact = replace(
        bare,
        **found,
        conference_id=conference_id,
        custom_ref=fields.text("customParm"),
        **recorded(fields, "tapesurl", "notapes"),
        legs=(leg(Role.P, tel, Cause("", None, None, found["disposition"]), answer_at=answer, end_at=end),),
    )
    phone = tel.number or tel.raw
    if answer or fields.unreadable("stime"):
        return fact, (phone, stamp_of(answer) or fields.glance("stime"))
    ended_at = stamp_of(end) or fields.glance("etime")
    return fact, (phone, "", ended_at) if ended_at else (phone, "")


def _one_way(fields: Fields, account_id: str, ctx: Context, amount: str) -> tuple[dict[str, Any], PhoneNumber]:
    """Maps the columns that voice codes and conference legs share: one phone, one pair of times, one fee."""
    tel = fields.number("tel", REGION)
    cost = fields.money(amount, _CURRENCY, ctx.cost_limit(account_id))
    answer, end = fields.instant("stime", ZONE), fields.instant("etime", ZONE)
    check_order(fields, answer, end)
    talk_ms = fields.span_ms(answer, end)
    duration_s = fields.seconds("duration", answer, end)
    garbled = fields.unreadable("stime")
    spoken_ms = talk_ms if answer or garbled else 0
    if not answer and not garbled and (cost or duration_s):
        fields.flag(Flag.STATE_VS_TIME)
    check_duration(fields, duration_s, spoken_ms)
    disposition = (_ANSWERED if answer else UNKNOWN if garbled else _NO_ANSWER).disposition
    amounts = billed(duration_s, spoken_ms, garbled=fields.unreadable("duration"))
    check_billed(fields, disposition, duration_s, cost)
    found = {
        "answer_at": answer,
        "end_at": end,
        "talk_ms": talk_ms,
        "disposition": disposition,
        "is_final": end is not None or answer is None,
        **amounts,
        **charged(fields, cost, _CURRENCY, garbled=fields.unreadable(amount)),
    }
    return found, tel


def _two_way(fields: Fields, bare: Fact, account_id: str, ctx: Context) -> Read:
    caller, called = fields.number("caller", REGION), fields.number("called", REGION)
    if caller.number and caller.number == called.number:
        fields.flag(Flag.SAME_NUMBER)
    a_answer, a_end = fields.instant("callerstime", ZONE), fields.instant("calleretime", ZONE)
    b_answer, b_end = fields.instant("calledstime", ZONE), fields.instant("calledetime", ZONE)
    check_order(fields, a_answer, a_end)
    check_order(fields, b_answer, b_end)
    check_order(fields, a_answer, b_answer)
    first_end, end = sorted((a_end, b_end)) if a_end and b_end else (a_end or b_end,) * 2
    a_ms, b_ms = fields.span_ms(a_answer, a_end), fields.span_ms(b_answer, b_end or end)
    # They talk from B's answer until the first of them hangs up, which needs both ends.
    ends_known = not fields.unreadable("calleretime") and not fields.unreadable("calledetime")
    talk_ms = fields.span_ms(b_answer, first_end) if ends_known else None
    duration_s = fields.seconds("duration", a_answer, a_end, b_answer, b_end)
    check_duration(fields, duration_s, *((a_ms, b_ms) if a_ms is not None or b_ms is not None else (0,)))
    text = fields.text("stateDesc")
    call, leg_a, leg_b, party = _endings(fields, text, a_answer, b_answer, end)
    garbled = not b_answer and (fields.unreadable("callerstime") or fields.unreadable("calledstime"))
    if garbled:  # answered at an unknown time, which is not "no answer"
        call = leg_b = UNKNOWN
    spoken_ms = 0 if end and not b_answer and not garbled else talk_ms
    amounts = billed(duration_s, spoken_ms, garbled=fields.unreadable("duration"))
    cost = fields.money("oriamount", _CURRENCY, ctx.cost_limit(account_id))
    check_billed(fields, call.disposition, duration_s, cost)
    return replace(
        bare,
        from_number=caller.number, from_raw=caller.raw, from_kind=caller.kind,
        to_number=called.number, to_raw=called.raw, to_kind=called.kind,
        answer_at=b_answer, end_at=end, talk_ms=talk_ms,
        legs=(
            leg(_A, caller, leg_a, answer_at=a_answer, end_at=a_end),
            leg(_B, called, leg_b, answer_at=b_answer, end_at=b_end),
        ),
        disposition=call.disposition, q850=call.q850, sip_code=call.sip, hangup_reason=call.reason,
        hangup_cause=text, cause_confidence="derived" if call.q850 else "none",
        hangup_party=party if call.reason == "declined" else "unknown",
        custom_ref=fields.text("customParm"),
        is_final=PROCESSING not in text and (end is not None or call.disposition not in _OPEN),
        **recorded(fields, "tapesurl", "notapes"),
        **amounts,
        **charged(fields, cost, _CURRENCY, garbled=fields.unreadable("oriamount")),
    ), ()  # fmt: skip


def _endings(
    fields: Fields, text: str, a_answer: datetime | None, b_answer: datetime | None, end: datetime | None
) -> tuple[Cause, Cause, Cause, str]:
    """Returns the causes of the call, leg A and leg B, and the leg ("a", "b") that decided; times win over texts."""
    x, y = _split(fields, text, a_answer)
    leg_a, leg_b = _heard(fields, x, a_answer, end), _heard(fields, y, b_answer, end)
    if b_answer:
        return leg_b, leg_a, leg_b, "b"
    if a_answer:  # B did not answer
        if leg_b is _CLAIMED or (y or _UNLISTED) == _UNLISTED:
            if text:
                fields.flag(Flag.STATE_VS_TIME)
            leg_b = _NO_ANSWER if text or end else UNKNOWN
        return leg_b, leg_a, leg_b, "b"
    if not text and end:
        return _NO_ANSWER, _NO_ANSWER, leg_b, "a"
    return (leg_a, leg_a, leg_b, "a") if x else (leg_b, leg_a, leg_b, "b")


def _split(fields: Fields, text: str, a_answer: datetime | None) -> tuple[str, str]:
    """Returns the texts of leg A and leg B; a single one is of the first leg that did not answer."""
    parts = [part.strip() for part in PAIR.split(text)]
    if len(parts) == 1:
        return ("", text) if a_answer else (text, "")
    if len(parts) > 2:
        fields.flag(Flag.TYPE_DRIFT)
    return parts[0], parts[1]


def _heard(fields: Fields, text: str, answer: datetime | None, end: datetime | None) -> Cause:
    """Returns the cause of a leg, by its answer time and then by its text."""
    announced = TEXTS.get(text)
    if text and announced is None:
        fields.flag(Flag.UNKNOWN_ENUM)
    if announced is None:
        return _ANSWERED if answer else UNKNOWN
    claimed = announced.disposition is SPOKEN
    if claimed is not (answer is not None):
        fields.flag(Flag.STATE_VS_TIME)
    if claimed:
        return announced if answer else _CLAIMED
    return _ANSWERED if answer else announced if end or text != RINGING else _STILL_RINGING


_Mapping = Callable[[Fields, Fact, str, Context], Read]
_KINDS: Final[Mapping[str, tuple[Kind, Direction, tuple[str, ...], _Mapping]]] = {
    "2": (Kind.VOICE_OTP, Direction.OUTBOUND, VOICE_FIELDS, _voice),
    "4": (Kind.CALLBACK_CDR, Direction.CALLBACK, TWO_WAY_FIELDS, _two_way),
    "5": (Kind.CONFERENCE_LEG, Direction.CONFERENCE, CONFERENCE_FIELDS, _conference),
    "state": (Kind.CALLBACK_STATE, Direction.CALLBACK, STATE_FIELDS, state),
}
_READ_AS: Final = {
    sort: (
        Fact(
            fact_type=FactType.STATE if mapping is state else FactType.RECORD,
            vendor=_NAME,
            kind=kind,
            direction=direction,
        ),
        frozenset((*names, *_LIVE_FIELDS.get(kind, ()))),
        partial(holds_code, spoken=kind is Kind.VOICE_OTP),
        mapping,
    )
    for sort, (kind, direction, names, mapping) in _KINDS.items()
}
_BARE_STATE: Final = _READ_AS["state"][0]
_EXAMPLE: Final = '{"cdr":[{"requestid":"2016010000000206","appid":"ff8080813fc70a7b013fc72312324213","fid":"4","caller":"13810603954","called":"18810207016","callerstime":"2016-02-02 11:19:36.000","calleretime":"2016-02-02 11:20:36.000","calledstime":"2016-02-02 11:19:40.000","calledetime":"2016-02-0211:20:40.000","tapesurl":"http://.....","duration":"60","oriamount":"2.94","customParm":"123456"" stateDesc ":"应答|正常"}]}'.encode()

VENDOR = Vendor(
    name=_NAME,
    title="YTX cloud communication",
    adapter_version=3,
    callbacks=(
        Callback(
            name="push",
            path="",
            key=_key,
            elements=_elements,
            normalise=_normalise,
            example=_EXAMPLE,
            documented={kind.value: names for kind, _, names, _ in _KINDS.values()},
            holders={"cdr": ()},
            also=(*_LIVE_FIELDS[Kind.CONFERENCE_LEG], *_LIVE_FIELDS[Kind.CALLBACK_STATE]),
        ),
    ),
    accepted=Reply(status=200),
    retry=Reply(status=500),
    sends_at_most=3,
    locale=Locale(ZONE, REGION, _CURRENCY),
)
