"""Records that are read together are those that each is on its own, and the block of their columns that of objects."""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import FACT, PUBLISHED, TIMELINE, Codec, Codecs, PublishedSchema, schema_text
from schemas.dead_letter import DeadLetter
from schemas.errors import Undecodable
from schemas.facts import Disposition, Fact, FactType, Flag, Kind, Leg, RecordContent, Role
from schemas.privacy.tokens import NumberTokens
from schemas.raw import Position
from schemas.timeline import Timeline
from sinks import typed_records
from sinks.columns import Table
from sinks.error_classes import RowsRefused
from sinks.flush.batch import Origin
from sinks.flush.sink_dead_letter import dead_letter_of
from sinks.scanning.derived import Odd
from sinks.typed_records import gathered, read
from sinks.writing.native_block import Block
from sinks.writing.records import Records
from sinks.writing.scanned_block import ScannedBlock
from tests.support.payloads.avro_values import by_library, values
from tests.support.strategies import fact_logs

TOKENS = NumberTokens("3f6c1a0b9d8e7f5a4c2b1d0e9f8a7b6c")
TYPES: Mapping[str, type[Any]] = {"fact": Fact, "timeline": Timeline}
TOPIC = {"fact": "calls.normalized", "timeline": "calls.timelines"}
VERSIONS = [published for published in PUBLISHED if published.name in TYPES]
NUMBERS = (None, "", "+8613900000001", "+8613900000002", "1" * 20, "呼叫")
SLOT = datetime(2026, 3, 1, 8, tzinfo=UTC)
CONTENT = RecordContent(
    digest="a", is_shown=True, is_final=True, received_at=SLOT, source="push", raw_topic="t", raw_partition=0, raw_offset=0,
    raw_element=0, disposition=Disposition.ANSWERED, from_number="+8613900000001",
)  # fmt: skip
BY_TOPIC = pytest.mark.parametrize("name", TYPES)


@pytest.fixture(autouse=True)
def two_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed_records, "MANY", 2)


def fitting(plain: dict[str, Any], draw: Any) -> dict[str, Any]:
    """Returns the values of a record with such as its table takes, and as records of one call have."""
    fits: dict[str, Any] = {}
    for name, one in plain.items():
        if isinstance(one, int) and not isinstance(one, bool):
            fits[name] = one % 251
        elif name.endswith("_number") or name == "number":
            fits[name] = draw(st.sampled_from(NUMBERS))
        elif isinstance(one, tuple):
            fits[name] = tuple(fitting(each, draw) if isinstance(each, dict) else each for each in one)
        else:
            fits[name] = one
    if "vendor" in fits:
        made = draw(st.sampled_from(("", "main", "a|b")))
        key = f"{fits['vendor']}|{made}|{fits['vendor_call_id']}"
        fits["call_key"] = draw(st.sampled_from((key, key, f"{key}x", fits["vendor"])))
        fits["account"] = draw(st.sampled_from(("", "main", "other")))
    if "fact_id" in fits:
        fits["fact_id"] = str(uuid.UUID(int=draw(st.integers(0, 2**128 - 1))))
    if "timeline_id" in fits:
        fits["timeline_id"] = fits["call_key"] + draw(st.sampled_from(("", "#acc", "呼")))
    if "slot_at" in fits:
        fits["slot_at"] = SLOT
    return fits


@st.composite
def written(draw: st.DrawFn, published: PublishedSchema) -> bytes:
    """Draws a framed record, mostly one that its table takes."""
    plain = draw(values(json.loads(schema_text(published)) | {"type": "record"}, TYPES[published.name]))
    if draw(st.integers(0, 3)):
        plain = fitting(plain, draw)
    return b"\0" + published.schema_id.to_bytes(4, "big") + by_library(published, plain)


@st.composite
def bodies(draw: st.DrawFn, name: str) -> list[bytes]:
    """Draws records of all versions, most of them of the newest, and some that are damaged."""
    versions = [one for one in VERSIONS if one.name == name]
    versions += [versions[-1]] * 5
    found: list[bytes] = []
    for _ in range(draw(st.integers(2, 6))):
        body = draw(written(draw(st.sampled_from(versions))))
        if not draw(st.integers(0, 5)):
            at = draw(st.integers(0, len(body)))
            body = body[:at] + draw(st.binary(max_size=3)) + body[at + draw(st.integers(0, 3)) :]
        found += [body] * draw(st.integers(1, 2))
    return found


def origins(name: str, came: Sequence[bytes]) -> list[Origin]:
    return [
        Origin(position=Position(TOPIC[name], 0, number), key=None, value=value) for number, value in enumerate(came)
    ]


