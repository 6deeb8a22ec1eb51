"""Guards the store while its disk is nearly full.

The engine of chDB 4.4 (ClickHouse 26.9.2) ignores the result of its writes to a part's small files. On a full disk it
acknowledges an INSERT, or shows a merged part, whose files are empty; the part is read from memory while the process
lives, and is put aside as broken at the next start (measured: all of 34 acknowledged inserts were lost). Therefore the
engine begins no insert and no merge with less than 128 MiB free (`keep_free_space_bytes`); the sink repeats an insert
that left less than `clickhouse.min_free_mb` free; and this guard writes parts again that were damaged all the same.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from deploy.clickhouse.config import RESERVE_BYTES

LOOK_EVERY_S: Final = 0.1
_ENDS_WITHIN_S: Final = 1.0
RETRY_EVERY_S: Final = 5.0
"""The pause after a failure: ten log lines a second would fill a disk that has just got free space."""
REPAIR_EVERY_S: Final = 15.0
"""Parts are checked this often, in case the disk was full between two looks; a merged part's sources exist for some 25
seconds at least (the engine's `cleanup_delay_period` is 30, and its `old_parts_lifetime` 0)."""
_SMALL_FILES: Final = ("checksums.txt", "columns.txt")
"""Files that every part has; the engine writes them last, and they are never empty."""
_PARTS: Final = (
    "SELECT database, table, partition_id, path FROM system.parts WHERE active AND database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema')"
    " AND part_type IN ('Wide', 'Compact') FORMAT TabSeparatedRaw"
)

log: Final = logging.getLogger("callweave.clickhouse")


def free_bytes(directory: Path) -> int:
    """Returns the free bytes of the disk under the engine's directory."""
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize


class DiskGuard:
    """Stops merges while the disk is nearly full, and writes damaged parts again; one thread."""

    def __init__(
        self,
        execute: Callable[[str], bytes],
        free: Callable[[], int],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`execute` runs one statement and returns its answer; its exceptions are logged, and the look is repeated."""
        self._execute = execute
        self._free = free
        self._now_s = now_s
        self._full = False
        self._repaired_s = now_s()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="disk guard", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread before the engine ends; it does not wait for a part that is being written again."""
        self._ended.set()
        self._thread.join(_ENDS_WITHIN_S)

    def look(self) -> None:
        """Looks once."""
        free = self._free()
        if free < RESERVE_BYTES:
            if not self._full:
                log.error("only %d MiB are free: merges stop", free >> 20)
                self._execute("SYSTEM STOP MERGES")
                self._full = True
        elif self._full and free >= 2 * RESERVE_BYTES:
            self._execute("SYSTEM START MERGES")
            self._repair()
            self._full = False
        elif not self._full and self._now_s() - self._repaired_s > REPAIR_EVERY_S:
            self._repair()

    def _repair(self) -> None:
        for database, table, partition in sorted({place for place, damaged in self._parts() if damaged}):
            log.error("a full disk damaged parts of %s.%s: they are written again", database, table)
            self._execute(f"OPTIMIZE TABLE `{database}`.`{table}` PARTITION ID '{partition}' FINAL")
        self._repaired_s = self._now_s()

    def _parts(self) -> Iterator[tuple[tuple[str, str, str], bool]]:
        for line in self._execute(_PARTS).decode().splitlines():
            database, table, partition, path = line.split("\t")
            yield (database, table, partition), any(_is_empty(Path(path) / name) for name in _SMALL_FILES)

    def _watch(self) -> None:
        pause_s = LOOK_EVERY_S
        while not self._ended.wait(pause_s):
            pause_s = LOOK_EVERY_S
            try:
                self.look()
            except Exception as exc:  # noqa: BLE001  # nothing may end this thread, and a full disk fails in many ways
                pause_s = RETRY_EVERY_S
                log.error("the guard of the disk failed: %s", type(exc).__name__)  # noqa: TRY400  # the engine's text may quote values


def _is_empty(file: Path) -> bool:
    try:
        return file.stat().st_size == 0
    except FileNotFoundError:
        return False  # the part was merged meanwhile
