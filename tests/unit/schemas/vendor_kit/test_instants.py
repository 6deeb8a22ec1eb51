"""One parser of instants for all vendors."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.facts import EPOCH, Flag
from schemas.vendor_kit import instants
from schemas.vendor_kit.instants import AHEAD, OLDEST, parse

RECEIVED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CST = timezone(timedelta(hours=8))
PUSH = datetime(2019, 4, 17, 6, 54, 35, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected", "precision"),
    [
        pytest.param("1555484075", PUSH, "s", id="epoch seconds as text"),
        pytest.param(1555484075, PUSH, "s", id="epoch seconds as int"),
        pytest.param(1555484075.0, PUSH, "s", id="epoch seconds as float"),
        pytest.param(" 1555484075 ", PUSH, "s", id="epoch with blanks"),
        pytest.param("1555484075000", PUSH, "ms", id="epoch milliseconds as text"),
        pytest.param(1646288530000, datetime(2022, 3, 3, 6, 22, 10, tzinfo=UTC), "ms", id="epoch milliseconds as int"),
        pytest.param("1555484075000000", PUSH, "us", id="epoch microseconds"),
        pytest.param(
            "1552628370.54565", datetime(2019, 3, 15, 5, 39, 30, 545650, tzinfo=UTC), "us", id="fractional epoch"
        ),
        pytest.param(
            1552628370.54565, datetime(2019, 3, 15, 5, 39, 30, 545650, tzinfo=UTC), "us", id="fractional epoch as float"
        ),
        pytest.param(
            "1552628370.5", datetime(2019, 3, 15, 5, 39, 30, 500000, tzinfo=UTC), "ms", id="epoch with tenths"
        ),
        pytest.param("2016-02-02 11:19:36", datetime(2016, 2, 2, 11, 19, 36, tzinfo=CST), "s", id="civil"),
        pytest.param(
            "2016-02-02 11:19:36.000", datetime(2016, 2, 2, 11, 19, 36, tzinfo=CST), "ms", id="civil with milliseconds"
        ),
        pytest.param(
            "2016-02-0211:20:40.000", datetime(2016, 2, 2, 11, 20, 40, tzinfo=CST), "ms", id="civil without the space"
        ),
        pytest.param("2016/2/2 1:02:03", datetime(2016, 2, 2, 1, 2, 3, tzinfo=CST), "s", id="slashes, short fields"),
        pytest.param("2016-02-02T11:19:36", datetime(2016, 2, 2, 11, 19, 36, tzinfo=CST), "s", id="ISO, naive"),
        pytest.param("2016-02-02T11:19:36Z", datetime(2016, 2, 2, 11, 19, 36, tzinfo=UTC), "s", id="ISO, Z"),
        pytest.param("20160202111936", datetime(2016, 2, 2, 11, 19, 36, tzinfo=CST), "s", id="S4 fourteen digits"),
        pytest.param(
            20160202111936, datetime(2016, 2, 2, 11, 19, 36, tzinfo=CST), "s", id="S4 fourteen digits as a number"
        ),
        pytest.param(
            "20160202111936.5",
            datetime(2016, 2, 2, 11, 19, 36, 500000, tzinfo=CST),
            "ms",
            id="fourteen digits and tenths",
        ),
        pytest.param(
            "20160202111936123", datetime(2016, 2, 2, 11, 19, 36, 123000, tzinfo=CST), "ms", id="seventeen digits"
        ),
        pytest.param(
            "2016-02-02T11:19:36+14:00", datetime(2016, 2, 1, 21, 19, 36, tzinfo=UTC), "s", id="the farthest east"
        ),
        pytest.param(
            "2016-02-02T11:19:36-12:00", datetime(2016, 2, 2, 23, 19, 36, tzinfo=UTC), "s", id="the farthest west"
        ),
        pytest.param("2016-02-02T11:19:36+0800", datetime(2016, 2, 2, 3, 19, 36, tzinfo=UTC), "s", id="ISO, +0800"),
        pytest.param(
            "2016-02-02T11:19:36.1234567-03:30",
            datetime(2016, 2, 2, 14, 49, 36, 123456, tzinfo=UTC),
            "us",
            id="ISO, 7 decimals, -03:30",
        ),
    ],
)
def test_every_documented_form_is_read(value: object, expected: datetime, precision: str) -> None:
    instant = parse(value, "Asia/Shanghai", RECEIVED)
    assert (instant.at, instant.precision, instant.flags) == (expected, precision, frozenset())
    assert instant.at is not None
    assert instant.at.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        "0", 0, 0.0, "", "  ", None, "-1", -1, "null", "NULL", "00000", "0.000", "0000-00-00", "0000-00-00 00:00:00",
        "1970-01-01 00:00:00", "1970-01-01 08:00:00", "1970-01-01 08:00:00.000", "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00", "0001-01-01 00:00:00", "00000000000000", "19700101000000", "19700101080000", "00010101000000",
    ],
)  # fmt: skip
def test_the_spellings_of_never_are_no_instant_and_no_fault(value: object) -> None:
    instant = parse(value, "Asia/Shanghai", RECEIVED)
    assert (instant.at, instant.precision, instant.flags) == (None, "", frozenset())


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("2016-02-02 24:00:00", id="hour 24"),
        pytest.param("2016-02-02 23:59:60", id="leap second"),
        pytest.param("2016-02-30 10:00:00", id="30 February"),
        pytest.param("2016-02-30 10:00:00.5", id="30 February with decimals"),
        pytest.param("2016-02-02", id="date only"),
        pytest.param("2016-02-02 11:20+08", id="ISO without seconds"),
        pytest.param("2016-02/02 11:20:30", id="mixed separators"),
        pytest.param("2016-2-211:20:30", id="no gap after a one-digit day"),
        pytest.param("soon", id="a word"),
        pytest.param("155548407", id="nine digits"),
        pytest.param("15554840750", id="eleven digits"),
        pytest.param("9" * 400, id="hundreds of digits"),
        pytest.param(float("nan"), id="not a number"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param("1999-12-31 23:59:59", id="before 2000"),
        pytest.param("9999-12-31 23:59:59", id="the end of the calendar"),
        pytest.param("9999999999", id="epoch in 2286"),
        pytest.param("9999999999999999", id="epoch beyond the calendar in microseconds"),
        pytest.param("2026-03-02 20:00:01", id="25 hours ahead of the receipt"),
        pytest.param("2016-02-02 11:19:36+99:99", id="P10 an offset that no zone has"),
        pytest.param("2016-02-02 11:19:36+24:00", id="an offset of a day"),
        pytest.param("2016-02-02 11:19:36+14:01", id="farther than the farthest east"),
        pytest.param("2016-02-02 11:19:36-12:30", id="farther than the farthest west"),
        pytest.param("2016-02-02 11:19:36+08:60", id="an offset of sixty minutes"),
        pytest.param("2016-02-02 11:19:36-9999", id="an offset without a colon"),
        pytest.param("9999-12-31 23:59:59-12:00", id="beyond the calendar by its offset"),
        pytest.param("0001-01-02 00:00:00+14:00", id="the beginning of the calendar, and an offset"),
        pytest.param("201602021119", id="twelve digits"),
        pytest.param("20160230111936", id="fourteen digits that are 30 February"),
        pytest.param("20161302111936", id="fourteen digits that are a thirteenth month"),
        pytest.param("20160202241936", id="fourteen digits that are hour 24"),
        pytest.param("99999999999999", id="fourteen nines"),
        pytest.param("123456789012345", id="fifteen digits"),
        pytest.param("n/a", id="S4 not available"),
        pytest.param(Decimal("1e2999999999"), id="P5 an exponent that would fill the memory"),
        pytest.param(Decimal("-1e2999999999"), id="such an exponent below nothing"),
        pytest.param(Decimal("1e-2999999999"), id="such an exponent downwards"),
        pytest.param(10**5000, id="five thousand digits as a number"),
        pytest.param(-(10**5000), id="five thousand digits below nothing"),
        pytest.param("9" * 1_000_000, id="a million digits"),
        pytest.param("2016-02-02 11:19:36." + "0" * 1_000_000, id="a million decimals"),
        pytest.param("２０１６-02-02 11:19:36", id="full-width digits"),
    ],
)
def test_what_is_no_instant_is_flagged(value: object) -> None:
    instant = parse(value, "Asia/Shanghai", RECEIVED)
    assert (instant.at, instant.flags) == (None, frozenset({Flag.BAD_TIME}))


@pytest.mark.parametrize("value", [True, False, {}, {"t": 1}, [], ["1555484075"]])
def test_a_wrong_type_is_drift(value: object) -> None:
    instant = parse(value, "UTC", RECEIVED)
    assert (instant.at, instant.flags) == (None, frozenset({Flag.TYPE_DRIFT}))


def test_the_bounds_themselves_are_taken() -> None:
    assert parse("946684800000", "UTC", RECEIVED).flags == {Flag.BAD_TIME}  # twelve digits
    assert parse("2000-01-01 00:00:00", "UTC", RECEIVED).at == OLDEST
    assert parse("2026-03-02 12:00:00", "UTC", RECEIVED).at == RECEIVED + AHEAD


@pytest.mark.parametrize(
    ("value", "received_at", "read"),
    [
        pytest.param("2147483648", datetime(2038, 1, 19, 4, tzinfo=UTC), True, id="2038"),
        pytest.param("4294967296", datetime(2106, 2, 7, 7, tzinfo=UTC), True, id="2106"),
        pytest.param("2038-01-19 03:14:08", datetime(2026, 1, 1, tzinfo=UTC), False, id="2038, sent too early"),
        pytest.param("2262-04-12 00:00:00", datetime(2262, 4, 12, tzinfo=UTC), True, id="2262"),
        pytest.param(
            "2299-12-24 00:00:00",
            datetime(2299, 12, 31, tzinfo=UTC),
            True,
            id="a week before the last day that the tables hold",
        ),
        pytest.param("2299-12-24 00:00:01", datetime(2300, 1, 2, tzinfo=UTC), False, id="beyond what the tables hold"),
        pytest.param(
            "9998-12-31 00:00:00", datetime(9999, 12, 31, 23, tzinfo=UTC), False, id="the end of the calendar"
        ),
    ],
)
def test_a_time_is_held_against_its_receipt_and_the_tables(value: str, received_at: datetime, *, read: bool) -> None:
    instant = parse(value, "UTC", received_at)
    assert (instant.at is not None) is read
    assert instant.flags == (set() if read else {Flag.BAD_TIME})


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        pytest.param("20160202111936", {Flag.TZ_ASSUMED}, id="fourteen digits"),
        pytest.param("2016-02-02 11:19:36", {Flag.TZ_ASSUMED}, id="civil"),
        pytest.param("2016-02-02T11:19:36.5", {Flag.TZ_ASSUMED}, id="ISO without zone"),
        pytest.param("2016-02-02T11:19:36Z", set(), id="ISO with zone"),
        pytest.param("1454383176", set(), id="epoch"),
    ],
)
def test_a_doubtful_zone_flags_only_what_it_decided(value: str, flags: set[Flag]) -> None:
    assert parse(value, "UTC?", RECEIVED).flags == flags


def test_a_zone_with_summer_time_places_each_side_of_the_change() -> None:
    assert parse("2025-07-01 12:00:00", "Europe/Berlin", RECEIVED).at == datetime(2025, 7, 1, 10, tzinfo=UTC)
    assert parse("2025-12-01 12:00:00", "Europe/Berlin", RECEIVED).at == datetime(2025, 12, 1, 11, tzinfo=UTC)


@given(st.integers(1_000_000_000_000, int(RECEIVED.timestamp() * 1000)))
def test_all_spellings_of_one_instant_agree(millis: int) -> None:
    at = EPOCH + timedelta(milliseconds=millis)
    local = at.astimezone(CST)
    spelt = [
        millis,
        str(millis),
        f"{millis // 1000}.{millis % 1000:03}",
        millis * 1000,
        local.strftime("%Y-%m-%d %H:%M:%S.%f"),
        local.strftime("%Y-%m-%d%H:%M:%S.%f"),
        local.strftime("%Y/%m/%d %H:%M:%S.%f"),
        at.isoformat(),
        local.isoformat(timespec="milliseconds"),
    ]
    assert {parse(value, "Asia/Shanghai", RECEIVED).at for value in spelt} == {at}


@given(
    st.one_of(
        st.text(),
        st.integers(),
        st.floats(),
        st.text("0123456789-:/ .TZ+", max_size=40),
        st.decimals(),
        st.from_regex(
            r"[0-9]{14}|[0-9]{4}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9][+-][0-9]{4}", fullmatch=True
        ),
    )
)
def test_nothing_raises(value: object) -> None:
    instant = parse(value, "Asia/Shanghai", RECEIVED)
    assert instant.at is None or OLDEST <= instant.at <= RECEIVED + AHEAD


@given(st.sampled_from([10, 13, 16]).flatmap(lambda digits: st.text("0123456789", min_size=digits, max_size=digits)))
def test_digits_alone_are_the_instant_that_they_are_with_a_fraction(text: str) -> None:
    """They are read without a pattern, as nothing else is."""
    assert instants._read(text, "UTC") == instants._from_epoch(text, "UTC")


def test_a_time_that_was_read_before_is_held_against_the_new_receipt() -> None:
    text, early = "2026-03-01 16:00:00", datetime(2026, 2, 1, tzinfo=UTC)
    later = early + timedelta(days=60)
    assert parse(text, "UTC", later).at == datetime(2026, 3, 1, 16, tzinfo=UTC)
    assert parse(text, "UTC", early).flags == {Flag.BAD_TIME}
    assert parse(text, "Asia/Shanghai", later).at == datetime(2026, 3, 1, 8, tzinfo=UTC)
