"""The forms of a number, and the search of texts for them."""

import pytest

from schemas.privacy.number_forms import canonical, core, forms, holds, runs, tail

WRITTEN = {
    "E.164": ("+8613000001234", "+8613000001234"),
    "00 in front": ("008613000001234", "+8613000001234"),
    "with blanks and hyphens": (" +86 130-0000-1234 ", "+8613000001234"),
    "in full-width digits": ("+８６13000001234", "+8613000001234"),
    "without a country": ("13000001234", "13000001234"),
    "a short code": ("10086", "10086"),
    "not valid in its country": ("+8612", "+8612"),
    "with stars": ("130****1234", "130****1234"),
}


@pytest.mark.parametrize(("text", "number"), WRITTEN.values(), ids=WRITTEN)
def test_a_number_is_taken_as_columns_hold_it(text: str, number: str) -> None:
    assert canonical(text) == number


def test_a_number_of_a_country_has_all_its_forms() -> None:
    assert forms("+8613000001234") == (
        "+8613000001234",
        "8613000001234",
        "008613000001234",
        "13000001234",
        "013000001234",
    )
    assert forms("+46701740605") == ("+46701740605", "46701740605", "0046701740605", "701740605", "0701740605")


@pytest.mark.parametrize("number", ["10086", "130****1234", "13000001234", "alice"])
def test_a_number_of_no_country_has_its_own_form_alone(number: str) -> None:
    assert forms(number) == (number,)


@pytest.mark.parametrize("number", ["+8613000001234", "+46701740605", "+12025550123", "+861053180002", "10086"])
def test_every_form_has_the_core_in_it_and_long_ones_the_tail(number: str) -> None:
    assert all(core(number) in form for form in forms(number))
    assert all(tail(number) in form for form in forms(number))


TEXTS = {
    "the national form alone": ("13000001234", True),
    "inside a sentence": ("来电 13000001234，请回电", True),
    "with + and country code": ("tel:+8613000001234;x=1", True),
    "with 00": ("008613000001234", True),
    "with hyphens": ("130-0000-1234", True),
    "with blanks and country code": ("+86 130 0000 1234", True),
    "behind other digits with a blank": ("7 13000001234", True),
    "in full-width digits": ("１３００００0１２３４", True),
    "inside a longer run of digits": ("9913000001234", False),
    "a part of it": ("1300000123", False),
    "another number": ("13000001235", False),
    "nothing": ("", False),
}


@pytest.mark.parametrize(("text", "found"), TEXTS.values(), ids=TEXTS)
def test_a_text_is_searched_for_every_form(text: str, found: bool) -> None:  # noqa: FBT001 - a column of the table
    is_erased = frozenset(forms("+8613000001234")).__contains__

    assert holds(text, is_erased) is found


def test_the_digits_of_a_known_number_are_found_wherever_they_stand() -> None:
    assert holds("id-9913000001234-7", lambda _: False, (tail("+8613000001234"),))
    assert tail("10086") == ""


def test_a_long_run_of_digits_is_no_number() -> None:
    assert list(runs("1" * 21 + " " + "2" * 20)) == ["2" * 20]
