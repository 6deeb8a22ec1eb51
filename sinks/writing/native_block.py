"""Writes records as one block of a table's rows in ClickHouse's Native format. Pure."""

from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from schemas.privacy.tokens import NumberTokens
from sinks.columns import Column, Table
from sinks.error_classes import unfit
from sinks.writing.column_writers import column_writer, head, length, offsets

T = TypeVar("T")
_TEXT: Final = "String"


class _Members:
    """The members of one field of all records, such as their legs, one behind the other."""

    def __init__(self, parent: str, records: Sequence[Any]) -> None:
        lists = [*map(attrgetter(parent), records)]
        counts = [*map(len, lists)]
        self.ends = offsets(counts)
        self.all: list[Any] = [*chain.from_iterable(lists)]
        self.owners = [record for record, count in zip(records, counts, strict=True) for _ in range(count)]


class Block(Generic[T]):
    """Records that become one block."""

    def __init__(self, records: Sequence[T], tokens: NumberTokens) -> None:
        """Keeps the records, and the tokens that stand beside their phone numbers."""
        self._records = records
        self._tokens = tokens
        self._members: dict[str, _Members] = {}

    def of(self, table: Table[T]) -> bytes:
        """Returns the block; raises `RowsRefused` naming the first column that cannot hold one of the records."""
        if table.written is not None:
            return table.written(table, self._records)
        parts = [length(len(table.columns)), length(len(self._records))]
        for column in table.columns:
            try:
                parts += (head(column.name, column.type), self._written(column))
            except Exception as exc:  # no record may end the process: it becomes a dead letter
                raise unfit(column.name, exc) from exc
        return b"".join(parts)

    def _written(self, column: Column[T]) -> bytes:
        if not column.members:
            return column_writer(column.type)(self._shown(column, self._records, [*map(column.value, self._records)]))
        members = self._members.get(column.members)
        if members is None:
            members = self._members[column.members] = _Members(column.members, self._records)
        kind = column.type.removeprefix("Array(").removesuffix(")")
        values = self._shown(column, members.owners, column.each(members.owners, members.all))
        return members.ends + column_writer(kind)(values)

    def _shown(self, column: Column[T], records: Sequence[Any], values: list[Any]) -> list[Any]:
        """Returns the values, or the tokens of those that are phone numbers, each under its record's account."""
        if not column.tokens:
            return values
        of: Callable[[str, str | None], str] = self._tokens.of
        return [of(record.account, value) if value else "" for record, value in zip(records, values, strict=True)]
