"""Writes the values of a column as ClickHouse's Native format has them, for the types of our tables. Pure.

clickhouse-connect takes 1 to 3 us for each array of each row, also an empty one, and a record has 45 of them. These
writers take a whole column in a few steps that run in C, and know the columns that are empty as a whole.
`tests/contract/test_native_blocks.py` holds the rows against those that the library inserts.
(https://clickhouse.com/docs/interfaces/formats/Native)
"""

import contextlib
import struct
from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import accumulate, chain
from typing import Any, Final, TypeVar
from uuid import UUID

from schemas.reading.remembered import Remembered
from sinks.columns import MICROSECONDS

T = TypeVar("T")
ColumnWriter = Callable[[Sequence[Any]], bytes]
"""Returns the bytes of some values; raises where the type cannot hold one of them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = 1_000
_SECOND: Final = 1_000_000
"""Units of instants, in microseconds."""
_MOST_KEPT: Final = 1 << 12
"""Amounts that are remembered."""
_SHORT: Final = 128
_SCALE: Final = 6
_MOST: Final = 10**18
"""The bound of Decimal(18, 6), in millionths."""
_LENGTHS: Final = tuple(bytes((number,)) for number in range(_SHORT))
_HEADS: Final = tuple(map(chr, range(_SHORT)))
_WORDS_VERSION: Final = struct.pack("<Q", 1)
_NEW_WORDS: Final = 1 << 9 | 1 << 10
"""The words come with the column, and are all that it has."""
_INDEXES: Final = (("B", 0), ("H", 1), ("I", 2))
"""The number that stands for each word: its type's code of `struct`, and of ClickHouse."""
_DIGITS: Final = 32
"""Hexadecimal digits of a UUID."""
_MOST_BYTES: Final = 256
_MOST_PAIRS: Final = 65_536


def length(number: int) -> bytes:
    """Returns a length in groups of seven bits."""
    if number < _SHORT:
        return _LENGTHS[number]
    found = bytearray()
    while number >= _SHORT:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def offsets(counts: Sequence[int]) -> bytes:
    """Returns where the arrays of so many members end."""
    return struct.pack(f"<{len(counts)}Q", *accumulate(counts))


def _texts(values: Sequence[Any]) -> bytes:
    """Returns texts, or octets, each with its length; raises `TypeError` for anything else."""
    if values.count("") == len(values):
        return bytes(len(values))
    try:
        counts = [*map(len, values)]
        if max(counts) < _SHORT:
            together = "".join(chain.from_iterable(zip(map(_HEADS.__getitem__, counts), values, strict=True)))
            if together.isascii():
                return together.encode()
        encoded = [*map(str.encode, values)]
    except TypeError:
        encoded = [value.encode() if isinstance(value, str) else b"".join((value,)) for value in values]
    counts = [*map(len, encoded)]
    heads = map(_LENGTHS.__getitem__ if max(counts) < _SHORT else length, counts)
    return b"".join(chain.from_iterable(zip(heads, encoded, strict=True)))


def _words(values: Sequence[str]) -> bytes:
    """Returns words by numbers: those that occur, and then the number of each."""
    if not values:
        return b""
    if values.count(values[0]) == len(values):
        return word_head(values[:1], len(values))[0] + bytes(len(values))
    numbers = {word: number for number, word in enumerate(dict.fromkeys(values))}
    head, code = word_head([*numbers], len(values))
    return head + struct.pack(f"<{len(values)}{code}", *map(numbers.__getitem__, values))


def word_head(words: Sequence[str], count: int) -> tuple[bytes, str]:
    """Returns what stands before the numbers of so many words, and the numbers' type, by its code of `struct`."""
    code, kind = _INDEXES[(len(words) > _MOST_BYTES) + (len(words) > _MOST_PAIRS)]
    return struct.pack("<QQ", _NEW_WORDS | kind, len(words)) + _texts(words) + struct.pack("<Q", count), code


def _packed(code: str, values: Sequence[int]) -> bytes:
    """Returns numbers; raises `OverflowError` for one that the type cannot hold, and for what is no number."""
    try:
        return struct.pack(f"<{len(values)}{code}", *values)
    except struct.error as exc:
        raise OverflowError(str(exc)) from exc


