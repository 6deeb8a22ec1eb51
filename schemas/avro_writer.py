"""Structs to Avro bodies, faster than by way of dicts: only the fields that are not at their defaults cost anything.

A record of ours has some 75 fields, most of them at their default, whose bytes are known beforehand. The bytes are those
that fastavro writes for the same schema; a test holds both together. Measured, a fact: 14 us, through fastavro 35 us.
This page must not know what the fields mean.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import compress
from operator import is_not
from typing import Any, Final

import fastavro
import msgspec

Write = Callable[[Any], bytes]
Types = Mapping[str, type[msgspec.Struct]]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_HIGHEST: Final = 1 << 63
_SMALL: Final = tuple(bytes((number << 1,)) for number in range(64))
_EIGHT_BYTES: Final = 1 << 49
"""From here on, and up to 128 times as much, a number has eight bytes: microseconds of the years 1978 to 3111."""
_OTHERS: Final = 4096
"""Values of a type that is written by fastavro, remembered with their bytes: prices repeat."""


def long(number: int) -> bytes:
    """Avro's variable-length zig-zag; raises OverflowError beyond 64 bits."""
    if 0 <= number < 64:
        return _SMALL[number]
    if not -_HIGHEST <= number < _HIGHEST:
        raise OverflowError("a number of more than 64 bits")
    left = number << 1 if number >= 0 else ~number << 1 | 1
    out = bytearray()
    while left > 127:
        out.append(left & 127 | 128)
        left >>= 7
    out.append(left)
    return bytes(out)


_LENGTHS: Final = tuple(long(number) for number in range(512))


def _counted(data: bytes) -> bytes:
    size = len(data)
    return (_LENGTHS[size] if size < 512 else long(size)) + data


def _string(text: str) -> bytes:
    return _counted(text.encode())


def _micros(at: datetime) -> bytes:
    left = (at - _EPOCH) // _MICROSECOND << 1
    if not _EIGHT_BYTES <= left < _EIGHT_BYTES << 7:
        return long(left >> 1)
    return bytes(
        (
            left & 127 | 128,
            left >> 7 & 127 | 128,
            left >> 14 & 127 | 128,
            left >> 21 & 127 | 128,
            left >> 28 & 127 | 128,
            left >> 35 & 127 | 128,
            left >> 42 & 127 | 128,
            left >> 49,
        )
    )


def _boolean(value: bool) -> bytes:  # noqa: FBT001 - the value is what is written
    return b"\x01" if value else b"\x00"


def _array(write: Write, items: Sequence[Any]) -> bytes:
    return b"".join((long(len(items)), *map(write, items), b"\x00")) if items else b"\x00"


def _map(write: Write, items: Mapping[str, Any]) -> bytes:
    if not items:
        return b"\x00"
    parts = [long(len(items))]
    for key, value in items.items():
        parts += (_string(key), write(value))
    parts.append(b"\x00")
    return b"".join(parts)


def _optional(write: Write, value: Any) -> bytes:
    return b"\x00" if value is None else b"\x02" + write(value)


def _by_fastavro(schema: Any) -> Write:
    parsed = fastavro.parse_schema(schema)

    @lru_cache(_OTHERS)
    def write(value: Any) -> bytes:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, value)
        return out.getvalue()

    return write


_COLLECTIONS: Final[Mapping[str, tuple[str, Callable[[Write, Any], bytes]]]] = {
    "array": ("items", _array),
    "map": ("values", _map),
}
_PLAIN: Final[Mapping[str, Write]] = {"string": _string, "long": long, "boolean": _boolean, "bytes": _counted}


def writer_of(schema: Any, types: Types) -> Write:
    """A function from a value to its Avro bytes; `types` are the structs of the schema's records by their names."""
    match schema:
        case str():
            return _PLAIN[schema]
        case ["null", other]:
            return partial(_optional, writer_of(other, types))
        case {"type": "long", "logicalType": "timestamp-micros"}:
            return _micros
        case {"type": "array" | "map" as kind}:
            inside, write = _COLLECTIONS[kind]
            return partial(write, writer_of(schema[inside], types))
        case {"type": "record", "name": name, "fields": fields}:
            return _record(types[name.rpartition(".")[2]], fields, types)
        case _:
            return _by_fastavro(schema)


def _record(struct_: type[msgspec.Struct], fields: Sequence[Any], types: Types) -> Write:
    names = tuple(field["name"] for field in fields)
    if names != struct_.__struct_fields__:
        raise TypeError(f"{struct_.__name__} has not the fields of its schema in their order")
    writes = tuple(writer_of(field["type"], types) for field in fields)
    defaults = tuple(map(_default, msgspec.structs.fields(struct_)))
    at_default = [b"" if value is _NONE else write(value) for write, value in zip(writes, defaults, strict=True)]
    numbers = range(len(names))
    read = msgspec.structs.astuple

    def write(value: msgspec.Struct) -> bytes:
        values = read(value)
        parts = at_default.copy()
        for number in compress(numbers, map(is_not, values, defaults)):
            parts[number] = writes[number](values[number])
        return b"".join(parts)

    return write


_NONE: Final = object()
"""No value is this one: such a field is always written."""


def _default(field: Any) -> Any:
    return _NONE if field.default is msgspec.NODEFAULT else field.default
