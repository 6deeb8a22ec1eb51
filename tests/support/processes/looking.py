"""The pauses between two looks at another process: each look costs that process more CPU than a sleeping test.

A count in ClickHouse takes 5 to 11 ms of CPU, and Kafka's offsets of a group as much: looking every 50 ms would keep a
fifth of a core busy, for as long as a test waits.
"""

from collections.abc import Iterator
from typing import Final

_GROWTH: Final = 1.3


def pauses(first_s: float = 0.05, cap_s: float = 0.4) -> Iterator[float]:
    """Yields pauses without end: short ones at first, because most waits are short, then longer ones."""
    pause_s = first_s
    while True:
        yield min(pause_s, cap_s)
        pause_s *= _GROWTH
