"""Goes over the Avro bodies of many records at once: each call reads the next value of every one. Pure.

A call takes some steps of numpy, whose time is shared by all records; a record takes a nanosecond or two of each. What
is not written as our writers write it is marked as unread, and left to the codec.
(https://avro.apache.org/docs/1.12.0/specification/#binary-encoding)
"""

from collections.abc import Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from sinks.scanning.source import Flags, Numbers, Source

_MORE: Final = np.uint64(0x8080808080808080)
_BITS: Final = (
    (np.uint64(0x007F007F007F007F), np.uint64(0x7F007F007F007F00), np.uint64(1)),
    (np.uint64(0x00003FFF00003FFF), np.uint64(0x3FFF00003FFF0000), np.uint64(2)),
    (np.uint64(0x000000000FFFFFFF), np.uint64(0x0FFFFFFF00000000), np.uint64(4)),
)
"""Groups of 7, 14 and 28 bits: those that stay where they are, those that move down, and by how much."""
_ONE: Final = np.uint64(1)
_SEVEN: Final = np.uint64(7)
_SIGN: Final = 128


class Cursor:
    """A place in each of some bodies, which moves on with every value."""

    def __init__(self, source: Source, at: Numbers, ends: Numbers) -> None:
        """Begins at a place in each body of the source."""
        self.source = source
        self.at = at
        self.ends = ends
        self.unread: Flags = np.zeros(len(at), np.bool_)
        self.more: Numbers = np.zeros(len(at), np.int64)
        """Bytes of numbers that say that more follow: all others from 128 on are of texts outside ASCII."""

    @classmethod
    def over(cls, bodies: Sequence[bytes], head: int) -> Self:
        """Returns the cursor behind the head of each body."""
        source, starts, sizes = Source.of(bodies)
        return cls(source, starts + head, starts + sizes)

    def of(self, rows: Numbers) -> "Cursor":
        """Returns the cursor of some of the bodies, at the same places."""
        part = Cursor(self.source, self.at[rows], self.ends[rows])
        part.unread, part.more = self.unread[rows], self.more[rows]
        return part

    def join(self, part: "Cursor", rows: Numbers) -> None:
        """Takes over the places of the cursor of some of the bodies."""
        self.at[rows], self.unread[rows], self.more[rows] = part.at, part.unread, part.more

    def octet(self) -> NDArray[np.uint8]:
        """Returns one byte of each."""
        found = self.source.octets[self.at]
        self.at += 1
        return found

    def long(self) -> Numbers:
        """Returns a number of each; one of more than eight bytes is unread."""
        first = self.source.octets[self.at]
        if first.max() < _SIGN:
            self.at += 1
            return (first >> 1).astype(np.int64) ^ -(first & 1).astype(np.int64)
        found = self.source.eights[self.at]
        lasts = ~found & _MORE
        self.leave(lasts == 0)
        last = lasts & (~lasts + _ONE)
        found &= (last << _ONE) - _ONE
        found &= ~_MORE
        for stays, moves, by in _BITS:
            found = (found & stays) | ((found & moves) >> by)
        size = (np.bitwise_count(last - _ONE).astype(np.int64) + 1) >> 3
        self.at += size
        self.more += size - 1
        self.within()
        return (found >> _ONE).astype(np.int64) ^ -(found & _ONE).astype(np.int64)

    def length(self) -> Numbers:
        """Returns a length of each, which is not negative."""
        first = self.source.octets[self.at]
        if not first.max():
            self.at += 1
            return np.zeros(len(first), np.int64)
        found = self.long()
        if found.min() < 0:
            self.leave(found < 0)
            found[self.unread] = 0
        return found

    def text(self) -> tuple[Numbers, Numbers]:
        """Returns where a text of each begins, and its length in bytes."""
        sizes = self.length()
        starts = self.at.copy()
        self.at += sizes
        if self.within():
            sizes[self.unread] = 0
        return starts, sizes

    def within(self) -> bool:
        """Leaves the bodies whose end was passed; true when there are such."""
        beyond = self.at > self.ends
        if not beyond.any():
            return False
        self.leave(beyond)
        return True

    def leave(self, rows: Flags) -> None:
        """Marks bodies as unread; their places stay at their ends, where any bytes may be read."""
        if rows.any():
            self.unread |= rows
            self.at[self.unread] = self.ends[self.unread]
