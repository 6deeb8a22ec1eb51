"""Contents of one item: the one shown, the fields filled in, the conflicts; case ids as in the case list."""

from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec
import pytest

from processors.call import precedence
from processors.call.agreement import conflicting
from processors.call.contents import Content, Item
from processors.call.precedence import normalized, shown_as_one
from processors.call.state import new_item
from processors.versions import PRICED, completeness, record_version, standing
from schemas.facts import Disposition, Fact, Flag, Leg, RecordingState, Role, State
from tests.support.strategies import (
    CALLED,
    CALLER,
    STRANGER,
    at,
    callback,
    in_a_row,
    participant,
    privacy,
    pushed_state,
    voice,
)


def item_of(*facts: Fact) -> Item:
    contents = (Content(fact=fact) for fact in facts)
    return Item(contents=tuple(sorted(contents, key=lambda content: content.fact.content_digest)))


CASES: dict[str, tuple[tuple[Fact, ...], dict[str, Any], set[Flag]]] = {
    "N37 another recording address is an update, the newest shows": (
        (callback(recording_url="https://rec.example/1"), callback(recording_url="https://rec.example/2")),
        {"recording_url": "https://rec.example/2"},
        set(),
    ),
    "T25 the recording comes later": (
        (
            callback(recording_state=RecordingState.NONE),
            callback(recording_state=RecordingState.AVAILABLE, recording_url="https://rec.example/1"),
        ),
        {"recording_url": "https://rec.example/1", "recording_state": RecordingState.AVAILABLE},
        set(),
    ),
    "W40 the reason is filled in by a later send": (
        (
            callback(b_answer=None, b_end=None),
            callback(
                b_answer=None,
                b_end=None,
                disposition=Disposition.INVALID_NUMBER,
                hangup_reason="unallocated",
                q850=1,
                sip_code=404,
                cause_confidence="derived",
            ),
        ),
        {"disposition": Disposition.INVALID_NUMBER, "hangup_reason": "unallocated", "q850": 1, "sip_code": 404},
        set(),
    ),
    "W40 the vendor's own words stand above what was derived without them": (
        (
            callback(
                b_answer=None,
                b_end=None,
                q850=19,
                hangup_reason="no_answer",
                cause_confidence="derived",
                legs=(Leg(role=Role.B, number=CALLED, disposition=Disposition.NO_ANSWER, q850=19),),
            ),
            callback(
                b_answer=None,
                b_end=None,
                disposition=Disposition.BUSY,
                hangup_cause="in call",
                q850=17,
                legs=(Leg(role=Role.B, number=CALLED, disposition=Disposition.BUSY, q850=17),),
            ),
        ),
        {
            "disposition": Disposition.BUSY,
            "hangup_cause": "in call",
            "q850": 17,
            "legs": (Leg(role=Role.B, number=CALLED, disposition=Disposition.BUSY, q850=17),),
        },
        set(),
    ),
    "a reason filled in does not unmake an answer": (
        (callback(), callback(hangup_reason="suspended", disposition=Disposition.BARRED)),
        {"disposition": Disposition.ANSWERED, "hangup_reason": "suspended"},
        set(),
    ),
    "G22 V22 another duration is a conflict, the first received shows": (
        (voice(vendor_duration_s=10), voice(vendor_duration_s=11)),
        {"vendor_duration_s": 10},
        {Flag.CONFLICT_FINAL},
    ),
    "V40 another cost hours later is a conflict": (
        (voice(cost=Decimal("0.06")), voice(cost=Decimal("0.12"))),
        {"cost": Decimal("0.06")},
        {Flag.CONFLICT_FINAL},
    ),
    "W41 another called number is a conflict": (
        (callback(), callback(called=STRANGER)),
        {"to_number": CALLED},
        {Flag.CONFLICT_FINAL},
    ),
    "C05 the same participant's end is extended": (
        (participant(CALLER, 5, 36), participant(CALLER, 5, 40)),
        {"end_at": at(36)},
        {Flag.CONFLICT_FINAL},
    ),
    "H11 another answer with a newer update clock: the newest shows, and it is a conflict": (
        (privacy(answer=8), privacy(answer=9, revised_at=at(100))),
        {"answer_at": at(9)},
        {Flag.CONFLICT_FINAL},
    ),
    "H10 an older revision that arrives later changes nothing": (
        (privacy(revised_at=at(100)), privacy(end=None, revised_at=at(50))),
        {"end_at": at(68), "is_final": True, "disposition": Disposition.ANSWERED, "revised_at": at(100)},
        set(),
    ),
    "a final content stands above a later unfinished one": (
        (callback(), callback(is_final=False, b_answer=None, b_end=None, disposition=Disposition.IN_PROGRESS)),
        {"is_final": True, "disposition": Disposition.ANSWERED},
        set(),
    ),
    "of unfinished contents the last received shows": (
        (
            callback(is_final=False, vendor_duration_s=5, disposition=Disposition.IN_PROGRESS),
            callback(is_final=False, vendor_duration_s=9, disposition=Disposition.IN_PROGRESS),
        ),
        {"vendor_duration_s": 9},
        set(),
    ),
    "two customer references disagree: the first shows, flagged": (
        (callback(custom_ref="one"), callback(custom_ref="two")),
        {"custom_ref": "one"},
        {Flag.FIELD_CONFLICT},
    ),
    "two references on one state disagree as well": (
        (
            pushed_state(CALLER, State.SETUP, 0, custom_ref="one"),
            pushed_state(CALLER, State.SETUP, 0, custom_ref="two"),
        ),
        {"custom_ref": "one"},
        {Flag.FIELD_CONFLICT},
    ),
    "an empty customer reference disagrees with nobody": (
        (callback(), callback(custom_ref="two")),
        {"custom_ref": "two"},
        set(),
    ),
    "a null cost is filled, and a cost of nothing is a cost": (
        (callback(cost=None, currency=""), callback(cost=Decimal(0))),
        {"cost": Decimal(0), "currency": "CNY"},
        set(),
    ),
    "cost zero against a cost is a conflict": (
        (callback(cost=Decimal(0)), callback(cost=Decimal("0.15"))),
        {"cost": Decimal(0)},
        {Flag.CONFLICT_FINAL},
    ),
    "equal money in another spelling is no conflict": (
        (callback(cost=Decimal("2.9")), callback(cost=Decimal("2.900"))),
        {"cost": Decimal("2.9")},
        set(),
    ),
    "a leg's missing instant is filled": (
        (callback(legs=(Leg(role=Role.A, number=CALLER),)), callback(legs=(Leg(role=Role.A, answer_at=at(10)),))),
        {"legs": (Leg(role=Role.A, number=CALLER, answer_at=at(10)),)},
        set(),
    ),
    "C5 the vendor's archive stands above its push": (
        (callback(), callback(source="poll", vendor_duration_s=61)),
        {"vendor_duration_s": 61, "source": "poll"},
        {Flag.CONFLICT_FINAL},
    ),
    "C5 of two pages the newest": (
        (
            callback(source="poll", cost=Decimal(1)),
            callback(source="backfill", cost=Decimal(2)),
            callback(cost=Decimal(3)),
        ),
        {"cost": Decimal(2)},
        {Flag.CONFLICT_FINAL},
    ),
    "C5 a page of a call that is not over stands below a pushed record": (
        (callback(), callback(source="poll", is_final=False, vendor_duration_s=7, disposition=Disposition.IN_PROGRESS)),
        {"vendor_duration_s": 60, "is_final": True},
        set(),
    ),
    "a record that is over takes no amount from one that was not": (
        (
            callback(
                is_final=False, disposition=Disposition.IN_PROGRESS, vendor_duration_s=5, cost=Decimal(1), agent_id="9"
            ),
            callback(vendor_duration_s=None, billable_s=None, talk_ms=None, cost=None, currency=""),
        ),
        {
            "vendor_duration_s": None,
            "billable_s": None,
            "talk_ms": None,
            "cost": None,
            "agent_id": "9",
            "answer_at": at(20),
        },
        set(),
    ),
    "an answer that was pushed on the way does not make an unanswered record answered": (
        (
            callback(is_final=False, disposition=Disposition.IN_PROGRESS, b_end=None, a_end=None),
            callback(b_answer=None, b_end=None, legs=(), vendor_duration_s=None),
        ),
        {
            "answer_at": None,
            "talk_ms": None,
            "legs": (),
            "disposition": Disposition.NO_ANSWER,
            "vendor_duration_s": None,
        },
        {Flag.FIELD_CONFLICT},
    ),
    "a record that could not tell is completed by one that can": (
        (callback(b_answer=None, b_end=None, disposition=Disposition.UNKNOWN), callback()),
        {"disposition": Disposition.ANSWERED, "answer_at": at(20), "talk_ms": 50_000},
        set(),
    ),
    "what two fill alike for the first, and disagree on, comes from the better of them alone": (
        (
            callback(cost=None, currency=""),
            callback(cost=Decimal(1), agent_id=""),
            callback(cost=Decimal(2), agent_id="9"),
        ),
        {"cost": Decimal(1), "agent_id": ""},
        {Flag.CONFLICT_FINAL},
    ),
    "only the talk differs": (
        (callback(), callback(talk_ms=49_000)),
        {"talk_ms": 50_000},
        {Flag.CONFLICT_FINAL},
    ),
    "another party hung up": (
        (callback(hangup_party="a"), callback(hangup_party="b")),
        {"hangup_party": "a"},
        {Flag.FIELD_CONFLICT},
    ),
    "A left at another time, which bills alike": (
        (callback(a_end=69), callback(a_end=68)),
        {"legs": callback(a_end=69).legs},
        {Flag.FIELD_CONFLICT},
    ),
    "of a contradicting content neither the recording nor an extra nor a reference is taken": (
        (
            callback(b_answer=None, b_end=None),
            callback(recording_url="https://rec.example/1", extras={"a": "1"}, custom_ref="ref"),
        ),
        {"recording_url": "", "extras": {}, "custom_ref": ""},
        {Flag.CONFLICT_FINAL},
    ),
    "another setup time is flagged, and bills alike": (
        (callback(setup_at=at(0)), callback(setup_at=at(1))),
        {"setup_at": at(0)},
        {Flag.FIELD_CONFLICT},
    ),
    "extras of all contents are kept, the shown content's first": (
        (callback(extras={"a": "1"}), callback(extras={"a": "2", "b": "3"})),
        {"extras": {"a": "1", "b": "3"}},
        set(),
    ),
}


