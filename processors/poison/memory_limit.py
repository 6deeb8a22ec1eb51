"""The memory bound of a worker's data, held by the kernel: an allocation beyond it raises MemoryError.

`RLIMIT_DATA` and not `RLIMIT_AS`: address space that threads and libraries only reserve costs nothing.
"""

import contextlib
import logging
import sys
from typing import Final

log: Final = logging.getLogger(__name__)


def limit_memory(limit_mb: int) -> None:
    """Bound the private writable memory of this process; 0 sets no bound, nor does a system that has no such limit."""
    if not limit_mb or sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not everywhere

    bound = limit_mb << 20
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
        log.info("at most %d MiB of memory for data", bound >> 20)
