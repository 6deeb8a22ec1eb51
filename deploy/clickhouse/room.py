"""Room on the disk for what the engine writes.

On a disk that fills up in the middle, chDB 4.4 (ClickHouse 26.9.2) answers an INSERT with success, and shows a merged part, whose
small files it could not write: they are empty, the part is read from memory as long as the process lives, and at the next start
it is put aside as broken (seen: all of 38 answered inserts were gone). So no write begins where little room is left, one that ends with hardly
any is not answered with success, merges stop in time, and parts that are spoilt all the same are written anew.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

KEEP_BYTES: Final = 128 << 20
"""Below this no insert begins, and merges stop."""
SURE_BYTES: Final = 32 << 20
"""A write that ends with less left may have lost something on the way."""
LOOK_EVERY_S: Final = 0.1
RETRY_EVERY_S: Final = 5.0
"""After a failure: what is said ten times a second would fill a disk that has just got room."""
MEND_EVERY_S: Final = 60.0
"""Parts are looked at this often, should a disk have been full between two looks; a merged part's sources are there for eight minutes."""
_SMALL_FILES: Final = ("checksums.txt", "columns.txt")
"""Of every part; the engine writes them last, and they are never empty."""
_PARTS: Final = (
    "SELECT database, table, partition_id, path FROM system.parts WHERE active AND database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema')"
    " AND part_type IN ('Wide', 'Compact') FORMAT TabSeparatedRaw"
)

log: Final = logging.getLogger("callweave.clickhouse")


class NoRoom(Exception):
    """The disk is too full for a write to begin, or to be believed."""


def free_bytes() -> int:
    """What the engine's disk still takes; the engine runs in its own directory."""
    disk = os.statvfs(".")
    return disk.f_bavail * disk.f_frsize


@contextlib.contextmanager
def writing(free: Callable[[], int] = free_bytes) -> Iterator[None]:
    """Around a write; raises `NoRoom` before it, or after it: then it may be stored or not, and has to be repeated."""
    before = free()
    if before < KEEP_BYTES:
        raise NoRoom(f"only {before >> 20} MiB are free, an insert needs {KEEP_BYTES >> 20}")
    yield
    after = free()
    if after < SURE_BYTES:
        raise NoRoom(f"only {after >> 20} MiB were free when the insert ended: it may not be stored")


class Guard:
    """Stops merges while the disk is nearly full, and writes anew what it spoilt; one thread."""

    def __init__(
        self,
        execute: Callable[[str], bytes],
        free: Callable[[], int] = free_bytes,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`execute` runs one statement and gives its answer; whatever it raises is logged and tried again."""
        self._execute = execute
        self._free = free
        self._now_s = now_s
        self._full = False
        self._mended_s = now_s()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="room", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End before the engine does."""
        self._ended.set()
        self._thread.join()

    def look(self) -> None:
        """Look once."""
        free = self._free()
        if free < KEEP_BYTES:
            if not self._full:
                log.error("only %d MiB are free: merges stop", free >> 20)
                self._execute("SYSTEM STOP MERGES")
                self._full = True
        elif self._full and free >= 2 * KEEP_BYTES:
            self._execute("SYSTEM START MERGES")
            self._mend()
            self._full = False
        elif not self._full and self._now_s() - self._mended_s > MEND_EVERY_S:
            self._mend()

    def _mend(self) -> None:
        for database, table, partition in sorted({place for place, spoilt in self._parts() if spoilt}):
            log.error("a full disk spoilt parts of %s.%s: they are written anew", database, table)
            self._execute(f"OPTIMIZE TABLE `{database}`.`{table}` PARTITION ID '{partition}' FINAL")
        self._mended_s = self._now_s()

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
            except Exception as exc:  # noqa: BLE001  # nothing may end the one thread that looks; a full disk fails in many ways
                pause_s = RETRY_EVERY_S
                log.error("the guard of the disk failed: %s", type(exc).__name__)  # noqa: TRY400  # what the engine says may quote values


def _is_empty(file: Path) -> bool:
    try:
        return file.stat().st_size == 0
    except FileNotFoundError:
        return False  # merged away meanwhile
