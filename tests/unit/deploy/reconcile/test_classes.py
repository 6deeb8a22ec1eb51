"""The class of every record: what is equal, tolerated, different, doubled, and which of several records pair."""

import tracemalloc
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from deploy.reconcile.classes import PROVISIONAL, SECOND_OURS, Match, Outcome, Rule, compared, outcomes
from deploy.reconcile.records import CallRecord

S = 1_000_000
BASE = CallRecord(
    line=2, call_id="c1", kind="callback_cdr", from_number="+8613800000000", to_number="+8613900000000",
    start_at=1_772_000_000 * S, answer_at=1_772_000_010 * S, end_at=1_772_000_070 * S, billed_s=60, is_stated=True,
    cost=Decimal("1.20"), currency="CNY", disposition="answered",
)  # fmt: skip
OURS = replace(BASE, line=0, record_id="00000000-0000-0000-0000-000000000001")

COMPARED: dict[str, tuple[dict[str, Any], Match, list[str]]] = {
    "the same": ({}, Match.EQUAL, []),
    "an amount with more digits": ({"cost": Decimal("1.200000")}, Match.EQUAL, []),
    "a second more": ({"billed_s": 61}, Match.WITHIN_TOLERANCE, ["billed_s"]),
    "two seconds more": ({"billed_s": 62}, Match.DIFFERS, ["billed_s"]),
    "a hundredth less": ({"cost": Decimal("1.19")}, Match.WITHIN_TOLERANCE, ["cost"]),
    "a tenth less": ({"cost": Decimal("1.10")}, Match.DIFFERS, ["cost"]),
    "no cost": ({"cost": None}, Match.DIFFERS, ["cost"]),
    "another currency": ({"currency": "USD"}, Match.DIFFERS, ["cost"]),
    "no currency named": ({"currency": ""}, Match.EQUAL, []),
    "half a second later": ({"end_at": 1_772_000_070 * S + S // 2}, Match.WITHIN_TOLERANCE, ["end_at"]),
    "one within, one beyond": ({"billed_s": 61, "cost": Decimal(9)}, Match.DIFFERS, ["billed_s", "cost"]),
    "never answered": ({"answer_at": None, "disposition": "no_answer"}, Match.DIFFERS, ["answer_at", "disposition"]),
    "another number": ({"to_number": "+8613900000001"}, Match.DIFFERS, ["to_number"]),
    "the number with stars": ({"to_number": "139****0000"}, Match.EQUAL, []),
    "another number with stars": ({"to_number": "139****0001"}, Match.DIFFERS, ["to_number"]),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "match", "fields"), COMPARED.values(), ids=COMPARED)
def test_two_records_are_compared_field_by_field(changed: dict[str, Any], match: Match, fields: list[str]) -> None:
    found = compared(replace(BASE, **changed), OURS, Rule())

    assert found[0] is match
    assert [difference.field for difference in found[1]] == fields
    assert all(difference.theirs != difference.ours or difference.field == "cost" for difference in found[1])


def test_a_file_with_whole_seconds_equals_what_was_pushed_with_milliseconds() -> None:
    assert (
        compared(BASE, replace(OURS, answer_at=OURS.answer_at + 999_000 if OURS.answer_at else None), Rule())[0]
        is Match.EQUAL
    )


def test_a_tolerance_of_nothing_tolerates_nothing() -> None:
    strict = Rule(tolerance_s=Decimal(0), tolerance_cost=Decimal(0))

    assert compared(replace(BASE, billed_s=61), OURS, strict)[0] is Match.DIFFERS
    assert compared(replace(BASE, cost=Decimal("1.21")), OURS, strict)[0] is Match.DIFFERS


def test_a_field_of_which_one_side_knows_nothing_is_not_compared() -> None:
    assert compared(replace(BASE, cost=None), OURS, Rule(fields=frozenset({"billed_s"})))[0] is Match.EQUAL


def classes(theirs: list[CallRecord], ours: list[CallRecord], rule: Rule | None = None) -> Counter[Match]:
    return Counter(one.match for one in outcomes(theirs, ours, rule or Rule()))


def participant(line: int, phone: str) -> CallRecord:
    return replace(BASE, line=line, kind="conference_leg", to_number=phone, from_number=None)


GROUPS = {
    "a copy that differs is the doubled one, wherever it stands": (
        [replace(BASE, line=2, billed_s=99), replace(BASE, line=3)], [OURS], {Match.EQUAL: 1, Match.DOUBLED_THEIRS: 1},
    ),
    "a call that only they have, twice": (
        [BASE, replace(BASE, line=3)], [], {Match.ONLY_THEIRS: 1, Match.DOUBLED_THEIRS: 1},
    ),
    "participants of a conference share the id": (
        [participant(2, "+8613900000001"), participant(3, "+8613900000002")],
        [
            replace(participant(0, "+8613900000002"), record_id="b"),
            replace(participant(0, "+8613900000001"), record_id="a"),
        ],
        {Match.EQUAL: 2},
    ),
    "a participant that only they have": (
        [participant(2, "+8613900000001"), participant(3, "+8613900000002")],
        [replace(participant(0, "+8613900000001"), record_id="a")],
        {Match.EQUAL: 1, Match.ONLY_THEIRS: 1},
    ),
    "two records of ours of one call": (
        [BASE], [OURS, replace(OURS, record_id="z", billed_s=1)], {Match.EQUAL: 1, Match.ONLY_OURS: 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours", "wanted"), GROUPS.values(), ids=GROUPS)
def test_records_of_one_call_pair_with_those_most_alike(
    theirs: list[CallRecord], ours: list[CallRecord], wanted: dict[Match, int]
) -> None:
    assert classes(theirs, ours) == wanted


BY_NUMBERS = Rule(by_id=False, match_s=Decimal(5))
UNNAMED = replace(BASE, call_id="")


def later(record: CallRecord, seconds: int, **more: Any) -> CallRecord:
    assert record.start_at is not None
    return replace(record, start_at=record.start_at + seconds * S, **more)


NUMBERED = {
    "a start within reach": ([later(UNNAMED, 1)], [OURS], {Match.WITHIN_TOLERANCE: 1}),
    "a start beyond reach": ([later(UNNAMED, 6)], [OURS], {Match.ONLY_THEIRS: 1, Match.ONLY_OURS: 1}),
    "two calls shortly after each other": (
        [UNNAMED, later(UNNAMED, 4, line=3)], [later(OURS, 4, record_id="b"), OURS], {Match.EQUAL: 2},
    ),
    "a call twice in the file": ([UNNAMED, replace(UNNAMED, line=3)], [OURS], {Match.EQUAL: 1, Match.DOUBLED_THEIRS: 1}),
    "other numbers": (
        [replace(UNNAMED, from_number="+8613800000001")], [OURS], {Match.ONLY_THEIRS: 1, Match.ONLY_OURS: 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours", "wanted"), NUMBERED.values(), ids=NUMBERED)
def test_without_ids_numbers_and_the_start_pair_records(
    theirs: list[CallRecord], ours: list[CallRecord], wanted: dict[Match, int]
) -> None:
    assert classes(theirs, ours, BY_NUMBERS) == wanted


def test_a_second_record_of_ours_is_said_to_be_one() -> None:
    """The file has the call: whoever reads that it has it not would ask the carrier for it in vain."""
    second = replace(OURS, record_id="z", billed_s=1)

    found = [one for one in outcomes([BASE], [OURS, second], Rule()) if one.match is Match.ONLY_OURS]
    unnamed = [one for one in outcomes([UNNAMED], [OURS, second], BY_NUMBERS) if one.match is Match.ONLY_OURS]
    alone = list(outcomes([], [OURS], Rule()))

    assert [(one.ours, one.note) for one in found] == [(second, SECOND_OURS)]
    assert [one.note for one in unnamed] == [SECOND_OURS]
    assert [one.note for one in alone] == [""]


def test_a_second_record_of_a_conference_is_one_of_the_same_phone() -> None:
    ours = [
        replace(participant(0, "+8613900000001"), record_id="a"),
        replace(participant(0, "+8613900000001"), record_id="b"),
        replace(participant(0, "+8613900000002"), record_id="c"),
    ]

    notes = [one.note for one in outcomes([participant(2, "+8613900000001")], ours, Rule()) if one.theirs is None]

    assert sorted(notes) == ["", SECOND_OURS]


SPOILT = replace(BASE, trouble="an amount cannot be read", cost=None)
UNREADABLE = {
    "with our record of its call": ([SPOILT], [OURS], Rule(), {Match.UNREADABLE: 1}),
    "of a call that we have not": ([SPOILT], [], Rule(), {Match.UNREADABLE: 1}),
    "beside a good one": ([SPOILT, replace(BASE, line=3)], [OURS], Rule(), {Match.UNREADABLE: 1, Match.EQUAL: 1}),
    "without an id, by numbers and start": ([replace(SPOILT, call_id="")], [OURS], BY_NUMBERS, {Match.UNREADABLE: 1}),
    "without an id, of another time": (
        [later(replace(SPOILT, call_id=""), 60)], [OURS], BY_NUMBERS, {Match.UNREADABLE: 1, Match.ONLY_OURS: 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours", "rule", "wanted"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_row_that_cannot_be_read_is_in_the_file_all_the_same(
    theirs: list[CallRecord], ours: list[CallRecord], rule: Rule, wanted: dict[Match, int]
) -> None:
    """Our record of its call is not one that only we have."""
    assert classes(theirs, ours, rule) == wanted


def test_what_may_still_change_is_said() -> None:
    provisional = replace(OURS, is_final=False, billed_s=1)

    assert [one.note for one in outcomes([BASE], [provisional], Rule())] == [PROVISIONAL]
    assert [one.note for one in outcomes([BASE], [replace(OURS, is_final=False)], Rule())] == [""]


def test_thousands_of_calls_of_two_numbers_in_one_second_fill_no_memory() -> None:
    theirs = [replace(UNNAMED, line=n + 2) for n in range(3000)]
    ours = [replace(OURS, record_id=str(n)) for n in range(3000)]
    tracemalloc.start()
    counted = classes(theirs, ours, BY_NUMBERS)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert counted == {Match.EQUAL: 3000}
    assert most < 50 << 20


RECORDS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8), st.integers(0, 2)), max_size=12)


@given(RECORDS, RECORDS, st.booleans(), st.booleans())
def test_every_record_of_both_sides_is_in_exactly_one_outcome(
    theirs: list[tuple[int, int, int]],
    ours: list[tuple[int, int, int]],
    by_id: bool,  # noqa: FBT001 - drawn
    has_ids: bool,  # noqa: FBT001 - drawn
) -> None:
    one = [
        later(BASE, 2 * at, line=line + 2, call_id=f"c{call}", billed_s=60 + s, record_id=f"r{call}" if has_ids else "")
        for line, (call, at, s) in enumerate(theirs)
    ]
    other = [
        later(OURS, 2 * at, call_id=f"c{call}", record_id=f"o{number}", billed_s=60 + s)
        for number, (call, at, s) in enumerate(ours)
    ]
    found = list(outcomes(list(one), list(other), replace(BY_NUMBERS, by_id=by_id)))

    assert Counter(each.theirs.line for each in found if each.theirs) == Counter(each.line for each in one)
    assert Counter(each.ours.record_id for each in found if each.ours) == Counter(each.record_id for each in other)
    assert all(_is_whole(each) for each in found)


def _is_whole(outcome: Outcome) -> bool:
    both = outcome.theirs is not None and outcome.ours is not None
    return both == (outcome.match in (Match.EQUAL, Match.WITHIN_TOLERANCE, Match.DIFFERS))