def _numbers(code: str) -> ColumnWriter:
    return lambda values: _packed(code, values)


def _since(unit: int, code: str) -> ColumnWriter:
    return lambda values: _packed(code, [at // unit for at in map(MICROSECONDS.__getitem__, values)])


def _identities(values: Sequence[str]) -> bytes:
    """Returns two numbers of eight bytes for each, the higher first; raises `ValueError` for a text that is no UUID."""
    digits = [value.replace("-", "") for value in values]
    octets = b""
    if set(map(len, digits)) == {_DIGITS}:
        with contextlib.suppress(ValueError):  # of which value, it does not say
            octets = bytes.fromhex("".join(digits))
    if len(octets) * 2 != _DIGITS * len(values):  # in another form, or none
        octets = b"".join([UUID(value).bytes for value in values])
    halves = array("Q", octets)
    halves.byteswap()
    return halves.tobytes()


def _amounts(values: Sequence[Decimal]) -> bytes:
    return _packed("q", [*map(_MILLIONTHS.__getitem__, values)])


def _millionths(value: Decimal) -> int:
    """Returns an amount in millionths; raises `ValueError` for one with more places, or more digits before them."""
    number = value.scaleb(_SCALE)
    whole = int(number)
    if whole != number or not -_MOST < whole < _MOST:
        raise ValueError("an amount that Decimal(18, 6) does not hold")
    return whole


_MILLIONTHS: Final = Remembered(_millionths, _MOST_KEPT)


def _truths(values: Sequence[bool]) -> bytes:
    return bytes(map(bool, values))


_PLAIN: Final[dict[str, tuple[ColumnWriter, Any]]] = {
    "String": (_texts, ""),
    "LowCardinality(String)": (_words, ""),
    "Bool": (_truths, False),
    "UUID": (_identities, str(UUID(int=0))),
    "DateTime('UTC')": (_since(_SECOND, "I"), _EPOCH),
    "DateTime64(3, 'UTC')": (_since(_MILLISECOND, "q"), _EPOCH),
    "DateTime64(6, 'UTC')": (_since(1, "q"), _EPOCH),
    "Decimal(18, 6)": (_amounts, Decimal(0)),
    "UInt8": (_numbers("B"), 0),
    "UInt16": (_numbers("H"), 0),
    "UInt32": (_numbers("I"), 0),
    "UInt64": (_numbers("Q"), 0),
    "Int32": (_numbers("i"), 0),
    "Int64": (_numbers("q"), 0),
}
"""The writer of each type, and what stands for NULL."""


def _nullable(inner: str) -> ColumnWriter:
    write, nothing = _PLAIN[inner]

    def written(values: Sequence[Any]) -> bytes:
        count = values.count(None)
        if count == len(values):
            return b"\1" * count + write([nothing]) * count
        if not count:
            return bytes(len(values)) + write(values)
        missing = bytes([value is None for value in values])
        return missing + write([nothing if value is None else value for value in values])

    return written


def _maps(key: str, item: str) -> ColumnWriter:
    keys, items = column_writer(key), column_writer(item)

    def written(values: Sequence[dict[Any, Any]]) -> bytes:
        ends = offsets([*map(len, values)])
        names = keys([*chain.from_iterable(values)])
        return ends + names + items([*chain.from_iterable(value.values() for value in values)])

    return written


def _arrays(inner: str) -> ColumnWriter:
    write = column_writer(inner)
    return lambda values: offsets([*map(len, values)]) + write([*chain.from_iterable(values)])


@cache
def column_writer(kind: str) -> ColumnWriter:
    """Returns the writer of a type; raises `TypeError` for one that none of our columns has."""
    if kind in _PLAIN:
        return _PLAIN[kind][0]
    name, _, inner = kind.removesuffix(")").partition("(")
    if name == "Nullable" and inner in _PLAIN:
        return _nullable(inner)
    if name == "Array":
        return _arrays(inner)
    if name == "Map":
        key, _, item = inner.partition(", ")
        return _maps(key, item)
    raise TypeError(f"no writer for {kind}")


def head(name: str, kind: str) -> bytes:
    """Returns what stands before the values of a column."""
    return _texts([name, kind]) + (_WORDS_VERSION if "LowCardinality" in kind else b"")
