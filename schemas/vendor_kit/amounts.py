"""Parts of a fact that vendors' mappings put together alike: durations against times, billed seconds and money.

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
    """Flag a duration that none of the known spans bears out to the second; without any span nothing is said."""
    known = [span for span in spans_ms if span is not None]
    if duration_s is not None and known and all(abs(duration_s * 1000 - span) > _TOLERANCE_MS for span in known):
        fields.flag(Flag.DURATION_MISMATCH)


def billed(duration_s: int | None, spoken_ms: int | None, *, garbled: bool = False) -> dict[str, Any]:
    """The three columns of duration of a vendor that bills by the seconds that it sends.

    They are what it billed, whatever the times say; without them the talk, `spoken_ms` (0 for nobody answered). Seconds that
    came but could not be read, or cannot be, are not known: nothing is put in their place.
    """
    if duration_s is not None:
        return {"vendor_duration_s": duration_s, "billable_s": duration_s, "billable_source": "vendor"}
    return {} if garbled else spoken(spoken_ms)


def spoken(talk_ms: int | None) -> dict[str, Any]:
    """Billable seconds out of the talk, for who sends none: more than a week of it is not known."""
    if talk_ms is None or talk_ms > LONGEST_S * 1000:
        return {}
    return {"billable_s": talk_ms // 1000, "billable_source": "computed"}


def check_billed(fields: Fields, disposition: Disposition, billable_s: int | None, cost: Decimal | None = None) -> None:
    """Flag seconds or money for a call that is known not to have been answered; the vendor's figures stand."""
    if disposition not in _MAY_BE_BILLED and (billable_s or cost):
        fields.flag(Flag.BILLED_UNANSWERED)


def charged(fields: Fields, cost: Decimal | None, currency: str, *, garbled: bool = False) -> dict[str, Any]:
    """The three columns of money, of a vendor that sends a cost; a missing one is flagged, unless it came, and is not 0."""
    if cost is None:
        if not garbled:
            fields.flag(Flag.COST_MISSING)
        return {}
    return {"cost": cost, "currency": currency, "cost_source": "vendor"}


def fee_field(fields: Fields, own: str, other: str, currency: str) -> str:
    """The field of a fee that has one of its own: another one beside it is flagged where it differs, or where it is alone."""
    if not fields.has(own):
        if fields.has(other):
            fields.flag(Flag.SCHEMA_DRIFT)
        return other
    ours, others = (money.parse(fields.glance(name), currency).value for name in (own, other))
    if fields.has(other) and ours != others:
        fields.flag(Flag.FIELD_CONFLICT)
    return own


def recorded(fields: Fields, name: str, nothing: str) -> dict[str, Any]:
    """The columns of a recording whose address is in field `name`, where there is one, and else the word `nothing`."""
    url = fields.text(name)
    if not url:
        return {}
    if _PLACEHOLDER.match(url):  # an address without a host in it: `http://.....`
        fields.flag(Flag.PLACEHOLDER)
    elif url.lower() != nothing:
        return {"recording_state": RecordingState.AVAILABLE, "recording_url": url}
    return {"recording_state": RecordingState.NONE}
