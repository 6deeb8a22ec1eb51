"""One element, field by field: odd spellings are read and flagged, nothing is lost, and only a missing id fails."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.body.mojibake import mended
from schemas.errors import Undecodable
from schemas.facts import Flag, NumberKind
from schemas.vendor_kit.fields import Fields

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def fields(element: Any, *documented: str) -> Fields:
    return Fields(element, NOW, documented=documented)


@pytest.mark.parametrize("element", [None, "x", 3, [], True], ids=str)
def test_an_element_is_an_object(element: Any) -> None:
    with pytest.raises(Undecodable) as failure:
        fields(element)
    assert failure.value.code == "shape"


@pytest.mark.parametrize(
    ("value", "text", "flags"),
    [
        pytest.param("abc", "abc", set(), id="text"),
        pytest.param("  abc ", "abc", set(), id="trimmed"),
        pytest.param(None, "", set(), id="null"),
        pytest.param("", "", set(), id="empty"),
        pytest.param(" \t", "", set(), id="white space"),
        pytest.param("null", "", set(), id="the word null"),
        pytest.param(3, "3", set(), id="whole number"),
        pytest.param(20180635240289460415365120401, "20180635240289460415365120401", set(), id="long id"),
        pytest.param(Decimal("3.0"), "3", set(), id="whole decimal"),
        pytest.param(3.0, "3", set(), id="whole float"),
        pytest.param(Decimal("2.50"), "2.50", set(), id="decimal as written"),
        pytest.param(Decimal("1e400"), "1E+400", set(), id="absurdly large"),
        pytest.param(True, "true", set(), id="truth"),
        pytest.param({"a": Decimal("1.5")}, '{"a":"1.5"}', {Flag.TYPE_DRIFT}, id="object"),
        pytest.param(["应答"], '["应答"]', {Flag.TYPE_DRIFT}, id="list"),
        pytest.param(
            "应答|正常".encode().decode("latin-1"), "应答|正常", {Flag.CHARSET_REPAIRED}, id="Latin-1 of UTF-8"
        ),
        pytest.param("åº”ç\xad”", "应答", {Flag.CHARSET_REPAIRED}, id="Windows-1252 of UTF-8"),
        pytest.param("café", "café", set(), id="an accent is no accident"),
    ],
)
def test_text(value: Any, text: str, flags: set[Flag]) -> None:
    found = fields({"f": value})
    assert (found.text("f"), found.flags) == (text, flags)


def test_the_first_name_with_a_value_counts() -> None:
    found = fields({"dsc": "", "dst": "x", "third": "y"})
    assert (found.text("dsc", "dst", "third"), found.extras()) == ("x", {"third": "y"})


@pytest.mark.parametrize(
    ("value", "code"),
    [
        pytest.param(None, "no_id", id="null"),
        pytest.param(" ", "no_id", id="blank"),
        pytest.param({}, "field", id="object"),
        pytest.param([1], "field", id="list"),
        pytest.param(False, "field", id="truth"),
    ],
)
def test_a_needed_field_without_a_scalar_fails_the_element(value: Any, code: str) -> None:
    with pytest.raises(Undecodable) as failure:
        fields({"id": value}).need("id", code="no_id")
    assert (failure.value.code, failure.value.path) == (code, "id")


@pytest.mark.parametrize(
    ("value", "count", "flags"),
    [
        pytest.param(3, 3, set(), id="number"),
        pytest.param("3", 3, set(), id="text"),
        pytest.param("3.0", 3, set(), id="decimal text"),
        pytest.param(Decimal("3.0"), 3, set(), id="decimal"),
        pytest.param(Decimal("3.7"), 3, {Flag.TYPE_DRIFT}, id="fraction is cut off"),
        pytest.param("3.7", 3, {Flag.TYPE_DRIFT}, id="fraction in text"),
        pytest.param("10秒", 10, {Flag.TYPE_DRIFT}, id="with its unit"),
        pytest.param("0", 0, set(), id="zero is not nothing"),
        pytest.param("", None, set(), id="empty"),
        pytest.param(None, None, set(), id="null"),
        pytest.param("x", None, {Flag.TYPE_DRIFT}, id="words"),
        pytest.param("１０", None, {Flag.TYPE_DRIFT}, id="full-width digits"),
        pytest.param(True, None, {Flag.TYPE_DRIFT}, id="truth"),
        pytest.param([3], None, {Flag.TYPE_DRIFT}, id="list"),
        pytest.param(-1, None, {Flag.RANGE_ERROR}, id="below the range"),
        pytest.param(2**32, None, {Flag.RANGE_ERROR}, id="above the range"),
        pytest.param("9" * 5000, None, {Flag.TYPE_DRIFT}, id="thousands of digits"),
    ],
)
def test_integer(value: Any, count: int | None, flags: set[Flag]) -> None:
    found = fields({"f": value})
    assert (found.integer("f"), found.flags) == (count, flags)


@pytest.mark.parametrize(
    ("value", "money", "flags"),
    [
        pytest.param("0.06", "0.060000", set(), id="text"),
        pytest.param(Decimal("0.06"), "0.060000", set(), id="number"),
        pytest.param(0.06, "0.060000", set(), id="float"),
        pytest.param(1, "1.000000", set(), id="whole"),
        pytest.param("0.00", "0.000000", set(), id="free is not unknown"),
        pytest.param("-0.00", "0.000000", set(), id="no negative zero"),
        pytest.param("-1.5", None, {Flag.RANGE_ERROR}, id="a refund is no call's price"),
        pytest.param("-0.01", None, {Flag.RANGE_ERROR}, id="less than nothing"),
        pytest.param("- 1.5元", None, {Flag.RANGE_ERROR}, id="a refund with a sign"),
        pytest.param("0.0600000001", "0.060000", set(), id="six places"),
        pytest.param("0.0000005", "0.000000", set(), id="half to even, down"),
        pytest.param("0.0000015", "0.000002", set(), id="half to even, up"),
        pytest.param("6e-2", "0.060000", set(), id="exponent"),
        pytest.param("0,06", "0.060000", {Flag.TYPE_DRIFT}, id="decimal comma"),
        pytest.param("0.06元", "0.060000", {Flag.TYPE_DRIFT}, id="yuan after"),
        pytest.param("￥0.06", "0.060000", {Flag.TYPE_DRIFT}, id="yuan before"),
        pytest.param("1,234.5", "1234.500000", {Flag.TYPE_DRIFT}, id="thousands"),
        pytest.param("1,234", None, {Flag.TYPE_DRIFT}, id="comma that may be either"),
        pytest.param("NaN", None, {Flag.TYPE_DRIFT}, id="not a number"),
        pytest.param("Infinity", None, {Flag.TYPE_DRIFT}, id="infinity"),
        pytest.param("1e9", None, {Flag.RANGE_ERROR}, id="A3 a thousand million"),
        pytest.param("1E+5", "100000.000000", set(), id="the limit as an exponent"),
        pytest.param(Decimal("1e9"), None, {Flag.RANGE_ERROR}, id="an exponent as a number"),
        pytest.param("1e999", None, {Flag.RANGE_ERROR}, id="exponent bomb"),
        pytest.param(Decimal("1e2999999999"), None, {Flag.RANGE_ERROR}, id="exponent bomb as a number"),
        pytest.param("1e-30", "0.000000", set(), id="next to nothing"),
        pytest.param("1e-999", None, {Flag.TYPE_DRIFT}, id="exponent bomb downwards"),
        pytest.param(2**31, None, {Flag.RANGE_ERROR}, id="2^31"),
        pytest.param(2**63, None, {Flag.RANGE_ERROR}, id="2^63"),
        pytest.param(10**5000, None, {Flag.RANGE_ERROR}, id="five thousand digits as a number"),
        pytest.param("9" * 5000, None, {Flag.TYPE_DRIFT}, id="five thousand digits"),
        pytest.param("\ufdfa" * 100_000, None, {Flag.TYPE_DRIFT}, id="what grows eighteenfold"),
        pytest.param(float("nan"), None, {Flag.TYPE_DRIFT}, id="not a number as a float"),
        pytest.param(Decimal("Infinity"), None, {Flag.TYPE_DRIFT}, id="infinity as a decimal"),
        pytest.param({}, None, {Flag.TYPE_DRIFT}, id="object"),
        pytest.param("100000", "100000.000000", set(), id="the most"),
        pytest.param("100000.000001", None, {Flag.RANGE_ERROR}, id="more than that"),
        pytest.param("", None, set(), id="empty"),
        pytest.param(None, None, set(), id="null"),
    ],
)
def test_money(value: Any, money: str | None, flags: set[Flag]) -> None:
    found = fields({"f": value})
    read = found.money("f", "CNY")
    assert (None if read is None else str(read), found.flags) == (money, flags)


@pytest.mark.parametrize(
    "value",
    [
        "$2.94", "2.94$", "2.94 $", "-$2.94", "US$2.94", "US$ 2.94", "HK$2.94", "NT$2.94", "＄2.94", "€2.94", "2,94 €", "£2.94", "₹2.94",
        "2.94₽", "₩2940", "JP¥2.94", "¤2.94", "USD 2.94", "2.94USD", "usd2.94", "EUR2.94", "2.94 HKD", "SGD2.94", "2.94 dollars",
        "Rs. 2.94", "2.94美元", "2.94港元", "港币2.94", "2.94日元", "¥2.94 JPY", "2.94円",
    ],
)  # fmt: skip
def test_an_amount_in_another_currency_is_not_known(value: str) -> None:
    """A4: 2.94 dollars are not 2.94 yuan."""
    found = fields({"f": value}, "f")
    assert (found.money("f", "CNY"), found.flags) == (None, {Flag.CURRENCY_SUSPECT})
    assert found.extras() == {"f": value}


@pytest.mark.parametrize(
    "value",
    [
        "2.94元",
        "2.94 元",
        "元2.94",
        "¥2.94",
        "￥2.94",
        "¥ 2.94",
        "CN¥2.94",
        "CNY2.94",
        "2.94 cny",
        "RMB 2.94",
        "人民币2.94元",
        "2.94圆",
    ],
)
def test_an_amount_in_the_vendor_s_own_currency_is_read(value: str) -> None:
    found = fields({"f": value})
    assert (found.money("f", "CNY"), found.flags) == (Decimal("2.94"), {Flag.TYPE_DRIFT})


@pytest.mark.parametrize(
    ("named", "read"),
    [("CNY", True), ("cny", True), ("人民币", True), ("￥", True), ("", True), (None, True), ("USD", False), ("$", False), ("美元", False), ("x", False)],
)  # fmt: skip
def test_a_currency_that_is_named_beside_an_amount_counts_as_well(named: Any, *, read: bool) -> None:
    found = fields({"f": "2.94", "currency": named}, "f")
    assert found.money("f", "CNY") == (Decimal("2.94") if read else None)
    assert found.flags == (set() if read else {Flag.CURRENCY_SUSPECT})
    assert ("f" in found.extras()) is not read


@pytest.mark.parametrize(
    ("value", "currency"),
    [("$2.94", "USD"), ("US$2.94", "USD"), ("HK$ 2.94", "HKD"), ("2,94 €", "EUR"), ("£2.94", "GBP")],
)
def test_every_currency_has_marks_of_its_own(value: str, currency: str) -> None:
    found = fields({"f": value})
    assert (found.money("f", currency), found.flags) == (Decimal("2.94"), {Flag.TYPE_DRIFT})
    other = "EUR" if currency != "EUR" else "USD"
    assert fields({"f": value}).money("f", other) is None


@pytest.mark.parametrize("value", ["2.94元", "¥2.94", "RMB2.94"])
def test_a_currency_is_one_s_own_only_for_a_vendor_of_that_currency(value: str) -> None:
    found = fields({"f": value})
    assert (found.money("f", "USD"), found.flags) == (None, {Flag.CURRENCY_SUSPECT})


@pytest.mark.parametrize(
    ("value", "limit", "money"),
    [("50", 50, "50"), ("50.000001", 50, None), ("250000", 1_000_000, "250000"), ("0", 1, "0")],
)
def test_the_most_that_a_call_may_cost_is_the_account_s(value: str, limit: int, money: str | None) -> None:
    found = fields({"f": value})
    assert found.money("f", "CNY", limit) == (None if money is None else Decimal(money))
    assert found.flags == (set() if money else {Flag.RANGE_ERROR})


@pytest.mark.parametrize(
    ("value", "span_s", "seconds"),
    [
        pytest.param("60", 60, 60, id="as long as the call"),
        pytest.param(60 + 86_400, 60, 60 + 86_400, id="a day more than the call"),
        pytest.param(60 + 86_401, 60, None, id="a second more than a day more"),
        pytest.param(86_400, 0, 86_400, id="a day for no time at all"),
        pytest.param(604_800, None, 604_800, id="a week, and no times"),
        pytest.param(604_801, None, None, id="more than a week, and no times"),
        pytest.param(604_801, 700_000, None, id="more than a week, as the times say, too"),
        pytest.param(2**31, 60, None, id="2^31"),
        pytest.param(2**32, 60, None, id="2^32"),
        pytest.param(2**63, None, None, id="2^63"),
        pytest.param(Decimal("1e9"), 60, None, id="1e9"),
        pytest.param("1e9", 60, None, id="1e9 as text"),
        pytest.param("-1", 60, None, id="below nothing"),
        pytest.param("6e1", 60, 60, id="an exponent"),
    ],
)
def test_seconds_are_bounded_by_the_call_s_own_times(value: Any, span_s: int | None, seconds: int | None) -> None:
    """A1, A2: an amount beyond its bound is not known, and the sent value is an extra."""
    found = fields({"f": value}, "f")
    times = (NOW, None) if span_s is None else (NOW + timedelta(seconds=span_s), None, NOW)
    assert found.seconds("f", *times) == seconds
    assert (Flag.RANGE_ERROR in found.flags) is (seconds is None)
    assert bool(found.extras()) is (seconds is None)


def test_money_is_added_up_exactly() -> None:
    legs = [fields({"f": "0.044"}).money("f", "CNY") for _ in range(3)]
    assert sum(leg for leg in legs if leg) == Decimal("0.132")


NO_BOOLEANS: tuple[Any, ...] = (2, "x", [], {})


@pytest.mark.parametrize(
    ("value", "truth", "flags"),
    [
        *[
            pytest.param(value, True, set(), id=f"{value!r}")
            for value in (True, 1, "1", "true", "TRUE", Decimal("1.0"))
        ],
        *[pytest.param(value, False, set(), id=f"{value!r}") for value in (False, 0, "0", "false", "No")],
        *[pytest.param(value, None, set(), id=f"{value!r}") for value in (None, "", "null")],
        *[pytest.param(value, None, {Flag.TYPE_DRIFT}, id=f"{value!r}") for value in NO_BOOLEANS],
    ],
)
def test_boolean(value: Any, truth: bool | None, flags: set[Flag]) -> None:  # noqa: FBT001 - a table's column
    found = fields({"f": value})
    assert (found.boolean("f"), found.flags) == (truth, flags)


def test_what_could_not_be_read_stays_in_the_extras() -> None:
    found = fields({"n": "x", "m": "1,234", "b": 2, "t": "Feb 30"}, "n", "m", "b", "t")
    assert (found.integer("n"), found.money("m", "CNY"), found.boolean("b"), found.instant("t", "UTC")) == (None,) * 4
    assert found.extras() == {"n": "x", "m": "1,234", "b": "2", "t": "Feb 30"}
    assert found.flags == {Flag.TYPE_DRIFT, Flag.BAD_TIME}


def test_extras_are_what_was_not_read_and_what_is_asked_for() -> None:
    element = {"id": 7, "ref": "r", "new": {"k": 1}, "none": None, "blank": " ", "zero": 0}
    found = fields(element, "id", "ref")
    found.text("id")
    found.text("ref")
    assert found.extras("id") == {"id": "7", "new": '{"k":1}', "zero": "0"}
    assert found.flags == {Flag.SCHEMA_DRIFT}


def test_documented_fields_are_no_drift() -> None:
    found = fields({"id": 7, "odd": [1]}, "id", "odd")
    assert (found.extras(), found.flags) == ({"id": "7", "odd": "[1]"}, {Flag.TYPE_DRIFT})


def test_both_values_of_a_repeated_key_are_extras() -> None:
    found = fields({"ref#1": "old", "ref": "new"}, "ref")
    assert found.text("ref") == "new"
    assert (found.extras(), found.flags) == ({"ref#1": "old", "ref": "new"}, set())


def test_the_finest_precision_is_remembered() -> None:
    found = fields({"s": "1555484075", "us": "1555484075.123456", "ms": "1555484075123"})
    for name in found_names(found):
        found.instant(name, "UTC")
    assert found.time_precision == "us"


def found_names(found: Fields) -> tuple[str, ...]:
    return tuple(name for name in ("s", "us", "ms") if found.has(name))


def test_a_naive_time_is_read_in_the_vendors_zone() -> None:
    found = fields({"t": "2016-02-02 11:19:36"})
    assert found.instant("t", "Asia/Shanghai") == datetime(2016, 2, 2, 3, 19, 36, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "number", "kind", "flags"),
    [
        pytest.param("13800138000", "+8613800138000", NumberKind.E164, set(), id="text"),
        pytest.param(13800138000, "+8613800138000", NumberKind.E164, set(), id="number"),
        pytest.param(Decimal("13800138000.0"), "+8613800138000", NumberKind.E164, set(), id="decimal"),
        pytest.param(None, None, NumberKind.NONE, set(), id="null"),
        pytest.param("null", None, NumberKind.NONE, set(), id="the word null"),
        pytest.param("", None, NumberKind.NONE, {Flag.NUMBER_UNVERIFIED}, id="empty: somebody was meant"),
        pytest.param("138****8000", "138****8000", NumberKind.MASKED, {Flag.MASKED_NUMBER}, id="masked"),
        pytest.param({}, None, NumberKind.NONE, {Flag.TYPE_DRIFT}, id="object"),
    ],
)
def test_number(value: Any, number: str | None, kind: NumberKind, flags: set[Flag]) -> None:
    found = fields({"f": value})
    read = found.number("f", "CN")
    assert (read.number, read.kind, found.flags) == (number, kind, flags)


@pytest.mark.parametrize(
    ("span", "span_ms", "flags"),
    [
        pytest.param(timedelta(seconds=3), 3000, set(), id="seconds"),
        pytest.param(timedelta(0), 0, set(), id="none at all"),
        pytest.param(timedelta(seconds=-1), None, {Flag.TIME_ORDER}, id="backwards"),
        pytest.param(timedelta(days=7), 604_800_000, set(), id="a week"),
        pytest.param(timedelta(days=7, seconds=1), 604_801_000, {Flag.RANGE_ERROR}, id="more than a week"),
        pytest.param(
            timedelta(milliseconds=2**32 - 1), 2**32 - 1, {Flag.RANGE_ERROR}, id="the most that a column holds"
        ),
        pytest.param(timedelta(days=50), None, {Flag.RANGE_ERROR}, id="more than a column holds"),
        pytest.param(timedelta(days=365 * 200), None, {Flag.RANGE_ERROR}, id="two hundred years"),
    ],
)
def test_spans(span: timedelta, span_ms: int | None, flags: set[Flag]) -> None:
    found = fields({})
    assert (found.span_ms(NOW, NOW + span), found.flags) == (span_ms, flags)


def test_a_span_without_an_end_is_not_known() -> None:
    assert (fields({}).span_ms(NOW, None), fields({}).span_ms(None, NOW)) == (None, None)


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_what_was_broken_by_latin_1_is_mended(text: str) -> None:
    """Any text with two bytes or more a character is read back; plain ASCII never broke."""
    if not text.isascii():
        assert mended(text.encode().decode("latin-1")) == text


@given(st.text("应答正常无人接听éüñ abc|", max_size=12))
def test_sound_text_is_left_alone(text: str) -> None:
    assert mended(text) is text


_SCALARS = st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=8) | st.floats()
_VALUES = st.recursive(
    _SCALARS, lambda v: st.lists(v, max_size=2) | st.dictionaries(st.text(max_size=3), v, max_size=2)
)


@given(_VALUES)
def test_no_value_breaks_a_reader(value: Any) -> None:
    found = fields({"f": value, "g": value})
    results = (
        found.text("f"),
        found.integer("f"),
        found.money("f", "CNY"),
        found.boolean("f"),
        found.instant("f", "UTC"),
        found.number("f", "CN"),
        found.extras("f"),
    )
    assert isinstance(results[0], str)
    assert results[1] is None or 0 <= results[1] < 2**32


def test_a_time_that_cannot_be_read_is_not_a_time_that_never_was() -> None:
    found = fields({"bad": "2019-02-30 00:00:00", "object": {}, "never": "0", "null": None})
    assert [found.instant(name, "UTC") for name in ("bad", "object", "never", "null")] == [None] * 4
    assert [found.unreadable(name) for name in ("bad", "object", "never", "null")] == [True, True, False, False]


def test_a_glance_leaves_a_field_among_the_extras() -> None:
    found = fields({"f": 3})
    assert (found.glance("f"), found.extras()) == ("3", {"f": "3"})
