"""Writes scanned records as one block of a table's rows in ClickHouse's Native format. Pure.

It is the block that `native_block.py` makes of the same records as objects.
"""

from typing import Any

import numpy as np

from schemas.privacy.tokens import NumberTokens
from sinks.columns import Column, Table, mask
from sinks.scanning.derived import Odd
from sinks.scanning.leaves import Texts
from sinks.scanning.scanned import Scanned
from sinks.scanning.source import Numbers, Source
from sinks.writing.column_writers import head, length
from sinks.writing.leaf_writers import texts, words, written


class ScannedBlock:
    """Scanned records that become one block."""

    def __init__(self, scanned: Scanned, tokens: NumberTokens) -> None:
        """Keeps the records, and the tokens that stand beside their phone numbers."""
        self._scanned = scanned
        self._tokens = tokens

    def of(self, table: Table[Any]) -> bytes:
        """Returns the block; raises `Odd` for records that a column does not hold as they were read."""
        parts = [length(len(table.columns)), length(len(self._scanned))]
        for column in table.columns:
            parts.append(head(column.name, column.type))
            parts.append(self._written(column))
        return b"".join(parts)

    def _written(self, column: Column[Any]) -> bytes:
        kind = column.type
        if kind.startswith("Map("):
            return self._mapping(column)
        if not kind.startswith("Array("):
            return self._values(column, kind, None)
        lists = self._scanned.lists(column.members or column.name)
        owners = lists.owners
        try:
            values = self._values(column, kind.removeprefix("Array(").removesuffix(")"), owners)
        except Odd as odd:
            rows = np.zeros(len(self._scanned), np.bool_)
            rows[owners[odd.rows]] = True
            raise Odd(rows) from odd
        return self._ends(column.members or column.name) + values

    def _values(self, column: Column[Any], kind: str, owners: Numbers | None) -> bytes:
        """Returns the values of the records, or of their members, of which `owners` are the records."""
        scanned = self._scanned
        if column.shows:
            return self._shown(column, owners)
        if column.scanned is not None:
            return written(kind, scanned.source, column.scanned(scanned))
        name = column.field if owners is None else f"{column.name}."
        if kind == "LowCardinality(String)":
            return words(scanned.words(name))
        return written(kind, scanned.source, scanned.leaf(name))

    def _ends(self, name: str) -> bytes:
        """Returns where the lists of a field end, which many columns say."""
        counts = self._scanned.lists(name).counts
        return self._scanned.once(("ends", name), lambda _: np.cumsum(counts).astype("<u8").tobytes())

    def _mapping(self, column: Column[Any]) -> bytes:
        """Returns mappings; one with a key that comes twice is odd."""
        scanned, lists = self._scanned, self._scanned.lists(column.field)
        keys, values = scanned.texts(f"{column.field}.key"), scanned.texts(f"{column.field}.value")
        codes, different = scanned.coded(keys)
        owners = lists.owners
        _, places, counts = np.unique(owners * len(different) + codes, return_inverse=True, return_counts=True)
        if len(counts) < len(codes):
            rows = np.zeros(len(scanned), np.bool_)
            rows[owners[counts[places] > 1]] = True
            raise Odd(rows)
        return self._ends(column.field) + words((codes, different)) + texts(scanned.source, values)

    def _shown(self, column: Column[Any], owners: Numbers | None) -> bytes:
        """Returns what stands for phone numbers: a token is one of its record's account."""
        scanned = self._scanned
        codes, numbers = self._numbers(column)
        if column.shows == "masked":
            forms = [*map(mask, numbers)]
        else:
            accounts, names = scanned.words("account")
            pairs = np.arange(len(numbers))
            if len(names) > 1:
                accounts = accounts if owners is None else accounts[owners]
                pairs, codes = np.unique(accounts * len(numbers) + codes, return_inverse=True)
            of = self._tokens.of
            forms = [of(names[pair // len(numbers)].decode(), numbers[pair % len(numbers)]) for pair in pairs.tolist()]
        source, starts, sizes = Source.of([*map(str.encode, forms)])
        return texts(source, Texts(starts[codes], sizes[codes]))

    def _numbers(self, column: Column[Any]) -> tuple[Numbers, list[str]]:
        """Returns the phone numbers that a column shows, as codes and texts; others show them in another form."""
        found = column.scanned(self._scanned) if column.scanned else self._scanned.leaf(column.field)
        if not isinstance(found, Texts):
            raise TypeError(f"{column.name} shows no phone numbers")

        def numbers(scanned: Scanned) -> tuple[Numbers, list[str]]:
            codes, different = scanned.coded(found)
            return codes, [*map(bytes.decode, different)]

        return self._scanned.once(column.scanned or ("numbers", column.field), numbers)
