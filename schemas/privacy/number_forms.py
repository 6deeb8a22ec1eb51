"""The forms in which one phone number stands in bodies, and how a text is searched for them. Pure.

Vendors send a number with and without "+", country code, "00" and the national 0; people write it with blanks and
hyphens. An erasure must find all of them, and nothing that only has some digits in common.
"""

import re
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final

import phonenumbers

SEARCHED_DIGITS: Final = 7
"""The fewest digits of a number that is looked for in texts: shorter ones are amounts and codes as often as not."""
_LONGEST_RUN: Final = 20
_PUNCTUATION: Final = re.compile(r"[\s\-().·]+")
_PLAIN: Final = re.compile(r"(?<![0-9])[0-9]{7,20}(?![0-9])")
_WRITTEN: Final = re.compile(r"[0-9](?:[\s\-().·]{0,2}[0-9]){6,24}")
_COUNTRY_DIGITS: Final = 3

IsErased = Callable[[str], bool]
"""True for a number, in any of its forms, that is to be erased."""


def canonical(text: str) -> str:
    """Returns a number as columns hold it: E.164 where it has its country code behind "+" or "00", else as written."""
    plain = unicodedata.normalize("NFKC", text).strip()
    digits = _PUNCTUATION.sub("", plain)
    if digits.startswith(("+", "00")) and (e164 := _e164("+" + digits.lstrip("+0"))):
        return e164
    return digits if digits.lstrip("+").isdecimal() else plain


def forms(number: str) -> tuple[str, ...]:
    """Returns the forms of a canonical number, itself first; one that is not E.164 has only those of its own digits."""
    parsed = _parsed(number) if number.startswith("+") else None
    if parsed is None:
        bare = number.lstrip("+")
        return tuple(dict.fromkeys((number, bare))) if bare.isdecimal() else (number,)
    code, national = str(parsed.country_code), phonenumbers.national_significant_number(parsed)
    return tuple(dict.fromkeys((number, code + national, f"00{code}{national}", national, f"0{national}")))


def core(number: str) -> str:
    """Returns digits that every form of a number has in it: the national ones, without country code and zeros."""
    parsed = _parsed(number) if number.startswith("+") else None
    if parsed is not None:
        return phonenumbers.national_significant_number(parsed).lstrip("0")
    return number.lstrip("+0") or number


def tail(number: str) -> str:
    """Returns the digits of a number that stand in its texts whatever was put before them; "" for a short number.

    Without the numbering plans, as on the way of every record: a country code has at most three digits.
    """
    digits = "".join(filter(str.isdecimal, number))
    if len(digits) < SEARCHED_DIGITS:
        return ""
    return digits[min(_COUNTRY_DIGITS, len(digits) - SEARCHED_DIGITS) :]


def runs(text: str) -> Iterator[str]:
    """Yields the digits of everything in a text that may be a number: whole runs, and runs with punctuation inside."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    yield from _PLAIN.findall(plain)
    for written in _WRITTEN.findall(plain):
        digits = _PUNCTUATION.sub("", written)
        if len(digits) < len(written) and len(digits) <= _LONGEST_RUN:
            yield digits


def holds(text: str, is_erased: IsErased, tails: tuple[str, ...] = ()) -> bool:
    """True for a text with an erased number in it; `tails` are digits that betray one wherever they stand."""
    if len(text) < SEARCHED_DIGITS:
        return False
    if any(each in text for each in tails):
        return True
    return any(is_erased(run) for run in runs(text))


def _e164(text: str) -> str | None:
    parsed = _parsed(text)
    if parsed is None or not phonenumbers.is_valid_number(parsed):
        return None
    e164: str = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return e164


def _parsed(text: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as exc:
        traceback.clear_frames(exc.__traceback__)  # else the library keeps the callers' frames in a cycle
        return None
