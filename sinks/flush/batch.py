"""What is gathered for one round of inserts, and when it is time for them. Pure: the clock is an argument.

A round's offsets may be committed once all of its records are in their tables, and not before; so the round is one thing
with the records of all topics in it.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from schemas.raw import Position
from sinks.rows import Table

_ROW_BYTES: Final = 256
"""What a record weighs at least: an empty one is not free."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The Kafka record that a row comes from, whole, in case it becomes a dead letter."""

    position: Position
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int = 0


class SinkRow(msgspec.Struct, frozen=True):
    """One row to be."""

    record: Any
    """What the table takes."""
    origin: Origin


class BatchPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A batch is due at the first of these; each is a bound that it passes by one record at most."""

    max_rows: int
    max_bytes: int
    max_age_s: float


class SinkBatch:
    """Rows by table and the offsets that they allow to commit."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self._rows: dict[str, tuple[Table[Any], list[SinkRow]]] = {}
        self._next: dict[tuple[str, int], int] = {}
        self._began_s: float | None = None
        self.rows = 0
        self.size_bytes = 0

    def add(self, table: Table[Any], item: SinkRow, now_s: float) -> None:
        """Take one row in; `now_s` is a monotonic clock."""
        self._rows.setdefault(table.name, (table, []))[1].append(item)
        self.rows += 1
        self.passed(item.origin, now_s)

    def passed(self, origin: Origin, now_s: float) -> None:
        """Count a record as dealt with: one whose row was taken in, or one that makes no row here."""
        position = origin.position
        self.size_bytes += _ROW_BYTES + len(origin.value) + len(origin.key or b"")
        self.size_bytes += sum(len(name) + len(value or b"") for name, value in origin.headers)
        if self._began_s is None:
            self._began_s = now_s
        place = (position.topic, position.partition)
        self._next[place] = max(position.offset + 1, self._next.get(place, 0))

    def due(self, now_s: float) -> bool:
        """Whether to insert now."""
        if self._began_s is None:
            return False
        return self.full or now_s - self._began_s >= self._policy.max_age_s

    @property
    def full(self) -> bool:
        """Whether no further record belongs in."""
        return self.rows >= self._policy.max_rows or self.size_bytes >= self._policy.max_bytes

    @property
    def room(self) -> int:
        """How many more rows fit."""
        return max(0, self._policy.max_rows - self.rows)

    def offsets(self) -> dict[tuple[str, int], int]:
        """By (topic, partition) the offset to commit once every row is in."""
        return dict(self._next)

    def tables(self) -> Iterator[tuple[Table[Any], list[SinkRow]]]:
        """The rows to insert."""
        return iter(list(self._rows.values()))
