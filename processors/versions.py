"""Of two rows for one record or one call the higher version is the truth: what makes one higher. Pure.

A version is read from left to right: how complete the row is; the revision of our logic; the rank, which is how much was
merged; when the newest of it was received; which version of the vendor's mapping read it. While the joiner knows a call its
rank alone tells: nothing is shown otherwise without being merged, and what makes a row complete stays with it. A call that
was forgotten (`join.horizon_s`) begins anew with a low rank, so it never hides what was known by more, and never a final
record by what is less than one; where it is known by as much, what was received later, or read by a mended mapping, wins.

All of it is said by what was merged and nothing by a clock, so a replay gives the same versions. Below 2^53, where numbers
that are doubles elsewhere (JSON, JavaScript) are still exact.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from schemas.facts import EPOCH, Fact, FactType, Flag

LOGIC_REV: Final = 2
"""Raised when the same contents are shown otherwise: then a reprocessing supersedes what stands in the tables. At most 15.

Revision 1 had no leading part and its number one bit further left, so that all its versions are below all of revision 2.
"""
STATES, RECORD, FINAL, PRICED = range(4)
"""How complete a row is: no record, one that is not final, a final one whose cost is missing, a final one without that lack."""
_LOGIC_BITS: Final = 4
_RANK_BITS: Final = 20
_HOUR_BITS: Final = 20
"""Up to the year 2089; two lives of a call are days apart."""
_MAPPING_BITS: Final = 7
_HOUR: Final = timedelta(hours=1)
MOST_RANK: Final = (1 << _RANK_BITS) - 1


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


def version_of(rank: int, newest: datetime, mapping: int, complete: int = STATES) -> int:
    """The version of what has this rank, was last added to at `newest` (receipt) and read by `mapping` (adapter version)."""
    hours = max(0, (newest - EPOCH) // _HOUR)
    version = complete << _LOGIC_BITS | LOGIC_REV
    version = version << _RANK_BITS | min(rank, MOST_RANK)
    version = version << _HOUR_BITS | min(hours, (1 << _HOUR_BITS) - 1)
    return version << _MAPPING_BITS | min(mapping, (1 << _MAPPING_BITS) - 1)


def record_version(height: int, *, complete: int, final: bool, newest: datetime, mapping: int) -> int:
    """Of a record, a state event or a binding of which `height` contents were merged; a final one ranks before one that is not."""
    return version_of(height * 2 + final, newest, mapping, complete)


def call_version(height: int, phase: int, newest: datetime, mapping: int, complete: int) -> int:
    """Of a call in one of its four phases, `height` and `complete` counting all that was merged under its key."""
    return version_of(height * 4 + phase, newest, mapping, complete)
