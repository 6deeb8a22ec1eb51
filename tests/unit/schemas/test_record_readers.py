"""Readers made from our schemas read what fastavro reads, whatever the bytes are, and our own records without it."""

import io
import json
from typing import Any, get_type_hints

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
    PUBLISHED,
    TIMELINE,
    Codec,
    PublishedSchema,
    parsed_schema,
    reader_of,
    schema_text,
)
from schemas.dead_letter import DeadLetter
from schemas.errors import Undecodable
from schemas.facts import Fact
from schemas.privacy.erasures import Erasure
from schemas.reading import record_readers
from schemas.reading.record_readers import made_reader
from schemas.timeline import Timeline
from tests.support.payloads.avro_values import by_library, values
from tests.support.strategies import fact_logs

KNOWN: dict[str, tuple[Codec[Any], type[msgspec.Struct]]] = {
    "fact": (FACT, Fact),
    "timeline": (TIMELINE, Timeline),
    "dead_letter": (DEAD_LETTER, DeadLetter),
    "audit": (AUDIT, AuditEntry),
    "erasure": (ERASURE, Erasure),
}
NEWEST = {published.name: published for published in sorted(PUBLISHED, key=lambda each: each.version)}
EVERY_VERSION = pytest.mark.parametrize("published", PUBLISHED, ids=lambda one: f"{one.name} {one.version}")


def framed(published: PublishedSchema, body: bytes) -> bytes:
    return b"\0" + published.schema_id.to_bytes(4, "big") + body


def read_by_library(published: PublishedSchema, body: bytes) -> str:
    """Returns the record that fastavro reads, as text with every type in it, or that it reads none."""
    newest = NEWEST[published.name]
    try:
        plain = fastavro.schemaless_reader(
            io.BytesIO(body), parsed_schema(published), None if published is newest else parsed_schema(newest)
        )
        return repr(msgspec.convert(plain, KNOWN[published.name][1]))
    except Exception as exc:  # noqa: BLE001 - it raises many types for bad bytes
        return f"schema: {type(exc).__name__}"


def read_by_us(published: PublishedSchema, body: bytes) -> str:
    try:
        return repr(KNOWN[published.name][0].decode(framed(published, body)))
    except Undecodable as exc:
        return f"{exc.code}: {str(exc).rpartition(' ')[2]}"


def bodies(published: PublishedSchema) -> st.SearchStrategy[bytes]:
    schema = json.loads(schema_text(published))
    return values(schema, KNOWN[published.name][1]).map(lambda value: by_library(published, value))


@EVERY_VERSION
@given(data=st.data())
def test_a_record_is_what_the_library_reads(published: PublishedSchema, data: st.DataObject) -> None:
    body = data.draw(bodies(published))
    assert read_by_us(published, body) == read_by_library(published, body)


@EVERY_VERSION
@given(data=st.data())
def test_damaged_bytes_are_what_the_library_makes_of_them(published: PublishedSchema, data: st.DataObject) -> None:
    """Bytes that are cut off, put in, changed or behind the record: the same record, or none."""
    body = data.draw(bodies(published))
    at = data.draw(st.one_of(st.integers(0, len(body)), st.integers(max(len(body) - 3, 0), len(body))))
    removed, added = data.draw(st.integers(0, 3)), data.draw(st.binary(max_size=3))
    behind = data.draw(st.sampled_from([body[at + removed :], b""]))
    damaged = body[:at] + added + behind
    assert read_by_us(published, damaged) == read_by_library(published, damaged)


@given(fact_logs())
def test_our_own_facts_need_no_library(log: list[Fact]) -> None:
    read = reader_of(NEWEST["fact"], Fact)
    for fact in log:
        data = FACT.encode(fact)
        plain, end = read(data, 5)
        assert (msgspec.convert(plain, Fact), end) == (fact, len(data))


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("float", id="a float"),
        pytest.param(["string", "null"], id="a union that does not begin with null"),
        pytest.param({"type": "enum", "name": "E", "symbols": ["A"]}, id="an enum"),
        pytest.param({"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}, id="another scale"),
    ],
)
def test_a_type_without_a_reader_is_an_error_when_the_reader_is_made(kind: Any) -> None:
    with pytest.raises(TypeError, match="no reader for"):
        made_reader({"name": "One", "fields": [{"name": "vendor", "type": kind}]}, Fact)


def test_what_is_remembered_is_little() -> None:
    words, instants = record_readers._Words(), record_readers._Instants()
    for number in range(5_000):
        assert words[str(number).encode()] == str(number)
        instants[bytes([128 + number % 64 * 2, 128 + number // 64, *(5 * [200]), 5])]
        assert 0 < len(instants) <= 4096
    assert words[b"y" * 1000] == "y" * 1000
    assert len(words) == 4096


def test_every_field_of_a_published_schema_has_a_place_in_the_type() -> None:
    for published in PUBLISHED:
        names = {field["name"] for field in json.loads(schema_text(published))["fields"]}
        assert names <= get_type_hints(KNOWN[published.name][1]).keys()


def test_a_record_that_is_cut_off_anywhere_is_refused() -> None:
    data = ERASURE.encode(Erasure(subject="number", digests=("ab", "cd"), key_check="a text at the end"))
    for end in range(len(data)):
        with pytest.raises(Undecodable):
            ERASURE.decode(data[:end])
    assert ERASURE.decode(data).key_check == "a text at the end"
