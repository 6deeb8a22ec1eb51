"""Makes a reader from an Avro schema: one Python function that goes over the bytes and names every field. Pure.

fastavro looks at each value's place in two schemas, and its dictionary has every field. A function that was made for
the schema knows the places, and leaves out what a field is without a value. It reads what our writers write; at all
else, from an unusual number to a record that is cut off, it raises, and the caller asks fastavro, whose answer counts.
It is held against fastavro in `tests/unit/schemas/test_record_readers.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, Final, get_args, get_type_hints

import msgspec

Reader = Callable[[bytes, int], tuple[dict[str, Any], int]]
"""Returns the values of the record that begins at a place, without those that are as in a new record, and the place
behind it. Raises any exception for bytes that it leaves to the library; where bytes are missing, the place may also be
beyond the last of them.
"""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_KEPT: Final = 1 << 12
_WORD_BYTES: Final = 32
_MOST_BITS: Final = 63
_SCALE: Final = 6
_MOST_AMOUNT: Final = 10**18
_CONTEXT: Final = Context(prec=18)


class Unread(ValueError):
    """Bytes that a reader leaves to the library."""


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Returns a long of two bytes or more."""
    rest, byte = data[at] & 127, data[at + 1]
    if byte < 128:
        return _signed(rest | byte << 7), at + 2
    if data[at + 2] > 127 and (encoded := data[at : at + 8])[-1] < 128 <= encoded[-2] and len(encoded) == 8:
        try:
            return _eight(encoded), at + 8  # as versions are
        except ValueError:
            pass
    at, shift = at + 1, 7
    while byte > 127 and shift <= _MOST_BITS:
        rest |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        byte = data[at]
    rest |= byte << shift
    if rest >> _MOST_BITS + 1:
        raise Unread
    return _signed(rest), at + 1


def _eight(encoded: bytes) -> int:
    """Returns a long of eight bytes that is not negative; raises `ValueError` for any other."""
    a, b, c, d, e, f, g, h = encoded
    if a & b & c & d & e & f & g < 128 or h > 127 or a & 1:
        raise Unread
    lower = a + (b << 7) + (c << 14) + (d << 21) - _LOWER_MORE
    return (lower >> 1) + (e + (f << 7) + (g << 14) + (h << 21) - _UPPER_MORE << 27)


_UPPER_MORE: Final = 0x80 + (0x80 << 7) + (0x80 << 14)
_LOWER_MORE: Final = _UPPER_MORE + (0x80 << 21)
"""The bits of four bytes which say that more follow."""


def _signed(zigzag: int) -> int:
    return (zigzag >> 1) ^ -(zigzag & 1)


def _length(data: bytes, at: int) -> tuple[int, int]:
    number, at = _number(data, at)
    if number < 0:
        raise Unread
    return number, at


class _Words(dict[bytes, str]):
    """Texts that were read before; at most so many, and none that is long."""

    def __missing__(self, encoded: bytes) -> str:
        text = encoded.decode()
        if len(self) < _MOST_KEPT and len(encoded) <= _WORD_BYTES:
            self[encoded] = text
        return text


class _Instants(dict[bytes, datetime]):
    """Instants that were read before, by their bytes; those of our days have eight. Forgotten when they are many."""

    def __missing__(self, encoded: bytes) -> datetime:
        at = _EPOCH + timedelta(0, 0, _eight(encoded))
        if len(self) >= _MOST_KEPT:
            self.clear()
        self[encoded] = at
        return at


def _instant(data: bytes, at: int) -> tuple[datetime, int]:
    """Returns an instant of any width, as none of our days has."""
    short = _LONGS[data[at]]
    number, at = _number(data, at) if short is None else (short, at + 1)
    return _EPOCH + timedelta(0, 0, number), at


def _amount(encoded: bytes) -> Decimal:
    unscaled = int.from_bytes(encoded, "big", signed=True)
    if not -_MOST_AMOUNT < unscaled < _MOST_AMOUNT:
        raise Unread
    return Decimal(unscaled).scaleb(-_SCALE, _CONTEXT)


_LENGTHS: Final = tuple(-1 if byte & 1 or byte > 127 else byte >> 1 for byte in range(256))
"""The lengths that have one byte; -1 for all other bytes."""
_LONGS: Final = tuple(None if byte > 127 else _signed(byte) for byte in range(256))
"""The longs that have one byte."""
_NAMES: Final[Mapping[str, Any]] = {
    "lengths": _LENGTHS, "longs": _LONGS, "number": _number, "length": _length, "instant": _instant, "amount": _amount,
    "Unread": Unread,
}  # fmt: skip
_UNLIKE: Final = ("_id", "_number", "_raw", "_ref", "_url", "_key", "digest", "sha256", "hash", "detail", "leg", "one")
"""Ends of names whose texts hardly ever come again: a table of them would fill and be of no use."""


