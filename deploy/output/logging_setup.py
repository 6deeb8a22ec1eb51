"""Sets up the logging of a process: where lines go, their form and level, and what becomes of uncaught exceptions."""

import logging
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from deploy.output.log_file import LogFile
from deploy.output.log_limit import LogLimit
from deploy.output.log_lines import JsonLines, TextLines, safe_error
from schemas.config.logs import LogSettings

_LIBRARIES: Final = ("aiokafka", "faust", "mode", "urllib3", "clickhouse_connect")
_QUIET: Final = (*_LIBRARIES, "aiohttp.access", "asyncio")
_log: Final = logging.getLogger("callweave")


class _Stderr(logging.StreamHandler[Any]):
    """Writes lines to stderr, and keeps the file behind it within its size."""

    def __init__(self, file: LogFile | None) -> None:
        super().__init__(sys.stderr)
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        if self._file is not None:
            self._file.line()
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Says which line of the code could not be logged; logging's own report would show its values."""
        if self.stream and not isinstance(sys.exc_info()[1], OSError):
            self.stream.write(f"a line cannot be logged: {record.pathname}:{record.lineno}\n")


def set_up(log: LogSettings, part: str, *, file: Path | None = None) -> None:
    """Logs to stderr, one line per event; libraries log from WARNING up, and lines that they repeat are counted.

    `file` is what stderr goes to, where its size is bounded. It may be called again with other settings. Uncaught
    exceptions become lines too: a traceback of Python's shows the text of the exception.
    """
    handler = _Stderr(LogFile(file, log) if file else None)
    handler.addFilter(LogLimit(_LIBRARIES))
    handler.setFormatter(JsonLines(part) if log.format == "json" else TextLines())
    level = logging.getLevelNamesMapping()[log.level.upper()]
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for library in _QUIET:
        logging.getLogger(library).setLevel(max(level, logging.WARNING))
    hide_tracebacks()


def hide_tracebacks() -> None:
    """Makes uncaught exceptions of this process lines of the log, without their text."""
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _crash("a thread ended", args.exc_value)
    sys.unraisablehook = lambda args: _crash("an exception could not be raised", args.exc_value)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _crash("the process crashed", error)


def _crash(what: str, error: BaseException | None) -> None:
    if any(isinstance(handler, _Stderr) for handler in logging.getLogger().handlers):
        _log.critical("%s", what, exc_info=error)
    else:  # a command, which has no log
        print(f"callweave: {what}: {safe_error(error, places=True) if error else ''}", file=sys.stderr)  # noqa: T201 - likewise
