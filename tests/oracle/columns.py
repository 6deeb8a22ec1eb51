"""A table's rows as values, column by column, as clickhouse-connect inserts them."""

from collections.abc import Sequence
from typing import Any, TypeVar

from schemas.privacy.tokens import NumberTokens
from sinks.columns import NO_TOKENS, TEXT, Column, Table

T = TypeVar("T")


def row_of(table: Table[T], record: T, tokens: NumberTokens = NO_TOKENS) -> dict[str, Any]:
    """Returns the record's row, by the names of the columns."""
    columns = columns_of(table, [record], tokens)
    return {column.name: values[0] for column, values in zip(table.columns, columns, strict=True)}


def columns_of(table: Table[T], records: Sequence[T], tokens: NumberTokens = NO_TOKENS) -> list[list[Any]]:
    """Returns the records as columns."""
    return [_values(column, records, tokens) for column in table.columns]


def _values(column: Column[Any], records: Sequence[Any], tokens: NumberTokens) -> list[Any]:
    values = list(map(column.value, records))
    if not column.tokens:
        return values
    pairs = [(record.account, value) for record, value in zip(records, values, strict=True)]
    if column.type == TEXT:
        return [tokens.of(account, number) for account, number in pairs]
    return [[tokens.of(account, one) for one in numbers] for account, numbers in pairs]
