"""The way out when going on could lose data: say why, then end at once.

An orderly shutdown would run Faust's own stop sequence, which commits; and its threads can hang. So nothing is unwound:
the supervisor starts a new process, and that one begins at the last committed offset.
"""

import logging
import os
from collections.abc import Callable

EXIT_FATAL = 70
"""Exit status of a process that ended itself (EX_SOFTWARE of sysexits.h)."""

Fatal = Callable[[str, BaseException | None], None]
"""Called with the reason in one sentence, and the exception if there was one."""

log = logging.getLogger(__name__)


def end_process(reason: str, error: BaseException | None = None) -> None:
    """Log the reason and end this process with `EXIT_FATAL`, without unwinding anything."""
    log.critical("ending the process: %s", reason, exc_info=error)
    logging.shutdown()
    os._exit(EXIT_FATAL)
