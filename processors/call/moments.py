"""Which instants can belong to one call: a wrong year on one leg or in one push must not move or hide the others.

The middle one of what is known is believed, and what lies within seven days of it; those span the call. Anything else must
lie within a day of that span. Of two instants years apart the later one counts as the middle: clocks that were never set say
1970 or 2000. Pure.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from processors.column_bounds import LONGEST
from schemas.facts import Fact, Flag, Leg

_MARGIN: Final = timedelta(days=1)


class CallWindow(msgspec.Struct, frozen=True):
    """The time in which a call can have been."""

    first: datetime
    last: datetime

    def holds(self, at: datetime | None) -> bool:
        """Whether an instant can be of this call; one that is not known can."""
        return at is None or self.first <= at <= self.last


def window_of(instants: Iterable[datetime | None]) -> CallWindow | None:
    """The window around a call's instants; None when none is known."""
    known = sorted(at for at in instants if at is not None)
    if not known:
        return None
    middle = known[len(known) // 2]
    near = [at for at in known if abs(at - middle) <= LONGEST]
    return CallWindow(near[0] - _MARGIN, near[-1] + _MARGIN)


def of_legs(legs: Iterable[Leg]) -> list[datetime | None]:
    """All instants of some legs."""
    return [at for leg in legs for at in (leg.setup_at, leg.alerting_at, leg.answer_at, leg.end_at)]


def of_record(record: Fact) -> list[datetime | None]:
    """All instants that a record names."""
    return [record.setup_at, record.alerting_at, record.answer_at, record.end_at, *of_legs(record.legs)]


def believed(states: Sequence[Fact], window: CallWindow | None, flags: set[Flag]) -> Sequence[Fact]:
    """The states, those from another time without their instant: they happened, and when is not known."""
    if window is None or all(window.holds(fact.event_at) for fact in states):
        return states
    flags.add(Flag.RANGE_ERROR)
    return [fact if window.holds(fact.event_at) else msgspec.structs.replace(fact, event_at=None) for fact in states]


def started_at(view: dict[str, Any]) -> datetime | None:
    """The earliest instant of a call or of any of its legs that can be of this call; None when none is known."""
    instants = [view["setup_at"], view["alerting_at"], view["answer_at"], view["end_at"], *of_legs(view["legs"])]
    window = window_of(instants)
    return min((at for at in instants if at and window and window.holds(at)), default=None)
