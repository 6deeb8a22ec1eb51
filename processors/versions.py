"""Of two rows for one record or one call the higher version is the truth: what makes one higher. Pure.

A version is read from left to right: how complete the row is; the revision of our logic; its standing, which is when it was
received; the rank, which is how much was merged; which version of the vendor's mapping read it. While the joiner knows a call
all of that only grows. A call that was forgotten (`join.horizon_s`) begins anew, and then the standing tells, as it tells
within the joiner: what was pushed first stands, however much comes later, and nothing is taken from a final record by what is
less than one; a page of the vendor's archive, and a record with the vendor's own update clock, make way for the newest.

All of it is said by what was merged and nothing by a clock, so a replay gives the same versions. Below 2^53, where numbers
that are doubles elsewhere (JSON, JavaScript) are still exact.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from schemas.facts import EPOCH, PULLED, Fact, FactType, Flag

LOGIC_REV: Final = 2
"""Raised when the same contents are shown otherwise: then a reprocessing supersedes what stands in the tables. At most 15.

Revision 1 had no leading part and its number one bit further left, so that all its versions are below all of revision 2.
"""
STATES, RECORD, FINAL, PRICED = range(4)
"""How complete a row is: no record, one that is not final, a final one whose cost is missing, a final one without that lack."""
_LOGIC_BITS: Final = 4
_HOUR_BITS: Final = 20
"""Up to the year 2089; two lives of a call are days apart."""
_STANDING_BITS: Final = _HOUR_BITS + 1
_RANK_BITS: Final = 19
_MAPPING_BITS: Final = 7
_HOUR: Final = timedelta(hours=1)
MOST_RANK: Final = (1 << _RANK_BITS) - 1
_MOST_HOURS: Final = (1 << _HOUR_BITS) - 1


def completeness(facts: Iterable[Fact]) -> int:
    """How complete a row of these contents is: grows with every content, whichever is shown."""
    return max((_complete(fact) for fact in facts), default=STATES)


def _complete(fact: Fact) -> int:
    if fact.fact_type is not FactType.RECORD:
        return STATES
    if not fact.is_final:
        return RECORD
    # A cost that came and was not believed is not missing: a mended mapping must be able to take a wrong one out of the table.
    return PRICED if fact.cost is not None or Flag.COST_MISSING not in fact.quality_flags else FINAL


def standing(facts: Iterable[Fact]) -> int:
    """When it was received, as a number that grows with every fact, and with what a later life of the call must give way to."""
    known = tuple(facts)
    newest = [
        fact.revised_at or fact.received_at for fact in known if fact.source in PULLED or fact.revised_at is not None
    ]
    if newest:
        return 1 << _HOUR_BITS | _hours(max(newest))
    return _MOST_HOURS - _hours(min(fact.received_at for fact in known))


def _hours(at: datetime) -> int:
    return min(max(0, (at - EPOCH) // _HOUR), _MOST_HOURS)


def version_of(rank: int, stands: int, mapping: int, complete: int = STATES) -> int:
    """The version of what has this rank and this standing, and was read by `mapping` (adapter version)."""
    version = complete << _LOGIC_BITS | LOGIC_REV
    version = version << _STANDING_BITS | stands
    version = version << _RANK_BITS | min(rank, MOST_RANK)
    return version << _MAPPING_BITS | min(mapping, (1 << _MAPPING_BITS) - 1)


def record_version(merge_count: int, *, complete: int, final: bool, stands: int, mapping: int) -> int:
    """Of a record, a state event or a binding of which `merge_count` contents were merged; a final one ranks before one that is not."""
    return version_of(merge_count * 2 + final, stands, mapping, complete)


def call_version(merge_count: int, phase: int, stands: int, mapping: int, complete: int) -> int:
    """Of a call in one of its four phases, `merge_count` and `complete` counting all that was merged under its key."""
    return version_of(merge_count * 4 + phase, stands, mapping, complete)
