"""Reads telephone numbers for all vendors, by E.164's numbering plans.

Only a number that its plan holds valid is called `e164`: merely possible ones are masks, short codes and row ids as
often as not. An unverified number is kept as sent. Must not know a vendor; must never log a number.
"""

import re
import sys
import traceback
import unicodedata
from functools import lru_cache
from typing import Any, Final

import msgspec
import phonenumbers
from phonenumbers import shortnumberinfo

from schemas.config.limits import DEFAULT
from schemas.facts import Flag, NumberKind
from schemas.vendor_kit.number_plans import plan_for, plan_of_region

_SCALARS: Final = (str, int, float)
_MASKS: Final = frozenset("*＊")
_NOBODY: Final = frozenset(
    {
        "anonymous",
        "unknown",
        "private",
        "restricted",
        "unavailable",
        "withheld",
        "undefined",
        "null",
        "none",
        "nil",
        "n/a",
    }
    | {"匿名", "未知", "未知号码", "隐藏号码", "无"}
)
_PUNCTUATION: Final = re.compile(r"[\s\-().·]+")
_DIGITS: Final = re.compile(r"\+?[0-9]+")
_LONGEST: Final = DEFAULT.cached_chars
"""The most characters of a number; a longer text is none, is not examined and not cached."""
_CODE_DIGITS: Final = 3
"""The most digits of a country code, by E.164."""
_EXTENSION_DIGITS: Final = 6
"""A number that no plan knows is an extension if it has at most so many digits."""


class PhoneNumber(msgspec.Struct, frozen=True, gc=False):
    """A party as sent and as understood."""

    number: str | None = None
    """The number: E.164 with "+", the masked text if masked, None for nobody, else the digits as sent."""
    raw: str = ""
    kind: NumberKind = NumberKind.NONE
    flags: frozenset[Flag] = frozenset()


NOBODY: Final = PhoneNumber()
_UNVERIFIED: Final = frozenset({Flag.NUMBER_UNVERIFIED})
_AMBIGUOUS: Final = frozenset({Flag.NUMBER_AMBIGUOUS})


def parse(value: Any, region: str, country_code: str = "") -> PhoneNumber:
    """Reads one field; national numbers belong to `country_code` ("86", "+86", "0086") or else to `region` ("CN", "").

    An absent field is nobody without a flag; an empty one is flagged, because the vendor meant to name somebody.
    """
    if value is None:
        return NOBODY
    if type(value) is str and len(value) <= _LONGEST:
        return _parse(value, region, _code(country_code) if country_code else "")
    if isinstance(value, bool) or not isinstance(value, _SCALARS):
        return PhoneNumber(flags=frozenset({Flag.TYPE_DRIFT}))
    if isinstance(value, int) and value.bit_length() > 4 * _LONGEST:
        return PhoneNumber(flags=frozenset({Flag.TYPE_DRIFT}))
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if len(text) > _LONGEST:
        return PhoneNumber(text[:_LONGEST], text, NumberKind.UNVERIFIED, _UNVERIFIED)
    return _parse(text, region, _code(country_code) if country_code else "")


def _code(text: str) -> str:
    """Returns the digits of a country code that was sent beside a number: "86" for "+86" and "0086"; "" for none.

    A text that cannot be a country code gives "?", which fits no number.
    """
    code = unicodedata.normalize("NFKC", text).strip().lstrip("+0") if len(text) <= _LONGEST else "?"
    return code if not code or (code.isdecimal() and code.isascii() and len(code) <= _CODE_DIGITS) else "?"


def columns(prefix: str, number: PhoneNumber) -> dict[str, Any]:
    """Returns the three columns of a party: `from_number`, `from_raw`, `from_kind` for the prefix "from"."""
    of_number, of_raw, of_kind = _columns_of(prefix)
    return {of_number: number.number, of_raw: number.raw, of_kind: number.kind}


@lru_cache(maxsize=16)
def _columns_of(prefix: str) -> tuple[str, str, str]:
    # A record's constructor finds a name at once only where it is the very text that names the field.
    number, raw, kind = (sys.intern(f"{prefix}_{of}") for of in ("number", "raw", "kind"))
    return number, raw, kind


