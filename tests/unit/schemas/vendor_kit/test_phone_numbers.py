"""One parser of telephone numbers for all vendors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.facts import Flag, NumberKind
from schemas.vendor_kit.phone_numbers import _parse, parse

E164 = NumberKind.E164


@pytest.mark.parametrize(
    ("value", "region", "code", "expected"),
    [
        pytest.param("13810603954", "CN", "", "+8613810603954", id="national mobile"),
        pytest.param(13810603954, "CN", "", "+8613810603954", id="as int"),
        pytest.param(13810603954.0, "CN", "", "+8613810603954", id="as float"),
        pytest.param("+8613810603954", "CN", "", "+8613810603954", id="with plus"),
        pytest.param("+8613810603954", "", "", "+8613810603954", id="with plus, no region"),
        pytest.param("008613810603954", "CN", "", "+8613810603954", id="with 0086"),
        pytest.param("008613810603954", "", "", "+8613810603954", id="with 0086, no region"),
        pytest.param("8613810603954", "CN", "", "+8613810603954", id="with 86"),
        pytest.param("013810603954", "CN", "", "+8613810603954", id="with trunk zero"),
        pytest.param("138-1060 (3954)", "CN", "", "+8613810603954", id="punctuated"),
        pytest.param("１３８１０６０３９５４", "CN", "", "+8613810603954", id="full-width digits"),
        pytest.param("013600007556", "CN", "", "+8613600007556", id="S19 trunk zero"),
        pytest.param("8613600007556", "CN", "", "+8613600007556", id="S19 country code"),
        pytest.param("01053180002", "CN", "", "+861053180002", id="fixed line with area code"),
        pytest.param("0086075586013388", "CN", "", "+8675586013388", id="trunk zero kept behind 0086"),
        pytest.param("4008123123", "CN", "", "+864008123123", id="400 service"),
        pytest.param("+8616512884987", "CN", "", "+8616512884987", id="privacy range 165"),
        pytest.param("+6281314382782", "CN", "", "+6281314382782", id="V32 foreign"),
        pytest.param("6281314382782", "", "62", "+6281314382782", id="country code already there"),
        pytest.param("81314382782", "", "+62", "+6281314382782", id="N29 code with plus"),
        pytest.param("81314382782", "", "0062", "+6281314382782", id="N29 code with zeros"),
        pytest.param("85235757584", "", "852", "+85235757584", id="N31 not doubled"),
        pytest.param("13810603954", "", "86", "+8613810603954", id="N23 code plus phone"),
        pytest.param("13810603954", "ID", "86", "+8613810603954", id="the code beats the region"),
    ],
)
def test_every_spelling_of_a_valid_number_is_one_e164(value: object, region: str, code: str, expected: str) -> None:
    number = parse(value, region, code)
    assert (number.number, number.kind, number.flags) == (expected, E164, frozenset())


@pytest.mark.parametrize(
    ("value", "region", "code", "number", "kind", "flags"),
    [
        pytest.param("150****0000", "CN", "", "150****0000", "masked", {"masked_number"}, id="T23 masked"),
        pytest.param("+86150****0000", "", "", "+86150****0000", "masked", {"masked_number"}, id="H41 masked with +"),
        pytest.param("95588", "CN", "", "95588", "short", set(), id="W34 a bank's short number"),
        pytest.param("10086", "CN", "", "10086", "short", set(), id="an operator's short number"),
        pytest.param("110", "CN", "", "110", "short", set(), id="emergency"),
        pytest.param("4444", "", "86", "4444", "extension", set(), id="N01 extension"),
        pytest.param("8001", "CN", "", "8001", "extension", set(), id="four digits"),
        pytest.param("8001", "", "", "8001", "extension", set(), id="four digits, no region"),
        pytest.param("2", "CN", "", "2", "extension", set(), id="one digit"),
        pytest.param("6298881888", "", "", "6298881888", "unverified", {"number_unverified"}, id="N01 no country"),
        pytest.param("626281314382782", "", "62", "626281314382782", "unverified", {"number_unverified"}, id="N28"),
        pytest.param("1381060395", "CN", "", "1381060395", "unverified", {"number_unverified"}, id="W35 ten digits"),
        pytest.param("2016010000000213", "CN", "", "2016010000000213", "unverified", {"number_unverified"}, id="V01"),
        pytest.param("0013800138000", "CN", "", "0013800138000", "unverified", {"number_unverified"}, id="T22"),
        pytest.param("+8695588", "CN", "", "+8695588", "unverified", {"number_unverified"}, id="a short number with +"),
        pytest.param("sip-user", "CN", "", "sipuser", "unverified", {"number_unverified"}, id="letters"),
        pytest.param("9" * 60, "CN", "", "9" * 60, "unverified", {"number_unverified"}, id="sixty digits"),
        pytest.param("+", "CN", "", "+", "unverified", {"number_unverified"}, id="a plus alone"),
        pytest.param("13810603954", "", "999", "13810603954", "unverified", {"number_unverified"}, id="no such country"),
        pytest.param("+8613810603954", "", "62", "+8613810603954", "e164", {"number_ambiguous"}, id="N32 plus wins"),
        pytest.param("62811234567", "", "62", "+62811234567", "e164", {"number_ambiguous"}, id="S11 its code in front"),
        pytest.param("4915112345678", "", "49", "+4915112345678", "e164", {"number_ambiguous"}, id="S11 a plan of any length"),
        pytest.param("436641234567", "", "43", "+436641234567", "e164", set(), id="S11 only with its code"),
        pytest.param("8613800138000", "", "86", "+8613800138000", "e164", set(), id="S11 86"),
        pytest.param("85291234567", "", "852", "+85291234567", "e164", set(), id="S11 852"),
        pytest.param("12015550123", "", "1", "+12015550123", "e164", set(), id="S11 1"),
        pytest.param("447911123456", "", "44", "+447911123456", "e164", set(), id="S11 44"),
        pytest.param("6581234567", "", "65", "+6581234567", "e164", set(), id="S11 65"),
        pytest.param("65812345", "", "65", "+6565812345", "e164", set(), id="S11 a national number that begins like its code"),
        pytest.param("9198765432", "", "91", "+919198765432", "e164", set(), id="S11 another one"),
        pytest.param("55991234567", "", "55", "+5555991234567", "e164", set(), id="S11 an area code like the country's"),
        pytest.param("0622123456", "", "62", "+62622123456", "e164", set(), id="S11 a trunk zero says it is national"),
        pytest.param("6262811234567", "", "62", "+6262811234567", "e164", {"number_ambiguous"}, id="S11 twice in front"),
        pytest.param("13810603954", "", "9" * 4400, "13810603954", "unverified", {"number_unverified"}, id="P10 a code of 4,400 digits"),
        pytest.param("13810603954", "", "1234", "13810603954", "unverified", {"number_unverified"}, id="a code of four digits"),
        pytest.param("13810603954", "CN", "x", "13810603954", "unverified", {"number_unverified"}, id="a code of letters"),
        pytest.param("13810603954", "", "８６", "+8613810603954", "e164", set(), id="a code in full-width digits"),
        pytest.param("1" * 65, "CN", "", "1" * 64, "unverified", {"number_unverified"}, id="longer than any number"),
        pytest.param("\ufdfa" * 100_000, "CN", "", "\ufdfa" * 64, "unverified", {"number_unverified"}, id="P8 what grows eighteenfold"),
        pytest.param("*" * 100_000, "CN", "", "*" * 64, "unverified", {"number_unverified"}, id="P8 stars without end"),
        pytest.param("anonymous", "CN", "", None, "anonymous", set(), id="anonymous"),
        pytest.param("Unknown", "CN", "", None, "anonymous", set(), id="unknown"),
        pytest.param("匿名", "CN", "", None, "anonymous", set(), id="anonymous in Chinese"),
        pytest.param("", "CN", "", None, "", {"number_unverified"}, id="V34 empty"),
        pytest.param("  ", "CN", "", None, "", {"number_unverified"}, id="blank"),
        pytest.param(None, "CN", "", None, "", set(), id="absent"),
        pytest.param({"n": 1}, "CN", "", None, "", {"type_drift"}, id="an object"),
        pytest.param(True, "CN", "", None, "", {"type_drift"}, id="a boolean"),
    ],
)  # fmt: skip
def test_what_is_no_plan_s_number_is_kept_and_told(
    value: object, region: str, code: str, *, number: str | None, kind: str, flags: set[str]
) -> None:
    parsed = parse(value, region, code)
    assert (parsed.number, parsed.kind, parsed.flags) == (number, NumberKind(kind), frozenset(map(Flag, flags)))


def test_a_cache_keeps_no_long_text() -> None:

    _parse.cache_clear()
    for n in range(200):
        parse("\ufdfa" * 100_000 + str(n), "CN")
        parse("1", "", "9" * 100_000 + str(n))
    assert _parse.cache_info().currsize <= 1


def test_a_number_of_thousands_of_digits_is_no_number() -> None:
    """A text is kept; a number of that size Python does not even write out."""
    assert parse(10**5000, "CN").flags == {Flag.TYPE_DRIFT}


@given(st.one_of(st.text(max_size=40), st.integers(), st.text("+0123456789*- ", max_size=24)), st.sampled_from(["", "CN", "ID"]),
       st.sampled_from(["", "86", "+62", "0", "x", "99999999999"]))  # fmt: skip
def test_nothing_raises_and_the_raw_is_kept(value: object, region: str, code: str) -> None:
    number = parse(value, region, code)
    assert number.raw == str(value)
    assert number.kind is not E164 or (number.number or "").startswith("+")


@given(
    st.text("0123456789", min_size=1, max_size=18),
    st.sampled_from(["CN", "DE", "US", ""]),
    st.sampled_from(["", "86", "1"]),
)
def test_plain_digits_are_read_as_those_of_another_width(digits: str, region: str, code: str) -> None:
    """Plain digits are not normalised, as all other texts are."""
    wide = digits.translate({ord("0") + digit: chr(0xFF10 + digit) for digit in range(10)})
    plain, normalised = parse(digits, region, code), parse(wide, region, code)
    assert (plain.number, plain.kind, plain.flags) == (normalised.number, normalised.kind, normalised.flags)
