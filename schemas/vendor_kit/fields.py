"""Reads one element of a vendor's body field by field: oddities become flags, unread fields become extras.

Vendor files know the fields; the spellings of scalars, and the tolerance for them, are here once for all vendors.
Must not know any vendor, nor the purpose of a field. Pure: no I/O, no clock.
"""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from schemas.body.mojibake import mended
from schemas.body.scalars import (
    CONTAINERS,
    MOST_NO_ID,
    SOLID,
    blank,
    compact,
    names_call,
    plain,
    truth,
    type_name,
    whole,
)
from schemas.config.settings import COST_LIMIT
from schemas.errors import DeadCode, Undecodable
from schemas.facts import Flag
from schemas.vendor_kit import instants, money, phone_numbers
from schemas.vendor_kit.phone_numbers import PhoneNumber

UINT32_MAX: Final = 2**32 - 1
"""The largest amount (s, ms) that a column holds."""

LONGEST_S: Final = 7 * 86_400
"""A week: no call takes longer."""

_DAY_S: Final = 86_400
_FEW_DIGITS: Final = 9
_BEYOND_SPAN: Final = timedelta(seconds=_DAY_S)
"""The most by which a vendor's seconds may exceed the span of its own times: any rounding is less."""
_SECOND: Final = timedelta(seconds=1)
_MILLISECOND: Final = timedelta(milliseconds=1)
_EXPONENT: Final = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?[eE]\+?[0-9]{1,2}")
_PRECISION_RANK: Final = {"": 0, "s": 1, "ms": 2, "us": 3}


def _hides_nothing(_name: str, _text: str) -> bool:
    return False


