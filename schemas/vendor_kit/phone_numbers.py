"""One reader of telephone numbers for all vendors, by E.164's numbering plans.

Only a number that its plan holds valid is called `e164`: merely possible ones are masks, short codes and row ids as
often as not. What cannot be verified is kept as sent. Must not know a vendor; must never log what it reads.
"""

import re
import traceback
import unicodedata
from functools import lru_cache
from typing import Any, Final

import msgspec
import phonenumbers
from phonenumbers import shortnumberinfo

from schemas.config.limits import DEFAULT
from schemas.facts import Flag, NumberKind

_MASKS: Final = "*＊"
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
"""Characters of a number: what has more is none, is not looked at and not remembered."""
_CODE_DIGITS: Final = 3
"""Of a country's code, by E.164."""
_EXTENSION_DIGITS: Final = 6
"""Up to so many digits, a number that no plan knows is somebody's extension."""


class Number(msgspec.Struct, frozen=True):
    """A party as sent and as understood."""

    number: str | None = None
    """E.164 with "+" if the kind is e164; the masked text if masked; None for nobody; else the digits as sent."""
    raw: str = ""
    kind: NumberKind = NumberKind.NONE
    flags: frozenset[Flag] = frozenset()


NOBODY: Final = Number()
_UNVERIFIED: Final = frozenset({Flag.NUMBER_UNVERIFIED})
_AMBIGUOUS: Final = frozenset({Flag.NUMBER_AMBIGUOUS})


def parse(value: Any, region: str, country_code: str = "") -> Number:
    """Read one field; national numbers belong to `country_code` ("86", "+86", "0086") or else to `region` ("CN", "").

    An absent field is nobody without a flag; an empty one is flagged, because the vendor meant to name somebody.
    """
    if value is None:
        return NOBODY
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return Number(flags=frozenset({Flag.TYPE_DRIFT}))
    if isinstance(value, int) and value.bit_length() > 4 * _LONGEST:
        return Number(flags=frozenset({Flag.TYPE_DRIFT}))
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if len(text) > _LONGEST:
        return Number(text[:_LONGEST], text, NumberKind.UNVERIFIED, _UNVERIFIED)
    return _parse(text, region, _code(country_code) if country_code else "")


def _code(text: str) -> str:
    """The digits of a country's code as it was sent beside a number: "86" of "+86" and "0086"; "" for none.

    What cannot be one is "?", which is no number's.
    """
    code = unicodedata.normalize("NFKC", text).strip().lstrip("+0") if len(text) <= _LONGEST else "?"
    return code if not code or (code.isdecimal() and code.isascii() and len(code) <= _CODE_DIGITS) else "?"


def columns(prefix: str, number: Number) -> dict[str, Any]:
    """The three columns of a party: `from_number`, `from_raw`, `from_kind` for the prefix "from"."""
    return {f"{prefix}_number": number.number, f"{prefix}_raw": number.raw, f"{prefix}_kind": number.kind}


@lru_cache(maxsize=1 << 14)  # the numbers of some minutes, in 8 MB
def _parse(raw: str, region: str, code: str) -> Number:
    text = unicodedata.normalize("NFKC", raw).strip()
    if any(mark in text for mark in _MASKS):
        return Number(text, raw, NumberKind.MASKED, frozenset({Flag.MASKED_NUMBER}))
    if not text:
        return Number(None, raw, NumberKind.NONE, _UNVERIFIED)
    if text.lower() in _NOBODY:
        return Number(None, raw, NumberKind.ANONYMOUS)
    digits = _PUNCTUATION.sub("", text)
    if not _DIGITS.fullmatch(digits):
        return Number(digits, raw, NumberKind.UNVERIFIED, _UNVERIFIED)
    if digits.startswith(("+", "00")):
        return _international(digits, raw, code)
    if code:
        region = "" if code == "?" else phonenumbers.region_code_for_country_code(int(code))
    return _national(digits, raw, region)


def _international(digits: str, raw: str, code: str) -> Number:
    """A number that names its country; where that is not the country sent beside it, the number is believed."""
    plus = "+" + digits.lstrip("+0")
    e164 = _valid(plus, None)
    if e164 is None:
        return Number(digits, raw, NumberKind.UNVERIFIED, _UNVERIFIED)
    return Number(e164, raw, NumberKind.E164, _AMBIGUOUS if code and not e164.startswith(f"+{code}") else frozenset())


def _national(digits: str, raw: str, region: str) -> Number:
    """A number without "+": national, or with its country's code in front, or too short to be dialled from outside.

    Where it is valid either way, the code in front is believed: nobody writes a code beside a number that begins with another.
    """
    inside = _valid(digits, region) if region else None
    if inside is not None:
        code = str(_code_of(region))
        outside = _valid("+" + digits, None) if digits.startswith(code) else None
        twofold = outside not in (None, inside) or (
            digits.startswith(code * 2) and _valid("+" + digits[len(code) :], None)
        )
        return Number(outside or inside, raw, NumberKind.E164, _AMBIGUOUS if twofold else frozenset())
    if len(digits) <= _EXTENSION_DIGITS:
        return Number(digits, raw, NumberKind.SHORT if _is_short(digits, region) else NumberKind.EXTENSION)
    return Number(digits, raw, NumberKind.UNVERIFIED, _UNVERIFIED)


def _valid(text: str, region: str | None) -> str | None:
    """E.164, if the numbering plan has such a number."""
    number = _parsed(text, region)
    if number is None or not phonenumbers.is_valid_number(number):
        return None
    e164: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return e164


def _is_short(digits: str, region: str) -> bool:
    """A service number of the country: 110, 10086, 95588."""
    if not region:
        return False
    number = _parsed(digits, region)
    return number is not None and bool(shortnumberinfo.is_valid_short_number_for_region(number, region))


def _parsed(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    """What the library makes of the text, if anything.

    It keeps its exception in a variable of the frame that raises it: a cycle which holds all callers' frames, and with them
    the whole slice of bodies, until the next search for garbage.
    """
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as exc:
        traceback.clear_frames(exc.__traceback__)
        return None


def _code_of(region: str) -> int:
    return int(phonenumbers.country_code_for_region(region))
