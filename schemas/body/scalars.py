"""Reads scalars as vendors spell them: text, whole numbers and truth values in any JSON type.

Must not know any vendor, field or flag. Pure: no I/O, no clock.
"""

import json
import re
from decimal import Decimal
from typing import Any, Final

SOLID: Final = frozenset("0123456789ABCDEFGHIJKLMOPQRSTUVWXYZabcdefghijklmopqrstuvwxyz+")
"""First characters of texts that are not blank, as nearly all have: neither white space nor the first of "null"."""
CONTAINERS: Final = (dict, list)
"""The types of JSON's objects and arrays."""
_NO_AMOUNT: Final = (bool, dict, list)
_LONGEST_PLAIN: Final = 40  # digits: a float with more is kept in exponent form, or 1e999999999 would fill the memory
_INTEGER: Final = re.compile(r"([+-]?[0-9]{1,40})(?:\.([0-9]{0,40}))?\s*(秒|s|sec)?\Z", re.IGNORECASE)
_NO_ID: Final = frozenset({"", "0", "-1", "null", "none", "nil", "undefined", "nan", "n/a", "-"})
MOST_NO_ID: Final = max(map(len, _NO_ID))
"""The most characters of a word for "none"."""
_TRUE: Final = frozenset({"true", "1", "1.0", "yes", "y", "on", "t"})
_FALSE: Final = frozenset({"false", "0", "0.0", "no", "n", "off", "f"})


def names_call(value: Any) -> bool:
    """True when an id is one, readable or not: neither blank, nor empty, nor a word or a number for "none"."""
    if isinstance(value, CONTAINERS):
        return bool(value)
    return value is not None and value is not False and plain(value).lower() not in _NO_ID


def blank(value: Any) -> bool:
    """True for a value without information: null, "", white space, or the word null."""
    if value is None:
        return True
    if not isinstance(value, str) or value[:1] in SOLID:
        return False
    return value.strip().lower() in ("", "null")


def plain(value: Any) -> str:
    """Returns a scalar as text: whole numbers plainly (3.0 is "3"), others exactly as they were written."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not number.is_finite() or abs(number.adjusted()) > _LONGEST_PLAIN:
        return str(number)
    if number == number.to_integral_value():
        return str(int(number))
    return format(number, "f")


def compact(value: Any) -> str:
    """Returns an object or a list as JSON text."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except RecursionError:
        return "(nested too deeply)"


def whole(value: Any) -> tuple[int | None, bool]:
    """Returns a whole number, and true when it was spelt oddly; a fraction is cut off (3.7 is 3), "10秒" is 10."""
    if isinstance(value, _NO_AMOUNT):
        return None, True
    if isinstance(value, int):
        return value, False
    match = _INTEGER.match(plain(value))
    return (int(match[1]), bool(match[3] or (match[2] or "").strip("0"))) if match else (None, True)


def truth(value: Any) -> bool | None:
    """Returns a truth value, also of a text or of 0 and 1; None when it is none of them."""
    if isinstance(value, bool):
        return value
    word = "" if isinstance(value, CONTAINERS) else plain(value).lower()
    return word in _TRUE if word in _TRUE or word in _FALSE else None


def type_name(value: Any) -> str:
    """Returns the name of a JSON value's type, for messages."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return {str: "a text", bool: "a truth value", type(None): "null"}.get(type(value), "a number")