def one_by_one(came: Sequence[Origin]) -> tuple[dict[str, list[tuple[Origin, Any]]], list[DeadLetter]]:
    """Returns the objects of each table, and the dead letters."""
    tables: dict[str, list[tuple[Origin, Any]]] = {}
    dead_letters = []
    for origin in came:
        try:
            found = read(origin.position.topic, origin.value, Codecs())
        except Undecodable as exc:
            dead_letters.append(dead_letter_of(origin, "schema", str(exc)))
        else:
            assert found is not None
            tables.setdefault(found[0].name, []).append((origin, found[1]))
    return tables, dead_letters


def block_of_objects(table: Table[Any], records: Sequence[Any]) -> bytes | str:
    try:
        return Block(records, TOKENS).of(table)
    except RowsRefused as refused:
        return str(refused)


def block_of(table: Table[Any], records: Records) -> bytes | str:
    try:
        return records.block(table, TOKENS)
    except RowsRefused as refused:
        return str(refused)


def in_columns(table: Table[Any], records: Records) -> list[int]:
    """Returns the numbers of the records that are written as columns."""
    while True:
        numbers, scanned = records.columns
        if scanned is None:
            return []
        try:
            ScannedBlock(scanned, TOKENS).of(table)
        except Odd as odd:
            records = records.as_objects(numbers[odd.rows].tolist())
        else:
            return [int(number) for number in numbers]


def held_against_objects(came: list[Origin]) -> int:
    """Holds the records against the objects of each body, and returns how many were written as columns."""
    expected, expected_dead_letters = one_by_one(came)
    tables, dead_letters = gathered({came[0].position.topic: came}, Codecs())
    assert dead_letters == expected_dead_letters
    assert {table.name for table, _ in tables} == {*expected}
    count = 0
    for table, records in tables:
        objects = [one for _, one in expected[table.name]]
        assert [*records] == objects
        assert [*records.origins] == [origin for origin, _ in expected[table.name]]
        columns = in_columns(table, records)
        count += len(columns)
        rest = [one for number, one in enumerate(objects) if number not in columns]
        both = [block_of_objects(table, part) for part in ([objects[n] for n in columns], rest) if part]
        refused = [one for one in both if isinstance(one, str)]
        assert block_of(table, records) == (
            refused[0] if refused else b"".join(one for one in both if isinstance(one, bytes))
        )
        for number, one in enumerate(objects):
            assert block_of(table, records[number : number + 1]) == block_of_objects(table, [one])
    return count


@BY_TOPIC
@given(data=st.data())
def test_any_records_are_those_that_each_is_on_its_own(name: str, data: st.DataObject) -> None:
    """Rows, refusals and dead letters are the same, byte for byte: of any version, with any values, damaged or not."""
    held_against_objects(origins(name, data.draw(bodies(name))))


@given(st.lists(fact_logs(), min_size=1, max_size=3))
def test_our_own_facts_are_columns(logs: list[list[Fact]]) -> None:
    facts = [fact for log in logs for fact in log] * 2
    slotted = [fact for fact in facts if fact.slot_at is not None]
    assert held_against_objects(origins("fact", [FACT.encode(fact) for fact in facts])) >= len(slotted) - 1


CALL = Timeline(
    timeline_id="v|a|1#acc", call_key="v|a|1", vendor="v", vendor_call_id="1", slot_at=SLOT, started_at=SLOT, setup_at=SLOT,
    legs=(Leg(role=Role.A, number="+8613900000001", answer_at=SLOT), Leg(role=Role.B)), from_number="+8613900000001",
    cost=Decimal("-1.5"), quality_flags=(Flag.TZ_ASSUMED,), version=1 << 50, agent_name="呼叫" * 30,
)  # fmt: skip
RECORD = Fact(
    fact_id=str(uuid.UUID(int=7)), fact_type=FactType.RECORD, vendor="v", kind="callback_cdr", slot_at=SLOT, received_at=SLOT,
    extras={"a": "1", "b": "呼叫"}, contents=(CONTENT,), raw_sha256="0" * 64, call_key="v|a|1", vendor_call_id="1",
)  # fmt: skip
SENT = {"fact": FACT.encode(RECORD), "timeline": TIMELINE.encode(CALL)}


@BY_TOPIC
def test_a_record_that_is_cut_off_anywhere_is_what_the_codec_makes_of_it(name: str) -> None:
    sent = SENT[name]
    cut = [sent[:size] for size in range(len(sent))]
    assert held_against_objects(origins(name, [sent, *cut, sent + b"more", sent])) >= 3


@BY_TOPIC
@pytest.mark.parametrize("octet", [0, 1, 2, 3, 0x7F, 0x80, 0xC3, 0xFF])
def test_a_record_with_any_byte_changed_is_what_the_codec_makes_of_it(name: str, octet: int) -> None:
    sent = SENT[name]
    held_against_objects(origins(name, [sent[:at] + bytes([octet]) + sent[at + 1 :] for at in range(len(sent))]))


def changed(fact: Fact = RECORD, **fields: Any) -> bytes:
    return FACT.encode(msgspec.structs.replace(fact, **fields))


