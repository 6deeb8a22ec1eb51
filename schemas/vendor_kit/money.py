"""Reads amounts of money for all vendors: exact, in the vendor's own currency, or not known.

A sign, code or name of another currency makes an amount unknown: 2.94 dollars are not 2.94 yuan. So does a number that
no call can cost. Must not know a vendor. Pure: no I/O, no clock.
"""

import re
import unicodedata
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

from schemas.body.scalars import CONTAINERS, plain
from schemas.config.settings import COST_LIMIT
from schemas.facts import Flag

_LONGEST: Final = 64
"""The most characters of an amount; a longer text is none."""
_STEP: Final = Decimal("0.000001")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?")
_BEYOND: Final = re.compile(r"[+-]?[0-9]*\.?[0-9]+[eE]\+?[0-9]+")
_EXPONENT: Final = re.compile(r"(?<=[0-9])[eE](?=[+-]?[0-9])")
_SIGN_APART: Final = re.compile(r"(?<=[+-])\s+(?=[0-9.])")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?(?:0,[0-9]+|[0-9]+,(?:[0-9]{1,2}|[0-9]{4,}))")
_THOUSANDS: Final = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]*")
# The marks of a currency before or behind an amount, longest first.
_OWN_MARKS: Final[Mapping[str, re.Pattern[str]]] = {
    "CNY": re.compile(r"人民币元|人民币|CNY|CNH|RMB|CN¥|YUAN|元|圆|¥", re.IGNORECASE),
    "USD": re.compile(r"美元|美金|USD|US\$|\$", re.IGNORECASE),
    "HKD": re.compile(r"港元|港币|HKD|HK\$", re.IGNORECASE),
    "EUR": re.compile(r"欧元|EUR|€", re.IGNORECASE),
    "GBP": re.compile(r"英镑|GBP|£", re.IGNORECASE),
}
_NO_MARKS: Final = re.compile(r"(?!)")


class Amount(msgspec.Struct, frozen=True, gc=False):
    """The price in a field; `value` is None when it cannot be read, which is flagged."""

    value: Decimal | None = None
    flags: frozenset[Flag] = frozenset()


_ABSENT: Final = Amount()
_UNREADABLE: Final = Amount(None, frozenset({Flag.TYPE_DRIFT}))
_OUT_OF_RANGE: Final = Amount(None, frozenset({Flag.RANGE_ERROR}))
FOREIGN: Final = Amount(None, frozenset({Flag.CURRENCY_SUSPECT}))
_PLAIN: Final[frozenset[Flag]] = frozenset()
_DRIFT: Final = frozenset({Flag.TYPE_DRIFT})


def parse(value: Any, currency: str, limit: int = COST_LIMIT) -> Amount:
    """Reads one field to six places, half-even; unmarked amounts are in `currency`, the range is 0 to `limit`."""
    if value is None:
        return _ABSENT
    if isinstance(value, int) and value.bit_length() > _LONGEST:
        return _OUT_OF_RANGE
    sent = value.strip() if type(value) is str and len(value) <= _LONGEST else _text(value)
    return _read(sent, currency, limit) if sent else _UNREADABLE


@lru_cache(maxsize=1 << 10)  # calls of one length cost the same
def _read(sent: str, currency: str, limit: int) -> Amount:
    bare = sent if _NUMBER.fullmatch(sent) else _bare(sent, currency)  # nearly all amounts are plain numbers
    number = _number(bare)
    if number is None:
        return _OUT_OF_RANGE if _BEYOND.fullmatch(bare) else FOREIGN if _is_marked(bare) else _UNREADABLE
    if not 0 <= number <= limit:
        return _OUT_OF_RANGE
    rounded = abs(number.quantize(_STEP, ROUND_HALF_EVEN))  # "-0.00" is free, too
    return Amount(rounded, _PLAIN if bare == sent and "," not in sent else _DRIFT)


def _bare(text: str, currency: str) -> str:
    """Returns an amount without the marks of its own currency."""
    bare = _OWN_MARKS.get(currency, _NO_MARKS).sub(" ", unicodedata.normalize("NFKC", text))
    return _SIGN_APART.sub("", bare.strip())


def names_other(text: str, currency: str) -> bool:
    """True when a text names a currency, and not this one."""
    named = unicodedata.normalize("NFKC", text[:_LONGEST])
    return bool(_OWN_MARKS.get(currency, _NO_MARKS).sub("", named).strip())


def code_of(text: str) -> str:
    """Returns the code of the currency that a text names ("人民币" is CNY); of any other its first letters as capitals."""
    named = unicodedata.normalize("NFKC", text[:_LONGEST]).strip()
    found = next((code for code, marks in _OWN_MARKS.items() if marks.fullmatch(named)), "")
    return found or named.upper()[:8]


def _text(value: Any) -> str:
    """Returns the amount as text; "" when it is none: a truth value, an object, or too long a text."""
    if isinstance(value, (bool, *CONTAINERS)) or (isinstance(value, str) and len(value) > _LONGEST):
        return ""
    text = plain(value)
    return text if len(text) <= _LONGEST else ""


def _number(text: str) -> Decimal | None:
    """Returns the number in a text, also with a decimal comma; "1,234" alone is ambiguous, and money is not guessed."""
    if _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    elif _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _is_marked(text: str) -> bool:
    """True when a text is a number with a sign, a code or a name of another currency around it."""
    marked = any(char.isalpha() or unicodedata.category(char) == "Sc" for char in _EXPONENT.sub("", text))
    return marked and any(char.isdigit() for char in text)
