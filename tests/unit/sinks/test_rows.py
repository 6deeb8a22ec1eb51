"""Rows of every table: each field has its column, and values that a column cannot hold are refused by name."""

import uuid
from datetime import UTC, datetime
from decimal import InvalidOperation
from typing import Any

import msgspec
import pytest

from schemas.dead_letter import DeadLetter
from schemas.errors import Undecodable
from schemas.facts import Disposition, Fact, FactType, Kind, Leg, RecordContent, Role
from schemas.privacy.tokens import NumberTokens
from schemas.raw import Position
from schemas.timeline import Timeline
from sinks.columns import NO_TOKENS, Table
from sinks.error_classes import ErrorClass, RowsRefused, classify
from sinks.flush.batch import Origin
from sinks.flush.sink_dead_letter import KEY_HEADER, belongs_on_topic, dead_letter_of
from sinks.rows import (
    BINDINGS,
    CALL_EVENTS,
    CDR,
    DEAD_LETTERS,
    RESOLVED_BIT,
    TABLES,
    TIMELINES,
    shown_columns,
    table_of,
)
from sinks.writing.native_block import Block
from tests.oracle.columns import row_of

NOT_COLUMNS = {
    "slot_certain",  # whether the sink looks for the row before it writes
    "fact_id",  # the column is record_id
    "fact_type",  # decides the table
    "content_digest",  # shows conflicts to the joiner, which flags them conflict_final
    "keeps",  # set in a resolution only, which is internal to calls.facts
}


def fact(kind: FactType = FactType.RECORD) -> Fact:
    return Fact(fact_id=str(uuid.UUID(int=1)), fact_type=kind, vendor="ytx", kind=Kind.CALLBACK_CDR)


CONTENT = RecordContent(
    digest="a", is_shown=True, is_final=True, received_at=datetime(2026, 3, 1, 8, tzinfo=UTC), source="push", raw_topic="t",
    raw_partition=0, raw_offset=0, raw_element=0, disposition=Disposition.ANSWERED,
)  # fmt: skip


def names(record: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(record)}


def columns(*tables: Table[Any]) -> set[str]:
    return {name.split(".")[0] for table in tables for name in shown_columns(table)}


def is_stand_in(name: str) -> bool:
    """True for the token or the masked form of a phone number, which is no field of a record."""
    return name.endswith(("_token", "_masked"))


def test_every_field_of_a_fact_has_a_column() -> None:
    assert names(Fact) - NOT_COLUMNS <= columns(CDR, CALL_EVENTS, BINDINGS)


def test_only_fields_of_state_events_are_missing_from_records() -> None:
    assert names(Fact) - NOT_COLUMNS - columns(CDR) == {"leg", "leg_number", "state", "event_at"}


def test_every_field_of_timelines_legs_and_dead_letters_has_a_column() -> None:
    assert names(Timeline) - NOT_COLUMNS == {name for name in columns(TIMELINES) if not is_stand_in(name)}
    assert names(DeadLetter) | {"resolved", "version"} == columns(DEAD_LETTERS)
    fields = [name for name in shown_columns(CDR) if not is_stand_in(name)]
    assert names(Leg) == {name.removeprefix("legs.") for name in fields if name.startswith("legs.")}
    assert names(RecordContent) == {name.removeprefix("contents.") for name in fields if name.startswith("contents.")}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_clear_number_has_a_token_and_a_masked_form(table: Table[Any]) -> None:
    """Also one of a column that comes later."""
    phones = {"Nullable(String)", "Array(Nullable(String))"}
    numbers = [column.name for column in table.columns if column.type in phones]
    stems = [name.removesuffix("_number") for name in numbers]
    assert {f"{stem}_{form}" for stem in stems for form in ("token", "masked")} == {
        column.name for column in table.columns if is_stand_in(column.name)
    }


TOKENS = NumberTokens("3f6c1a0b9d8e7f5a4c2b1d0e9f8a7b6c")
NUMBER = "+8613900000001"
STARS = "+86139****0001"
OTHER = "+8613900000009"
OTHER_STARS = "+86139****0009"


