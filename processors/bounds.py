"""The narrowest thing that must hold a value: ClickHouse's columns. What is made here is held against them where it is made.

A sum or a span beyond them is None and flagged, as any amount that nobody can believe; a row is then never refused for its
range, and never hides what else it says.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec

from schemas.facts import Fact, Flag, Leg

UINT32_MAX: Final = 2**32 - 1
UINT16_MAX: Final = 2**16 - 1
MONEY_LIMIT: Final = Decimal(10) ** 12
"""Decimal(18, 6) holds what is below."""
OLDEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
NEWEST: Final = datetime(2299, 12, 31, tzinfo=UTC)
"""DateTime64(6) holds what lies between."""
LONGEST: Final = timedelta(days=7)
"""No call rings or is talked for longer, and no two instants of one call lie further apart."""

_AMOUNTS: Final = ("pdd_ms", "ring_ms", "talk_ms", "vendor_duration_s", "billable_s")
_CODES: Final = ("q850", "sip_code")
_INSTANTS: Final = (
    "setup_at", "alerting_at", "answer_at", "end_at", "recording_expires_at", "event_at", "bound_at", "unbound_at", "revised_at",
)  # fmt: skip
_LEG_INSTANTS: Final = ("setup_at", "alerting_at", "answer_at", "end_at")
_read_numbers: Final = attrgetter(*_AMOUNTS, *_CODES)
_read_instants: Final = attrgetter(*_INSTANTS)
_read_leg: Final = attrgetter(*_LEG_INSTANTS, *_CODES)
_NUMBER_LIMITS: Final = (UINT32_MAX,) * len(_AMOUNTS) + (UINT16_MAX,) * len(_CODES)
_INSTANTS_OF_A_LEG: Final = len(_LEG_INSTANTS)
Row = TypeVar("Row", Fact, Leg)


def total(values: Iterable[int | None], flags: set[Flag]) -> int | None:
    """The sum of what is known; None when nothing is, or (flagged) when no column holds it."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    found = sum(known)
    if 0 <= found <= UINT32_MAX:
        return found
    flags.add(Flag.RANGE_ERROR)
    return None


def total_money(values: Iterable[Decimal | None], flags: set[Flag]) -> Decimal | None:
    """The sum of the known amounts; None when none is, or (flagged) when no column holds it."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    found = sum(known, Decimal(0))
    if abs(found) < MONEY_LIMIT:
        return found
    flags.add(Flag.RANGE_ERROR)
    return None


def bounded(fact: Fact) -> Fact:
    """The fact without what no column holds; the same one, nearly always."""
    changes: dict[str, Any] = {}
    flags: set[Flag] = set()
    if not _hold(_read_numbers(fact), _NUMBER_LIMITS):
        changes.update(_beyond(fact, (*_AMOUNTS, *_CODES), _NUMBER_LIMITS))
        flags.add(Flag.RANGE_ERROR)
    if fact.cost is not None and not abs(fact.cost) < MONEY_LIMIT:
        changes.update(cost=None, currency="", cost_source="")
        flags.add(Flag.RANGE_ERROR)
    if not _within(_read_instants(fact)):
        changes.update(_outside(fact, _INSTANTS))
        flags.add(Flag.BAD_TIME)
    legs = tuple(_bounded_leg(leg, flags) for leg in fact.legs)
    if any(ours is not theirs for ours, theirs in zip(legs, fact.legs, strict=True)):
        changes["legs"] = legs
    if not changes:
        return fact
    return msgspec.structs.replace(fact, **changes, quality_flags=tuple(sorted({*fact.quality_flags, *flags})))


def clock(at: datetime) -> datetime:
    """A time of receipt as a column holds it: a header that some other program wrote may say any year."""
    return min(max(at, OLDEST), NEWEST)


def _bounded_leg(leg: Leg, flags: set[Flag]) -> Leg:
    values = _read_leg(leg)
    instants, codes = values[:_INSTANTS_OF_A_LEG], values[_INSTANTS_OF_A_LEG:]
    if _within(instants) and _hold(codes, _NUMBER_LIMITS[-len(_CODES) :]):
        return leg
    flags.add(Flag.RANGE_ERROR if _within(instants) else Flag.BAD_TIME)
    changes = {**_outside(leg, _LEG_INSTANTS), **_beyond(leg, _CODES, _NUMBER_LIMITS[-len(_CODES) :])}
    return msgspec.structs.replace(leg, **changes)


def _hold(values: tuple[int | None, ...], limits: tuple[int, ...]) -> bool:
    return all(value is None or 0 <= value <= limit for value, limit in zip(values, limits, strict=True))


def _within(instants: tuple[datetime | None, ...]) -> bool:
    return all(at is None or OLDEST <= at <= NEWEST for at in instants)


def _beyond(row: Row, names: tuple[str, ...], limits: tuple[int, ...]) -> dict[str, Any]:
    return {name: None for name, limit in zip(names, limits, strict=True) if not _hold((getattr(row, name),), (limit,))}


def _outside(row: Row, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: None for name in names if not _within((getattr(row, name),))}
