"""The form of a row, the bounds within which a file from outside is read, and the refusal of more. Pure."""

from collections.abc import Callable
from typing import Final

from schemas.errors import CallweaveError

LONGEST_LINE: Final = 1 << 20
LONGEST_CELL: Final = 1 << 16
MOST_COLUMNS: Final = 500
FREE_BYTES: Final = 64 << 20
"""Bytes that any file may inflate to."""
MOST_RATIO: Final = 200
"""Times that a file above `FREE_BYTES` may be as large as its compressed form; text of call records shrinks tenfold."""

Row = list[str]
Numbered = tuple[int, Row]
"""The number of a row in its file, from 1, and its cells as text."""
Tell = Callable[[int], None]
"""Takes the bytes, or records, that were done since the call before."""


class UnreadableFile(CallweaveError):
    """A file that is none of records, or that asks for more than it may."""

    code = "file"