@pytest.mark.parametrize(("sent", "expected", "flags"), CASES.values(), ids=CASES.keys())
def test_contents_merge(sent: tuple[Fact, ...], expected: dict[str, Any], flags: set[Flag]) -> None:
    merged = normalized(item_of(*in_a_row(sent)))

    assert {name: getattr(merged, name) for name in expected} == expected
    assert set(merged.quality_flags) == flags
    assert merged.version == record_version(
        len(sent), complete=completeness(sent), final=merged.is_final, stands=standing(in_a_row(sent)), mapping=1
    )


@pytest.mark.parametrize(("sent", "expected", "flags"), CASES.values(), ids=CASES.keys())
def test_a_conflict_is_seen_when_it_arrives(sent: tuple[Fact, ...], expected: object, flags: set[Flag]) -> None:
    results = {conflicting(one, other) for one, other in permutations(sent, 2)}
    assert (True in results) is (Flag.CONFLICT_FINAL in flags)
    assert all(conflicting(one, other) is conflicting(other, one) for one, other in permutations(sent, 2))


def test_one_content_is_shown_as_it_came() -> None:
    fact = in_a_row([callback()])[0]

    assert normalized(new_item(fact)) == msgspec.structs.replace(
        fact, version=record_version(1, complete=PRICED, final=True, stands=standing((fact,)), mapping=1)
    )