class Fields:
    """Reads one element and remembers its oddities (`flags`), the fields read, and the finest time precision."""

    __slots__ = ("_documented", "_element", "_hides", "_read", "_received_at", "flags", "time_precision")

    def __init__(
        self,
        element: Any,
        received_at: datetime,
        *,
        documented: Collection[str] = (),
        hides: Callable[[str, str], bool] = _hides_nothing,
    ) -> None:
        if type(element) is not dict and not isinstance(element, Mapping):
            raise Undecodable(f"an object is expected, not {type_name(element)}", code="shape")
        self._element: Mapping[str, Any] = element
        self._received_at = received_at
        self._documented = documented if type(documented) is frozenset else frozenset(documented)
        self._hides = hides
        self._read: set[str] = set()
        self.flags: set[Flag] = set()
        self.time_precision = ""

    def flag(self, *flags: Flag) -> None:
        """Adds flags."""
        self.flags.update(flags)

    def has(self, name: str) -> bool:
        """True when the element carries the field with a value that is not blank."""
        return not blank(self._element.get(name))

    def raw(self, *names: str) -> Any:
        """Returns the value of the first of these fields that is not blank, as it came; None when there is none."""
        return self._element[name] if (name := self._take(names)) else None

    def text(self, *names: str) -> str:
        """Returns the first of these fields as text, trimmed; "" when it is absent, blank or "null"."""
        for name in names:
            value = self._element.get(name)
            if type(value) is str and value[:1] in SOLID and value.isascii():
                self._read.add(name)
                return value.strip()
            if value is not None and value != "" and not blank(value):
                self._read.add(name)
                return str(value) if type(value) is int else self._as_text(value)
        self._read.update(names)
        return ""

    def glance(self, name: str) -> str:
        """Returns the field as text like `text`, but does not count it as read: it still is an extra."""
        return self._plain(self._element.get(name))

    def need(self, *names: str, code: DeadCode = "field") -> str:
        """Returns the first of these fields as text.

        Raises Undecodable with `code` when it is blank, with `field` when it is not a scalar.
        """
        value = self._element.get(names[0])
        if type(value) is str and value[:1] in SOLID and value.isascii():
            text = value.strip()
            if code != "no_id" or len(text) > MOST_NO_ID or names_call(text):
                self._read.add(names[0])
                return text
        name = self._take(names)
        if not name:
            raise Undecodable("is missing", code=code, path=names[0])
        value = self._element[name]
        if isinstance(value, (bool, *CONTAINERS)):
            raise Undecodable(f"a text or number is expected, not {type_name(value)}", code="field", path=name)
        if code == "no_id" and not names_call(value):
            raise Undecodable("says that there is none", code=code, path=name)  # else strangers would share one call
        return self._as_text(value)

    def integer(self, name: str, *, low: int = 0, high: int = UINT32_MAX) -> int | None:
        """Returns a whole amount; a fraction is cut off. An unreadable value is None and stays in the extras."""
        value = self._element.get(name)
        if type(value) is str and len(value) <= _FEW_DIGITS and value.isdecimal() and value.isascii():
            value = int(value)  # as most amounts that are sent as text
        if type(value) is int and low <= value <= high:
            self._read.add(name)
            return value
        if not self._take((name,)):
            return None
        value = self._element[name]
        if isinstance(value, str) and _EXPONENT.fullmatch(value.strip()):
            value = Decimal(value.strip())  # "1e9" is as many as 1e9
        count, odd = whole(value)
        if count is not None and not low <= count <= high:
            self.flag(Flag.RANGE_ERROR)
            count = None
        elif odd:
            self.flag(Flag.TYPE_DRIFT)
        if count is None:
            self._read.discard(name)
        return count

    def seconds(self, name: str, *times: datetime | None) -> int | None:
        """Returns the seconds of a call with these times; None (flagged) when negative or more than it can have."""
        value = self._element.get(name)
        if type(value) is str and len(value) <= _FEW_DIGITS and value.isdecimal() and value.isascii():
            value = int(value)
        if type(value) is int and 0 <= value <= _DAY_S:  # less than any call's times leave room for
            self._read.add(name)
            return value
        known = [at for at in times if at is not None]
        span = max(known) - min(known) + _BEYOND_SPAN if len(known) > 1 else None
        longest = LONGEST_S if span is None else min(LONGEST_S, span // _SECOND)
        return self.integer(name, high=longest)

    def money(self, name: str, currency: str = "", limit: int = COST_LIMIT) -> Decimal | None:
        """Returns an amount of money to six places.

        None when it is absent, unreadable, in another currency, negative or above `limit`.
        """
        if not self._take((name,)):
            return None
        read = money.parse(self._element[name], currency, limit)
        if (
            read.value is not None
            and "currency" in self._element
            and money.names_other(self.glance("currency"), currency)
        ):
            read = money.FOREIGN
        self.flags |= read.flags
        if read.value is None:
            self._read.discard(name)
        return read.value

    def boolean(self, name: str) -> bool | None:
        """Returns a truth value, also of text or 0 and 1; None when absent or unreadable."""
        value = self._element.get(name)
        if value is True or value is False or (type(value) is int and 0 <= value <= 1):
            self._read.add(name)
            return bool(value)
        if not self._take((name,)):
            return None
        answer = truth(value)
        if answer is None:
            self._read.discard(name)
            self.flag(Flag.TYPE_DRIFT)
        return answer

    def instant(self, name: str, zone: str) -> datetime | None:
        """Returns a time in any of the known spellings, as UTC; one without a zone is read in `zone`."""
        self._read.add(name)
        value = self._element.get(name)
        if value is None or (isinstance(value, str) and value[:1] not in SOLID and blank(value)):
            return None
        read = instants.parse(value, zone, self._received_at)
        if read.flags:
            self.flags |= read.flags
            if read.at is None:
                self._read.discard(name)
        precision = read.precision
        if precision != self.time_precision and _PRECISION_RANK[precision] > _PRECISION_RANK[self.time_precision]:
            self.time_precision = precision
        return read.at

    def unreadable(self, name: str) -> bool:
        """True when a field was asked for and its value could not be read: it is not known, which is not "none"."""
        return name not in self._read and self.has(name)

    def number(self, name: str, region: str, country_code: str = "") -> PhoneNumber:
        """Returns a party's number; a national one belongs to `country_code` when given, else to `region`."""
        self._read.add(name)
        value = self._element.get(name)
        if type(value) is str and value[:1] in SOLID:
            pass  # as nearly all numbers
        elif isinstance(value, str):
            if value and blank(value):
                value = None  # the word null
        elif isinstance(value, Decimal):
            value = plain(value)
        read = phone_numbers.parse(value, region, country_code)
        if read.flags:
            self.flags |= read.flags
        return read

    def span_ms(self, start: datetime | None, end: datetime | None) -> int | None:
        """Returns the milliseconds from `start` to `end`.

        None when one is unknown, or (flagged) when the span is negative or no column holds it. More than a week is
        flagged, too: something is wrong with the times.
        """
        if start is None or end is None:
            return None
        span = (end - start) // _MILLISECOND
        if span < 0:
            self.flag(Flag.TIME_ORDER)
            return None
        if span > LONGEST_S * 1000:
            self.flag(Flag.RANGE_ERROR)
        return span if span <= UINT32_MAX else None

    def extras(self, *also: str) -> dict[str, str]:
        """Returns every field that was not read or could not be, and those named in `also`, as text.

        Blank fields are left out, and undocumented ones that `hides` (name, text) covers.
        """
        element, documented = self._element, self._documented
        if not also and self._read.issuperset(element) and documented.issuperset(element):  # as most elements
            return {}
        if (
            documented
            and not documented.issuperset(element)
            and not all(map(self._repeats, element.keys() - documented))
        ):
            self.flag(Flag.SCHEMA_DRIFT)
        kept: dict[str, str] = {}
        read = self._read.difference(also) if also else self._read
        has_repeats = "#1" in "".join(element)
        for name, value in element.items():
            if (name in read and not (has_repeats and f"{name}#1" in element)) or value is None or value == "":
                continue
            if type(value) is str and value[:1] in SOLID and value.isascii():
                text = value.strip()
            elif type(value) is int:
                text = str(value)
            else:
                if isinstance(value, CONTAINERS) and name in documented:
                    self.flag(Flag.TYPE_DRIFT)
                text = self._plain(value)
            if text and (name in documented or not self._hides(name, text)):
                kept[name] = text
        return kept

    def _repeats(self, name: str) -> bool:
        """True when the field is an earlier value of a repeated key: `key#1`."""
        origin, repeated, _ = name.partition("#")
        return bool(repeated) and origin in self._element

    def _take(self, names: tuple[str, ...]) -> str:
        """Returns the first of the names whose value is not blank, and marks it as read; "" when there is none."""
        for name in names:
            if not blank(self._element.get(name)):
                self._read.add(name)
                return name
        self._read.update(names)
        return ""

    def _plain(self, value: Any) -> str:
        return "" if blank(value) else self._as_sent(value)

    def _as_text(self, value: Any) -> str:
        if isinstance(value, CONTAINERS):
            self.flag(Flag.TYPE_DRIFT)
        return self._as_sent(value)

    def _as_sent(self, value: Any) -> str:
        """Returns a value that is not blank as text."""
        if isinstance(value, str):
            text = value if value.isascii() else mended(value)
            if text is not value:
                self.flag(Flag.CHARSET_REPAIRED)
            return text.strip()
        return compact(value) if isinstance(value, CONTAINERS) else plain(value)
