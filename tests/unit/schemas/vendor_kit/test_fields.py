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
from schemas.vendor_kit.plausibility import check_order

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


_AMOUNTS = st.one_of(
    st.integers(-10, 2**34), st.sampled_from([0, 1, 86_400, 86_401, 604_800, 604_801, 2**32 - 1, 2**32]), st.booleans()
)


def _read(value: Any, how: str, *times: datetime | None) -> tuple[Any, set[Flag], dict[str, str]]:
    found = fields({"f": value, "g": "1"}, "f", "g")
    read = getattr(found, how)("f", *times)
    return read, found.flags, {name: text.strip() for name, text in found.extras().items()}


@given(amount=_AMOUNTS, span=st.integers(0, 2**20), how=st.sampled_from(["text", "integer", "seconds", "boolean"]))
def test_what_is_spelt_as_nearly_always_is_read_as_what_is_spelt_otherwise(amount: int, span: int, how: str) -> None:
    """White space, a point, another type: they take the careful way, and each gives the value, flags and extras."""
    times = (NOW, NOW + timedelta(seconds=span)) if how == "seconds" else ()
    quick = _read(amount, how, *times)
    if type(amount) is int:
        assert quick == _read(Decimal(amount), how, *times)
        assert quick == _read(f"{amount}\t", how, *times)
    assert _read(str(amount).lower(), how, *times) == _read(f"{amount}\t".lower(), how, *times)


@given(
    st.one_of(st.text("0123456789nulNUL- \tä", max_size=14), st.sampled_from(["undefined", "undefined ", "n/a", "-1"]))
)
def test_an_id_is_one_however_long_its_text_is(text: str) -> None:
    def needed(value: Any) -> tuple[str, str]:
        try:
            return fields({"f": value}).need("f", code="no_id"), ""
        except Undecodable as exc:
            return "", str(exc)

    assert needed(text) == needed(f"\t{text}")


@given(st.lists(st.one_of(st.none(), st.integers(-3, 3).map(lambda n: NOW + timedelta(hours=4 * n))), max_size=5))
def test_times_are_in_order_when_they_are_sorted(times: list[datetime | None]) -> None:
    known = [at for at in times if at is not None]
    expected = {Flag.TIME_ORDER} if known != sorted(known) else set()
    if expected and known[0] - known[-1] == timedelta(hours=8):
        expected.add(Flag.TZ_SUSPECT)
    found = fields({})
    check_order(found, *times)

    assert found.flags == expected
