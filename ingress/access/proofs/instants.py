"""Times that vendors sign: seconds or milliseconds since 1970, or ISO 8601. Pure: no I/O, no clock."""

import re
from datetime import UTC, datetime
from typing import Final

_SECONDS: Final = re.compile(r"[0-9]{9,11}")
_MILLISECONDS: Final = re.compile(r"[0-9]{12,14}")
_ISO: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)


def instant(text: str) -> float | None:
    """Returns a time in Unix seconds, None for any other text; without a zone it is UTC."""
    if _SECONDS.fullmatch(text):
        return float(text)
    if _MILLISECONDS.fullmatch(text):
        return int(text) / 1000
    if not _ISO.fullmatch(text):
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):  # a month 13; a year at the end of the calendar
        return None


def is_near(at_s: float, now: datetime, tolerance_s: float) -> bool:
    """True when a time is at most the tolerance away from now."""
    return abs(now.timestamp() - at_s) <= tolerance_s
