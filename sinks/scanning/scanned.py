"""Records of one type, by their columns. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from sinks.scanning.leaves import Field, Leaf, Lists, Longs, Texts
from sinks.scanning.source import Numbers, Source

T = TypeVar("T")
Coded = tuple[Numbers, list[bytes]]
"""The number of each text, and the different texts."""


class Scanned:
    """The fields of some records; a member's field has the name `legs.role`, a plain member `quality_flags.`."""

    def __init__(self, source: Source, fields: Mapping[str, Field], count: int, rows: Numbers | None = None) -> None:
        """Takes the fields of `count` records, and which of the records these are; None for all."""
        self.source = source
        self._fields = fields
        self._count = count
        self._rows = rows
        self._kept: dict[Any, Any] = {}

    def __len__(self) -> int:
        return self._count if self._rows is None else len(self._rows)

    def has(self, name: str) -> bool:
        """True for a field that these records have."""
        return name in self._fields

    def of(self, rows: Numbers) -> "Scanned":
        """Returns some of the records; the very same ones for all of them in their order."""
        if np.array_equal(rows, np.arange(len(self))):
            return self
        return Scanned(self.source, self._fields, self._count, rows if self._rows is None else self._rows[rows])

    def _field(self, name: str) -> Field:
        found = self._fields[name]
        rows = self._rows
        return found if rows is None else self.once(("rows", name), lambda _: found.of(rows))

    def leaf(self, name: str) -> Leaf:
        """Returns the values of a field, or of a field of members."""
        if name not in self._fields:
            parent, _, field = name.partition(".")
            return self.lists(parent).members[field]
        found = self._field(name)
        if isinstance(found, Lists):
            raise TypeError(f"{name} has members")
        return found

    def texts(self, name: str) -> Texts:
        """Returns the texts of a field."""
        found = self.leaf(name)
        if not isinstance(found, Texts):
            raise TypeError(f"{name} is no text")
        return found

    def longs(self, name: str) -> Longs:
        """Returns the numbers of a field."""
        found = self.leaf(name)
        if not isinstance(found, Longs):
            raise TypeError(f"{name} is no number")
        return found

    def lists(self, name: str) -> Lists:
        """Returns the lists of a field."""
        found = self._field(name)
        if not isinstance(found, Lists):
            raise TypeError(f"{name} has no members")
        return found

    def values(self, name: str) -> list[bytes]:
        """Returns the texts of a field, one by one."""
        texts = self.texts(name)
        return self.source.slices(texts.starts, texts.sizes)

    def coded(self, texts: Texts) -> Coded:
        """Returns texts by numbers."""
        return self.source.coded(texts.starts, texts.sizes)

    def words(self, name: str) -> Coded:
        """Returns the texts of a field by numbers, which are found once."""
        return self.once(name, lambda scanned: scanned.coded(scanned.texts(name)))

    def once(self, name: object, make: Callable[["Scanned"], T]) -> T:
        """Returns what is made of these records, and is made once."""
        if name not in self._kept:
            self._kept[name] = make(self)
        return self._kept[name]  # type: ignore[no-any-return]  # as it was kept

    def all_texts(self) -> Iterator[tuple[Texts, Numbers | None]]:
        """Iterates over all fields that are texts; with those of members comes the record of each."""
        for leaf in map(self._field, self._fields):
            if isinstance(leaf, Texts):
                yield leaf, None
            elif isinstance(leaf, Lists):
                owners = leaf.owners
                for member in leaf.members.values():
                    if isinstance(member, Texts):
                        yield member, owners
