"""Avro on the wire: schemas agree with types, values survive a round trip, and bad bytes raise only `Undecodable`."""

import contextlib
import io
import json
import struct
import types
import typing
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.audit.entry import AuditEntry
from schemas.codec import (
    AUDIT,
    DEAD_LETTER,
    ERASURE,
    FACT,
    PREVIOUS,
    PUBLISHED,
    TIMELINE,
    Codec,
    Codecs,
    PublishedSchema,
    StageCodec,
    codecs_for,
    parsed_schema,
    schema_text,
)
from schemas.dead_letter import DeadLetter
from schemas.enums import AuditEvent
from schemas.errors import Undecodable
from schemas.facts import EPOCH, Disposition, Fact, FactType, Flag, Kind, Leg, RecordContent, Role
from schemas.privacy.erasures import Erasure
from schemas.timeline import Timeline
from tests.support.strategies import fact_logs

TYPES: dict[str, type[msgspec.Struct]] = {
    "fact": Fact,
    "timeline": Timeline,
    "dead_letter": DeadLetter,
    "audit": AuditEntry,
    "erasure": Erasure,
}
AT = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)


def avro_type(hint: object) -> object:
    """Returns the Avro type of a Python type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return ["null", avro_type(next(arg for arg in args if arg is not types.NoneType))]
    if origin is tuple:
        return {"type": "array", "items": avro_type(args[0])}
    if origin is dict:
        return {"type": "map", "values": avro_type(args[1])}
    if origin is typing.Literal or (isinstance(hint, type) and issubclass(hint, Enum)):
        return "string"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint.__name__
    return {
        str: "string",
        bool: "boolean",
        int: "long",
        bytes: "bytes",
        datetime: {"type": "long", "logicalType": "timestamp-micros"},
        Decimal: {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 6},
    }[typing.cast("type", hint)]


def named(avro: object) -> object:
    """Returns the Avro type with an inlined record replaced by its name."""
    if isinstance(avro, dict) and avro.get("type") == "record":
        return avro["name"]
    if isinstance(avro, dict) and avro.get("type") == "array":
        return {"type": "array", "items": named(avro["items"])}
    return avro


def fields_of(published: PublishedSchema) -> list[tuple[str, object]]:
    """Returns the names and types of a published schema's fields, in order."""
    return [(field["name"], field["type"]) for field in json.loads(schema_text(published))["fields"]]


NEWEST = {published.name: published for published in sorted(PUBLISHED, key=lambda each: each.version)}
NEWEST_FACT = NEWEST["fact"].schema_id


@pytest.mark.parametrize("published", NEWEST.values(), ids=lambda p: p.file)
def test_the_schema_has_the_fields_of_the_type(published: typing.Any) -> None:
    """A field added to a type without its schema, or the other way round, is found here."""
    record = TYPES[published.name]
    hints = typing.get_type_hints(record)
    expected = {field.name: avro_type(hints[field.name]) for field in msgspec.structs.fields(record)}

    assert {name: named(avro) for name, avro in fields_of(published)} == expected


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda p: p.file)
def test_a_newer_version_appends_its_fields(published: typing.Any) -> None:
    """An older version is the beginning of the newest: nothing is reordered, nothing is removed."""
    newest = [(name, named(avro)) for name, avro in fields_of(NEWEST[published.name])]
    fields = [(name, named(avro)) for name, avro in fields_of(published)]

    assert fields == newest[: len(fields)]


def test_ids_are_pinned_for_ever() -> None:
    """Records on a topic stay readable: an id is never given to another schema."""
    ids = {(p.name, p.version): p.schema_id for p in PUBLISHED}
    assert len(set(ids.values())) == len(PUBLISHED)
    assert (
        ids
        | {
            ("fact", 1): 1001,
            ("timeline", 1): 1002,
            ("dead_letter", 1): 1003,
            ("fact", 2): 1004,
            ("timeline", 2): 1005,
            ("dead_letter", 2): 1006,
            ("audit", 1): 1007,
            ("erasure", 1): 1008,
        }
        == ids
    )


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda p: p.file)
def test_what_an_earlier_release_wrote_is_read(published: typing.Any) -> None:
    """Its fields are as they were, later ones have their defaults."""
    codecs: dict[str, Codec[typing.Any]] = {
        "fact": FACT,
        "timeline": TIMELINE,
        "dead_letter": DEAD_LETTER,
        "audit": AUDIT,
        "erasure": ERASURE,
    }
    codec = codecs[published.name]
    value = WHOLE[published.name]
    names = [field["name"] for field in json.loads(schema_text(published))["fields"]]
    out = io.BytesIO(struct.pack(">bI", 0, published.schema_id))
    out.seek(5)
    plain = {
        name: msgspec.to_builtins(getattr(value, name), builtin_types=(datetime, Decimal, bytes)) for name in names
    }
    fastavro.schemaless_writer(out, parsed_schema(published), plain)

    read = codec.decode(out.getvalue())
    assert {name: getattr(read, name) for name in names} == {name: getattr(value, name) for name in names}


