"""The slot of a call: the hour (UTC) of the first instant known of it, by which its rows are stored near its time.

It only says where rows are; `started_at` says when the call began, and may still move. A slot is frozen with the first
fact that has a row, and from then on equal in all versions of all rows of the call. Two owners of one call read the
same log, so they freeze the same slot at the same fact; `join_slots` is still a join, so that no order of merging can
matter. A call of which something may have been known and forgotten before is not certain of its slot: whoever stores
its rows then looks for them first. Neither is one of which a row may have been published without a slot, as the release
before does: that was stored where its own instants said. Pure: no I/O, no clock.
"""

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from processors.call.contents import Item
from processors.call.duplicates import arrival_of
from schemas.facts import Fact, FactType
from schemas.slot_hours import first_instant, hour_holding, hour_of, instant_of, seconds_of

# An enum looks a member up each time it is named.
_RESOLUTION: Final = FactType.RESOLUTION

_REMEMBERED: Final = 7 / 8
"""The part of the horizon within which nothing can have been forgotten; the rest is for clocks that differ."""
NEVER_SURE: Final = math.inf
"""The time for a fact whose rows are published without a slot, or may have been already."""


class Slot(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """A frozen slot; the lower of two is the one that was frozen first."""

    frozen_ms: int
    """Record clock of the fact that froze it."""
    hour: int
    """Hours since 1970 (UTC)."""
    certain: bool

    @property
    def slot_at(self) -> datetime:
        """The slot as an instant."""
        return instant_of(self.hour)


Slots = dict[str, Slot]
"""The slot of each configured account under one key: nobody chooses the place of another's rows."""


def sure_since(now_ms: int, horizon_s: float) -> float:
    """Return the time, in seconds since 1970, since which nothing of a call can have been forgotten."""
    return now_ms / 1000 - horizon_s * _REMEMBERED


def with_slot(slots: Slots, fact: Fact, items: Iterable[Item], now_ms: int, sure_since_s: float) -> Slots:
    """Return the slots with that of the fact's account, which is frozen now unless it was before.

    `items` are what was known of the call before. A decision has no row and freezes nothing. `sure_since_s` is the time
    since which nothing of a call can be stored in another slot, and `NEVER_SURE` where a row may have none.
    """
    if fact.fact_type is _RESOLUTION:
        return slots
    frozen = slots.get(fact.account)
    if frozen is not None:
        doubted = frozen.certain and sure_since_s == NEVER_SURE
        return {**slots, fact.account: msgspec.structs.replace(frozen, certain=False)} if doubted else slots
    known = [content.fact for item in items for content in item.contents if content.fact.account == fact.account]
    if known:  # an older release wrote the state
        slot = Slot(now_ms, hour_of(min(known, key=arrival_of)), certain=False)
    else:
        first = first_instant(fact)
        certain = first is not None and seconds_of(min(first, fact.received_at)) >= sure_since_s
        slot = Slot(now_ms, hour_holding(first or fact.received_at), certain)
    return {**slots, fact.account: slot}


def slot_for(slots: Slots, account: str, facts: Iterable[Fact]) -> Slot:
    """Return the slot of an account's rows; that of its fact which was received first, if none is frozen yet."""
    return slots.get(account) or Slot(0, hour_of(min(facts, key=arrival_of)), certain=False)


def join_slots(left: Slots, right: Slots) -> Slots:
    """Return of two owners' slots of one call those that were frozen first; certain where both are, and of the same."""
    joined = {**right, **left}
    for account in left.keys() & right.keys():
        ours, theirs = left[account], right[account]
        certain = ours.certain and theirs.certain and ours.hour == theirs.hour
        joined[account] = msgspec.structs.replace(min(ours, theirs), certain=certain)
    return dict(sorted(joined.items()))
