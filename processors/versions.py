"""Of two rows for one record or one call the higher version is the truth: what makes one higher. Pure.

A version is read from left to right: the revision of our logic; the rank, which is how much was merged; when the newest of
it was received; which version of the vendor's mapping read it. While the joiner knows a call its rank alone tells: nothing
is shown otherwise without being merged. A call that was forgotten (`join.horizon_s`) begins anew with a low rank, so it
never hides what was known by more; where it is known by as much, what was received later, or read by a mended mapping, wins.

All of it is said by what was merged and nothing by a clock, so a replay gives the same versions. Below 2^53, where numbers
that are doubles elsewhere (JSON, JavaScript) are still exact.
"""

from datetime import datetime, timedelta
from typing import Final

from schemas.facts import EPOCH

LOGIC_REV: Final = 1
"""Raised when the same contents are shown otherwise: then a reprocessing supersedes what stands in the tables. At most 63."""
_RANK_BITS: Final = 20
_HOUR_BITS: Final = 20
"""Up to the year 2089; two lives of a call are days apart."""
_MAPPING_BITS: Final = 7
_HOUR: Final = timedelta(hours=1)
MOST_RANK: Final = (1 << _RANK_BITS) - 1


def version_of(rank: int, newest: datetime, mapping: int) -> int:
    """The version of what has this rank, was last added to at `newest` (receipt) and read by `mapping` (adapter version)."""
    hours = max(0, (newest - EPOCH) // _HOUR)
    version = LOGIC_REV << _RANK_BITS | min(rank, MOST_RANK)
    version = version << _HOUR_BITS | min(hours, (1 << _HOUR_BITS) - 1)
    return version << _MAPPING_BITS | min(mapping, (1 << _MAPPING_BITS) - 1)


def record_version(height: int, *, final: bool, newest: datetime, mapping: int) -> int:
    """Of a record, a state event or a binding of which `height` contents were merged; a final one ranks before one that is not."""
    return version_of(height * 2 + final, newest, mapping)


def call_version(height: int, phase: int, newest: datetime, mapping: int) -> int:
    """Of a call in one of its four phases, `height` counting all that was merged under its key."""
    return version_of(height * 4 + phase, newest, mapping)
