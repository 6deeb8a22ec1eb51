"""Reads instants for all vendors: epochs, civil times and the many spellings of "never".

The vendor file names the zone of civil times; a guessed zone is written with a question mark ("UTC?"), and every civil
time read in it is flagged. Must not know a vendor, nor a clock.
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
NEWEST: Final = datetime(2299, 12, 24, tzinfo=UTC)
"""The latest time that the tables hold, less a week for times that are computed from one."""
AHEAD: Final = timedelta(hours=24)
"""The most by which a time may lie after its receipt: a zone's width, and clocks that go wrong."""

_LATEST: Final = NEWEST - AHEAD
_LONGEST: Final = 64
"""The most characters of a time; a longer text is none, and is not examined."""
_WIDEST: Final = 40
"""The most digits of a number before or behind its point."""
_NUMBERS: Final = (int, float, Decimal)
_NEVER: Final = frozenset({"", "0", "-1", "null", "none"})
_NEVER_CIVIL: Final = re.compile(r"0000-00-00|0001-01-01|1970-01-01[ T]?0[08]:00:00")
_NEVER_YEAR: Final = 1970
"""The last year in which one of them is."""
_NEVER_COMPACT: Final = re.compile(r"0000|00010101|197001010[08]0000")
_EPOCH: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_EPOCH_UNITS: Final = {10: 1_000_000, 13: 1_000, 16: 1}
"""Microseconds per unit, by the number of digits before the point."""
_CIVIL: Final = re.compile(
    r"([0-9]{4})([-/])([0-9]{1,2})\2([0-9]{1,2})"
    r"(?:[ T]+|(?<=[-/][0-9]{2})(?=[0-9]{2}:))"  # the gap may be missing between two-digit fields
    r"([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?"
    r" ?(Z|z|[+-][0-9]{2}:?[0-9]{2})?"
)
_COMPACT: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})(?:\.?([0-9]{1,9}))?")
"""yyyymmddhhmmss, as exchanges write it, with milliseconds behind it at times: 14 or 17 digits are no epoch."""
_COMPACT_DIGITS: Final = (14, 17)
_MOST_WEST, _MOST_EAST = timedelta(hours=-12), timedelta(hours=14)
_EPOCH_PRECISION: Final = {10: "s", 13: "ms", 16: "us"}


class Instant(msgspec.Struct, frozen=True, gc=False):
    """The time in a field; `at` is None for "never" and for the unreadable, which alone is flagged."""

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
    """Reads one field; a civil time without a zone is in `zone` (IANA name, with "?" when the vendor names none)."""
    if value is None:
        return NEVER
    if isinstance(value, str):
        text = value.strip()
    elif type(value) is int and value.bit_length() <= _LONGEST:  # as most numbers
        text = str(value)
    elif isinstance(value, bool) or not isinstance(value, _NUMBERS):
        return _DRIFT
    else:
        text = _number_text(value)
    if len(text) > _LONGEST:
        return _BAD
    instant = _read(text, zone)
    at = instant.at
    if at is None or OLDEST <= at <= received_at <= _LATEST:  # nearly all were, before they were told
        return instant
    return instant if OLDEST <= at <= min(received_at, _LATEST) + AHEAD else _BAD


@lru_cache(maxsize=1 << 12)  # many calls begin in one second, and many items name one time several times
def _read(text: str, zone: str) -> Instant:
    if text.isdecimal() and text.isascii() and (unit_us := _EPOCH_UNITS.get(len(text))):  # most numbers
        return Instant(EPOCH + timedelta(0, 0, int(text) * unit_us), _EPOCH_PRECISION[len(text)])
    if text in _NEVER or text.lower() in _NEVER:
        return NEVER
    return _from_epoch(text, zone) or _from_civil(text, zone) or _BAD


def _number_text(value: float | Decimal) -> str:
    """Returns a JSON number as its digits: 3.0 is 3, and no exponent; a number that is too wide becomes a word."""
    if isinstance(value, int):
        return str(value) if value.bit_length() <= _LONGEST else "too wide"
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not exact.is_finite() or abs(exact.adjusted()) > _WIDEST:  # written out, 1e2999999999 would fill the memory
        return "too wide"
    return f"{exact.to_integral_value() if exact == exact.to_integral_value() else exact:f}"


def _from_epoch(text: str, zone: str) -> Instant | None:
    found = _EPOCH.fullmatch(text)
    if found is None:
        return None
    whole, fraction = found.groups()
    if len(whole) in _COMPACT_DIGITS:
        return _from_compact(text, zone)
    unit_us = _EPOCH_UNITS.get(len(whole))
    if unit_us is None:
        return NEVER if not whole.strip("0") and not (fraction or "").strip("0") else _BAD
    micros = int(whole) * unit_us
    if fraction:
        micros += int(Decimal(f"0.{fraction}") * unit_us)
    precision = _EPOCH_PRECISION[len(whole)]
    if fraction and precision == "s":
        precision = "ms" if len(fraction) <= 3 else "us"
    return Instant(EPOCH + timedelta(microseconds=micros), precision)


def _from_compact(text: str, zone: str) -> Instant:
    found = _COMPACT.fullmatch(text)
    if found is None:
        return _BAD
    if _NEVER_COMPACT.match(text):
        return NEVER
    year, month, day, hour, minute, second, fraction = found.groups()
    try:
        civil = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), _micro(fraction))  # noqa: DTZ001 -- its zone follows
    except ValueError:
        return _BAD
    return _placed(civil, _precision(fraction), zone)


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
    try:
        civil = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), _micro(fraction))  # noqa: DTZ001 -- its zone follows
    except ValueError:
        return None
    if offset is None:
        return _placed(civil, _precision(fraction), zone)
    ahead = _offset(offset)
    at = (civil - ahead).replace(tzinfo=UTC) if ahead is not None and 1 < civil.year < 9999 else None
    return _BAD if at is None else Instant(at, _precision(fraction))


def _micro(fraction: str | None) -> int:
    return int(f"{fraction or '0':0<6}"[:6])


def _precision(fraction: str | None) -> str:
    return "s" if not fraction else "ms" if len(fraction) <= 3 else "us"


def _offset(text: str) -> timedelta | None:
    """Returns the offset of a zone from UTC; None when no zone has it."""
    if text in "Zz":
        return timedelta(0)
    hours, minutes = int(text[1:3]), int(text[-2:])
    ahead = timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)
    return ahead if minutes < 60 and _MOST_WEST <= ahead <= _MOST_EAST else None


def _placed(civil: datetime, precision: str, zone: str) -> Instant:
    """Returns the instant of a civil time in its zone."""
    if civil.year <= _NEVER_YEAR and _NEVER_CIVIL.match(civil.isoformat()):
        return NEVER
    at = civil.replace(tzinfo=_zone(zone.rstrip("?"))).astimezone(UTC) if 1 < civil.year < 9999 else None
    if at is None:
        return _BAD
    return Instant(at, precision, _ASSUMED if zone.endswith("?") else _PLAIN)


@lru_cache(maxsize=16)
def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
