"""Reads the Avro bodies of one type of record into columns. Pure.

Bodies that it does not read are left to the codec: those that are not as our writers write them, with a word that its
enumeration does not have, with a text that is no UTF-8. The codec finds out whether they are records.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from sinks.scanning.cursor import Cursor
from sinks.scanning.leaves import Field
from sinks.scanning.plan import ListStep, Step, steps
from sinks.scanning.scanned import Scanned
from sinks.scanning.source import Flags, Numbers

_HIGH: Final = 128
"""The first byte that is none of ASCII's."""


class Part(msgspec.Struct, frozen=True):
    """Records that were read, and which bodies they are of."""

    word: str
    """The word in the field that parts them; "" where none does."""
    rows: Numbers
    scanned: Scanned


class Scanner:
    """Reads what was written by one schema of a record."""

    def __init__(self, schema: Mapping[str, Any], record: type[msgspec.Struct], parted_by: str = "") -> None:
        """`parted_by` is the field whose word parts the records: such as are alike are read faster."""
        self._steps = steps(schema)
        names = [*self._steps]
        self._first = names.index(parted_by) + 1 if parted_by else 0
        self._parted_by = parted_by
        self._enums = dict(_enums(record))

    def parts(self, bodies: Sequence[bytes], head: int) -> Iterator[Part]:
        """Iterates over the records by their word; what is in none of them is unread. A body has `head` first bytes."""
        cursor = Cursor.over(bodies, head)
        starts = cursor.at.copy()
        begun = {name: step.read(cursor) for name, step in islice(self._steps.items(), self._first)}
        if not self._parted_by:
            yield self._part("", cursor, starts, np.arange(len(bodies)), begun)
            return
        codes, words = Scanned(cursor.source, begun, len(bodies)).words(self._parted_by)
        for number, word in enumerate(words):
            rows = np.flatnonzero((codes == number) & ~cursor.unread)
            if len(rows):
                part = {name: leaf.of(rows) for name, leaf in begun.items()}
                yield self._part(word.decode("utf-8", "replace"), cursor.of(rows), starts[rows], rows, part)

    def _part(self, word: str, cursor: Cursor, starts: Numbers, rows: Numbers, begun: Mapping[str, Field]) -> Part:
        rest: Mapping[str, Step | ListStep] = dict(islice(self._steps.items(), len(begun), None))
        leaves = {**begun, **{name: step.read(cursor) for name, step in rest.items()}}
        found = Scanned(cursor.source, leaves, len(rows))
        unread = cursor.unread | (cursor.at > cursor.ends)
        unread |= self._of_no_enum(found)
        unread |= _not_text(found, cursor, starts)
        if unread.any():
            read = np.flatnonzero(~unread)
            return Part(word, rows[read], found.of(read))
        return Part(word, rows, found)

    def _of_no_enum(self, found: Scanned) -> Flags:
        unread = np.zeros(len(found), np.bool_)
        for name, allowed in self._enums.items():
            codes, words = found.words(name)
            wrong = [number for number, word in enumerate(words) if word not in allowed]
            if wrong:
                rows = np.isin(codes, wrong)
                parent, dot, _ = name.partition(".")
                unread[found.lists(parent).owners[rows] if dot else rows] = True
        return unread


def _not_text(found: Scanned, cursor: Cursor, starts: Numbers) -> Flags:
    """Returns the records with a text that is no UTF-8."""
    unread = np.zeros(len(found), np.bool_)
    octets = cursor.source.octets
    high = np.flatnonzero(octets >= _HIGH)
    counts = np.searchsorted(high, np.maximum(cursor.at, starts)) - np.searchsorted(high, starts)
    beyond_ascii = counts != cursor.more
    if not beyond_ascii.any():
        return unread
    for texts, owners in found.all_texts():
        doubted = (beyond_ascii if owners is None else beyond_ascii[owners]) & (texts.sizes > 0)
        places = np.flatnonzero(doubted)
        wrong = places[cursor.source.not_text(texts.starts[places], texts.sizes[places])]
        unread[wrong if owners is None else owners[wrong]] = True
    return unread


def _enums(record: type[msgspec.Struct], parent: str = "") -> Iterator[tuple[str, frozenset[bytes]]]:
    """Iterates over the fields that are words of an enumeration."""
    for name, hint in get_type_hints(record).items():
        if get_origin(hint) is tuple:
            (inner, *_) = get_args(hint)
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                yield from _enums(inner, f"{name}.")
            elif isinstance(inner, type) and issubclass(inner, Enum):
                yield f"{name}.", _words(inner)
        elif get_origin(hint) is Literal:
            yield f"{parent}{name}", frozenset(str(word).encode() for word in get_args(hint))
        elif isinstance(hint, type) and issubclass(hint, Enum):
            yield f"{parent}{name}", _words(hint)


def _words(enum: type[Enum]) -> frozenset[bytes]:
    return frozenset(str(one.value).encode() for one in enum)
