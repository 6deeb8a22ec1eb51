"""Spool folders on the disk: one for each worker number, used by one process at a time, with the files set aside in it.

A folder's store is opened whatever is found there; only a file of a later release and a folder in use are refused.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from ingress.spool.store import Body, NewerSpool, SpoolDamaged, SpoolStore, salvage, sync_folder
from schemas.config.settings import Settings
from schemas.errors import SetupError

FILE: Final = "spool.db"
LOCK_PATIENCE_S: Final = 3.0
"""Time that a worker which is just ending gets before its successor gives up."""
_LOCK_EVERY_S: Final = 0.05
_LOCK: Final = "lock"
_ASIDE: Final = ".aside-"
_PARTS: Final = ("-wal", "-shm", "")
"""The log goes before the file, so that half of a move leaves a file that opens."""
_MENDED: Final = "mended.db"
_PREFIX: Final = "worker-"
_MEND_BODIES: Final = 200
_MEND_BYTES: Final = 2 * 1024 * 1024
"""Bytes of one commit."""
_HEAD_BYTES: Final = 100
_MOST_ZEROS_BYTES: Final = 1 << 40

_log = logging.getLogger("callweave.spool")


class OpenedFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A store, and the file that was set aside to get it."""

    store: SpoolStore
    aside: Path | None = None
    salvaged: int = 0
    """Bodies of that file that are in the store again."""


def root(settings: Settings) -> Path:
    """Returns the folder of all spools."""
    return Path(settings.ingress.spool_dir or Path(settings.embedded.data_dir) / "spool").absolute()


def of_worker(base: Path, number: int) -> Path:
    """Returns the folder of one worker, which is the same after a restart."""
    return base / f"{_PREFIX}{number}"


def workers(base: Path) -> list[int]:
    """Returns the numbers of all workers that ever had a spool here."""
    names = [path.name.removeprefix(_PREFIX) for path in base.glob(f"{_PREFIX}*") if path.is_dir()]
    return sorted(int(name) for name in names if name.isdecimal())


def set_aside(folder: Path) -> list[Path]:
    """Returns the files that were set aside in a folder and wait for a person."""
    return sorted(path for path in folder.glob(f"{FILE}{_ASIDE}*") if not path.name.endswith(("-wal", "-shm")))


def claim(folder: Path, *, patience_s: float = LOCK_PATIENCE_S) -> IO[str]:
    """Makes and locks a folder; the lock ends with the process.

    Raises SetupError `spool_in_use`, and OSError for the disk's failures.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / _LOCK).open("a")
        except (FileNotFoundError, FileExistsError):
            if time.monotonic() >= deadline + LOCK_PATIENCE_S:
                raise
            time.sleep(_LOCK_EVERY_S)  # its last owner has just removed the folder
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            lock.close()
            if time.monotonic() >= deadline:
                raise SetupError(
                    f"another process already uses the spool {folder}",
                    code="spool_in_use",
                    advice="Stop that ingress, or set ingress.spool_dir (CALLWEAVE_INGRESS__SPOOL_DIR) to another directory.",
                ) from exc
            time.sleep(_LOCK_EVERY_S)
        else:
            if _is_there(lock):
                return lock
            lock.close()  # its last owner removed the folder, and a lock on an unlinked file excludes nobody


def give_up(folder: Path) -> None:
    """Removes a claimed folder; raises OSError.

    Its lock goes last: whoever claims the folder from then on makes it anew, and keeps what is put there.
    """
    for path in folder.iterdir():
        if path.name == _LOCK:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    (folder / _LOCK).unlink()
    with contextlib.suppress(OSError):  # not empty: another process has it already
        folder.rmdir()


def open_store(folder: Path, *, now_ms: Callable[[], int], damage: str = "", first_id: int = 1) -> OpenedFolder:
    """Opens a claimed folder's store; a file that cannot be read is set aside, and its readable bodies are stored anew.

    `damage` says that the store was found damaged while it was open; ids start at `first_id` or above. Raises
    SetupError `spool_newer`, and OSError or sqlite3.Error for the disk's failures.
    """
    path, mended = folder / FILE, folder / _MENDED
    if mended.exists():
        if path.exists():
            _remove(mended)  # not finished: the damaged file is still in its place, so mending is repeated
        else:
            _move(mended, path)
    try:
        if not damage:
            return OpenedFolder(store=SpoolStore.open(path, first_id=first_id))
    except NewerSpool as exc:
        raise SetupError(
            f"a later release of Callweave wrote the spool {path}: {exc}",
            code="spool_newer",
            advice="Start that release until the spool is drained, or run its `callweave spool drain`. Nothing was changed.",
        ) from exc
    except SpoolDamaged as exc:
        damage = str(exc)
    salvaged = _mend(path, mended, now_ms, first_id)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_ms() / 1000)) + f".{now_ms() % 1000:03d}Z"
    aside = path.with_name(f"{path.name}{_ASIDE}{stamp}")
    _move(path, aside)
    _move(mended, path)
    _log.error("the spool cannot be read (%s): kept as %s, %d bodies of it are drained", damage, aside, salvaged)
    return OpenedFolder(store=SpoolStore.open(path, first_id=first_id), aside=aside, salvaged=salvaged)


def start_over(folder: Path) -> None:
    """Removes a store that holds nothing anybody needs."""
    _remove(folder / FILE)


def free_bytes(folder: Path) -> int:
    """Returns the bytes that are free on the folder's disk."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _is_there(lock: IO[str]) -> bool:
    try:
        return Path(lock.name).stat().st_ino == os.fstat(lock.fileno()).st_ino
    except FileNotFoundError:
        return False


def _mend(broken: Path, mended: Path, now_ms: Callable[[], int], first_id: int) -> int:
    """Stores the readable bodies of a broken file in a new one; returns their number."""
    store = SpoolStore.open(mended, first_id=first_id)
    count = 0
    try:
        with _whole(broken) as path:
            for batch in _batches(salvage(path)):
                store.append(batch, now_ms=now_ms())
                count += len(batch)
    finally:
        store.close()
    return count


def _batches(bodies: Iterable[Body]) -> Iterator[list[Body]]:
    batch: list[Body] = []
    size_bytes = 0
    for body in bodies:
        batch.append(body)
        size_bytes += body.size_bytes
        if len(batch) >= _MEND_BODIES or size_bytes >= _MEND_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


@contextlib.contextmanager
def _whole(broken: Path) -> Iterator[Path]:
    """Yields the file, or where it was cut off, a copy filled up with zeros.

    SQLite reads nothing of a file that is too short.
    """
    with broken.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    page_bytes, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    wanted_bytes = (page_bytes if page_bytes > 1 else 65536) * pages  # 1 stands for 65536
    if not head.startswith(b"SQLite format 3\0") or not 0 < wanted_bytes - broken.stat().st_size < _MOST_ZEROS_BYTES:
        yield broken
        return
    with tempfile.TemporaryDirectory(prefix="callweave-spool-") as place:
        copy = Path(place) / broken.name
        for part in _PARTS:
            beside = broken.with_name(broken.name + part)
            if beside.exists():
                shutil.copyfile(beside, copy.with_name(copy.name + part))
        os.truncate(copy, wanted_bytes)
        yield copy


def _move(source: Path, target: Path) -> None:
    for part in _PARTS:
        beside = source.with_name(source.name + part)
        if beside.exists():
            beside.rename(target.with_name(target.name + part))
    sync_folder(source.parent)


def _remove(path: Path) -> None:
    for part in _PARTS:
        path.with_name(path.name + part).unlink(missing_ok=True)
