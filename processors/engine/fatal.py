"""The way out when going on could lose data: say why, then end at once.

An orderly shutdown would run Faust's own stop sequence, which commits; and its threads can hang. So nothing is unwound:
the supervisor starts a new process, and that one begins at the last committed offset.
"""

import logging
import os
from collections.abc import Awaitable, Callable

EXIT_FATAL = 70
"""Exit status of a process that ended itself (EX_SOFTWARE of sysexits.h)."""

Fatal = Callable[[str, BaseException | None], None]
"""Called with the reason in one sentence, and the exception if there was one."""

log = logging.getLogger(__name__)


def end_process(reason: str, error: BaseException | None = None) -> None:
    """Log the reason and end this process with `EXIT_FATAL`, without unwinding anything."""
    try:
        log.critical("ending the process: %s", reason, exc_info=error)
        logging.shutdown()
    finally:  # without memory even a line in the log may fail
        os._exit(EXIT_FATAL)


async def or_end(work: Awaitable[object], what: str, fatal: Fatal = end_process) -> None:
    """Await what runs beside the agents; should it fail, end the process: a task that nobody awaits dies in silence."""
    try:
        await work
    except Exception as error:  # noqa: BLE001  # whatever it was, the worker would go on without it
        fatal(f"{what} failed", error)
