"""Checks the values of a question's parameters, by their ClickHouse types, before they are sent. Pure.

The server itself takes 30 February for 2 March, a thirteenth month for 1970, and 300 as a UInt8 for 44.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from schemas.errors import CallweaveError

_WHOLE: Final = re.compile(r"UInt(8|16|32|64)")
_INSTANT: Final = "DateTime('UTC')"
_FLOAT: Final = "Float64"
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2106, 1, 1, tzinfo=UTC)
"""The server's DateTime ends some weeks later."""


def checked(values: Mapping[str, str], types: Mapping[str, str]) -> dict[str, str]:
    """Returns the values as the server reads them; raises `CallweaveError` for one that it would misread."""
    found = {name: _checked(name, value, types[name]) for name, value in values.items()}
    if "from" in found and "to" in found and found["from"] >= found["to"]:
        raise CallweaveError(f"--param from={found['from']} is not before to={found['to']}", code="usage")
    return found


def _checked(name: str, value: str, kind: str) -> str:
    read = _of_type(kind)
    found = read(value.strip()) if read else value
    if found is None:
        raise CallweaveError(f"--param {name}={value!r}: {_wanted(kind)} is wanted", code="usage")
    return found


def _of_type(kind: str) -> Callable[[str], str | None] | None:
    """Returns what reads the values of a type; None for text, of which each is one."""
    whole = _WHOLE.fullmatch(kind)
    if whole:
        return lambda value: _whole(value, 2 ** int(whole[1]) - 1)
    return {_INSTANT: _instant, _FLOAT: _number}.get(kind)


def _wanted(kind: str) -> str:
    whole = _WHOLE.fullmatch(kind)
    if whole:
        return f"a whole number from 0 to {2 ** int(whole[1]) - 1}"
    return "a number" if kind == _FLOAT else "a time in UTC, as 2026-03-01 or 2026-03-01 08:00:00,"


def _whole(value: str, most: int) -> str | None:
    return value if value.isascii() and value.isdecimal() and int(value) <= most else None


def _number(value: str) -> str | None:
    try:
        return value if math.isfinite(float(value)) else None
    except ValueError:
        return None


def _instant(value: str) -> str | None:
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    at = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}" if _FIRST <= at < _LAST else None
