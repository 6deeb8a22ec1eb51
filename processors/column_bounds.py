"""Bounds of ClickHouse's columns, the narrowest place that every value must fit: checked where the value is made.

A sum or a span beyond them becomes None and is flagged, as any amount that nobody can believe; so no row is ever
refused for its range, and the rest of it stays visible.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from schemas.facts import Fact, Flag, Leg
from schemas.reading.field_readers import reader

UINT32_MAX: Final = 2**32 - 1
UINT16_MAX: Final = 2**16 - 1
MONEY_LIMIT: Final = Decimal(10) ** 12
"""Limit of Decimal(18, 6), exclusive."""
OLDEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
NEWEST: Final = datetime(2299, 12, 31, tzinfo=UTC)
"""Last instant of DateTime64(6); `OLDEST` is its first."""
LONGEST: Final = timedelta(days=7)
"""Longest believed call: no call rings or lasts longer, and no two of its instants lie further apart."""

_AMOUNTS: Final = ("pdd_ms", "ring_ms", "talk_ms", "vendor_duration_s", "billable_s")
_NO_AMOUNTS: Final = (None,) * len(_AMOUNTS)
_CODES: Final = ("q850", "sip_code")
_INSTANTS: Final = (
    "setup_at", "alerting_at", "answer_at", "end_at", "recording_expires_at", "event_at", "bound_at", "unbound_at", "revised_at",
)  # fmt: skip
_LEG_INSTANTS: Final = ("setup_at", "alerting_at", "answer_at", "end_at")
_read_amounts: Final = reader(_AMOUNTS)
_read_instants: Final = reader(_INSTANTS)
_read_leg: Final = reader(_LEG_INSTANTS)


def total(values: Iterable[int | None], flags: set[Flag]) -> int | None:
    """Sum the known values; None when there are none, or (flagged) when no column holds the sum."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    found = sum(known)
    if 0 <= found <= UINT32_MAX:
        return found
    flags.add(Flag.RANGE_ERROR)
    return None


def total_money(values: Iterable[Decimal | None], flags: set[Flag]) -> Decimal | None:
    """Sum the known amounts; None when there are none, or (flagged) when no column holds the sum."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    found = sum(known, Decimal(0))
    if abs(found) < MONEY_LIMIT:
        return found
    flags.add(Flag.RANGE_ERROR)
    return None


def bounded(fact: Fact) -> Fact:
    """Return the fact without values that no column holds (flagged); nearly always the same object."""
    if _fits(fact):
        return fact
    flags: set[Flag] = set()
    changes: dict[str, Any] = {**_out_of_range(fact, (*_AMOUNTS, *_CODES), _INSTANTS, flags)}
    if fact.cost is not None and not abs(fact.cost) < MONEY_LIMIT:
        changes.update(cost=None, currency="", cost_source="")
        flags.add(Flag.RANGE_ERROR)
    legs = tuple(msgspec.structs.replace(leg, **_out_of_range(leg, _CODES, _LEG_INSTANTS, flags)) for leg in fact.legs)
    return msgspec.structs.replace(
        fact, **changes, legs=legs, quality_flags=tuple(sorted({*fact.quality_flags, *flags}))
    )


def clock(at: datetime) -> datetime:
    """Clamp a time of receipt to what a column holds: a header that some other program wrote may name any year."""
    return at if OLDEST <= at <= NEWEST else min(max(at, OLDEST), NEWEST)


def _fits(fact: Fact) -> bool:
    """True when every value fits. Called for every fact, so it is written for speed."""
    amounts = _read_amounts(fact)
    if amounts != _NO_AMOUNTS:
        for value in amounts:
            if value is not None and not 0 <= value <= UINT32_MAX:
                return False
    for at in filter(None, _read_instants(fact)):
        if not OLDEST <= at <= NEWEST:
            return False
    if fact.cost is not None and not abs(fact.cost) < MONEY_LIMIT:
        return False
    return _codes_fit(fact) and (not fact.legs or all(map(_leg_fits, fact.legs)))


def _leg_fits(leg: Leg) -> bool:
    for at in filter(None, _read_leg(leg)):
        if not OLDEST <= at <= NEWEST:
            return False
    return _codes_fit(leg)


def _codes_fit(row: Fact | Leg) -> bool:
    q850, sip_code = row.q850, row.sip_code
    return (q850 is None or 0 <= q850 <= UINT16_MAX) and (sip_code is None or 0 <= sip_code <= UINT16_MAX)


def _out_of_range(
    row: Fact | Leg, numbers: tuple[str, ...], instants: tuple[str, ...], flags: set[Flag]
) -> dict[str, None]:
    """Flag the values of a row that no column holds; returns their names, each with None."""
    gone: dict[str, None] = {}
    for name in numbers:
        value = getattr(row, name)
        if value is not None and not 0 <= value <= (UINT16_MAX if name in _CODES else UINT32_MAX):
            gone[name] = None
            flags.add(Flag.RANGE_ERROR)
    for name in instants:
        at = getattr(row, name)
        if at is not None and not OLDEST <= at <= NEWEST:
            gone[name] = None
            flags.add(Flag.BAD_TIME)
    return gone
