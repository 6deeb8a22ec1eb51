"""Classifies ClickHouse's error codes: repeat the insert, wait for a migration, or look for the row that is refused.

A code in no table counts as `AWAY`: waiting loses nothing, while refusing good rows would fill the dead letters. Pure.
"""

import struct
from enum import StrEnum
from typing import Final

from schemas.errors import CallweaveError


class ErrorClass(StrEnum):
    """The three things that can be done with the rows of a failed insert."""

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


OF_THE_SERVER: Final = frozenset(
    {
        32,  # ATTEMPT_TO_READ_AFTER_EOF
        159,  # TIMEOUT_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        242,  # TABLE_IS_READ_ONLY
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        999,  # KEEPER_EXCEPTION
    }
)
"""Codes of a statement that fails for a reason of its server's own: another server may well do it."""


def classify(code: int | None) -> ErrorClass:
    """Returns the class of an error code of ClickHouse; None stands for an answer without one, as a proxy gives."""
    if code in _MIGRATION:
        return ErrorClass.MIGRATION
    if code in _REFUSED:
        return ErrorClass.REFUSED
    return ErrorClass.AWAY


_VALUE_ERRORS: Final = (ValueError, TypeError, ArithmeticError, struct.error)
"""Raised by a value that its column cannot hold; any other exception is a fault of our own code."""


class RowsRefused(CallweaveError):
    """Rows that their table does not take; the message names the column or the server's code, never a value.

    `code` is the dead letter's: `row`, or `internal` where our own code could not make the row.
    """

    code = "row"


def unfit(column: str, exc: BaseException, *, value_errors: tuple[type[BaseException], ...] = ()) -> RowsRefused:
    """Returns the refusal for an exception of a column; `value_errors` are a library's exceptions for unfit values."""
    ours = not isinstance(exc, (*_VALUE_ERRORS, *value_errors))
    return RowsRefused(f"column {column}: {type(exc).__name__}", code="internal" if ours else "row")
