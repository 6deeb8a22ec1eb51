"""Writes the columns of scanned records as ClickHouse's Native format has them: no value is an object. Pure.

`tests/unit/sinks/test_typed_records.py` holds them against `column_writers.py`, which writes the values of objects.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sinks.scanning.derived import Odd
from sinks.scanning.leaves import Longs, Texts
from sinks.scanning.scanned import Coded
from sinks.scanning.source import Numbers, Source, spread
from sinks.writing.column_writers import word_head

_SHORT: Final = 128
_SEVEN: Final = 7
_MILLISECOND: Final = 1_000
_SECOND: Final = 1_000_000
_UUID_CHARS: Final = 36
_DASHES: Final = (8, 13, 18, 23)
_DIGITS: Final = np.array([place for place in range(_UUID_CHARS) if place not in _DASHES])
_NO_DIGIT: Final = 255
_HEX: Final = np.full(256, _NO_DIGIT, np.uint8)
for _digit in "0123456789abcdefABCDEF":
    _HEX[ord(_digit)] = int(_digit, 16)


def texts(source: Source, values: Texts) -> bytes:
    """Returns texts, each with its length."""
    sizes = values.sizes
    longest = int(sizes.max(initial=0))
    if not longest:
        return bytes(len(sizes))
    widths = np.ones(len(sizes), np.int64)
    rest = longest >> _SEVEN
    shift = _SEVEN
    while rest:
        widths += sizes >> shift > 0
        rest, shift = rest >> _SEVEN, shift + _SEVEN
    whole = sizes + widths
    found = source.octets[spread(values.starts - widths, whole)]
    heads = np.cumsum(whole) - whole
    if longest < _SHORT:
        found[heads] = sizes
        return found.tobytes()
    for place in range(int(widths.max())):
        some = np.flatnonzero(widths > place)
        more = np.where(widths[some] > place + 1, _SHORT, 0)
        found[heads[some] + place] = (sizes[some] >> _SEVEN * place) & (_SHORT - 1) | more
    return found.tobytes()


def words(coded: Coded) -> bytes:
    """Returns words by numbers."""
    codes, different = coded
    if not len(codes):
        return b""
    head, code = word_head([word.decode() for word in different], len(codes))
    return head + codes.astype(f"<{code}").tobytes()


def identities(source: Source, values: Texts) -> bytes:
    """Returns UUIDs as two numbers of eight bytes each, the higher first; those in another form are odd."""
    if (values.sizes != _UUID_CHARS).any():
        raise Odd(values.sizes != _UUID_CHARS)
    chars = source.octets[values.starts[:, None] + np.arange(_UUID_CHARS)]
    digits = _HEX[chars[:, _DIGITS]]
    wrong = (digits == _NO_DIGIT).any(axis=1) | (chars[:, _DASHES] != ord("-")).any(axis=1)
    if wrong.any():
        raise Odd(wrong)
    octets = digits[:, ::2] << 4 | digits[:, 1::2]
    return np.ascontiguousarray(octets).view(np.uint64).byteswap().tobytes()


def _packed(code: str, unit: int = 1) -> Callable[[Numbers], bytes]:
    kind = np.dtype(f"<{code}")
    bounds = np.iinfo(kind)

    def packed(values: Numbers) -> bytes:
        found = values // unit if unit > 1 else values
        if len(found) and (int(found.min()) < bounds.min or int(found.max()) > bounds.max):
            raise Odd((found < max(bounds.min, -(1 << 63))) | (found > min(bounds.max, (1 << 63) - 1)))
        return found.astype(kind).tobytes()

    return packed


_NUMBERS: Final[Mapping[str, Callable[[Numbers], bytes]]] = {
    "Bool": _packed("u1"),
    "DateTime('UTC')": _packed("u4", _SECOND),
    "DateTime64(3, 'UTC')": _packed("i8", _MILLISECOND),
    "DateTime64(6, 'UTC')": _packed("i8"),
    "Decimal(18, 6)": _packed("i8"),
    "UInt8": _packed("u1"),
    "UInt16": _packed("u2"),
    "UInt32": _packed("u4"),
    "UInt64": _packed("u8"),
    "Int32": _packed("i4"),
    "Int64": _packed("i8"),
}


def written(kind: str, source: Source, values: Texts | Longs | Coded) -> bytes:
    """Returns the values of a column of a type, or of its members; raises `Odd` for those that it does not hold."""
    if kind.startswith("Nullable("):
        inner = written(kind.removeprefix("Nullable(").removesuffix(")"), source, values)
        return _missing(values) + inner
    if isinstance(values, tuple):
        return words(values)
    if isinstance(values, Longs):
        return _NUMBERS[kind](values.values)
    if kind == "UUID":
        return identities(source, values)
    if kind != "String":
        return words(source.coded(values.starts, values.sizes))
    return texts(source, values)


def _missing(values: Texts | Longs | Coded) -> bytes:
    if isinstance(values, tuple) or values.present is None:
        return bytes(len(values[0]) if isinstance(values, tuple) else len(values))
    missing: NDArray[np.uint8] = (~values.present).view(np.uint8)
    return missing.tobytes()