FULL_FACT = Fact(
    fact_type=FactType.RECORD,
    vendor="nxcloud",
    kind=Kind.SOFTPHONE_CDR,
    setup_at=AT,
    cost=Decimal("2.940000"),
    legs=(Leg(role=Role.A, number="+8613800138000", answer_at=AT), Leg(role=Role.B)),
    extras={"字段": "值", "": ""},
    quality_flags=(Flag.LATE,),
    received_at=AT,
)


CONTENT = RecordContent(
    digest="ab" * 16, is_shown=True, is_final=True, received_at=AT, source="poll", raw_topic="calls.raw", raw_partition=3, raw_offset=9,
    raw_element=1, disposition=Disposition.ANSWERED, answer_at=AT, talk_ms=1, cost=Decimal("2.940000"), currency="CNY", q850=16,
)  # fmt: skip
WHOLE: dict[str, msgspec.Struct] = {
    "erasure": Erasure(subject="number", digests=("ab", "cd"), at=AT, reason="asked", actor="ann@host", key_check="ef"),
    "fact": FULL_FACT,
    "timeline": Timeline(timeline_id="a|b|c", call_key="a|b|c", vendor="a", cost=Decimal("-0.000001")),
    "dead_letter": DeadLetter(
        stage="normalise",
        code="json",
        detail="",
        topic="t",
        partition=0,
        offset=1,
        original=b"\x00\xff",
        occurred_at=AT,
    ),
    "audit": AuditEntry(event=AuditEvent.REFUSED, at=AT, last_at=AT, count=3, part="ingress", details={"a": "b"}),
}


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        pytest.param(FACT, FULL_FACT, id="fact with everything"),
        pytest.param(FACT, msgspec.structs.replace(FULL_FACT, contents=(CONTENT, CONTENT), account="main"), id="fact in conflict"),
        pytest.param(
            FACT, Fact(fact_type=FactType.RESOLUTION, vendor="a", kind=Kind.VOICE_OTP, keeps="ab" * 16), id="decision on a fact"
        ),
        pytest.param(
            TIMELINE,
            Timeline(timeline_id="a", call_key="a", vendor="a", account="main", call_type="conference", started_at=AT),
            id="timeline with its account",
        ),
        pytest.param(FACT, Fact(fact_type=FactType.STATE, vendor="", kind=Kind.CALLBACK_STATE), id="fact with nothing"),
        pytest.param(TIMELINE, Timeline(timeline_id="a|b|c", call_key="a|b|c", vendor="a", cost=Decimal("-0.000001")), id="timeline"),
        pytest.param(
            DEAD_LETTER,
            DeadLetter(stage="normalise", code="json", detail="", topic="t", partition=0, offset=1, original=b"\x00\xff", occurred_at=AT),
            id="dead letter",
        ),
    ],
)  # fmt: skip
def test_what_is_encoded_is_decoded(codec: Codec[typing.Any], value: msgspec.Struct) -> None:
    """To the microsecond and the last decimal place."""
    assert codec.decode(codec.encode(value)) == value


def test_a_consumer_needs_only_the_published_schema() -> None:
    """Another service strips five bytes and reads with any Avro library."""
    data = FACT.encode(FULL_FACT)
    magic, schema_id = struct.unpack(">bI", data[:5])
    schema = next(p for p in PUBLISHED if p.schema_id == schema_id)

    record = fastavro.schemaless_reader(io.BytesIO(data[5:]), parsed_schema(schema), None)

    assert magic == 0
    assert isinstance(record, dict)
    assert (record["vendor"], record["cost"], record["setup_at"]) == ("nxcloud", Decimal("2.940000"), AT)


def test_a_registrys_ids_replace_the_pinned_ones() -> None:
    """With a registry, its id stands in the frame; who has none does not know it."""
    codecs = codecs_for({NEWEST_FACT: 7})
    data = codecs.fact.encode(FULL_FACT)

    assert struct.unpack(">bI", data[:5]) == (0, 7)
    assert codecs.fact.decode(data) == FULL_FACT
    with pytest.raises(Undecodable, match="schema id 7"):
        FACT.decode(data)


def test_what_was_written_before_a_registry_was_set_stays_readable() -> None:
    """Topics hold weeks of records; a registry's id that happens to be a pinned one means what the registry says."""
    assert codecs_for({NEWEST_FACT: 7}).fact.decode(FACT.encode(FULL_FACT)) == FULL_FACT
    assert (
        codecs_for({NEWEST_FACT: 1002, 1002: NEWEST_FACT}).fact.decode(
            codecs_for({NEWEST_FACT: 1002}).fact.encode(FULL_FACT)
        )
        == FULL_FACT
    )


BEFORE = {p.name: p for p in PUBLISHED if PREVIOUS.get(p.name) == p.version}
SLOTTED: dict[str, msgspec.Struct] = {
    name: msgspec.structs.replace(WHOLE[name], slot_at=AT, slot_certain=True) for name in BEFORE
}


def test_the_release_before_wrote_an_older_version_of_each() -> None:
    assert BEFORE.keys() == PREVIOUS.keys()
    assert all(published.version < NEWEST[name].version for name, published in BEFORE.items())


