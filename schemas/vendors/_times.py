"""One reader of instants for all vendors: epochs, civil times and the many spellings of "never".

Which zone a vendor's civil time is in stands on the vendor's page; a zone that is a guess is written with a
question mark ("UTC?") and every civil time read by it is flagged. Must not know a vendor, nor a clock.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from schemas.facts import EPOCH, Flag

OLDEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD: Final = timedelta(hours=24)
"""How far a time may lie after the receipt: a zone's width, and clocks that go wrong."""

_NEVER: Final = frozenset({"", "0", "-1", "null", "none"})
_NEVER_CIVIL: Final = re.compile(r"0000-00-00|0001-01-01|1970-01-01[ T]?0[08]:00:00")
_EPOCH: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_EPOCH_UNITS: Final = {10: 1_000_000, 13: 1_000, 16: 1}
"""Digits before the point to microseconds per unit."""
_CIVIL: Final = re.compile(
    r"([0-9]{4})([-/])([0-9]{1,2})\2([0-9]{1,2})"
    r"(?:[ T]+|(?<=[-/][0-9]{2})(?=[0-9]{2}:))"  # the gap may be missing between two-digit fields
    r"([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?"
    r" ?(Z|z|[+-][0-9]{2}:?[0-9]{2})?"
)
_EPOCH_PRECISION: Final = {10: "s", 13: "ms", 16: "us"}


class Instant(msgspec.Struct, frozen=True):
    """What a field says about when; `at` is None for "never" and for the unreadable, which alone is flagged."""

    at: datetime | None = None
    precision: str = ""
    """"s", "ms", "us", or "" without an instant."""
    flags: frozenset[Flag] = frozenset()


NEVER: Final = Instant()
_BAD: Final = Instant(None, "", frozenset({Flag.BAD_TIME}))
_DRIFT: Final = Instant(None, "", frozenset({Flag.TYPE_DRIFT}))
_ASSUMED: Final = frozenset({Flag.TZ_ASSUMED})
_PLAIN: Final[frozenset[Flag]] = frozenset()


def parse(value: Any, zone: str, received_at: datetime) -> Instant:
    """Read one field; a civil time without a zone is in `zone` (IANA name, with "?" when the vendor does not say)."""
    if value is None:
        return NEVER
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return _DRIFT
    text = value.strip() if isinstance(value, str) else _number_text(value)
    if text in _NEVER or text.lower() in _NEVER:
        return NEVER
    instant = _from_epoch(text) or _from_civil(text, zone)
    if instant is None or instant.at is None:
        return instant or _BAD
    return instant if OLDEST <= instant.at <= received_at + AHEAD else _BAD


def _number_text(value: float | Decimal) -> str:
    """A JSON number as its digits: 3.0 is 3, and no exponent."""
    exact = Decimal(str(value))
    if not exact.is_finite():
        return "nan"
    return f"{exact.to_integral_value() if exact == exact.to_integral_value() else exact:f}"


def _from_epoch(text: str) -> Instant | None:
    found = _EPOCH.fullmatch(text)
    if found is None:
        return None
    whole, fraction = found.groups()
    unit_us = _EPOCH_UNITS.get(len(whole))
    if unit_us is None:
        return NEVER if not whole.strip("0") and not (fraction or "").strip("0") else _BAD
    micros = int(whole) * unit_us
    if fraction:
        micros += int(Decimal(f"0.{fraction}") * unit_us)
    if micros > 4_102_444_800_000_000:  # beyond the year 2100 nothing is a call, and datetime may overflow
        return _BAD
    precision = _EPOCH_PRECISION[len(whole)]
    if fraction and precision == "s":
        precision = "ms" if len(fraction) <= 3 else "us"
    return Instant(EPOCH + timedelta(microseconds=micros), precision)


def _from_civil(text: str, zone: str) -> Instant | None:
    if len(text) == 19 and text[10] == " " and text[16] == ":" and text[4] == "-":  # the common form, by C code
        with suppress(ValueError):
            return _placed(datetime.fromisoformat(text), "s", zone)
    if _NEVER_CIVIL.match(text):
        return NEVER
    found = _CIVIL.fullmatch(text)
    if found is None:
        return None
    year, _, month, day, hour, minute, second, fraction, offset = found.groups()
    micro = int(f"{fraction or '0':0<6}"[:6])
    try:
        civil = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micro)  # noqa: DTZ001 -- its zone follows
    except ValueError:
        return None
    precision = "s" if not fraction else "ms" if len(fraction) <= 3 else "us"
    if offset is None:
        return _placed(civil, precision, zone)
    aware = datetime.fromisoformat(f"{civil.isoformat()}{'+00:00' if offset in 'Zz' else offset}")
    return Instant(aware.astimezone(UTC), precision)


def _placed(civil: datetime, precision: str, zone: str) -> Instant:
    """A civil time in its zone."""
    if _NEVER_CIVIL.match(civil.isoformat()):
        return NEVER
    at = civil.replace(tzinfo=_zone(zone.rstrip("?"))).astimezone(UTC) if 1 < civil.year < 9999 else None
    if at is None:
        return _BAD
    return Instant(at, precision, _ASSUMED if zone.endswith("?") else _PLAIN)


@lru_cache(maxsize=16)
def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
