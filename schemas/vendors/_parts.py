"""Parts of a fact that vendors' mappings put together alike: durations against times, billed seconds and money.

Must not know a vendor. Pure: no I/O, no clock.
"""

import re
from decimal import Decimal
from typing import Any, Final

from schemas.facts import Flag
from schemas.vendors._fields import Fields

_TOLERANCE_MS: Final = 1000  # whole seconds, cut off or rounded on either side
_PLACEHOLDER: Final = re.compile(r"https?://[^0-9A-Za-z]*\Z")


def check_duration(fields: Fields, duration_s: int | None, *spans_ms: int | None) -> None:
    """Flag a duration that none of the known spans bears out to the second; without any span nothing is said."""
    known = [span for span in spans_ms if span is not None]
    if duration_s is not None and known and all(abs(duration_s * 1000 - span) > _TOLERANCE_MS for span in known):
        fields.flag(Flag.DURATION_MISMATCH)


def billed(duration_s: int | None, spoken_ms: int | None) -> dict[str, Any]:
    """The three columns of duration: the vendor's seconds where it sent them, else those computed from times."""
    if duration_s is not None:
        return {"vendor_duration_s": duration_s, "billable_s": duration_s, "billable_source": "vendor"}
    return {} if spoken_ms is None else {"billable_s": spoken_ms // 1000, "billable_source": "computed"}


def charged(fields: Fields, cost: Decimal | None, currency: str) -> dict[str, Any]:
    """The three columns of money, of a vendor that sends a cost; a missing one is flagged, and is not 0."""
    if cost is None:
        fields.flag(Flag.COST_MISSING)
        return {}
    return {"cost": cost, "currency": currency, "cost_source": "vendor"}


def is_placeholder(url: str) -> bool:
    """Whether an address has no host in it: `http://.....`."""
    return _PLACEHOLDER.match(url) is not None
