"""Expectations: the columns that a reader of one element can know, in canonical words, or the element's dead letter.

A column that is missing here is not compared: the documents leave it open. Instants are epoch milliseconds, money is
text. An expectation must not depend on how the element is spelt.
"""

import hashlib
from datetime import datetime
from typing import Final

import msgspec

from deploy.simulator.calls.truth import TrueBinding, TrueCall, TrueLeg
from schemas.facts import FactType, Kind

Value = str | int | bool | None
Columns = dict[str, Value]

FLAG: Final = "flag_"
"""A column with this prefix claims a quality flag."""


class Expectation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One element and what must become of it."""

    vendor: str
    kind: str = ""
    fact_type: str = ""
    """record, state or binding; "" for an element that must end as a dead letter."""
    call: str = ""
    """The vendor's call id; for a binding the binding's id."""
    identity: str = ""
    """Two elements with the same identity are one fact, or versions of it."""
    content: str = ""
    """A digest: an element with the same identity and the same content is a duplicate."""
    columns: Columns = {}
    legs: tuple[Columns, ...] = ()
    binding: Columns = {}
    """The columns of the number binding that the element describes, also in passing."""
    dead: str = ""
    """The code of the dead letter; "" when none is expected."""
    rank: int = 0
    """The content with the highest rank is shown whole of those that contradict each other; 0 claims nothing."""
    disputes: bool = False
    """True when the element contradicts one that was received before it, and the row must be flagged so."""
    misleads: bool = False
    """True for a state whose instant is absurd: no interval can be measured from it."""


def ms(at: datetime | None) -> int | None:
    """Returns epoch milliseconds."""
    return None if at is None else round(at.timestamp() * 1000)


def between_ms(start: datetime | None, end: datetime | None) -> int | None:
    """Returns the milliseconds between two instants; None when either event did not happen."""
    return round((end - start).total_seconds() * 1000) if start and end else None


def dead(vendor: str, code: str) -> Expectation:
    """Returns the expectation of an element, or of a whole body, that nobody can use."""
    return Expectation(vendor=vendor, dead=code)


def record_expectation(
    call: TrueCall, columns: Columns, legs: tuple[Columns, ...] = (), binding: Columns | None = None
) -> Expectation:
    """Returns the expectation of a call's record: the vendor's own `columns`, and those that follow alike for all."""
    columns = columns | {"disposition": str(call.disposition), "is_final": True}
    # Rows of a number binding have no duration, so that the billed time is computed.
    columns |= {"vendor_duration_s": None if call.kind is Kind.PRIVACY_AX else call.duration_s}
    columns |= {"custom_ref": call.custom_ref} if call.kind is not Kind.VOICE_OTP else {}
    columns |= {name: value for name, value in (("q850", call.q850), ("sip_code", call.sip_code)) if value is not None}
    columns |= {"cost": None} if call.cost is None else {"cost": str(call.cost), "currency": "CNY"}
    return Expectation(
        vendor=call.vendor,
        kind=call.kind,
        fact_type=FactType.RECORD,
        call=call.call_id,
        identity="|".join((call.kind, call.account_id, call.call_id, *_participant(call))),
        content=digest_of_truth(call),
        columns=columns,
        legs=legs,
        binding=binding or {},
    )


def leg_columns(leg: TrueLeg, *names: str) -> Columns:
    """Returns a leg's role, number and the named instants."""
    return {"role": str(leg.role), "number": leg.number, **{name: ms(getattr(leg, name)) for name in names}}


def digest_of_truth(truth: TrueCall | TrueBinding) -> str:
    """Returns a digest of all that is true of a call or a binding."""
    return hashlib.blake2b(msgspec.json.encode(truth), digest_size=8).hexdigest()


def _participant(call: TrueCall) -> tuple[str, ...]:
    """The parts of an identity that tell a conference's participants apart; the call id is the same for all."""
    return tuple(f"{leg.number}|{ms(leg.answer_at)}" for leg in call.legs) if call.kind is Kind.CONFERENCE_LEG else ()
