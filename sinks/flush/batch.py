"""The rows that are inserted together, and when it is time to insert them. Pure: the clock is an argument.

A batch holds records of all topics. Its offsets may be committed once all of its rows are in their tables, not before.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.raw import Position

_RECORD_BYTES: Final = 256
"""Counted for each record besides its contents, so that empty ones count too."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The Kafka record that a row comes from, complete, because it may become a dead letter."""

    position: Position
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int = 0


class BatchPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a batch: it is due at the first one that it reaches, and exceeds each by one record at most."""

    max_rows: int
    max_bytes: int
    max_age_s: float
    """Time from the insert before it, so a record that comes alone does not wait."""


_MANY: Final = 500
"""Rows of a batch from which on the next one may be gathered for longer."""
_ROWS_A_SECOND: Final = 10_000
"""Rows a second that are worth a second's gathering."""
_CLOCK_S: Final = 0.001
"""The step of an event loop's clock: what took less seems to take nothing."""
_LONGER: Final = 2
"""The most by which a batch may be older than `max_age_s` because many rows come."""
_LONGEST: Final = 4
"""The same because they come late."""


def paced(policy: BatchPolicy, rows: int, gathered_s: float, late_s: float) -> BatchPolicy:
    """Returns the policy of the next batch when so many rows were gathered in this time, the youngest of them so late.

    An insert costs a server 20 ms before its first row. So where many rows come, and more where they come late because
    somebody works off a backlog, they are gathered for longer, and the server gets fewer and larger inserts.
    """
    if rows < _MANY:
        return policy
    many = rows / max(gathered_s, _CLOCK_S)
    for_many_s = min(many / _ROWS_A_SECOND, _LONGER * policy.max_age_s)
    for_late_s = min(late_s / 2, _LONGEST * policy.max_age_s)
    return msgspec.structs.replace(policy, max_age_s=max(policy.max_age_s, for_many_s, for_late_s))


class SinkBatch:
    """Records by topic, and the offsets that can be committed after them."""

    def __init__(self, policy: BatchPolicy, since_s: float) -> None:
        """`since_s` is the time of the insert before it, by a monotonic clock."""
        self._policy = policy
        self._due_s = since_s + policy.max_age_s
        self.origins: dict[str, list[Origin]] = {}
        """The records that make rows, by their topics."""
        self._next: dict[tuple[str, int], int] = {}
        self.rows = 0
        self.size_bytes = 0

    def add(self, partition: tuple[str, int], came: Sequence[Origin], rows: Sequence[Origin]) -> None:
        """Adds the next records of a partition, of which `rows` make rows, and moves its offset behind them."""
        if rows:
            self.origins.setdefault(partition[0], []).extend(rows)
            self.rows += len(rows)
        for origin in came:
            self.size_bytes += _RECORD_BYTES + len(origin.value or b"") + len(origin.key or b"")
            if origin.headers:
                self.size_bytes += sum([len(name) + len(value or b"") for name, value in origin.headers])
        if came:
            self._next[partition] = max(self._next.get(partition, 0), came[-1].position.offset + 1)

    def due(self, now_s: float) -> bool:
        """True when it is time to insert."""
        return bool(self._next) and (self.full or now_s >= self._due_s)

    def wait_s(self, now_s: float) -> float | None:
        """Returns the time after which it is due; None when nothing is to be inserted."""
        return self.left_s(now_s) if self._next else None

    def left_s(self, now_s: float) -> float:
        """Returns the time after which it is due once it has a record."""
        return max(0.0, self._due_s - now_s)

    @property
    def full(self) -> bool:
        """True when no further record belongs in this batch."""
        return self.rows >= self._policy.max_rows or self.size_bytes >= self._policy.max_bytes

    @property
    def room(self) -> int:
        """The number of rows that still fit."""
        return max(0, self._policy.max_rows - self.rows)

    def offsets(self) -> dict[tuple[str, int], int]:
        """Returns by (topic, partition) the offset to commit once every row is in its table."""
        return dict(self._next)