AMOUNT = changed(cost=Decimal(1))
ODD: Mapping[str, bytes] = {
    "a number that its column does not hold": changed(q850=70_000),
    "a number of nine bytes": changed(version=1 << 60),
    "an amount that its column does not hold": changed(raw_element=1 << 40),
    "an id that is no UUID": changed(fact_id="x"),
    "an id in capital letters": changed(fact_id=str(uuid.UUID(int=0xABCDEF)).upper()),
    "an id without dashes": changed(fact_id=uuid.UUID(int=7).hex),
    "an amount of ten bytes": AMOUNT.replace(b"\x06\x0fB@", b"\x14" + bytes(7) + b"\x0fB@"),
    "an amount beyond all columns": AMOUNT.replace(b"\x06\x0fB@", b"\x10" + b"\x7f" * 8),
    "an instant of the year 9999": changed(setup_at=datetime(9999, 12, 31, tzinfo=UTC)),
    "no slot": changed(slot_at=None),
    "more legs than are read together": changed(legs=(Leg(role=Role.X, number="1"),) * 40),
    "a key that comes twice": SENT["fact"].replace(b"\x02b\x0c\xe5", b"\x02a\x0c\xe5"),
    "a word that nobody knows": SENT["fact"].replace(b"\x10answered", b"\x10answerde"),
    "a text in another encoding": SENT["fact"].replace("呼".encode(), b"\xba\xf4\xbd"),
    "another key than that of its call": changed(call_key="w|a|1"),
    "an account with a bar": changed(call_key="v|a|b|1"),
    "a key without an id": changed(call_key="v", vendor_call_id=""),
    "a resolution": changed(fact_type=FactType.RESOLUTION),
    "an empty body": b"",
    "another schema": b"\0\0\0\0\x01" + SENT["fact"][5:],
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_one_odd_record_leaves_all_others_in_columns(odd: bytes) -> None:
    assert odd != SENT["fact"]
    came = origins("fact", [SENT["fact"], odd, SENT["fact"]])
    assert held_against_objects(came) in (2, 3)


def test_what_fails_for_all_is_read_one_by_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise MemoryError("a secret")

    monkeypatch.setattr(typed_records, "_with_slots", fails)
    ((_, records),), dead_letters = gathered({TOPIC["timeline"]: origins("timeline", [SENT["timeline"]] * 3)}, Codecs())
    assert ([*records], dead_letters) == ([CALL] * 3, [])
    assert "MemoryError" in caplog.text
    assert "secret" not in caplog.text


def test_columns_that_cannot_be_written_are_written_as_objects(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ((table, records),), _ = gathered({TOPIC["timeline"]: origins("timeline", [SENT["timeline"]] * 3)}, Codecs())

    def fails(*_: object) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr(ScannedBlock, "of", fails)
    assert block_of(table, records) == block_of_objects(table, [CALL] * 3)
    assert "columns of timelines cannot be written: KeyError" in caplog.text
    assert "secret" not in caplog.text


def test_a_record_of_which_no_object_can_be_made_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = TIMELINE.encode(msgspec.structs.replace(CALL, phase=256))
    ((table, records),), _ = gathered({TOPIC["timeline"]: origins("timeline", [SENT["timeline"], odd])}, Codecs())

    def fails(*_: object) -> None:
        raise Undecodable("nobody expected that", code="schema")

    monkeypatch.setattr(Codec, "decode", fails)
    assert block_of(table, records) == "column of any object: Undecodable"
    assert not isinstance(block_of(table, records[:1]), str)


def test_a_call_without_an_id_among_others_is_a_dead_letter() -> None:
    calls = [CALL, Timeline(timeline_id="", call_key="", vendor="v", slot_at=SLOT), CALL]
    came = origins("timeline", [TIMELINE.encode(call) for call in calls])
    ((_, records),), dead_letters = gathered({TOPIC["timeline"]: came}, Codecs())
    assert held_against_objects(came) == len(records) == 2
    assert [one.detail for one in dead_letters] == ["a timeline without an id"]


KINDS = [(Kind.CONFERENCE_LEG, "conference"), (Kind.CONFERENCE_LEG, "call"), (Kind.VOICE_OTP, "call"), ("", "call")]


def test_the_type_of_a_call_is_that_of_its_kind() -> None:
    calls = [msgspec.structs.replace(CALL, kind=kind, call_type=stored) for kind, stored in KINDS]
    assert held_against_objects(origins("timeline", [TIMELINE.encode(call) for call in calls])) == 2


def test_a_suffix_that_is_none_refuses_its_call_alone() -> None:
    wrong = msgspec.structs.replace(CALL, call_key="another key")
    came = origins("timeline", [TIMELINE.encode(call) for call in (CALL, wrong, CALL)])
    assert held_against_objects(came) == 2
