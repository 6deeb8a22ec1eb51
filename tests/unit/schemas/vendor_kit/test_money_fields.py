"""Fields that hold money: currencies, bounds, sums."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from schemas.facts import Flag
from schemas.vendor_kit.fields import Fields

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def fields(element: Any, *documented: str) -> Fields:
    return Fields(element, NOW, documented=documented)


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


def test_money_is_added_up_exactly() -> None:
    legs = [fields({"f": "0.044"}).money("f", "CNY") for _ in range(3)]
    assert sum(leg for leg in legs if leg) == Decimal("0.132")
