"""What an answer of ClickHouse means for a batch: come again, mend the database first, or these rows cannot go in.

Pure: it sees error codes, not connections. A code that is in no table counts as `AWAY`: to wait loses nothing, while to
call good rows bad would fill the dead letters.
"""

import struct
from enum import StrEnum
from typing import Final

from schemas.errors import CallweaveError


class ErrorClass(StrEnum):
    """What to do with the rows of a failed insert."""

    AWAY = "away"
    """ClickHouse is not there, full, or busy: wait and insert the same again."""
    MIGRATION = "migration"
    """A table or column is missing: wait for `callweave migrate`."""
    REFUSED = "refused"
    """Some row is the reason: find it."""


_MIGRATION: Final = frozenset(
    {
        8,  # THERE_IS_NO_COLUMN
        10,  # NOT_FOUND_COLUMN_IN_BLOCK
        16,  # NO_SUCH_COLUMN_IN_TABLE
        47,  # UNKNOWN_IDENTIFIER
        60,  # UNKNOWN_TABLE
        81,  # UNKNOWN_DATABASE
        218,  # TABLE_IS_DROPPED
    }
)
_REFUSED: Final = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        25,  # CANNOT_PARSE_ESCAPE_SEQUENCE
        26,  # CANNOT_PARSE_QUOTED_STRING
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        33,  # CANNOT_READ_ALL_DATA
        38,  # CANNOT_PARSE_DATE
        41,  # CANNOT_PARSE_DATETIME
        53,  # TYPE_MISMATCH
        69,  # ARGUMENT_OUT_OF_BOUND
        70,  # CANNOT_CONVERT_TYPE
        72,  # CANNOT_PARSE_NUMBER
        117,  # INCORRECT_DATA
        130,  # CANNOT_READ_ARRAY_FROM_TEXT
        131,  # TOO_LARGE_STRING_SIZE
        190,  # SIZES_OF_ARRAYS_DONT_MATCH
        321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        376,  # CANNOT_PARSE_UUID
        395,  # FUNCTION_THROW_IF_VALUE_IS_NON_ZERO, of a guard in a view or a column
        407,  # DECIMAL_OVERFLOW
        469,  # VIOLATED_CONSTRAINT
        691,  # UNKNOWN_ELEMENT_OF_ENUM
    }
)


def classify(code: int | None) -> ErrorClass:
    """What ClickHouse's error code says about an insert; None is an answer without one, as a proxy gives."""
    if code in _MIGRATION:
        return ErrorClass.MIGRATION
    if code in _REFUSED:
        return ErrorClass.REFUSED
    return ErrorClass.AWAY


_OF_VALUES: Final = (ValueError, TypeError, ArithmeticError, struct.error)
"""What a value raises that its column cannot hold; anything else is a fault of our own code."""


class RowsRefused(CallweaveError):
    """Rows that cannot go into their table; the message names the column or the server's code, never a value.

    `code` is that of the dead letter: `row`, or `internal` where our own code could not make the row.
    """

    code = "row"


def unfit(column: str, exc: BaseException, *, of_values: tuple[type[BaseException], ...] = ()) -> RowsRefused:
    """The refusal for what a column's values raised; `of_values` are a library's own words for a value that does not fit."""
    ours = not isinstance(exc, (*_OF_VALUES, *of_values))
    return RowsRefused(f"column {column}: {type(exc).__name__}", code="internal" if ours else "row")
