"""Cells as people and spreadsheets write them, read as values; what a program has spoilt is refused. Pure."""

import re
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from schemas.errors import Undecodable
from schemas.facts import Flag
from schemas.vendor_kit import instants, money, phone_numbers
from schemas.vendor_kit.fields import LONGEST_S

CIVIL: Final = re.compile(r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}[ T]*[0-9]{1,2}:[0-9:.,]*|[0-9]{14}|[0-9]{17}")
"""A time without a zone."""
_ROUNDED: Final = re.compile(r"[+-]?[0-9]{1,3}(?:[.,][0-9]+)?[eE]\+[0-9]+")
"""A number of which a spreadsheet kept fifteen digits, or those that it showed."""
_DATED: Final = re.compile(
    r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}(?: [0-9:.]+)?|[0-9]{1,2}-[A-Z][a-z]{2}(?:-[0-9]{2,4})?|[A-Z][a-z]{2}-[0-9]{2}"
    r"|(?:[0-9]{4}年)?[0-9]{1,2}月(?:[0-9]{1,2}日)?"
)
_BROKEN: Final = re.compile(r"#(?:N/A|NAME\?|VALUE!|REF!|NUM!|DIV/0!|NULL!|#+)")
_CLOCK: Final = re.compile(r"(?:([0-9]{1,3}):)?([0-9]{1,3}):([0-5][0-9])(?:\.0*)?")
_SECONDS: Final = re.compile(r"([0-9]{1,9})(?:\.[0-9]*)?\s*(?:秒|s|sec|secs|seconds)?", re.IGNORECASE)
_MINUTES: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,20})?")
_SHORT_TIME: Final = re.compile(r"(.*[0-9] ?[0-9]{1,2}:[0-9]{2})")
_WHOLE_FLOAT: Final = re.compile(r"([0-9]+)\.0+")
_NOTHING: Final = frozenset({"-", "--", "—", "——", "/", "n/a", "null", "none", "nan", "nat", "\\n", "无"})
"""Words by which exports say that a cell has no value."""
_ONE_DAY: Final = timedelta(days=1)


def told(cell: str) -> str:
    """Returns what a cell says, "" for a word that says nothing."""
    return "" if len(cell) < 5 and cell.lower() in _NOTHING else cell


def require_id(call_id: str) -> None:
    """Raises `Undecodable` for an id that a spreadsheet took for something else."""
    require_whole(call_id, "the id")
    if _DATED.fullmatch(call_id):
        raise Undecodable("a spreadsheet took the id for a date", code="no_id")


def require_whole(cell: str, what: str = "a number") -> None:
    """Raises `Undecodable` for a cell of which a spreadsheet left the first digits alone, or an error."""
    if "+" in cell and _ROUNDED.fullmatch(cell):
        raise Undecodable(f"a spreadsheet took {what} for an amount and rounded it", code="no_id")
    if cell[:1] == "#" and _BROKEN.fullmatch(cell):
        raise Undecodable(f"a spreadsheet's error stands in the place of {what}", code="no_id")


def unmarked(cell: str) -> str:
    """Returns digits without the sign that people put before them for a spreadsheet."""
    return cell[1:] if cell[:1] in ("'", "`") and cell[:1] not in cell[1:] else cell


def number_of(cell: str, region: str) -> str | None:
    """Returns a phone number; raises `Undecodable`."""
    cell = unmarked(cell)
    require_whole(cell, "a phone number")
    whole = _WHOLE_FLOAT.fullmatch(cell)  # as programs write a column of numbers with gaps
    return phone_numbers.parse(whole[1] if whole else cell or None, region).number


def time_of(cell: str, zone: str, received_at: datetime) -> datetime | None:
    """Returns an instant, None for "never"; raises `Undecodable`."""
    if not cell:
        return None
    sent = f"{cell}:00" if cell.count(":") == 1 and _SHORT_TIME.fullmatch(cell) else cell
    read = instants.parse(sent, zone, received_at)
    if read.at is None:
        if read.flags:
            raise Undecodable("a time cannot be read", code="field")
        return None
    require_certain(sent, read.at, zone, received_at)
    return read.at


def require_certain(text: str, at: datetime, zone: str, received_at: datetime) -> None:
    """Raises `Undecodable` for a time without a zone that its clocks showed twice, or never: none of two is guessed."""
    name = zone.rstrip("?")
    if name == "UTC" or not name or not _turns(name, at.replace(hour=0, minute=0, second=0, microsecond=0)):
        return
    if not CIVIL.fullmatch(text):
        return
    civil = instants.parse(text, "UTC", received_at).at
    if civil is None:
        return
    clock = civil.replace(tzinfo=ZoneInfo(name))
    first, second = clock.replace(fold=0).utcoffset(), clock.replace(fold=1).utcoffset()
    if first == second or first is None or second is None:
        return
    often = "twice" if first > second else "never"
    raise Undecodable(f"a time that the clocks of {name} showed {often}: a zone must stand beside it", code="field")


@lru_cache(maxsize=1024)
def _turns(zone: str, day: datetime) -> bool:
    """True when the clocks are changed about this day."""
    clock = ZoneInfo(zone)
    return (day - _ONE_DAY).astimezone(clock).utcoffset() != (day + 2 * _ONE_DAY).astimezone(clock).utcoffset()


def amount_of(cell: str, currency: str, limit: int) -> Decimal:
    """Returns an amount of money; raises `Undecodable`."""
    read = money.parse(cell, currency, limit)
    if read.value is None:
        foreign = Flag.CURRENCY_SUSPECT in read.flags
        raise Undecodable(
            f"an amount of money is in another currency than {currency or 'none'}"
            if foreign
            else "an amount of money cannot be read",
            code="field",
        )
    return read.value


def billed_of(seconds: str, minutes: str) -> int | None:
    """Returns billed seconds; raises `Undecodable`."""
    if seconds:
        clock, plain = _CLOCK.fullmatch(seconds), _SECONDS.fullmatch(seconds)
        count = int(plain[1]) if plain else -1
        if clock is not None:
            count = int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + int(clock[3])
        if not 0 <= count <= LONGEST_S:
            raise Undecodable("the billed seconds cannot be read", code="field")
        return count
    if not minutes:
        return None
    if not _MINUTES.fullmatch(minutes):
        raise Undecodable("the billed minutes cannot be read", code="field")
    try:
        whole = int((Decimal(minutes) * 60).quantize(Decimal(1), ROUND_HALF_EVEN))
    except InvalidOperation:
        whole = LONGEST_S + 1
    if whole > LONGEST_S:
        raise Undecodable("the billed minutes cannot be read", code="field")
    return whole