def test_the_token_is_that_of_the_records_account_and_number() -> None:
    content = msgspec.structs.replace(CONTENT, from_number=NUMBER)
    legs = (Leg(role=Role.A, number=NUMBER), Leg(role=Role.B), Leg(role=Role.X, number=OTHER))
    sent = msgspec.structs.replace(
        fact(), account="main", account_id="other", from_number=NUMBER, legs=legs, contents=(content,)
    )
    row = row_of(CDR, sent, TOKENS)
    token, other = TOKENS.of("main", NUMBER), TOKENS.of("main", OTHER)
    assert (row["from_token"], row["from_masked"], row["to_token"], row["to_masked"]) == (token, STARS, "", "")
    assert (row["legs.own_token"], row["legs.own_masked"]) == (["", "", other], ["", "", OTHER_STARS])
    assert (row["legs.party"], row["legs.own_number"]) == (["from", "", ""], [None, None, OTHER])
    assert (row["contents.from_token"], row["contents.from_masked"]) == ([token], [STARS])
    assert (row["contents.to_token"], row["contents.to_masked"]) == ([""], [""])


@pytest.mark.parametrize("table", [CALL_EVENTS, BINDINGS, CDR], ids=lambda table: table.name)
def test_without_a_key_there_are_masked_forms_and_no_tokens(table: Table[Any]) -> None:
    row = row_of(table, filled(Fact, number=NUMBER))
    stand_ins = {name: value for name, value in row.items() if is_stand_in(name)}
    assert {name for name, value in stand_ins.items() if value in ("", [""])} == {
        n for n in stand_ins if n.endswith("_token")
    }
    masks = {name: value for name, value in stand_ins.items() if name.endswith("_masked")}
    assert masks.pop("legs.own_masked", [OTHER_STARS]) == [OTHER_STARS]
    assert all(value in (STARS, [STARS]) for value in masks.values())


def filled(record: type[Fact], number: str) -> Fact:
    """Returns a fact with one number in every place for numbers."""
    content = msgspec.structs.replace(CONTENT, from_number=number, to_number=number)
    fields = dict.fromkeys((name for name in names(record) if name.endswith("_number")), number)
    legs = (Leg(role=Role.A, number=OTHER),)
    return msgspec.structs.replace(fact(), **fields, legs=legs, contents=(content,))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_no_column_stands_twice(table: object) -> None:
    listed = [column.name for column in table.columns]  # type: ignore[attr-defined]
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    ("kind", "table"), [(FactType.RECORD, CDR), (FactType.STATE, CALL_EVENTS), (FactType.BINDING, BINDINGS)]
)
def test_a_facts_type_decides_its_table(kind: FactType, table: object) -> None:
    assert table_of(fact(kind)) is table


def test_a_row_holds_the_values_in_the_order_of_the_columns() -> None:
    sent = msgspec.structs.replace(
        fact(), legs=(Leg(role=Role.A, number="+8613900000001"), Leg(role=Role.B)), version=3
    )
    row = row_of(CDR, sent)
    assert (row["record_id"], row["version"], row["vendor"]) == (str(uuid.UUID(int=1)), 3, "ytx")
    assert (row["legs.role"], row["legs.own_number"], row["cost"]) == (["A", "B"], ["+8613900000001", None], None)


def _at(second: int) -> datetime:
    return datetime(2026, 3, 1, 8, 0, second, tzinfo=UTC)


STARTS: dict[str, tuple[dict[str, Any], datetime]] = {
    "as stored": ({"started_at": _at(9), "setup_at": _at(1)}, _at(9)),
    "of an older release: the set-up": ({"setup_at": _at(1), "end_at": _at(5)}, _at(1)),
    "of an older release: instants in no order": ({"setup_at": _at(5), "end_at": _at(1)}, _at(1)),
    "of an older release: a leg that was answered": ({"end_at": _at(5), "legs": (Leg(role=Role.A, answer_at=_at(2)), Leg(role=Role.B))}, _at(2)),
    "of an older release: no instant at all": ({"legs": (Leg(role=Role.A),)}, _at(59)),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "start"), STARTS.values(), ids=STARTS)
