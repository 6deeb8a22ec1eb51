"""Writers made from our schemas write what fastavro writes, byte for byte, and refuse what it refuses."""

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.codec import PUBLISHED, PublishedSchema, schema_text, writer_of
from schemas.writing import record_writers
from schemas.writing.record_writers import made_writer
from tests.support.payloads.avro_values import by_library, values


def as_record(value: Any) -> Any:
    """Returns dictionaries with the names of a record as objects; maps stay."""
    return SimpleNamespace(**{name: _inside(one) for name, one in value.items()})


def _inside(value: Any) -> Any:
    return tuple(map(as_record, value)) if isinstance(value, tuple) and value and isinstance(value[0], dict) else value


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda one: f"{one.name} {one.version}")
@given(data=st.data())
def test_the_bytes_are_those_of_the_library(published: PublishedSchema, data: st.DataObject) -> None:
    value = data.draw(values(json.loads(schema_text(published))))
    assert writer_of(published)(as_record(value)) == by_library(published, value)


def _one(kind: Any) -> Any:
    return {"type": "record", "name": "One", "fields": [{"name": "a", "type": kind}]}


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 20_000])
@pytest.mark.parametrize("kind", ["string", ["null", "string"]])
@pytest.mark.parametrize("name", ["a_id", "a"])
def test_texts_of_any_size_are_those_of_the_library(name: str, kind: Any, size: int) -> None:
    """One that is hardly ever repeated is written without a call; of both, sizes beyond a table are computed."""
    schema = {"type": "record", "name": "One", "fields": [{"name": name, "type": kind}]}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), {name: "é" * size})

    assert made_writer(schema)(SimpleNamespace(**{name: "é" * size})) == out.getvalue()


_MICROS: Mapping[str, str] = {"type": "long", "logicalType": "timestamp-micros"}
_MONEY: Mapping[str, Any] = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 6}
REFUSED = [
    pytest.param("long", 2**63, id="a number beyond 64 bits"),
    pytest.param("long", -(2**63) - 1, id="a number below 64 bits"),
    pytest.param("string", "\ud800", id="half a character"),
    pytest.param("string", 7, id="a number for a text"),
    pytest.param("long", "7", id="a text for a number"),
    pytest.param(_MONEY, Decimal("0.0000001"), id="an amount with seven places"),
    pytest.param(_MONEY, Decimal("NaN"), id="no amount"),
]


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_what_no_field_can_hold_is_refused_as_by_the_library(kind: Any, value: Any) -> None:
    schema = _one(kind)
    with pytest.raises((OverflowError, ValueError, TypeError, AttributeError)):
        made_writer(schema)(SimpleNamespace(a=value))
    with pytest.raises((OverflowError, ValueError, TypeError, AttributeError)):
        fastavro.schemaless_writer(io.BytesIO(), fastavro.parse_schema(schema), {"a": value})


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("float", id="a float"),
        pytest.param(["string", "null"], id="a union that does not begin with null"),
        pytest.param({"type": "enum", "name": "E", "symbols": ["A"]}, id="an enum"),
        pytest.param({**_MONEY, "scale": 2}, id="money of another scale"),
    ],
)
def test_a_type_without_a_writer_is_an_error_when_the_writer_is_made(kind: Any) -> None:
    with pytest.raises(TypeError, match="no writer for"):
        made_writer(_one(kind))


def test_texts_that_are_remembered_are_few_and_short() -> None:
    words = record_writers._Words()
    for number in range(5_000):
        assert words[str(number)] == chr(2 * len(str(number))) + str(number)
    assert words["y" * 1000] == "\xd0\x0f" + "y" * 1000
    assert len(words) == 4096


def test_fields_of_few_values_that_are_remembered_together_are_few_and_short() -> None:
    kinds = {"is_final": "boolean", "vendor": "string", "phase": "long", "q850": ["null", "long"]}
    schema = {"type": "record", "name": "One", "fields": [{"name": name, "type": kinds[name]} for name in kinds]}
    write = made_writer(schema)
    (table,) = (table for table in write.__globals__.values() if isinstance(table, record_writers._Runs))
    for number in range(5_000):
        for _ in range(2):
            value = {"is_final": number % 2 == 0, "vendor": f"v{number}", "phase": 3, "q850": number or None}
            out = io.BytesIO()
            fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
            assert write(SimpleNamespace(**value)) == out.getvalue()

    assert len(table) == 4096
    table.clear()
    write(SimpleNamespace(is_final=True, vendor="v" * 1000, phase=3, q850=None))
    assert not table


_FACT = max((one for one in PUBLISHED if one.name == "fact"), key=lambda one: one.version)


@given(data=st.data())
def test_a_fact_without_what_is_seldom_set_is_written_as_by_the_library_and_so_is_one_with_a_single_such_field(
    data: st.DataObject,
) -> None:
    schema = json.loads(schema_text(_FACT))
    whole = data.draw(values(schema))
    unset = {"string": "", "array": (), "map": {}}
    seldom = [
        (field["name"], None if isinstance(field["type"], list) else unset[_type_of(field["type"])])
        for field in schema["fields"]
        if field["name"] in codec._SELDOM["fact"]
    ]
    assert len(seldom) == len(codec._SELDOM["fact"])
    few = {**whole, **dict(seldom)}
    assert writer_of(_FACT)(as_record(few)) == by_library(_FACT, few)
    zeros = {"long": 0, "string": "", "bytes": Decimal(0)}
    for name, nothing in seldom:
        kind = next(field["type"] for field in schema["fields"] if field["name"] == name)
        is_time = nothing is None and isinstance(kind[1], Mapping) and kind[1]["type"] == "long"
        zero = datetime(1970, 1, 1, tzinfo=UTC) if is_time else zeros[_type_of(kind[1])] if nothing is None else nothing
        for value in (zero, whole[name]):
            one = {**few, name: value}
            assert writer_of(_FACT)(as_record(one)) == by_library(_FACT, one)


def _type_of(kind: Any) -> str:
    named: str = kind["type"] if isinstance(kind, Mapping) else kind
    return named


def test_instants_that_are_remembered_are_few() -> None:
    instants = record_writers._Instants()
    first = datetime(2026, 3, 1, tzinfo=UTC)
    for number in range(5_000):
        at = first + timedelta(seconds=number)
        assert instants[at] == record_writers._varint(
            (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        )
    assert 0 < len(instants) <= 4096
