"""Blanking: an erased number leaves nothing of itself in a record or a call, and everything else as it was."""

from typing import Any

import msgspec
import pytest

from processors.join import step
from processors.normalise import normalise
from schemas.call_fields import Leg
from schemas.codec import FACT, TIMELINE
from schemas.config.limits import DEFAULT
from schemas.config.settings import JoinSettings
from schemas.enums import Disposition, Flag, Role
from schemas.facts import EPOCH, Fact, FactType, Kind, RecordContent
from schemas.privacy.blanking import NUMBERS, blanked, places
from schemas.privacy.number_forms import forms
from schemas.raw import Position
from schemas.timeline import Timeline
from tests.golden.cases import Case, all_cases

NUMBER = "+8613000001234"
DIGITS = "13000001234"
OTHER = "+8613900005678"
CASES = all_cases()


def erased(*numbers: str) -> Any:
    return frozenset(form for number in numbers for form in forms(number)).__contains__


def content(**fields: Any) -> RecordContent:
    default: dict[str, Any] = {
        "digest": "d", "is_shown": True, "is_final": True, "received_at": EPOCH, "source": "push", "raw_topic": "calls.raw",
        "raw_partition": 0, "raw_offset": 0, "raw_element": 0, "disposition": Disposition.ANSWERED,
    }  # fmt: skip
    return RecordContent(**{**default, **fields})


def fact(**fields: Any) -> Fact:
    default = {"fact_type": FactType.RECORD, "vendor": "ytx", "kind": Kind.CALLBACK_CDR}
    return Fact(**{**default, **fields})


PLACES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as understood and as sent": (
        {"from_number": NUMBER, "from_raw": DIGITS, "from_kind": "e164"},
        {"from_number": None, "from_raw": "", "from_kind": "e164"},
    ),
    "a number that nobody understood": (
        {"to_number": "0" + DIGITS, "to_raw": "0" + DIGITS, "to_kind": "unverified"},
        {"to_number": None, "to_raw": "", "to_kind": "unverified"},
    ),
    "display and privacy number": (
        {"display_number": NUMBER, "display_raw": NUMBER, "privacy_number": NUMBER, "privacy_raw": NUMBER},
        {"display_number": None, "display_raw": "", "privacy_number": None, "privacy_raw": ""},
    ),
    "a leg of a state": ({"leg": DIGITS, "leg_number": NUMBER}, {"leg": "", "leg_number": None}),
    "the legs, of which the other one stays": (
        {"legs": (Leg(role=Role.A, number=OTHER, number_raw="x"), Leg(role=Role.B, number=NUMBER, number_raw=DIGITS))},
        {"legs": (Leg(role=Role.A, number=OTHER, number_raw="x"), Leg(role=Role.B))},
    ),
    "contents that contradict each other": (
        {"contents": (content(from_number=NUMBER), content(from_number=OTHER, to_number=NUMBER))},
        {"contents": (content(), content(from_number=OTHER))},
    ),
    "texts and fields of the vendor": (
        {"from_number": NUMBER, "custom_ref": f"crm-{DIGITS}", "agent_name": "夜班", "extras": {"a": DIGITS, "b": "7"}},
        {"from_number": None, "custom_ref": "", "agent_name": "夜班", "extras": {"a": "", "b": "7"}},
    ),
    "a field of the vendor alone": ({"extras": {"third": f"+86 {DIGITS}"}}, {"extras": {"third": ""}}),
    "inside a longer run of a call whose number is known": (
        {"from_number": NUMBER, "session_id": f"99{DIGITS}88"},
        {"from_number": None, "session_id": ""},
    ),
    "the recording and the hash of the body, with it": (
        {"from_number": NUMBER, "recording_url": "https://r.example/1.mp3", "raw_sha256": "ab"},
        {"from_number": None, "recording_url": "", "raw_sha256": ""},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), PLACES.values(), ids=PLACES)