def test_a_timeline_of_an_older_release_starts_as_its_legs_do(fields: dict[str, Any], start: datetime) -> None:
    call = Timeline(timeline_id="t", call_key="t", vendor="ytx", first_received_at=_at(59), **fields)
    row = row_of(TIMELINES, call)
    assert row["started_at"] == start


@pytest.mark.parametrize(
    ("kind", "stored", "call_type"),
    [
        (Kind.CONFERENCE_LEG, "conference", "conference"),
        (Kind.CONFERENCE_LEG, "call", "conference"),
        (Kind.VOICE_OTP, "call", "voice_code"),
        (Kind.CALLBACK_STATE, "conference", "conference"),
        (Kind.SOFTPHONE_CDR, "call", "call"),
        ("", "call", "call"),
    ],
)
def test_a_timeline_of_an_older_release_is_of_the_type_of_its_kind(kind: str, stored: str, call_type: str) -> None:
    call = Timeline(timeline_id="t", call_key="t", vendor="ytx", kind=kind, call_type=stored)
    row = row_of(TIMELINES, call)
    assert row["call_type"] == call_type


@pytest.mark.parametrize("broken", ["", "x", "123"])
def test_a_fact_without_an_identity_makes_no_row(broken: str) -> None:
    """An empty id would put all such facts into one row, of which the newest would hide the others."""
    with pytest.raises(RowsRefused, match="column record_id: ValueError"):
        Block([msgspec.structs.replace(fact(), fact_id=broken)], NO_TOKENS).of(CDR)


def test_a_resolved_dead_letters_version_is_above_any_open_ones() -> None:
    far = datetime(9999, 12, 31, tzinfo=UTC)
    dead_letter = DeadLetter(stage="sink", code="row", detail="", topic="t", partition=0, offset=0, occurred_at=far)
    version = row_of(DEAD_LETTERS, dead_letter)["version"]
    assert version < RESOLVED_BIT


