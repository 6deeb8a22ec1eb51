"""Values of Avro types for tests, and what fastavro writes for them."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, get_args, get_origin, get_type_hints

import fastavro
from hypothesis import strategies as st

from schemas.codec import PublishedSchema, parsed_schema

LONGS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 1, -1, 63, 64, -64, -65, 4095, 4096, 8191, 8192])
)
INSTANTS = st.one_of(
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from([datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]),
    st.integers(-(2**50), 2**51).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)),
)
AMOUNTS = st.one_of(
    st.decimals(min_value=Decimal(-999999999999), max_value=Decimal(999999999999), places=6, allow_nan=False),
    st.sampled_from([Decimal(text) for text in ("0", "-0", "1E+3", "0.1", "-0.000001", "127.999999", "-128", "1.50")]),
)
TEXTS = st.one_of(st.text(max_size=40), st.sampled_from(["", "ytx", "呼叫", "x" * 300, "\x00"]))


def values(kind: Any, hint: Any = None) -> st.SearchStrategy[Any]:
    """Returns values of an Avro type, as our records have them; of a field's type `hint` where that is given."""
    if isinstance(kind, list):
        inner = next((one for one in get_args(hint) if one is not type(None)), None)
        return st.one_of(st.none(), values(kind[1], inner))
    if isinstance(kind, Mapping):
        return _of_mapping(kind, hint)
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from([member.value for member in hint])
    return {"string": TEXTS, "long": LONGS, "boolean": st.booleans(), "bytes": st.binary(max_size=200)}[kind]


def _of_mapping(kind: Mapping[str, Any], hint: Any) -> st.SearchStrategy[Any]:
    plain = {"timestamp-micros": INSTANTS, "decimal": AMOUNTS}.get(kind.get("logicalType", ""))
    if plain is not None:
        return plain
    if kind["type"] == "map":
        return st.dictionaries(TEXTS, values(kind["values"]), max_size=3)
    if kind["type"] == "array":
        inner = get_args(hint)[0] if hint else None
        return st.lists(values(kind["items"], inner), max_size=3).map(tuple)
    hints = get_type_hints(hint) if hint else {}
    return st.fixed_dictionaries(
        {field["name"]: values(field["type"], hints.get(field["name"])) for field in kind["fields"]}
    )


def by_library(published: PublishedSchema, value: Any) -> bytes:
    """Returns the Avro body that fastavro writes."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed_schema(published), value)
    return out.getvalue()
