"""Rows as people and spreadsheets spoil them: each is a record, or says why it is none; nothing is guessed."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.reconcile.columns import Column, FileMap, guessed, read_map
from deploy.reconcile.plan import FileChoice, planned
from deploy.reconcile.records import CallRecord, Skipped, elements_of, reader_of
from deploy.reconcile.rows.bounds import Row
from schemas.errors import Undecodable
from schemas.vendor_kit.contract import Context
from schemas.vendors import VENDORS

NOW = datetime(2026, 11, 30, tzinfo=UTC)
HEAD = ["通话ID", "主叫", "被叫", "开始时间", "应答时间", "结束时间", "计费时长", "费用", "币种"]
GOOD = ["c1", "13800000000", "13900000000", "2026-03-02 10:00:00", "-", "2026-03-02 10:01:00", "60", "1.20", "人民币"]
NAMES = dict(
    zip(("id", "caller", "called", "start", "answer", "end", "billed", "cost", "currency"), range(9), strict=True)
)


def row(**changed: str) -> Row:
    cells = list(GOOD)
    for name, cell in changed.items():
        cells[NAMES[name]] = cell
    return cells


def read(cells: Row, *, zone: str = "", head: Row | None = None, vendor: str = "ytx") -> CallRecord | Skipped:
    first = [(1, head or HEAD), (2, cells)]
    found = guessed(first, VENDORS[vendor])
    return reader_of(found, VENDORS[vendor], Context(received_at=NOW), zone)(2, cells)


def record(cells: Row, **more: Any) -> CallRecord:
    found = read(cells, **more)
    assert isinstance(found, CallRecord)
    return found


SAME: dict[str, dict[str, str]] = {
    "as it is": {},
    "numbers of a program that has gaps in its columns": {"caller": "13800000000.0"},
    "a sign before digits for a spreadsheet": {"id": "'c1", "caller": "`13800000000"},
    "minutes and seconds": {"billed": "01:00"},
    "hours, minutes and seconds": {"billed": "0:01:00"},
    "a unit": {"billed": "60 秒"},
    "a sign of the currency": {"cost": "¥1.20"},
    "a decimal comma": {"cost": "1,20"},
    "a currency by its code": {"currency": "cny"},
    "slashes and no seconds": {"start": "2026/3/2 10:00"},
    "seconds since 1970": {"start": "1772416800"},
    "milliseconds since 1970": {"start": "1772416800000"},
    "a zone of its own": {"start": "2026-03-02T02:00:00Z"},
    "a word for nothing": {"answer": "NULL"},
    "another word for nothing": {"answer": "NaN"},
}


@pytest.mark.parametrize("changed", SAME.values(), ids=SAME)
def test_a_value_may_be_written_in_many_ways(changed: dict[str, str]) -> None:
    assert record(row(**changed)) == record(GOOD)
    assert (record(GOOD).currency, record(GOOD).answer_at, record(GOOD).trouble) == ("CNY", None, "")


SPOILT: dict[str, tuple[dict[str, str], str]] = {
    "a number that a spreadsheet rounded": ({"caller": "1.38E+10"}, "rounded"),
    "the same with a comma": ({"called": "1,39E+10"}, "rounded"),
    "an error of a spreadsheet": ({"caller": "#N/A"}, "error"),
    "a column that was too narrow": ({"called": "#########"}, "error"),
    "the month or the day first": ({"start": "03/02/2026 10:00:00"}, "time"),
    "a day as a number": ({"start": "46083.5"}, "time"),
    "a time to come": ({"start": "2199-01-01 00:00:00"}, "time"),
    "a word as a time": ({"end": "gestern"}, "time"),
    "seconds below nothing": ({"billed": "-60"}, "seconds"),
    "seconds with a comma of thousands": ({"billed": "1,234"}, "seconds"),
    "a clock with 75 seconds": ({"billed": "12:75"}, "seconds"),
    "a week and more": ({"billed": "9999999"}, "seconds"),
    "money with a comma of thousands or of decimals": ({"cost": "1,234"}, "money"),
    "money that is paid back": ({"cost": "-1.20"}, "money"),
    "money of another country": ({"cost": "$1.20"}, "another currency"),
    "bytes of another encoding": ({"called": "139\ufffd0000000"}, "encoding"),
}


@pytest.mark.parametrize(("changed", "why"), SPOILT.values(), ids=SPOILT)
def test_a_row_with_a_spoilt_value_cannot_be_read_and_still_tells_its_call(changed: dict[str, str], why: str) -> None:
    found = record(row(**changed))

    assert why in found.trouble
    assert found.call_id == "c1"


NO_ID = {
    "no id": "",
    "a word for none": "-",
    "an id that was rounded": "2.02603E+28",
    "an id that was rounded with a comma": "2,02603E+28",
    "an id that became a date": "2026-03-02 00:00:00",
    "an id that became a month": "Mar-26",
    "an error of a spreadsheet": "#NAME?",
}


@pytest.mark.parametrize("call_id", NO_ID.values(), ids=NO_ID)
def test_an_id_that_is_none_any_more_names_no_call(call_id: str) -> None:
    with pytest.raises(Undecodable):
        read(row(id=call_id))


@pytest.mark.parametrize("call_id", ["007", "1e5", "12e10", "0x1E+5", "ABC-1", "2026-03-02-0001", "1700000000.0"])
def test_an_id_that_only_looks_odd_is_taken_as_it_is(call_id: str) -> None:
    assert record(row(id=call_id)).call_id == call_id


def test_cells_beyond_the_headings_are_not_taken_for_others() -> None:
    """A comma inside a value that nobody quoted moves all that stands behind it."""
    moved = [
        "c1",
        "13800000000",
        "13900000000",
        "2026-03-02 10:00:00",
        "-",
        "2026-03-02 10:01:00",
        "60",
        "1",
        "20",
        "CNY",
    ]

    found = record(moved)

    assert "more cells" in found.trouble
    assert (found.call_id, found.start_at) == ("c1", None)
    assert record([*GOOD, "", ""]) == record(GOOD)


def test_headings_in_the_middle_of_joined_files_are_no_record() -> None:
    assert read(HEAD) == Skipped("the headings again")


def test_a_day_alone_is_no_instant() -> None:
    head = ["通话ID", "日期", "时间", "主叫"]
    with_time = record(["c1", "2026/3/2", "10:00:00", "13800000000"], head=head)
    assert with_time.start_at == record(GOOD).start_at
    assert "no time" in record(["c1", "2026/3/2", "", "13800000000"], head=head).trouble
    assert record(["c1", "2026-03-02", "13800000000"], head=["通话ID", "日期", "主叫"]).start_at is None
    assert (
        record(["c1", "2026-03-02 10:00:00", "13800000000"], head=["通话ID", "日期", "主叫"]).start_at
        == with_time.start_at
    )


def test_minutes_are_rounded_to_the_nearest_second() -> None:
    head = ["通话ID", "计费分钟", "主叫"]
    assert record(["c1", "0.98333", "13800000000"], head=head).billed_s == 59
    assert record(["c1", "1.5", "13800000000"], head=head).billed_s == 90
    assert "minutes" in record(["c1", "1_0", "13800000000"], head=head).trouble


def test_a_time_that_clocks_showed_twice_or_never_is_not_guessed() -> None:
    often = record(row(start="2026-10-25 02:30:00"), zone="Europe/Berlin")
    never = record(row(start="2026-03-29 02:30:00"), zone="Europe/Berlin")
    plain = record(row(start="2026-03-29 03:30:00"), zone="Europe/Berlin")

    assert "twice" in often.trouble
    assert "never" in never.trouble
    assert plain.trouble == ""
    assert record(row(start="2026-10-25 02:30:00+01:00"), zone="Europe/Berlin").trouble == ""


def test_a_zone_moves_times_and_no_id_that_looks_like_one() -> None:
    columns = (Column("requestid", "requestid"), Column("callerstime", "callerstime"))
    found = FileMap(reads="fields", columns=columns, ids=("requestid",))

    element = elements_of(found, ["20260302100000123", "2026-03-02 10:00:00"], "UTC", NOW)

    assert element == {"requestid": "20260302100000123", "callerstime": "2026-03-02 10:00:00+00:00"}


FIELDS = ["requestid", "appid", "fid", "caller", "called", "callerstime", "calledetime", "duration"]
PUSHED = ["r1", "aaaa", "4", "13800000000", "13900000000", "2026-03-02 10:00:00", "2026-03-02 10:01:00", "60"]


def test_a_row_of_the_vendors_fields_that_cannot_be_read_tells_its_call() -> None:
    good = record(PUSHED, head=FIELDS)
    kind = record([*PUSHED[:2], "9", *PUSHED[3:]], head=FIELDS)
    rounded = record([*PUSHED[:3], "1.38E+10", *PUSHED[4:]], head=FIELDS)

    assert (good.call_id, good.trouble) == ("r1", "")
    assert (kind.call_id, "payloads" in kind.trouble) == ("r1", True)
    assert (rounded.call_id, "rounded" in rounded.trouble) == ("r1", True)


def test_the_bill_is_read_and_not_the_talk_beside_it() -> None:
    head = ["通话ID", "通话时长", "计费时长", "主叫"]

    assert record(["c1", "61", "120", "13800000000"], head=head).billed_s == 120


def test_constants_are_read_where_no_column_is() -> None:
    text = 'reads = "meanings"\n[columns]\na = "call_id"\nb = "cost"\n[constants]\ncurrency = "USD"'
    first = [(1, ["a", "b"]), (2, ["c1", "1.50"])]
    found = read_map(text, first, VENDORS["nxcloud"])

    made = reader_of(found, VENDORS["nxcloud"], Context(received_at=NOW))(2, ["c1", "1.50"])

    assert isinstance(made, CallRecord)
    assert (str(made.cost), made.currency) == ("1.500000", "USD")


def test_a_name_of_bytes_that_are_no_text_can_be_stored(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.csv")
    path.write_text("通话ID\nc1\n", "utf-8")

    plan = planned(FileChoice(path=path, vendor="ytx", account="a"), lambda *_: lambda _: None)

    assert plan.file_name.encode() == rb"\udcff.csv"
    assert plan.lines()[0].startswith(r"\udcff.csv: ")