@lru_cache(maxsize=1 << 14)  # holds the numbers of some minutes, in 8 MB
def _parse(raw: str, region: str, code: str) -> PhoneNumber:
    if raw.isascii() and raw.removeprefix("+").isdigit():  # nearly all numbers
        return _of_digits(raw, raw, region, code)
    text = unicodedata.normalize("NFKC", raw).strip()
    if not _MASKS.isdisjoint(text):
        return PhoneNumber(text, raw, NumberKind.MASKED, frozenset({Flag.MASKED_NUMBER}))
    if not text:
        return PhoneNumber(None, raw, NumberKind.NONE, _UNVERIFIED)
    if text.lower() in _NOBODY:
        return PhoneNumber(None, raw, NumberKind.ANONYMOUS)
    digits = _PUNCTUATION.sub("", text)
    if not _DIGITS.fullmatch(digits):
        return PhoneNumber(digits, raw, NumberKind.UNVERIFIED, _UNVERIFIED)
    return _of_digits(digits, raw, region, code)


def _of_digits(digits: str, raw: str, region: str, code: str) -> PhoneNumber:
    if digits.startswith(("+", "00")):
        return _international(digits, raw, code)
    if code:
        region = "" if code == "?" else phonenumbers.region_code_for_country_code(int(code))
    return _national(digits, raw, region)


def _international(digits: str, raw: str, code: str) -> PhoneNumber:
    """Reads a number with its country code; when another country was sent beside it, the number's own counts."""
    plus = "+" + digits.lstrip("+0")
    e164 = _valid(plus, None)
    if e164 is None:
        return PhoneNumber(digits, raw, NumberKind.UNVERIFIED, _UNVERIFIED)
    return PhoneNumber(
        e164, raw, NumberKind.E164, _AMBIGUOUS if code and not e164.startswith(f"+{code}") else frozenset()
    )


def _national(digits: str, raw: str, region: str) -> PhoneNumber:
    """Reads a number without "+": national, or with its country code in front, or too short to be dialled from outside.

    When both readings are valid, the digits in front are the country code: a sender that writes a code beside a number
    does not begin that number with another code.
    """
    inside = _valid(digits, region) if region else None
    if inside is not None:
        code = _code_of(region)
        if not digits.startswith(code):
            return PhoneNumber(inside, raw, NumberKind.E164)
        outside = _valid("+" + digits, None)
        twofold = outside not in (None, inside) or (
            digits.startswith(code * 2) and _valid("+" + digits[len(code) :], None)
        )
        return PhoneNumber(outside or inside, raw, NumberKind.E164, _AMBIGUOUS if twofold else frozenset())
    if len(digits) <= _EXTENSION_DIGITS:
        return PhoneNumber(digits, raw, NumberKind.SHORT if _is_short(digits, region) else NumberKind.EXTENSION)
    return PhoneNumber(digits, raw, NumberKind.UNVERIFIED, _UNVERIFIED)


def _valid(text: str, region: str | None) -> str | None:
    """Returns E.164 if the numbering plan has such a number, else None; `text` is digits, or "+" and digits."""
    plan = plan_of_region(region) if region else plan_for(text[1:])
    national = text if region else text[1 + len(plan.code) :] if plan else ""
    if region and plan is not None and text[:1] == "0":
        national = plan.without_trunk(text)
        if national:
            return f"+{plan.code}{national}" if plan.has(national) else None
        return _valid_by_library(text, region)
    if plan is not None and plan.answers(national):
        return f"+{plan.code}{national}" if plan.has(national) else None
    if region and plan is not None and (national := plan.without_code(text)):
        return f"+{plan.code}{national}"
    return _valid_by_library(text, region)


def _valid_by_library(text: str, region: str | None) -> str | None:
    number = _parsed(text, region)
    if number is None or not phonenumbers.is_valid_number(number):
        return None
    e164: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return e164


def _is_short(digits: str, region: str) -> bool:
    """True for a service number of the country: 110, 10086, 95588."""
    if not region:
        return False
    number = _parsed(digits, region)
    return number is not None and bool(shortnumberinfo.is_valid_short_number_for_region(number, region))


def _parsed(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    """Returns the library's reading of the text, None when it has none.

    The library keeps its exception in a variable of the frame that raises it: a reference cycle that would hold all
    callers' frames, and with them the whole record batch, until the next garbage collection.
    """
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as exc:
        traceback.clear_frames(exc.__traceback__)
        return None


@lru_cache(maxsize=512)
def _code_of(region: str) -> str:
    return str(phonenumbers.country_code_for_region(region))
