"""Remembers what a function made of each value, for columns in which values come again. Pure."""

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(dict[K, V]):
    """The results of a function by its argument; all are forgotten when they are many."""

    def __init__(self, make: Callable[[K], V], most: int) -> None:
        """Keeps the function, and at most so many of its results."""
        super().__init__()
        self._make = make
        self._most = most

    def __missing__(self, key: K) -> V:
        made = self._make(key)
        if len(self) >= self._most:
            self.clear()
        self[key] = made
        return made
