"""Builds the columns of duration and money, and checks durations against times, in the same way for all vendors.

Must not know a vendor. Pure: no I/O, no clock.
"""

import re
from decimal import Decimal
from typing import Any, Final

from schemas.facts import Disposition, Flag, RecordingState
from schemas.vendor_kit import money
from schemas.vendor_kit.fields import LONGEST_S, Fields

_TOLERANCE_MS: Final = 1000  # whole seconds, cut off or rounded on either side
_MAY_BE_BILLED: Final = frozenset({Disposition.ANSWERED, Disposition.IN_PROGRESS, Disposition.UNKNOWN})
_PLACEHOLDER: Final = re.compile(r"https?://[^0-9A-Za-z]*\Z")


def check_duration(fields: Fields, duration_s: int | None, *spans_ms: int | None) -> None:
    """Flags a duration that no known span confirms to the second; without any span nothing is flagged."""
    if duration_s is None:
        return
    is_known = False
    for span_ms in spans_ms:
        if span_ms is not None:
            if abs(duration_s * 1000 - span_ms) <= _TOLERANCE_MS:
                return
            is_known = True
    if is_known:
        fields.flag(Flag.DURATION_MISMATCH)


def billed(duration_s: int | None, spoken_ms: int | None, *, garbled: bool = False) -> dict[str, Any]:
    """Returns the three columns of duration for a vendor that bills by the seconds that it sends.

    The vendor's seconds stand, even against its times; without them the talk counts, `spoken_ms` (0 when nobody
    answered). Seconds that came but could not be read are not known: nothing takes their place.
    """
    if duration_s is not None:
        return {"vendor_duration_s": duration_s, "billable_s": duration_s, "billable_source": "vendor"}
    return {} if garbled else spoken(spoken_ms)


def spoken(talk_ms: int | None) -> dict[str, Any]:
    """Returns billable seconds computed from the talk, for vendors that send none; more than a week is not known."""
    if talk_ms is None or talk_ms > LONGEST_S * 1000:
        return {}
    return {"billable_s": talk_ms // 1000, "billable_source": "computed"}


def check_billed(fields: Fields, disposition: Disposition, billable_s: int | None, cost: Decimal | None = None) -> None:
    """Flags seconds or money for a call that is known not to have been answered; the vendor's figures stand."""
    if disposition not in _MAY_BE_BILLED and (billable_s or cost):
        fields.flag(Flag.BILLED_UNANSWERED)


def charged(fields: Fields, cost: Decimal | None, currency: str, *, garbled: bool = False) -> dict[str, Any]:
    """Returns the three columns of money for a vendor that sends a cost.

    A missing cost is flagged, unless one came and could not be read (`garbled`); it is not known and never 0.
    """
    if cost is None:
        if not garbled:
            fields.flag(Flag.COST_MISSING)
        return {}
    return {"cost": cost, "currency": currency, "cost_source": "vendor"}


def fee_field(fields: Fields, own: str, other: str, currency: str) -> str:
    """Returns the name of the field to read a fee from: `own`, or `other` when only that came.

    The other field is flagged when it is alone, or when it differs.
    """
    if not fields.has(own):
        if fields.has(other):
            fields.flag(Flag.SCHEMA_DRIFT)
        return other
    ours, others = (money.parse(fields.glance(name), currency).value for name in (own, other))
    if fields.has(other) and ours != others:
        fields.flag(Flag.FIELD_CONFLICT)
    return own


def recorded(fields: Fields, name: str, nothing: str) -> dict[str, Any]:
    """Returns the columns of a recording; field `name` has its address, or the word `nothing` for none."""
    url = fields.text(name)
    if not url:
        return {}
    if _PLACEHOLDER.match(url):  # an address without a host in it: `http://.....`
        fields.flag(Flag.PLACEHOLDER)
    elif url.lower() != nothing:
        return {"recording_state": RecordingState.AVAILABLE, "recording_url": url}
    return {"recording_state": RecordingState.NONE}
