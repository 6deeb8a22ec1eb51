"""Writes records as one block of a table's rows in ClickHouse's Native format. Pure.

The fields of all records are read at once, which takes half of what each field on its own takes.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from schemas.privacy.tokens import NumberTokens
from schemas.reading.remembered import Remembered
from sinks.columns import Column, Each, Table, mask
from sinks.error_classes import unfit
from sinks.writing.column_writers import column_writer, head, length, offsets

T = TypeVar("T")
_MOST_NUMBERS: Final = 1 << 15
_SEVERAL: Final = 2
"""Names from which on `attrgetter` returns a tuple."""


class _Members:
    """The members of one field of all records, such as their legs, one behind the other."""

    def __init__(self, parent: str, records: Sequence[Any]) -> None:
        lists = [*map(attrgetter(parent), records)]
        counts = [*map(len, lists)]
        self.ends = offsets(counts)
        self.all: list[Any] = [*chain.from_iterable(lists)]
        self.owners = [record for record, count in zip(records, counts, strict=True) for _ in range(count)]
        self._found: dict[Each, list[Any]] = {}

    def values(self, each: Each) -> list[Any]:
        """Returns the value of each member, which several columns may show."""
        if each not in self._found:
            self._found[each] = each(self.owners, self.all)
        return self._found[each]


class Block(Generic[T]):
    """Records that become one block."""

    def __init__(self, records: Sequence[T], tokens: NumberTokens) -> None:
        """Keeps the records, and the tokens that stand beside their phone numbers."""
        self._records = records
        self._fields: Mapping[str, Sequence[Any]] = {}
        self._members: dict[str, _Members] = {}
        self._masks = Remembered(mask, _MOST_NUMBERS)
        # Tokens of two accounts have nothing in common.
        self._tokens = Remembered[str, Callable[[str | None], str]](
            lambda account: Remembered(partial(tokens.of, account), _MOST_NUMBERS).__getitem__, _MOST_NUMBERS
        )

    def of(self, table: Table[T]) -> bytes:
        """Returns the block; raises `RowsRefused` naming the first column that cannot hold one of the records."""
        if table.written is not None:
            return table.written(table, self._records)
        self._fields = _fields(table, self._records)
        parts = [length(len(table.columns)), length(len(self._records))]
        for column in table.columns:
            try:
                parts += (head(column.name, column.type), self._written(column))
            except Exception as exc:  # no record may end the process: it becomes a dead letter
                raise unfit(column.name, exc) from exc
        return b"".join(parts)

    def _written(self, column: Column[T]) -> bytes:
        if not column.members:
            values = self._fields.get(column.field) or [*map(column.value, self._records)]
            return column_writer(column.type)(self._shown(column, self._records, values))
        members = self._members.get(column.members)
        if members is None:
            members = self._members[column.members] = _Members(column.members, self._records)
        kind = column.type.removeprefix("Array(").removesuffix(")")
        values = self._shown(column, members.owners, members.values(column.each))
        return members.ends + column_writer(kind)(values)

    def _shown(self, column: Column[T], records: Sequence[Any], values: Sequence[Any]) -> Sequence[Any]:
        """Returns the values, or what stands for those that are phone numbers: a token is one of its account."""
        if not column.shows or not values:
            return values
        if values.count(None) == len(values):
            return [""] * len(values)
        if column.shows == "masked":
            return [*map(self._masks.__getitem__, values)]
        return [self._tokens[record.account](value) for record, value in zip(records, values, strict=True)]


def _fields(table: Table[Any], records: Sequence[Any]) -> Mapping[str, Sequence[Any]]:
    """Returns the values of all fields that columns show; nothing where one cannot be read, which its column tells."""
    names = [*dict.fromkeys(column.field for column in table.columns if column.field)]
    if len(names) < _SEVERAL or not records:
        return {}
    try:
        rows = [*map(attrgetter(*names), records)]
    except Exception:  # noqa: BLE001 - the column that reads it alone raises the same again
        return {}
    return dict(zip(names, zip(*rows, strict=True), strict=True))
