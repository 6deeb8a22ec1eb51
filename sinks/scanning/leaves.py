"""The values of one field of many records: where its texts are, its numbers, its lists. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from sinks.scanning.source import Flags, Numbers, spread


class Texts(msgspec.Struct, frozen=True):
    """Texts by their places in the bytes of all records; what is absent has no bytes."""

    starts: Numbers
    sizes: Numbers
    present: Flags | None = None
    """The records with a value; None where all have one."""

    def __len__(self) -> int:
        return len(self.sizes)

    def of(self, rows: Numbers) -> "Texts":
        """Returns those of some of the records."""
        return Texts(self.starts[rows], self.sizes[rows], None if self.present is None else self.present[rows])


class Longs(msgspec.Struct, frozen=True):
    """Numbers, instants in microseconds, and truths; what is absent is 0."""

    values: Numbers
    present: Flags | None = None

    def __len__(self) -> int:
        return len(self.values)

    def of(self, rows: Numbers) -> "Longs":
        """Returns those of some of the records."""
        return Longs(self.values[rows], None if self.present is None else self.present[rows])


class Lists(msgspec.Struct, frozen=True):
    """Lists, or mappings, by the fields of their members: all of the first record, then all of the second."""

    counts: Numbers
    members: "Mapping[str, Leaf]"

    def of(self, rows: Numbers) -> "Lists":
        """Returns those of some of the records."""
        counts = self.counts[rows]
        places = spread((np.cumsum(self.counts) - self.counts)[rows], counts)
        return Lists(counts, {name: leaf.of(places) for name, leaf in self.members.items()})

    @property
    def owners(self) -> Numbers:
        """The record of each member."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


Leaf = Texts | Longs
Field = Leaf | Lists
NOTHING: Final[NDArray[np.int64]] = np.zeros(0, np.int64)