def test_a_number_goes_wherever_it_stands(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert blanked(fact(**before), erased(NUMBER)) == fact(**after, quality_flags=(Flag.ERASED,))


UNTOUCHED = {
    "another number": {"from_number": OTHER, "from_raw": OTHER, "recording_url": "https://r.example/1.mp3"},
    "an American number with the same digits": {"from_number": "+13000001234", "from_raw": DIGITS},
    "nobody": {"from_number": None, "from_raw": ""},
}


@pytest.mark.parametrize("fields", UNTOUCHED.values(), ids=UNTOUCHED)
def test_a_record_without_the_number_is_the_very_same(fields: dict[str, Any]) -> None:
    record = fact(**fields)
    assert blanked(record, erased(NUMBER)) is record


def test_every_field_with_a_number_is_looked_at() -> None:
    """A field that is added later, and named as all others are, must not be forgotten."""
    names = {name for kind in (Fact, Timeline) for name in kind.__struct_fields__ if name.endswith("_number")}
    names |= {f"contents.{name}" for name in RecordContent.__struct_fields__ if name.endswith("_number")}
    assert names | {"legs.number"} == {*NUMBERS}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_nothing_of_a_number_is_left_in_the_bytes_of_any_kind_of_payload(case: Case) -> None:
    for one in normalise(case.raw, Position("calls.raw", 0, 7), case.accounts, DEFAULT).facts:
        shown = step(None, one, 0, JoinSettings()).timelines
        for number in numbers_of(one):
            test = erased(number)
            digits = forms(number)[-2 if number.startswith("+") else -1].encode()
            kept = blanked(one, test)
            assert digits not in FACT.encode(without_identity(kept))
            assert blanked(kept, test) is kept
            assert (kept.fact_id, kept.content_digest, kept.call_key) == (one.fact_id, one.content_digest, one.call_key)
            for timeline in shown:
                assert digits not in TIMELINE.encode(without_identity(blanked(timeline, test)))


def numbers_of(one: Fact) -> set[str]:
    """Returns the numbers of a fact that are no part of another one."""
    legs = {leg.number for leg in one.legs}
    found = {one.from_number, one.to_number, one.display_number, one.privacy_number, one.leg_number} | legs
    whole = {number for number in found if number and sum(map(str.isdecimal, number)) >= 7 and "*" not in number}
    return {one for one in whole if not any(one in other for other in whole - {one})}


def without_identity(record: Any) -> Any:
    """Returns it without the ids by which rows are found, which an erasure must not change."""
    names = ("vendor_call_id", "binding_id", "conference_id", "call_key", "timeline_id", "account_id", "request_id")
    return msgspec.structs.replace(record, **{name: "" for name in names if hasattr(record, name)})


def test_two_erasures_in_either_order_are_one() -> None:
    record = fact(from_number=NUMBER, to_number=OTHER, extras={"a": DIGITS, "b": OTHER})
    one = blanked(blanked(record, erased(NUMBER)), erased(OTHER))
    assert one == blanked(blanked(record, erased(OTHER)), erased(NUMBER)) == blanked(record, erased(NUMBER, OTHER))


def test_a_row_of_a_table_is_judged_as_a_record_is() -> None:
    record = fact(from_number=NUMBER, from_raw=DIGITS, extras={"a": DIGITS}, legs=(Leg(role=Role.A, number=NUMBER),))
    row = {
        "from_number": NUMBER, "from_raw": DIGITS, "extras": {"a": DIGITS}, "legs.number": [NUMBER], "legs.number_raw": [""],
        "raw_sha256": "",
    }  # fmt: skip
    assert places(row, erased(NUMBER)) == {
        ("from_number", None),
        ("from_raw", None),
        ("extras", "a"),
        ("legs.number", 0),
    }
    assert blanked(record, erased(NUMBER)).legs == (Leg(role=Role.A),)
