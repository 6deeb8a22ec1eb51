"""Numbering plans answer as the number library does, and leave to it what they cannot answer."""

import random

import phonenumbers
import pytest

from schemas.vendor_kit import phone_numbers
from schemas.vendor_kit.number_plans import plan_for, plan_of_code, plan_of_region
from tests.support.scale import SCALE

OF_ONE = sorted(
    code
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
    if len(regions) == 1 and regions != ("001",)
)
REGIONS = [phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code][0] for code in OF_ONE]
TRIED = 40 * SCALE


def near(region: str, rng: random.Random) -> str:
    """Returns the national digits of an example of some type, of which a digit or two may be others."""
    types = [kind for kind in phonenumbers.PhoneNumberType.values() if kind not in (10, 99)]
    example = phonenumbers.example_number_for_type(region, rng.choice(types)) or phonenumbers.example_number(region)
    digits = list(phonenumbers.national_significant_number(example)) if example else list("12345678")
    for _ in range(rng.randrange(3)):
        digits[rng.randrange(len(digits))] = rng.choice("0123456789")
    cut = rng.choice([0, 0, 0, 1])
    return "".join(digits)[cut:] + rng.choice(["", "", "", rng.choice("0123456789")])


def random_digits(rng: random.Random) -> str:
    return "".join(rng.choice("0123456789") for _ in range(rng.randrange(1, 19)))


@pytest.mark.parametrize("region", REGIONS)
def test_a_plan_answers_as_the_library_does(region: str) -> None:
    rng = random.Random(region)
    code = str(phonenumbers.country_code_for_region(region))
    for number in range(TRIED):
        digits = near(region, rng) if number % 4 else random_digits(rng)
        texts = ((digits, region), (f"+{code}{digits}", None), (f"{code}{digits}", region), (f"0{digits}", region))
        for text, inside in texts:
            assert phone_numbers._valid(text, inside) == phone_numbers._valid_by_library(text, inside), (text, inside)


def test_most_numbers_of_china_need_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(text: str, region: str | None) -> str | None:
        raise AssertionError("the library was asked")

    monkeypatch.setattr(phone_numbers, "_valid_by_library", asked)
    for number in ("+8613912345678", "+861012345678", "+864001234567"):
        assert phone_numbers._valid(number, None) == number
        assert phone_numbers._valid(number[3:], "CN") == number
        assert phone_numbers._valid(number[1:], "CN") == number
    assert phone_numbers._valid("99912345678", "CN") is None


ASKED = [
    pytest.param("+12025550123", id="a code that many countries share"),
    pytest.param("+390612345678", id="a zero that belongs to the number"),
    pytest.param("+80012345678", id="a code of no country"),
    pytest.param("+", id="no digits"),
    pytest.param("+999123456", id="a code that nobody has"),
]


@pytest.mark.parametrize("text", ASKED)
def test_what_is_not_plain_is_left_to_the_library(text: str) -> None:
    plan = plan_for(text[1:])
    assert plan is None or not plan.answers(text[1 + len(plan.code) :])


def test_plans_are_of_countries_with_a_code_of_their_own() -> None:
    assert plan_of_code("86") is plan_of_region("CN") is not None
    assert plan_of_code("1") is plan_of_region("US") is plan_of_region("XX") is None
    assert len([code for code in OF_ONE if plan_of_code(str(code)) is not None]) > 150
