"""Limits log lines that a library repeats: while a broker is away, aiokafka logs the same line many times a second.

It filters for a handler, because the filters of a logger do not see the records of the loggers below it. Lines of this
project are never held back. It reads the time from the records, so it needs no clock.
"""

import logging
from typing import Final

from deploy.output.log_lines import message_of

LINES_PER_WINDOW: Final = 3
"""Lines of one kind that pass in one window."""
WINDOW_S: Final = 30.0


class LogLimit(logging.Filter):
    """Lets each kind of line of these loggers and those below them pass a few times in each `WINDOW_S` seconds.

    A kind is a logger and its text without the values. The first line of a new window says how many were left out
    before.
    """

    def __init__(self, loggers: tuple[str, ...]) -> None:
        super().__init__()
        self._loggers = frozenset(loggers)
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns True when the line passes; adds to it the number of lines that were left out before it."""
        if record.name.split(".", 1)[0] not in self._loggers:
            return True
        kind = (record.name, str(record.msg))
        began_s, count = self._windows.get(kind, (record.created, 0))
        if record.created - began_s < WINDOW_S:
            self._windows[kind] = (began_s, count + 1)
            return count < LINES_PER_WINDOW
        self._windows[kind] = (record.created, 1)
        if count > LINES_PER_WINDOW:
            record.msg = (
                f"{message_of(record)} ({count - LINES_PER_WINDOW} more like it in {record.created - began_s:.0f} s)"
            )
            record.args = ()
        return True
