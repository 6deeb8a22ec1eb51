"""The slot that a fact gives its call: the hour (UTC) of the earliest instant that it names. Pure."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from schemas.facts import Fact
from schemas.reading.field_readers import reader

_LONG_AGO: Final = -timedelta(days=400)
_AHEAD: Final = timedelta(days=1)
"""An instant further from its receipt than these is no place for a row: else a wrong or forged year would scatter rows
over thousands of days, each of which the engine must keep and merge."""
_HOUR_S: Final = 3600
_LAST_HOUR: Final = (2**32 - 1) // _HOUR_S
"""Instants of slots are stored as seconds since 1970 in 32 bits, so until 2106."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OF_LEG: Final = ("setup_at", "alerting_at", "answer_at", "end_at")
_instants_of_leg: Final = reader(_OF_LEG)
_instants_of: Final = reader((*_OF_LEG, "event_at", "bound_at"))


def slot_of(fact: Fact) -> datetime:
    """Return the slot of a call of which this fact is the first that is known."""
    return instant_of(hour_holding(first_instant(fact) or fact.received_at))


def hour_of(fact: Fact) -> int:
    """Return that slot in hours since 1970."""
    return hour_holding(first_instant(fact) or fact.received_at)


def hour_holding(at: datetime) -> int:
    """Return the nearest hour that tables can hold: a clock may be far off."""
    since = at - _EPOCH
    hour = since.days * 24 + since.seconds // _HOUR_S
    return hour if 0 <= hour <= _LAST_HOUR else min(max(hour, 0), _LAST_HOUR)


@lru_cache(maxsize=1 << 12)
def instant_of(hour: int) -> datetime:
    """Return the instant at which an hour begins."""
    return _EPOCH + timedelta(hours=hour)


def hour_at(at: datetime | None, received_at: datetime) -> datetime:
    """Return the hour of an instant; that of the receipt for one that is not known or can place no row."""
    if at is None or not _LONG_AGO <= at - received_at <= _AHEAD:
        at = received_at
    return instant_of(hour_holding(at))


def first_instant(fact: Fact) -> datetime | None:
    """Return the earliest instant that the fact names, of those that can place a row."""
    known: list[datetime] = [*filter(None, _instants_of(fact))]
    for leg in fact.legs:
        known += filter(None, _instants_of_leg(leg))
    came_at = fact.received_at
    while known:
        first = min(known)
        if _LONG_AGO <= first - came_at <= _AHEAD:
            return first
        known = [at for at in known if _LONG_AGO <= at - came_at <= _AHEAD]
    return None


def seconds_of(at: datetime) -> float:
    """Return an instant in seconds since 1970."""
    return (at - _EPOCH).total_seconds()