def test_what_is_shown_names_where_it_came_from() -> None:
    """The row has the place, the time of receipt and the digest of the content that it shows."""
    first, second = in_a_row([privacy(answer=8), privacy(answer=9, revised_at=at(100))])
    row = normalized(item_of(first, second))

    assert (row.received_at, row.raw_offset, row.request_id, row.content_digest) == (
        second.received_at, second.raw_offset, second.request_id, second.content_digest,
    )  # fmt: skip


def test_three_contents_merge_alike_in_every_order() -> None:
    facts = in_a_row([callback(custom_ref="x"), callback(hangup_reason="normal"), callback(vendor_duration_s=61)])
    merged = {
        msgspec.json.encode(normalized(Item(contents=tuple(Content(fact=fact) for fact in order))))
        for order in permutations(facts)
    }

    assert len(merged) == 1


def test_a_newer_mapping_of_the_same_bytes_replaces_the_old_reading_without_a_conflict() -> None:
    old = in_a_row([callback(vendor_duration_s=60)])[0]
    new = msgspec.structs.replace(
        in_a_row([callback(vendor_duration_s=14, billable_s=4)])[0], adapter_version=2, received_at=old.received_at
    )
    merged = normalized(item_of(old, new))

    assert (merged.vendor_duration_s, merged.billable_s, merged.quality_flags) == (14, 4, ())
    assert not conflicting(old, new)


