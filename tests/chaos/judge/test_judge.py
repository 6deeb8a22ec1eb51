"""The judgement itself: a loss, a doubling and a wrong value are each found, and nothing else is."""

from collections import Counter

import pytest

from deploy.simulator.expectation import Expectation
from deploy.simulator.sending.ledger import LedgerEntry
from tests.chaos.judge.judge import (
    Body,
    by_window,
    ended_without_fault,
    expected_of,
    findings,
    identity_broken,
    ledger_wrong,
    stored,
    unlike,
)
from tests.oracle.compare import Difference, compare
from tests.oracle.expected import Counts


def record_of(call: str, content: str = "1", vendor: str = "huawei") -> Expectation:
    return Expectation(
        vendor=vendor,
        kind="privacy_ax",
        fact_type="record",
        call=call,
        identity=call,
        content=content,
        columns={"disposition": "answered", "end_at": 1000},
    )


def pushed(call: str, *, acked: bool = True, lost_answers: int = 0) -> LedgerEntry:
    return LedgerEntry(
        vendor="huawei",
        label="record",
        expected=(record_of(call),),
        acked=acked,
        lost_answers=lost_answers,
        digest=f"body {call}",
    )


def on_raw(*calls: str) -> Counter[Body]:
    return Counter(("huawei", f"body {call}") for call in calls)


CASES = [
    pytest.param([pushed("a")], on_raw("a"), [], id="acknowledged and there"),
    pytest.param([pushed("a")], on_raw(), ["lost"], id="acknowledged and not there"),
    pytest.param([pushed("a"), pushed("a")], on_raw("a"), ["lost"], id="acknowledged twice and there once"),
    pytest.param([pushed("a", lost_answers=1)], on_raw("a", "a"), [], id="there twice because an answer was lost"),
    pytest.param([pushed("a", acked=False, lost_answers=1)], on_raw(), [], id="never acknowledged, not there"),
    pytest.param([pushed("a", acked=False, lost_answers=1)], on_raw("a"), [], id="never acknowledged, there"),
    pytest.param([], on_raw("b"), ["wrong"], id="there and never sent"),
]


@pytest.mark.parametrize(("entries", "raw", "harms"), CASES)
def test_the_raw_topic_is_compared_with_the_acknowledgements(
    entries: list[LedgerEntry], raw: Counter[Body], harms: list[str]
) -> None:
    assert [one.harm for one in stored(entries, raw).findings] == harms


def test_what_is_stored_must_show_whether_it_was_acknowledged_or_not() -> None:
    what = stored([pushed("a", acked=False, lost_answers=1), pushed("b")], on_raw("a", "b", "b"))
    counts = expected_of(what).counts["huawei"]

    assert (counts.elements, counts.facts, counts.duplicates, counts.unsure) == (3, 2, 1, 0)
    assert what.repeated == 2
    assert [row.optional for row in expected_of(what).cdr] == [False, False]


def test_an_older_version_of_a_pulled_record_need_not_have_arrived() -> None:
    pages = [
        LedgerEntry(vendor="tencent", label="page", expected=(record_of("a", content, "tencent"),), pulled=True)
        for content in "12"
    ]
    counts = expected_of(stored(pages, {})).counts["tencent"]

    assert (counts.facts, counts.unsure) == (1, 1)


ROW = {"vendor": "huawei", "kind": "privacy_ax", "vendor_call_id": "a", "disposition": "answered", "end_at": 1000, "quality_flags": []}  # fmt: skip
SHOWN = [
    pytest.param([ROW], [], id="as it must be"),
    pytest.param([], ["lost"], id="no row"),
    pytest.param([ROW, ROW], ["doubled"], id="two rows"),
    pytest.param([ROW | {"disposition": "busy"}], ["wrong"], id="another value"),
    pytest.param([ROW, ROW | {"vendor_call_id": "z"}], ["doubled"], id="a row of nobody"),
]


@pytest.mark.parametrize(("rows", "harms"), SHOWN)
def test_a_view_is_compared_with_what_is_stored(rows: list[dict[str, object]], harms: list[str]) -> None:
    expected = expected_of(stored([pushed("a")], on_raw("a")))

    assert [one.harm for one in findings(compare(expected, cdr=rows))] == harms


def test_dead_letters_too_few_are_lost_and_too_many_doubled() -> None:
    few = Difference(view="dead_letters", key=("ytx", "json"), expected="2 rows", actual="1 rows")
    many = Difference(view="dead_letters", key=("ytx", "json"), expected="0 rows", actual="1 rows")

    assert [one.harm for one in findings([few, many])] == ["lost", "doubled"]


def test_a_broken_identity_is_found() -> None:
    whole = Counts(elements=3, facts=2, duplicates=1)
    short = Counts(elements=3, facts=2)

    assert identity_broken({"ytx": whole}) == []
    assert [one.where for one in identity_broken({"ytx": whole, "huawei": short})] == [("huawei", "")]


BOOKS = {"facts": 2, "duplicates": 1, "dead": 0, "elements": 3, "open": 0}


@pytest.mark.parametrize(
    ("books", "left_open", "harms"),
    [
        pytest.param(BOOKS, [], [], id="as the joiner counts"),
        pytest.param({**BOOKS, "open": 1}, [], ["lost"], id="an element of which nothing came"),
        pytest.param(BOOKS, ["calls.raw 0 7"], ["lost"], id="a record that nobody read"),
        pytest.param({**BOOKS, "facts": 3}, [], ["wrong"], id="more facts than the joiner has"),
        pytest.param({}, [], ["wrong"], id="no ledger at all"),
    ],
)
def test_the_ledger_must_balance_and_say_what_the_joiner_says(
    books: dict[str, int], left_open: list[str], harms: list[str]
) -> None:
    found = ledger_wrong({"ytx": books} if books else {}, {"ytx": Counts(elements=3, facts=2, duplicates=1)}, left_open)
    assert [one.harm for one in found] == harms


def test_views_and_topics_must_have_the_same_newest_versions() -> None:
    found = unlike("v_cdr", {"same": 1, "old": 1, "extra": 1}, {"same": 1, "old": 2, "missing": 1})

    assert {one.where[1]: one.harm for one in found} == {"old": "wrong", "extra": "doubled", "missing": "lost"}


def test_a_finding_belongs_to_the_fault_during_which_it_was_acknowledged() -> None:
    entries = [pushed("a"), pushed("b"), pushed("c", acked=False, lost_answers=1)]
    found = stored(entries, on_raw("a")).findings
    harms, acked = by_window(found, entries, {"ingress killed": [(1, 3)], "sink killed": [(0, 1)]})

    assert harms == {"ingress killed": Counter(lost=1)}
    assert acked == {"ingress killed": 1, "sink killed": 1}


def test_a_part_that_ends_although_nothing_is_broken_is_wrong() -> None:
    """An end while a fault is active counts for the fault; any other was caused by something that was sent."""
    (found,) = ended_without_fault({"process-1": 3, "sink": 0}, {"process-1": 5, "sink": 0})

    assert (found.harm, found.where) == ("wrong", ("", "process-1"))
    assert "2 times" in found.text
