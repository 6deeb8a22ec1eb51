"""The form of a log line: one event a line, as text or as JSON, without anything that came from a caller.

The text of an exception may quote a request, a body or a password (aiohttp's parser errors quote the request line), so
a line has its type and the places where it was raised instead. Sentences of our own errors quote nothing and stay.
"""

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Any, Final

from deploy.output.printable import printable
from schemas.errors import CallweaveError

_CONVERSION: Final = re.compile(r"(?:(\w+)=)?%(?:[#0\- +]*\d*(?:\.\d+)?)([sdgfrxi%])")
"""Matches one value in the text of a line, with the name before it if there is one (`status=%d`)."""
_FRAMES: Final = 12
"""The innermost places of an exception that a line has."""
_SHOWS_OBJECTS: Final = "asyncio"
"""The logger whose lines show objects (callbacks with their arguments, tasks), and with them whatever these hold."""
_BEFORE_OBJECTS: Final = re.compile(r"[^\n(<]*")


class TextLines(logging.Formatter):
    """Lines for people: time in UTC, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line."""
        where = described(record)
        line = f"{_time(record)} {record.levelname} {record.name} {message_of(record)}{f' - {where}' if where else ''}"
        return printable(" | ".join(part.strip() for part in line.split("\n")))


class JsonLines(logging.Formatter):
    """Lines for log collectors: a JSON object with `time`, `level`, `logger`, `part`, `message`, `fields`, `error`."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "part": self._part,
            "message": message_of(record),
        }
        if fields := fields_of(record):
            line["fields"] = fields
        if where := described(record):
            line["error"] = where
        return json.dumps(line, default=str)  # ASCII only: no character of it can control a terminal


def message_of(record: logging.LogRecord) -> str:
    """Returns the text of a line, without the text of exceptions of others."""
    message = str(record.msg)
    if record.args:
        message = message % _values(record.args)
    if record.name == _SHOWS_OBJECTS and (kept := _BEFORE_OBJECTS.match(message)):
        return kept[0].rstrip()
    return message


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Returns the values that the line names (`status=%d`), by their names."""
    if not isinstance(record.args, tuple):
        return {}
    found = [match for match in _CONVERSION.finditer(str(record.msg)) if match[2] != "%"]
    if len(found) != len(record.args):
        return {}
    values = _values(record.args)
    return {
        match[1]: value if isinstance(value, int | float | str | bool | None) else str(value)
        for match, value in zip(found, values, strict=True)
        if match[1]
    }


def described(record: logging.LogRecord) -> str:
    """Returns type and places of the exception of a line, "" when it has none."""
    error = record.exc_info[1] if record.exc_info else None
    return "" if error is None else safe_error(error, places=True)


def safe_error(error: BaseException, *, places: bool = False) -> str:
    """Returns what may be said of an exception: its type, its sentence if it is ours, and the places it came from."""
    if isinstance(error, CallweaveError):
        said = f"{type(error).__name__}: {error}"
    elif isinstance(error, OSError) and error.strerror:
        said = f"{type(error).__name__}: {error.strerror}"
    else:
        said = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:] if places else []
    if frames:
        said += " at " + " < ".join(
            f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in reversed(frames)
        )
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if places and cause is not None:
        said += f"; after {safe_error(cause)}"
    return said


def _values(args: Any) -> Any:
    if isinstance(args, tuple):
        return tuple(_value(value) for value in args)
    return {name: _value(value) for name, value in args.items()}


def _value(value: object) -> object:
    if isinstance(value, CallweaveError):
        return str(value)
    return safe_error(value) if isinstance(value, BaseException) else value


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