def test_an_old_reading_fills_no_gap_of_the_new_one() -> None:
    """A corrected mapping may know that the earlier value was wrong."""
    old = in_a_row([callback(cost=Decimal(10**9))])[0]
    new = msgspec.structs.replace(
        in_a_row([callback(cost=None, currency="", quality_flags=(Flag.RANGE_ERROR,))])[0], adapter_version=2
    )

    assert (normalized(item_of(old, new)).cost, normalized(item_of(old, new)).contents) == (None, ())


def test_a_late_content_is_flagged() -> None:
    item = Item(contents=(Content(fact=callback(), late=True),))

    assert normalized(item).quality_flags == (Flag.LATE,)


def test_folded_contents_are_flagged_and_counted() -> None:
    item = Item(contents=(Content(fact=callback()),), more=3)

    assert normalized(item).quality_flags == (Flag.OVERFLOW,)
    assert normalized(item).version == record_version(
        4, complete=PRICED, final=True, stands=standing((callback(),)), mapping=1
    )


def test_nothing_is_shown_of_no_items() -> None:
    assert shown_as_one(()) is None


def test_items_that_are_merged_again_are_what_they_were_and_few_are_remembered() -> None:
    """The record's merge is there for the timeline; an equal item that is another object is merged by itself."""
    items = [item_of(callback(talk_ms=seconds), callback(talk_ms=seconds + 1)) for seconds in range(100)]
    once = [normalized(item) for item in items]

    assert [normalized(item) for item in items] == once
    assert [normalized(msgspec.structs.replace(item)) for item in items] == once
    assert len(set(map(msgspec.json.encode, once))) == len(items)
    assert 0 < len(precedence._lately) <= 64
    first, last = items[0], items[-1]
    assert (shown_as_one((last,)), shown_as_one((first,))) == tuple(
        precedence._merged((one,))[0] for one in (last, first)
    )


@pytest.mark.parametrize("name", ["talk_ms", "billable_s", "cost"])
def test_contents_conflict_where_one_of_many_fields_differs_and_none_of_them_is_blank(name: str) -> None:
    sent = callback(talk_ms=1000, billable_s=60, cost=Decimal("1.5"))
    other = msgspec.structs.replace(sent, **{name: getattr(sent, name) + 1}, raw_offset=sent.raw_offset + 1)
    blank = msgspec.structs.replace(sent, **{name: None}, raw_offset=sent.raw_offset + 1)

    assert conflicting(sent, other)
    assert not conflicting(sent, blank)