def made_reader(schema: Mapping[str, Any], record: type[msgspec.Struct]) -> Reader:
    """Returns the reader of what was written by a schema of the record.

    Raises `TypeError` for a type that none of our schemas has.
    """
    made: dict[str, Any] = {**_NAMES, "words": _Words(), "instants": _Instants()}
    text = "\n".join(_function("read", schema, record))
    exec(compile(text, f"<reader of {schema['name']}>", "exec"), made)  # noqa: S102 - the text is made of our own schemas
    reader: Reader = made["read"]
    return reader


def _function(name: str, schema: Mapping[str, Any], record: type[msgspec.Struct]) -> list[str]:
    """Returns the lines of a record's function, those of the records in it before it."""
    before: list[str] = []
    hints, defaults = get_type_hints(record), _defaults(record)
    lines: list[str] = []
    for field in schema["fields"]:
        own = field["name"]
        lines += _value(f"x[{own!r}]", field["type"], own, hints[own], before, defaults.get(own, ...))
    return [*before, f"def {name}(d, p):", "    x = {}", *_indented(lines), "    return x, p", ""]


def _defaults(record: type[msgspec.Struct]) -> dict[str, Any]:
    """Returns the defaults of a record's fields; a list or a mapping that is made anew for each record is empty."""
    return {
        field.name: field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        for field in msgspec.structs.fields(record)
        if not field.required
    }


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _value(place: str, kind: Any, name: str, hint: Any, before: list[str], default: Any = ...) -> list[str]:
    """Returns the lines that put a value at its place; one that is equal to `default` is left out.

    Functions that the lines need are put into `before`, of which `hint` is the type in the record.
    """
    if isinstance(kind, list):
        if len(kind) != 2 or kind[0] != "null":
            raise TypeError(f"no reader for the union {kind}")
        inner = next(one for one in get_args(hint) if one is not type(None))
        lines = _value(place, kind[1], name, inner, before)
        otherwise = [] if default is None else ["else:", f"    {place} = None"]
        return ["n = d[p]; p += 1", "if n:", "    if n != 2: raise Unread", *_indented(lines), *otherwise]
    if isinstance(kind, Mapping):
        return _of_mapping(place, kind, hint, before, default)
    if kind == "string":
        text = "d[p:e].decode()" if name.endswith(_UNLIKE) else "words[d[p:e]]"
        return _sized([f"e = p + n; {place} = {text}; p = e"], f"{place} = ''", is_needed=default != "")
    if kind == "bytes":
        return _sized([f"e = p + n; {place} = d[p:e]; p = e"], f"{place} = b''", is_needed=default != b"")
    if kind == "long":
        return ["n = longs[d[p]]", "if n is None: n, p = number(d, p)", "else: p += 1", f"{place} = n"]
    if kind == "boolean":
        return ["n = d[p]; p += 1", "if n > 1: raise Unread", f"{place} = n == 1"]
    raise TypeError(f"no reader for {kind}")


def _sized(lines: list[str], otherwise: str, *, is_needed: bool) -> list[str]:
    """Returns the lines for a length and what follows it, with other lines where there is nothing."""
    return [
        "n = lengths[d[p]]; p += 1",
        "if n:",
        "    if n < 0: n, p = length(d, p - 1)",
        *_indented(lines),
        *(["else:", f"    {otherwise}"] if is_needed else []),
    ]


def _of_mapping(place: str, kind: Mapping[str, Any], hint: Any, before: list[str], default: Any) -> list[str]:
    base, logical = kind["type"], kind.get("logicalType", "")
    if (base, logical) == ("long", "timestamp-micros"):
        return [f"try: {place} = instants[d[p:p + 8]]; p += 8", f"except ValueError: {place}, p = instant(d, p)"]
    if (base, logical) == ("bytes", "decimal"):
        if kind["scale"] != _SCALE:
            raise TypeError(f"no reader for a decimal of scale {kind['scale']}")
        return _sized([f"e = p + n; {place} = amount(d[p:e]); p = e"], f"{place} = amount(b'')", is_needed=True)
    if base == "map":
        one = [*_value("key", "string", "", str, before), *_value("y[key]", kind["values"], "one", str, before)]
        return _sized(_block(place, "{}", one), f"{place} = {{}}", is_needed=default != {})
    if base != "array":
        raise TypeError(f"no reader for {base} {logical}".rstrip())
    if isinstance(kind["items"], Mapping) and kind["items"]["type"] == "record":
        inner = get_args(hint)[0]
        before += _function(f"read_{inner.__name__}", kind["items"], inner)
        one = [f"z, p = read_{inner.__name__}(d, p)", "y.append(z)"]
    else:
        one = [*_value("z", kind["items"], "", str, before), "y.append(z)"]
    return _sized(_block(place, "[]", one), f"{place} = ()", is_needed=default != ())


def _block(place: str, empty: str, one: list[str]) -> list[str]:
    """Returns the lines for one block of items, as our writers write them, and the end of blocks."""
    return [
        f"{place} = y = {empty}",
        "for _ in range(n):",
        *_indented(one),
        "if d[p]: raise Unread",
        "p += 1",
    ]
