"""Any value in any field, alone or with others: a fact that Avro and the tables hold, or a dead letter but no bug."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import FACT
from schemas.errors import Undecodable
from schemas.facts import Fact, Leg
from schemas.vendor_kit.contract import Callback, Context, Mapped
from schemas.vendors import VENDORS
from tests.unit.schemas.vendors.test_vendor_contract import innermost, makes_facts, whole_element, with_field

NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64, 10**12, 10**18, 10**30, 10**127, Decimal("1e-30"), Decimal("1e2999999999"),
    Decimal("-1e2999999999"), Decimal("1e-2999999999"), float("nan"), float("inf"), 1e308, True, "-0.00", "500000000000", "1e9", "9" * 4400,
)  # fmt: skip
TIMES: tuple[Any, ...] = (
    "1970-01-01 00:00:01", "1999-12-31 23:59:59", "2000-01-01 00:00:00", "2000-01-02 00:00:00", "2038-01-19 03:14:08", "2106-02-07 06:28:16",
    "2262-04-11 23:47:16", "2299-12-31 23:59:59", "2300-01-02 00:00:00", "9999-12-31 23:59:59", "9999-12-31 23:59:59-12:00",
    "0001-01-02 00:00:00+14:00", "2016-02-02 11:19:36+99:99", "20261128141010", 2**31, 2**32, 9_999_999_999, 9_999_999_999_999, "n/a",
)  # fmt: skip
TEXTS: tuple[Any, ...] = (
    None,
    "",
    " ",
    "null",
    "\ufdfa" * 5000,
    "\x00",
    "\ufffd",
    "$2.94",
    "用户拒接|用户拒接",
    [],
    {},
    [[1]],
    {"code": "1"},
    False,
)
EXTREMES = (*NUMBERS, *TIMES, *TEXTS)
RECEIPTS = (datetime(2026, 11, 28, tzinfo=UTC), datetime(2299, 12, 31, 23, tzinfo=UTC))
KINDS = [
    pytest.param(callback, whole_element(vendor, callback, names)[0], names, id=f"{vendor.name}-{kind}")
    for vendor in VENDORS.values()
    for callback in vendor.callbacks
    if makes_facts(vendor, callback)
    for kind, names in callback.documented.items()
]
each_kind = pytest.mark.parametrize(("callback", "element", "names"), KINDS)
PARTS: dict[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in msgspec.structs.fields(kind)) for kind in (Fact, Leg)
}


def facts(callback: Callback, element: Any) -> Iterator[Fact]:
    """Returns the fact, None for a refusal, which is a short sentence; any other exception is a bug of ours."""
    refusals: list[str] = []
    for received_at in RECEIPTS:
        try:
            mapped = callback.normalise(element, Context(received_at=received_at, account="main"))
        except Undecodable as exc:
            refusals.append(str(exc))
            continue
        assert isinstance(mapped, Mapped)
        yield mapped.fact
    assert all(len(refusal) < 1000 for refusal in refusals)


def check(fact: Fact) -> None:
    """Checks the value against the narrowest column that holds it: UInt32, Decimal(18, 6), DateTime64(6)."""
    for part in (fact, *fact.legs):
        for name in PARTS[type(part)]:
            fits(getattr(part, name), name)
    assert fact.billable_s is None or 0 <= fact.billable_s <= 604_800
    assert fact.vendor_duration_s is None or fact.vendor_duration_s <= 604_800
    assert fact.cost is None or 0 <= fact.cost <= 100_000
    assert FACT.decode(FACT.encode(fact)) == fact


def fits(value: Any, name: str) -> None:
    if isinstance(value, bool | Leg):
        return
    if isinstance(value, datetime):
        assert datetime(1970, 1, 1, tzinfo=UTC) <= value < datetime(2300, 1, 1, tzinfo=UTC), name
    elif isinstance(value, int):
        assert 0 <= value < 2**32, name


@each_kind
@pytest.mark.parametrize("value", EXTREMES, ids=lambda value: repr(value)[:40])
def test_one_extreme_in_any_field(
    callback: Callback, element: dict[str, Any], names: tuple[str, ...], value: Any
) -> None:
    for name in names:
        for fact in facts(callback, with_field(element, name, value)):
            check(fact)


@each_kind
def test_extremes_in_many_fields(callback: Callback, element: dict[str, Any], names: tuple[str, ...]) -> None:

    @given(st.dictionaries(st.sampled_from(names), st.sampled_from(EXTREMES), min_size=2))
    def any_of_them(values: dict[str, Any]) -> None:
        inner = {**innermost(element), **values}
        for fact in facts(callback, inner if inner.keys() >= element.keys() else {next(iter(element)): inner}):
            check(fact)

    any_of_them()


@each_kind
def test_what_is_left_over_is_bounded_text(callback: Callback, element: dict[str, Any], names: tuple[str, ...]) -> None:
    for fact in facts(callback, with_field(element, "undocumented", {"a": [1, {"b": None}]})):
        assert json.loads(fact.extras["undocumented"]) == {"a": [1, {"b": None}]}
