"""A table's rows as values, column by column, as clickhouse-connect inserts them."""

from collections.abc import Sequence
from typing import Any, TypeVar

from schemas.privacy.masks import masked
from schemas.privacy.tokens import NumberTokens
from sinks.columns import NO_TOKENS, Column, Table

T = TypeVar("T")


def row_of(table: Table[T], record: T, tokens: NumberTokens = NO_TOKENS) -> dict[str, Any]:
    """Returns the record's row, by the names of the columns."""
    columns = columns_of(table, [record], tokens)
    return {column.name: values[0] for column, values in zip(table.columns, columns, strict=True)}


def columns_of(table: Table[T], records: Sequence[T], tokens: NumberTokens = NO_TOKENS) -> list[list[Any]]:
    """Returns the records as columns."""
    return [[_value(column, record, tokens) for record in records] for column in table.columns]


def _value(column: Column[Any], record: Any, tokens: NumberTokens) -> Any:
    def shown(number: str | None) -> str:
        return masked(number) if column.shows == "masked" else tokens.of(record.account, number)

    value = column.value(record)
    if not column.shows:
        return value
    return [*map(shown, value)] if column.members else shown(value)
