"""Numbering plans of the countries that have a calling code of their own, from the number library's own metadata. Pure.

The library takes 50 us and more for a number that it has not seen, most of it for cases that such a number is not: a
prefix in front that is more than a 0, a code that several countries share, an extension. A plan here answers what needs
none of that, in a few microseconds and as the library would (`tests/unit/schemas/vendor_kit/test_number_plans.py`); for
all else it says that the library must be asked.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import msgspec
import phonenumbers

_TYPES: Final = (
    *("mobile", "fixed_line", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number", "pager", "uan"),
    "voicemail",
)
_MOST_CODE_DIGITS: Final = 3
_TRUNK: Final = "0"
_FEWEST: Final = 2
_MOST: Final = 17
"""The digits of a national number that the library reads."""


class NumberPlan(msgspec.Struct, frozen=True):
    """The plan of one country: which national numbers there are."""

    code: str
    """The digits of its calling code, which no other country has."""
    prefixes: re.Pattern[str]
    """Digits in front of which the library may take some off: such a number is not for a plan."""
    general: re.Pattern[str]
    trunk: re.Pattern[str] | None
    """The digits that the library takes off a national number, where a 0 is dialled and nothing replaces it."""
    international: re.Pattern[str]
    """The digits that are dialled before a calling code."""
    numbers: Mapping[int, re.Pattern[str]]
    """The general pattern and those of all types that have numbers of a length, as one, by that length."""

    def answers(self, national: str) -> bool:
        """True for digits that stand for themselves: a plan can say whether there is such a number."""
        return _FEWEST <= len(national) <= _MOST and self.prefixes.match(national) is None

    def without_trunk(self, digits: str) -> str:
        """Returns a national number without the 0 that is dialled in front of it within the country; else ""."""
        if self.trunk is None or digits[1:2] in ("", "0") or not _FEWEST < len(digits) <= _MOST:
            return ""
        found = self.trunk.match(digits)
        if found is None or found[0] != _TRUNK or self.international.match(digits) or self.general.fullmatch(digits):
            return ""
        return digits[1:]

    def without_code(self, digits: str) -> str:
        """Returns the national number in digits that begin with the country's code; "" where they may begin otherwise.

        A number of the country may begin with the same digits.
        """
        national = digits[len(self.code) :]
        if not digits.startswith(self.code) or len(digits) > _MOST or not self.answers(national):
            return ""
        is_certain = self.has(national) and not self.general.fullmatch(digits) and not self.international.match(digits)
        return national if is_certain else ""

    def has(self, national: str) -> bool:
        """True if there is such a national number, of any type."""
        numbers = self.numbers.get(len(national))
        return numbers is not None and numbers.fullmatch(national) is not None


@cache
def plan_of_region(region: str) -> NumberPlan | None:
    """Returns the plan of a country ("CN"); None where the library must be asked."""
    metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    if metadata is None:
        return None
    code = str(metadata.country_code)
    if len(phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code), ())) != 1:
        return None
    kinds = [kind for kind in (_described(getattr(metadata, name)) for name in _TYPES) if kind is not None]
    general = _described(metadata.general_desc)
    if general is None:
        return None
    of_length = {
        length: [pattern for lengths, pattern in kinds if not lengths or length in lengths]
        for length in range(_FEWEST, _MOST + 1)
        if not general[0] or length in general[0]
    }
    taken_off = (
        metadata.international_prefix,
        metadata.national_prefix_for_parsing,
        metadata.national_prefix,
        code,
        "0",
    )
    return NumberPlan(
        code=code,
        prefixes=_any_of(prefix for prefix in taken_off if prefix),
        general=re.compile(general[1]),
        trunk=_trunk_of(metadata),
        international=_any_of([metadata.international_prefix] if metadata.international_prefix else ["(?!)"]),
        numbers={
            length: re.compile(rf"(?=(?:{general[1]})\Z)(?:{'|'.join(patterns)})")
            for length, patterns in of_length.items()
            if patterns
        },
    )


def _trunk_of(metadata: Any) -> re.Pattern[str] | None:
    parsed = metadata.national_prefix_for_parsing
    if metadata.national_prefix != _TRUNK or not parsed or metadata.national_prefix_transform_rule:
        return None
    return re.compile(parsed)


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def _described(description: Any) -> tuple[frozenset[int], str] | None:
    """Returns the lengths of a description, none for any, and its pattern."""
    if description is None or not description.national_number_pattern:
        return None
    return frozenset(description.possible_length), description.national_number_pattern


@cache
def plan_of_code(code: str) -> NumberPlan | None:
    """Returns the plan of a calling code ("86"); None where several countries have it, or none."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code), ())
    return plan_of_region(regions[0]) if len(regions) == 1 else None


def plan_for(international: str) -> NumberPlan | None:
    """Returns the plan for digits that begin with a calling code."""
    for length in range(1, _MOST_CODE_DIGITS + 1):
        code = international[:length]
        if len(code) == length and code[0] != "0" and int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return plan_of_code(code)
    return None
