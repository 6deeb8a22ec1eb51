"""Numbering plans of the countries that have a calling code of their own, from the number library's own metadata. Pure.

The library takes 50 us and more for a number that it has not seen, most of it for cases that such a number is not: a
prefix in front, a code that several countries share, an extension. A plan here answers what needs none of that, in a
few microseconds and as the library would (`tests/unit/schemas/vendor_kit/test_number_plans.py`); for all else it says
that the library must be asked.
"""

import re
from functools import cache
from typing import Any, Final

import msgspec
import phonenumbers

_TYPES: Final = (
    *("mobile", "fixed_line", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number", "pager", "uan"),
    "voicemail",
)
_MOST_CODE_DIGITS: Final = 3
_FEWEST: Final = 2
_MOST: Final = 17
"""The digits of a national number that the library reads."""


class NumberPlan(msgspec.Struct, frozen=True):
    """The plan of one country: which national numbers there are."""

    code: str
    """The digits of its calling code, which no other country has."""
    prefixes: re.Pattern[str]
    """Digits in front of which the library may take some off: such a number is not for a plan."""
    general: tuple[frozenset[int], re.Pattern[str]]
    types: tuple[tuple[frozenset[int], re.Pattern[str]], ...]

    def answers(self, national: str) -> bool:
        """True for digits that stand for themselves: a plan can say whether there is such a number."""
        return _FEWEST <= len(national) <= _MOST and self.prefixes.match(national) is None

    def has(self, national: str) -> bool:
        """True if there is such a national number, of any type."""
        return _fits(national, self.general) and any(_fits(national, kind) for kind in self.types)


def _fits(national: str, of: tuple[frozenset[int], re.Pattern[str]]) -> bool:
    lengths, pattern = of
    return (not lengths or len(national) in lengths) and pattern.fullmatch(national) is not None


@cache
def plan_of_region(region: str) -> NumberPlan | None:
    """Returns the plan of a country ("CN"); None where the library must be asked."""
    metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    if metadata is None:
        return None
    code = str(metadata.country_code)
    if len(phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code), ())) != 1:
        return None
    kinds = [_described(getattr(metadata, name)) for name in _TYPES]
    general = _described(metadata.general_desc)
    if general is None:
        return None
    taken_off = (
        metadata.international_prefix,
        metadata.national_prefix_for_parsing,
        metadata.national_prefix,
        code,
        "0",
    )
    return NumberPlan(
        code=code,
        prefixes=re.compile("|".join(f"(?:{prefix})" for prefix in taken_off if prefix)),
        general=general,
        types=tuple(kind for kind in kinds if kind is not None),
    )


def _described(description: Any) -> tuple[frozenset[int], re.Pattern[str]] | None:
    if description is None or not description.national_number_pattern:
        return None
    return frozenset(description.possible_length), re.compile(description.national_number_pattern)


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
