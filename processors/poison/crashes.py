"""The crash folder: the workers of a machine share in it which records they computed when they died.

Each process has a breadcrumb there, locked while it lives. A worker that starts, or gets partitions, takes the
breadcrumbs of dead workers over into one book, which is written whole and renamed. The folder must outlive a worker: a
container's own disk does not.
"""

import contextlib
import fcntl
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from processors.poison.breadcrumb import Breadcrumb, read
from processors.poison.suspects import Book, RecordPlace, WorkerEnd
from schemas.config.settings import Settings

log: Final = logging.getLogger(__name__)

BOOK: Final = "book.json"
LATELY_MS: Final = 600_000
OFTEN: Final = 3
"""Number of ends of one worker within `LATELY_MS` that is no coincidence."""
_LOCK: Final = "lock"
SUFFIX: Final = ".crumb"
_LOCK_TRIES: Final = 20
_LOCK_PAUSE_S: Final = 0.01


def crash_dir(settings: Settings) -> Path:
    """Return the crash folder of the workers that share these settings."""
    return Path(settings.process.crash_dir or Path(settings.embedded.data_dir) / "crashes").absolute()


def read_book(folder: Path) -> Book:
    """Read the book as it was last written; an empty one where there is none, or none that can be read."""
    try:
        return msgspec.json.decode((folder / BOOK).read_bytes(), type=Book)
    except (OSError, msgspec.DecodeError):
        return Book()


def _now_ms() -> int:
    return int(time.time() * 1000)


class Crashes:
    """This worker's breadcrumb, and the book as last read."""

    def __init__(self, folder: Path | None, worker: str, now_ms: Callable[[], int] = _now_ms) -> None:
        """Open the folder; without one, or when it cannot be written, no death is remembered."""
        self.book = Book()
        self.breadcrumb = Breadcrumb()
        self._folder = folder
        self._worker = "".join(char if char.isalnum() or char in "-_." else "_" for char in worker) or "worker"
        self._now_ms = now_ms
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                self.breadcrumb = Breadcrumb(folder / f"{self._worker}@{uuid.uuid4().hex[:12]}{SUFFIX}")
                fcntl.flock(self.breadcrumb.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            self._folder = None
            log.warning("a record that ends workers would not be found: %s cannot be written: %s", folder, exc)
            return
        self.refresh()

    def refresh(self) -> None:
        """Take over the breadcrumbs of dead workers, and read the book that others wrote."""
        self._change(lambda book: book)

    def clear_below(self, topic: str, partition: int, below: int) -> None:
        """Drop the suspicion against records that are done."""
        self._change(lambda book: book.clear_below(topic, partition, below))

    def put_aside(self, place: RecordPlace, value: bytes) -> None:
        """Note that a record's dead letter is durable."""
        self._change(lambda book: book.put_aside(place, value))

    @property
    def lately(self) -> int:
        """The number of this machine's workers known to have ended unasked within `LATELY_MS`."""
        return len(self.book.ends_since(self._now_ms() - LATELY_MS))

    def close(self) -> None:
        """Remove the breadcrumb: this end is no death."""
        self.breadcrumb.close()

    def _change(self, change: Callable[[Book], Book]) -> None:
        if self._folder is None:
            self.book = change(self.book)
            return
        try:
            with self._locked():
                known = read_book(self._folder)
                book = known
                left = self._left_behind()
                for _, end in left:
                    book = book.died(end)
                self.book = change(book).at(self._now_ms())
                if self.book != known:
                    self._write(self.book, [path for path, _ in left])
        except OSError as exc:
            log.warning("what is known of the deaths of workers cannot be kept: %s", exc)
            return
        for _, end in left:
            computed = " and ".join(str(place) for place in (end.place, end.thread_place) if place)
            where = f"while computing {computed}" if computed else "while it computed nothing"
            log.warning("worker %s ended %s %s", end.worker, where, f"({end.cause})" if end.cause else "")

    def _left_behind(self) -> list[tuple[Path, WorkerEnd]]:
        assert self._folder is not None
        found: list[tuple[Path, WorkerEnd]] = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}"), key=_changed_at):
            if path == self.breadcrumb.path:
                continue
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                if not _is_free(file.fileno()):
                    continue
                note = read(file.read())
                worker = path.name.partition("@")[0]
                found.append(
                    (
                        path,
                        WorkerEnd(
                            worker=worker,
                            at_ms=self._now_ms(),
                            place=note.place,
                            thread_place=note.thread_place,
                            cause=note.cause,
                        ),
                    )
                )
        return found

    def _write(self, book: Book, taken_over: list[Path]) -> None:
        assert self._folder is not None
        new = self._folder / f"{BOOK}.new"
        new.write_bytes(msgspec.json.format(msgspec.json.encode(book), indent=1))
        for path in taken_over:  # before the rename: a forgotten death comes again, none is counted twice
            path.unlink(missing_ok=True)
        new.replace(self._folder / BOOK)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        assert self._folder is not None
        with (self._folder / _LOCK).open("wb") as file:
            for left in reversed(range(_LOCK_TRIES)):
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not left:
                        raise  # its holder is frozen: the work under the lock takes no time
                    time.sleep(_LOCK_PAUSE_S)
            yield


def _changed_at(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _is_free(file: int) -> bool:
    """True when nobody holds the lock: the file's process has ended."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