@pytest.mark.parametrize("name", BEFORE)
@pytest.mark.parametrize(
    "ids", [{}, {p.schema_id: p.schema_id - 900 for p in PUBLISHED}], ids=["pinned", "a registry's"]
)
def test_what_is_written_as_the_release_before_is_read_by_it(name: str, ids: dict[int, int]) -> None:
    """A reader that has never seen the newest schema reads it; so does this release, with the new fields' defaults."""
    published, value = BEFORE[name], SLOTTED[name]
    codecs = codecs_for(ids, PREVIOUS)
    data = getattr(codecs, name).encode(value)
    read = fastavro.schemaless_reader(io.BytesIO(data[5:]), json.loads(schema_text(published)), None)
    without = msgspec.structs.replace(value, slot_at=None, slot_certain=False)

    assert struct.unpack(">bI", data[:5]) == (0, ids.get(published.schema_id, published.schema_id))
    assert msgspec.convert(read, TYPES[name]) == without
    for reader in (codecs, codecs_for(ids)):
        assert getattr(reader, name).decode(data) == without


@pytest.mark.parametrize("name", BEFORE)
def test_what_is_written_as_the_newest_is_read_whatever_is_written_here(name: str) -> None:
    ours, theirs = getattr(codecs_for({}, PREVIOUS), name), getattr(Codecs(), name)
    data = theirs.encode(SLOTTED[name])

    assert struct.unpack(">bI", data[:5]) == (0, NEWEST[name].schema_id)
    assert ours.decode(data) == SLOTTED[name]
    assert ours.encode(SLOTTED[name]) != data


def test_between_the_stages_facts_are_messagepack_and_avro_while_older_workers_run() -> None:
    newest, previous = Codecs(), codecs_for({}, PREVIOUS)
    fact = WHOLE["fact"]
    packed, avro = newest.stage_fact.encode(fact), previous.stage_fact.encode(fact)  # type: ignore[arg-type]

    assert avro == previous.fact.encode(fact)  # type: ignore[arg-type]
    assert packed[:1] != avro[:1] == b"\x00"
    for codecs in (newest, previous):
        assert codecs.stage_fact.decode(packed) == fact
        assert codecs.stage_fact.decode(avro) == fact


def test_a_fact_between_the_stages_has_no_defaults_and_one_with_all_of_them_is_read() -> None:
    fact, codec = (
        Fact(fact_type=FactType.STATE, vendor="ytx", kind=Kind.CALLBACK_STATE, account="main"),
        StageCodec(FACT),
    )
    whole = {name: getattr(fact, name) for name in Fact.__struct_fields__}

    assert msgspec.msgpack.decode(codec.encode(fact)).keys() == {"fact_type", "vendor", "kind", "account"}
    assert codec.decode(msgspec.msgpack.encode(whole)) == fact


@pytest.mark.parametrize("published", [one for one in PUBLISHED if one.name == "fact"], ids=lambda one: one.file)
def test_the_defaults_of_a_fact_never_change(published: PublishedSchema) -> None:
    """They are left out on `calls.facts`, where facts of an older release may wait for a newer one."""
    kept = {
        field["name"]: field["default"] for field in json.loads(schema_text(published))["fields"] if "default" in field
    }
    ours = {field.name: _default(field) for field in msgspec.structs.fields(Fact) if not field.required}
    assert kept.items() <= ours.items()


def _default(field: msgspec.structs.FieldInfo) -> typing.Any:
    made = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    plain = msgspec.to_builtins(made)
    return 0 if made == EPOCH else list(plain) if isinstance(plain, tuple) else plain


@given(fact_logs())
def test_a_fact_between_the_stages_is_the_same_on_the_other_side(log: list[Fact]) -> None:
    for fact in (*log, FULL_FACT):
        again = Codecs().stage_fact.decode(Codecs().stage_fact.encode(fact))
        assert again == fact
        assert FACT.encode(again) == FACT.encode(fact)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=80).map(lambda tail: b"\xde\x00\x50" + tail)))
def test_no_bytes_between_the_stages_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(Undecodable):
        Codecs().stage_fact.decode(data)


def test_a_schema_that_the_release_did_not_change_is_written_as_ever() -> None:
    letter = WHOLE["dead_letter"]

    assert codecs_for({}, PREVIOUS).dead_letter.encode(letter) == DEAD_LETTER.encode(letter)  # type: ignore[arg-type]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_undecodable(data: bytes) -> None:
    """A topic can hold anything; only `Undecodable` may come of it."""
    for codec in (FACT, TIMELINE, DEAD_LETTER, AUDIT):
        for framed in (data, *(b"\x00" + published.schema_id.to_bytes(4, "big") + data for published in PUBLISHED)):
            with contextlib.suppress(Undecodable):
                codec.decode(framed)


@given(st.data())
def test_a_cut_record_is_undecodable_or_shorter(data: st.DataObject) -> None:
    """A torn write does not crash the reader."""
    whole = FACT.encode(FULL_FACT)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]

    with pytest.raises(Undecodable):
        FACT.decode(cut)
