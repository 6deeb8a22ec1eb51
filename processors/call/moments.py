"""The window of instants that can belong to one call: a wrong year on one leg must not move or hide the others.

The median of the known instants is believed, with whatever lies within seven days of it; those span the call. Anything
else must lie within a day of that span. Of two instants years apart the later one counts as the median: clocks that
were never set show 1970 or 2000. Pure.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final

import msgspec

from processors.column_bounds import LONGEST
from schemas.facts import Fact, Flag, Leg
from schemas.reading.field_readers import reader

_MARGIN: Final = timedelta(days=1)
_read_leg: Final = reader(("setup_at", "alerting_at", "answer_at", "end_at"))


class CallWindow(msgspec.Struct, frozen=True, gc=False):
    """The stretch of time in which a call can have been."""

    first: datetime
    last: datetime

    def holds(self, at: datetime | None) -> bool:
        """True when an instant can be of this call; an unknown one can."""
        return at is None or self.first <= at <= self.last


def window_of(instants: Iterable[datetime | None]) -> CallWindow | None:
    """Return the window around a call's instants; None when none is known."""
    known = sorted(filter(None, instants))
    if not known:
        return None
    if known[-1] - known[0] <= LONGEST:  # as nearly always
        return CallWindow(known[0] - _MARGIN, known[-1] + _MARGIN)
    middle = known[len(known) // 2]
    first = next(at for at in known if middle - at <= LONGEST)
    last = next(at for at in reversed(known) if at - middle <= LONGEST)
    return CallWindow(first - _MARGIN, last + _MARGIN)


def of_legs(legs: Iterable[Leg]) -> list[datetime | None]:
    """List all instants of some legs."""
    return [*chain.from_iterable(map(_read_leg, legs))]


def of_record(record: Fact) -> list[datetime | None]:
    """List all instants that a record names."""
    return [record.setup_at, record.alerting_at, record.answer_at, record.end_at, *of_legs(record.legs)]


def believed(states: Sequence[Fact], window: CallWindow | None, flags: set[Flag]) -> Sequence[Fact]:
    """Clear (and flag) the instants of states that lie outside the window: they happened, and nobody knows when."""
    known = [fact.event_at for fact in states if fact.event_at is not None]
    if window is None or not known or (window.holds(min(known)) and window.holds(max(known))):
        return states
    flags.add(Flag.RANGE_ERROR)
    return [fact if window.holds(fact.event_at) else msgspec.structs.replace(fact, event_at=None) for fact in states]


def started_at(view: dict[str, Any]) -> datetime | None:
    """Return the earliest instant of a call or of its legs that lies in its window; None when none is known."""
    known: list[datetime] = [*filter(None, (view["setup_at"], view["alerting_at"], view["answer_at"], view["end_at"]))]
    if legs := view["legs"]:
        known += filter(None, of_legs(legs))
    if not known:
        return None
    first = min(known)
    if max(known) - first <= LONGEST:
        return first  # as nearly always: all lie in the window
    window = window_of(known)
    return min((at for at in known if window and window.holds(at)), default=None)
