"""The columns of a carrier's file: guessed from headings in two languages, written as a map, and read from one."""

import pytest

from deploy.reconcile.column_words import is_total, meaning_of
from deploy.reconcile.columns import guessed, read_map, written
from deploy.reconcile.rows.bounds import Numbered, UnreadableFile
from schemas.vendors import VENDORS

HEADINGS = {
    "通话ID": "call_id",
    "话单流水号": "",
    "主叫号码": "from_number",
    "被叫号码": "to_number",
    "通话时长（秒）": "billed_s",
    "计费分钟数": "billed_min",
    "费用(元)": "cost",
    "费用（分）": "cost_cents",
    "Call-ID": "call_id",
    "Start Time": "start_at",
    "called_number": "to_number",
    "Billed Seconds": "billed_s",
    "Answered": "",
}


@pytest.mark.parametrize(("heading", "meaning"), HEADINGS.items(), ids=HEADINGS)
def test_a_heading_has_one_meaning_or_none(heading: str, meaning: str) -> None:
    assert meaning_of(heading) == meaning


def rows(*headings: str, title: bool = False) -> list[Numbered]:
    above = [(1, ["2026年3月话单"])] if title else []
    return [*above, (2 if title else 1, list(headings)), (3, ["1"] * len(headings))]


def test_the_vendors_own_names_are_read_by_its_own_mapping_however_they_are_spelt() -> None:
    found = guessed(rows("RequestId", " caller ", "CALLED", "callerstime", "note", title=True), VENDORS["ytx"])

    assert (found.reads, found.header) == ("fields", 2)
    assert [column.meaning for column in found.columns] == ["requestid", "caller", "called", "callerstime", ""]


def test_fields_of_records_in_an_envelope_are_known_as_those() -> None:
    found = guessed(rows("sessionId", "callerNum", "calleeNum", "callInTime", "callEndTime"), VENDORS["huawei"])

    assert (found.reads, found.holder) == ("fields", "feeLst")


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_file_with_all_documented_fields_of_a_kind_is_read_by_the_mapping(vendor: str) -> None:
    for callback in VENDORS[vendor].callbacks:
        for names in callback.documented.values():
            found = guessed(rows(*names), VENDORS[vendor])
            assert found.reads == "fields"
            assert found.meanings >= set(names)


def test_other_names_have_meanings_each_once() -> None:
    found = guessed(rows("通话ID", "主叫", "被叫", "开始时间", "时长", "费用", "费用"), VENDORS["ytx"])

    assert found.reads == "meanings"
    assert [(column.heading, column.meaning) for column in found.columns][-2:] == [("费用", "cost"), ("费用#2", "")]


def test_two_spellings_of_one_field_are_one_column() -> None:
    found = guessed(rows("requestid", "caller", "Caller", "called", "callerstime"), VENDORS["ytx"])

    assert [column.meaning for column in found.columns] == ["requestid", "caller", "", "called", "callerstime"]


def test_a_map_of_fields_is_read_as_it_was_written() -> None:
    first = rows("requestid", "caller", "called", "callerstime", "note")
    found = guessed(first, VENDORS["ytx"])

    assert read_map(written(found, VENDORS["ytx"]), first, VENDORS["ytx"]) == found
    assert found.ids == ("requestid",)


def test_a_map_that_is_written_is_read_as_it_was() -> None:
    first = rows("通话ID", '主"叫', "被叫\x7f", "开始时间")
    found = guessed(first, VENDORS["ytx"])

    again = read_map(written(found, VENDORS["ytx"]), first, VENDORS["ytx"])

    assert again == found


REFUSED = {
    "no headings that are known": ([(1, ["a", "b"])], ""),
    "a map that is no TOML": (rows("a", "b"), "reads = "),
    "a column that is not there": (rows("a", "b"), 'reads = "meanings"\n[columns]\nc = "call_id"'),
    "a meaning that there is not": (rows("a", "b"), 'reads = "meanings"\n[columns]\na = "cal_id"'),
    "nothing that pairs records": (rows("a", "b"), 'reads = "meanings"\n[columns]\na = "cost"'),
    "a setting that there is not": (rows("a"), 'reads = "meanings"\nroot = "/"\n[columns]\na = "call_id"'),
    "two columns of one meaning": (rows("a", "b"), 'reads = "meanings"\n[columns]\na = "call_id"\nb = "call_id"'),
    "a constant beside its column": (
        rows("a", "b"),
        'reads = "meanings"\n[columns]\na = "call_id"\nb = "cost"\n[constants]\ncost = "1"',
    ),
    "a constant that has no meaning": (rows("a"), 'reads = "meanings"\n[columns]\na = "call_id"\n[constants]\nx = "1"'),
    "one call for all rows": (rows("a"), 'reads = "meanings"\n[columns]\na = "cost"\n[constants]\ncall_id = "1"'),
    "a constant of another type": (rows("a"), 'reads = "meanings"\n[columns]\na = "call_id"\n[constants]\ncost = 1'),
    "a way to read that there is not": (rows("a"), 'reads = "columns"\n[columns]\na = "call_id"'),
    "no columns": (rows("a"), 'reads = "meanings"'),
    "a callback that there is not": (rows("a"), 'reads = "fields"\ncallback = "cdr"\n[columns]\na = "requestid"'),
    "an envelope that there is not": (
        rows("a"),
        'reads = "fields"\ncallback = "push"\nholder = "rows"\n[columns]\na = "requestid"',
    ),
    "a field that there is not": (
        rows("a", "b"),
        'reads = "fields"\ncallback = "push"\n[columns]\na = "requestid"\nb = "calller"',
    ),
    "fields without the id": (rows("a"), 'reads = "fields"\ncallback = "push"\n[columns]\na = "caller"'),
    "a header far below": (rows("a"), 'reads = "meanings"\nheader = 9000\n[columns]\na = "call_id"'),
}


@pytest.mark.parametrize(("first", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_said(first: list[Numbered], text: str) -> None:
    with pytest.raises(UnreadableFile):
        read_map(text, first, VENDORS["ytx"]) if text else guessed(first, VENDORS["ytx"])


def test_without_headings_columns_are_called_by_their_numbers() -> None:
    text = 'reads = "meanings"\nheader = 0\n[columns]\n1 = "call_id"\n3 = "cost"'

    found = read_map(text, [(1, ["x1", "13800000000", "1.00"])], VENDORS["ytx"])

    assert [column.meaning for column in found.columns] == ["call_id", "", "cost"]


@pytest.mark.parametrize("cells", [["合计", "3"], ["", "Total:", "3"], ["总计 12 条"]])
def test_a_line_of_totals_is_no_record(cells: list[str]) -> None:
    assert is_total(cells)
    assert not is_total(["20260302000000000000000000001", "合计"])