class Odd:
    """A record of no known type: reading any field raises the given error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __getattr__(self, _name: str) -> object:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(ValueError("x"), "row", id="no UUID"),
        pytest.param(TypeError("x"), "row", id="another type"),
        pytest.param(OverflowError("x"), "row", id="too large for a clock"),
        pytest.param(InvalidOperation("x"), "row", id="no decimal"),
        pytest.param(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "x"), "row", id="a lone surrogate"),
        pytest.param(AttributeError("x"), "internal", id="a field that is not there"),
        pytest.param(KeyError("x"), "internal", id="a key that is not there"),
        pytest.param(IndexError("x"), "internal", id="beyond the end"),
        pytest.param(RecursionError("x"), "internal", id="too deep"),
        pytest.param(MemoryError("x"), "internal", id="too large to build"),
        pytest.param(AssertionError("x"), "internal", id="an assertion of ours"),
    ],
)
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_whatever_a_record_raises_is_a_refusal_of_its_column(table: Any, error: BaseException, code: str) -> None:
    with pytest.raises(RowsRefused, match=f"column .*: {type(error).__name__}$") as refused:
        Block([Odd(error)], NO_TOKENS).of(table)
    assert refused.value.code == code


def test_a_resolution_belongs_in_no_table() -> None:
    """It is internal to calls.facts: on calls.normalized it is something that nobody should have sent."""
    with pytest.raises(Undecodable, match="resolution") as wrong:
        table_of(fact(FactType.RESOLUTION))
    assert wrong.value.dead_code == "schema"


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        pytest.param(None, ErrorClass.AWAY, id="a proxy's page instead of an answer"),
        pytest.param(252, ErrorClass.AWAY, id="too many parts"),
        pytest.param(241, ErrorClass.AWAY, id="memory limit"),
        pytest.param(242, ErrorClass.AWAY, id="table is read only"),
        pytest.param(999_999, ErrorClass.AWAY, id="a code of a later release"),
        pytest.param(60, ErrorClass.MIGRATION, id="no such table"),
        pytest.param(16, ErrorClass.MIGRATION, id="no such column"),
        pytest.param(469, ErrorClass.REFUSED, id="a violated constraint"),
        pytest.param(53, ErrorClass.REFUSED, id="a type mismatch"),
    ],
)
def test_an_error_code_decides_between_waiting_and_looking_for_the_row(code: int | None, answer: ErrorClass) -> None:
    assert classify(code) is answer


def test_a_dead_letter_of_the_sink_names_the_position_and_keeps_key_headers_and_bytes() -> None:
    origin = Origin(
        position=Position("calls.normalized", 4, 77),
        key=b"ytx|acc|call-1",
        value=b"\x00junk",
        headers=(("trace", b"\xff"),),
        timestamp_ms=1_500,
    )
    dead_letter = dead_letter_of(origin, "schema", "not a framed fact")
    assert (dead_letter.topic, dead_letter.partition, dead_letter.offset, dead_letter.element) == (
        "calls.normalized",
        4,
        77,
        -1,
    )
    assert (dead_letter.stage, dead_letter.code, dead_letter.vendor, dead_letter.original) == (
        "sink",
        "schema",
        "ytx",
        b"\x00junk",
    )
    assert dead_letter.headers == {"trace": "\ufffd", KEY_HEADER: "ytx|acc|call-1"}
    assert dead_letter.occurred_at == datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)
    assert dead_letter == dead_letter_of(origin, "schema", "not a framed fact")


@pytest.mark.parametrize(
    ("timestamp_ms", "year"),
    [
        pytest.param(-1, 1970, id="a producer's -1"),
        pytest.param(-(1 << 63), 1970, id="before all calendars"),
        pytest.param(0, 1970, id="zero"),
        pytest.param(253_402_300_799_999, 2299, id="the last day of 9999"),
        pytest.param((1 << 63) - 1, 2299, id="the largest that Kafka holds"),
    ],
)
def test_a_record_of_any_time_makes_a_dead_letter_that_the_table_holds(timestamp_ms: int, year: int) -> None:
    origin = Origin(position=Position("calls.normalized", 0, 0), key=None, value=b"", timestamp_ms=timestamp_ms)
    assert dead_letter_of(origin, "schema", "why").occurred_at.year == year


def test_a_header_without_a_value_is_an_empty_one() -> None:
    headers: Any = (("trace", None), ("vendor", b"\xff\xfe"))
    origin = Origin(position=Position("calls.normalized", 0, 0), key=b"\xff", value=b"", headers=headers)
    assert dead_letter_of(origin, "internal", "why").headers == {
        "trace": "",
        "vendor": "\ufffd\ufffd",
        KEY_HEADER: "\ufffd",
    }


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"value": b"[]"}, id="other bytes"),
        pytest.param({"timestamp_ms": 1}, id="another time"),
        pytest.param({"value": b""}, id="no bytes"),
    ],
)
def test_the_hash_of_a_dead_letter_tells_records_of_one_offset_apart(other: dict[str, Any]) -> None:
    """Offsets begin anew with a topic that is made anew, and the same bytes may be sent again."""
    fields: dict[str, Any] = {"position": Position("calls.facts", 0, 0), "key": None, "value": b"{", "timestamp_ms": 0}
    first, again, another = (dead_letter_of(Origin(**one), "schema", "") for one in (fields, fields, fields | other))
    assert first.origin_hash == again.origin_hash != another.origin_hash


@pytest.mark.parametrize("topic", ["calls.normalized", "calls.timelines", "calls.dead"])
def test_a_dead_letter_about_a_dead_letter_is_not_published_there(topic: str) -> None:
    origin = Origin(position=Position(topic, 0, 0), key=None, value=b"")
    assert belongs_on_topic(dead_letter_of(origin, "schema", "")) is (topic != "calls.dead")
