"""Versions: of two rows for one record or one call the higher version is the truth. This module makes them. Pure.

A version is read from left to right: completeness of the row; revision of our logic; standing, made of the time of
receipt; rank, the amount that was merged; version of the vendor's mapping that read it. While the joiner knows a call
all of these only grow. A call that was forgotten (`join.horizon_s`) begins anew, and then the standing decides as the
joiner would: what was pushed first stands, however much comes later, and a final record never loses to anything that is
not final; pages of the vendor's archive and records with the vendor's own update clock make way for the newest.

Versions depend on what was merged and on no clock, so a replay gives the same ones. They stay below 2^53, where numbers
that are doubles elsewhere (JSON, JavaScript) are still exact.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from schemas.facts import EPOCH, PULLED, Fact, FactType, Flag

# An enum looks a member up each time it is named.
_RECORD: Final = FactType.RECORD
_COST_MISSING: Final = Flag.COST_MISSING

LOGIC_REV: Final = 2
"""Revision of the logic, at most 15: raised when the same contents are shown otherwise, so that reprocessing supersedes
rows.  Revision 1 had no leading part and its number one bit further left, so that all its versions are below all of
revision 2."""
STATES, RECORD, FINAL, PRICED = range(4)
"""Completeness of a row: no record, one that is not final, a final one whose cost is missing, any other final one."""
_LOGIC_BITS: Final = 4
_HOUR_BITS: Final = 20
"""Up to the year 2089; two lives of a call are days apart."""
_STANDING_BITS: Final = _HOUR_BITS + 1
_RANK_BITS: Final = 19
_MAPPING_BITS: Final = 7
_HOUR_S: Final = 3600
MOST_RANK: Final = (1 << _RANK_BITS) - 1
_MOST_MAPPING: Final = (1 << _MAPPING_BITS) - 1
_MOST_HOURS: Final = (1 << _HOUR_BITS) - 1


def completeness(facts: Iterable[Fact]) -> int:
    """Return the completeness of a row of these contents: it grows with every content, whichever is shown."""
    complete = STATES
    for fact in facts:
        if fact.fact_type is _RECORD:
            complete = max(complete, _complete(fact))
    return complete


def _complete(fact: Fact) -> int:
    if fact.fact_type is not _RECORD:
        return STATES
    if not fact.is_final:
        return RECORD
    # A cost that came and was not believed is not missing: a corrected mapping must be able to remove a wrong one.
    return PRICED if fact.cost is not None or _COST_MISSING not in fact.quality_flags else FINAL


def standing(facts: Sequence[Fact]) -> int:
    """Return the time of receipt as a number that grows with every fact; the row that must stand has the higher one."""
    newest = [fact.revised_at or fact.received_at for fact in facts if fact.revised_at or fact.source in PULLED]
    if newest:
        return 1 << _HOUR_BITS | _hours(max(newest))
    return _MOST_HOURS - _hours(min([fact.received_at for fact in facts]))


def _hours(at: datetime) -> int:
    since = at - EPOCH
    hours = since.days * 24 + since.seconds // _HOUR_S
    return hours if 0 <= hours <= _MOST_HOURS else min(max(0, hours), _MOST_HOURS)


def version_of(rank: int, stands: int, mapping: int, complete: int = STATES) -> int:
    """Compose the version of a row with this rank and standing, read by `mapping` (adapter version)."""
    head = (complete << _LOGIC_BITS | LOGIC_REV) << _STANDING_BITS | stands
    if rank > MOST_RANK or mapping > _MOST_MAPPING:
        rank, mapping = min(rank, MOST_RANK), min(mapping, _MOST_MAPPING)
    return (head << _RANK_BITS | rank) << _MAPPING_BITS | mapping


def record_version(merge_count: int, *, complete: int, final: bool, stands: int, mapping: int) -> int:
    """Version of a record, state event or binding with `merge_count` merged contents; a final one ranks higher."""
    return version_of(merge_count * 2 + final, stands, mapping, complete)


def first_version(fact: Fact, mapping: int) -> int:
    """Version of a record, state event or binding of which this is the only content so far, as most are."""
    if fact.source in PULLED or fact.revised_at is not None:
        stands = 1 << _HOUR_BITS | _hours(fact.revised_at or fact.received_at)
    else:
        stands = _MOST_HOURS - _hours(fact.received_at)
    if mapping > _MOST_MAPPING:
        return version_of(2 + fact.is_final, stands, mapping, _complete(fact))
    # As by `version_of`, whose call would be half of the time.
    complete = _complete(fact) if fact.fact_type is _RECORD else STATES
    head = (complete << _LOGIC_BITS | LOGIC_REV) << _STANDING_BITS | stands
    return (head << _RANK_BITS | 2 + fact.is_final) << _MAPPING_BITS | mapping


def call_version(merge_count: int, phase: int, stands: int, mapping: int, complete: int) -> int:
    """Version of a call in one of its four phases; `merge_count` and `complete` are over all that is under its key."""
    return version_of(merge_count * 4 + phase, stands, mapping, complete)
