"""The bytes of many values, one behind the other, and what is made of them for all at once. Pure."""

from collections.abc import Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_PAD: Final = bytes(1 << 14)
"""Behind the last value, for bytes that are missing there: more than a record without texts can have."""
_EIGHT: Final = 8
_MASKS: Final = np.array([(1 << 8 * size) - 1 for size in range(_EIGHT + 1)], np.uint64)
_MIXED: Final = np.uint64(0x9E3779B97F4A7C15)
_HALF: Final = np.uint64(29)
"""Makes one number of several, which differs where they do, but by chance."""
_LONG: Final = 64
_FEW: Final = 500
"""Bytes of a text above which, and texts below which, they are told apart one by one."""


class Source:
    """Bytes, of which places are arrays of numbers."""

    def __init__(self, data: bytes) -> None:
        """Takes bytes with `_PAD` behind them."""
        self.data = data
        self.octets: NDArray[np.uint8] = np.frombuffer(data, np.uint8)
        self.eights: NDArray[np.uint64] = np.ndarray((len(data) - _EIGHT + 1,), "<u8", data, strides=(1,))
        """The number that eight bytes are, from each byte on."""

    @classmethod
    def of(cls, values: Sequence[bytes]) -> tuple[Self, Numbers, Numbers]:
        """Returns the values' bytes, the place of each, and its size."""
        sizes = np.fromiter(map(len, values), np.int64, len(values))
        return cls(b"".join((*values, _PAD))), np.cumsum(sizes) - sizes, sizes

    def slices(self, starts: Numbers, sizes: Numbers) -> list[bytes]:
        """Returns the bytes of each value."""
        data = self.data
        return [data[start:end] for start, end in zip(starts.tolist(), (starts + sizes).tolist(), strict=True)]

    def coded(self, starts: Numbers, sizes: Numbers) -> tuple[Numbers, list[bytes]]:
        """Returns the number of each value, and the different values by their numbers, in the order that they occur."""
        longest = int(sizes.max(initial=0))
        if longest > _LONG or (longest > 0 and len(sizes) < _FEW):
            return self._coded_one_by_one(starts, sizes)
        if not longest:
            return np.zeros(len(sizes), np.int64), [b""] * min(1, len(sizes))
        pieces = [self._piece(starts, sizes, first) for first in range(0, longest, _EIGHT)]
        pieces = [piece for piece in pieces if (piece != piece[0]).any()]
        keys = sizes.astype(np.uint64)
        for piece in pieces:
            keys = (keys ^ piece) * _MIXED
            keys ^= keys >> _HALF
        codes, firsts = in_order(np.unique(keys, return_inverse=True)[1])
        places = firsts[codes]
        if (sizes != sizes[places]).any() or any((piece != piece[places]).any() for piece in pieces):
            return self._coded_one_by_one(starts, sizes)  # two values of one key
        return codes, self.slices(starts[firsts], sizes[firsts])

    def _coded_one_by_one(self, starts: Numbers, sizes: Numbers) -> tuple[Numbers, list[bytes]]:
        values = self.slices(starts, sizes)
        numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
        return np.fromiter(map(numbers.__getitem__, values), np.int64, len(values)), [*numbers]

    def _piece(self, starts: Numbers, sizes: Numbers, first: int) -> NDArray[np.uint64]:
        return self.eights[starts + first] & _MASKS[np.minimum(np.maximum(sizes - first, 0), _EIGHT)]

    def equal(self, starts: Numbers, others: Numbers, sizes: Numbers) -> Flags:
        """Returns which values of these sizes have the same bytes at two places."""
        found = np.ones(len(sizes), np.bool_)
        for first in range(0, int(sizes.max(initial=0)), _EIGHT):
            found &= self._piece(starts, sizes, first) == self._piece(others, sizes, first)
        return found

    def not_text(self, starts: Numbers, sizes: Numbers) -> Flags:
        """Returns which values are no UTF-8."""
        joined = self.octets[spread(starts - 1, sizes + 1)]
        joined[np.cumsum(sizes + 1) - sizes - 1] = 0  # between any two, so that none is part of the next one
        try:
            joined.tobytes().decode()
        except UnicodeDecodeError:
            return np.array([not _is_text(value) for value in self.slices(starts, sizes)], np.bool_)
        return np.zeros(len(sizes), np.bool_)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def in_order(codes: Numbers) -> tuple[Numbers, Numbers]:
    """Returns numbers in the place of those that values have, in the order that these occur, and where each first does.

    The numbers are those from 0 on.
    """
    count = int(codes.max(initial=-1)) + 1
    firsts = np.zeros(count, np.int64)
    firsts[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    order = np.argsort(firsts)
    numbers = np.zeros(count, np.int64)
    numbers[order] = np.arange(count)
    return numbers[codes], firsts[order]


def spread(starts: Numbers, sizes: Numbers) -> Numbers:
    """Returns the numbers of all ranges of such sizes, one behind the other."""
    found = np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
    found += np.arange(len(found))
    return found
