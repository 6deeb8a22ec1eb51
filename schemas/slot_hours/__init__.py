"""The slot that a fact gives its call: the hour (UTC) of the earliest instant that it names. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.facts import Fact

_LONG_AGO_S: Final = 400 * 86_400
_AHEAD_S: Final = 86_400
"""An instant further from its receipt than these is no place for a row: else a wrong or forged year would scatter rows
over thousands of days, each of which the engine must keep and merge."""
_HOUR_S: Final = 3600
_LAST_HOUR: Final = (2**32 - 1) // _HOUR_S
"""Instants of slots are stored as seconds since 1970 in 32 bits, so until 2106."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def slot_of(fact: Fact) -> datetime:
    """Return the slot of a call of which this fact is the first that is known."""
    return instant_of(hour_of(fact))


def hour_of(fact: Fact) -> int:
    """Return that slot in hours since 1970."""
    first_s = first_instant_s(fact)
    return _storable(int((received_s(fact) if first_s is None else first_s) // _HOUR_S))


def _storable(hour: int) -> int:
    """Return the nearest hour that tables can hold: a clock may be far off."""
    return min(max(hour, 0), _LAST_HOUR)


def instant_of(hour: int) -> datetime:
    """Return the instant at which an hour begins."""
    return _EPOCH + timedelta(hours=hour)


def hour_at(at: datetime | None, received_at: datetime) -> datetime:
    """Return the hour of an instant; that of the receipt for one that is not known or can place no row."""
    if at is None or not -_LONG_AGO_S <= (at - received_at).total_seconds() <= _AHEAD_S:
        at = received_at
    return instant_of(_storable(int((at - _EPOCH).total_seconds() // _HOUR_S)))


def first_instant_s(fact: Fact) -> float | None:
    """Return the earliest instant that the fact names, in seconds since 1970, of those that can place a row."""
    came_s = received_s(fact)
    named = (fact.setup_at, fact.alerting_at, fact.answer_at, fact.end_at, fact.event_at, fact.bound_at)
    of_legs = (at for leg in fact.legs for at in (leg.setup_at, leg.alerting_at, leg.answer_at, leg.end_at))
    seconds = ((at - _EPOCH).total_seconds() for at in (*named, *of_legs) if at is not None)
    return min((at_s for at_s in seconds if -_LONG_AGO_S <= at_s - came_s <= _AHEAD_S), default=None)


def received_s(fact: Fact) -> float:
    """Return the time of receipt in seconds since 1970."""
    return (fact.received_at - _EPOCH).total_seconds()
