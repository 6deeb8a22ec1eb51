"""The masked form of a number: enough for people to talk about it, too little to call it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.privacy.masks import masked

DIGITS = "0123456789"
NUMBERS = st.from_regex(r"\+?[0-9]{1,40}", fullmatch=True)
CASES = {
    "a mobile number with its country": ("+8613000001234", "+86130****1234"),
    "the same as it is dialled at home": ("13000001234", "130****1234"),
    "twelve digits": ("+447700900123", "+4477****0123"),
    "eleven digits with their country": ("+12025550123", "+120****0123"),
    "ten digits": ("2025550123", "20*****123"),
    "eight digits": ("55501234", "55****34"),
    "a service number": ("10086", "1***6"),
    "three digits": ("110", "**0"),
    "one digit": ("7", "*"),
    "more digits than a phone number has": ("12345678901234567890", "12345***********7890"),
    "no number": (None, ""),
    "an empty text": ("", ""),
    "an address": ("alice@example.com", "****************"),
    "an extension": ("8000#12", "*******"),
    "digits of another script": ("١٢٣٤٥٦٧٨", "********"),
}


@pytest.mark.parametrize(("number", "expected"), CASES.values(), ids=CASES)
def test_the_masked_form(number: str | None, expected: str) -> None:
    assert masked(number) == expected


@given(NUMBERS)
def test_four_digits_are_hidden_and_half_of_a_short_number(number: str) -> None:
    digits = number.lstrip("+")
    shown = sum(char in DIGITS for char in masked(number))

    assert len(digits) < 8 or len(digits) - shown >= 4
    assert len(digits) > 10 or shown <= len(digits) / 2
    assert shown <= 9


@given(NUMBERS)
def test_what_is_shown_stands_at_its_place(number: str) -> None:
    """The beginning and the end are those of the number, and the stars stand between them."""
    form = masked(number)
    head, _, tail = form.partition("*")

    assert number.startswith(head)
    assert number.endswith(tail.lstrip("*"))
    assert "*" in form


@given(st.text(max_size=200))
def test_no_text_is_shown_whole(text: str) -> None:
    form = masked(text)

    assert bool(form) == bool(text)
    assert not text or text.strip("*") == "" or form != text
