"""The spool's file: bodies that were acknowledged to a vendor and are not yet in Kafka, in SQLite.

What `append` returned for survives the loss of power: WAL, `synchronous=FULL`, one commit for many bodies. Ids only grow and
are never used twice, so that a late deletion cannot hit another body. Synchronous and of one thread; it must not know Kafka,
asyncio, or what a body holds.
"""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from ingress.spool.queued_keys import SpoolKey

VERSION: Final = 1
"""`PRAGMA user_version`: raise it with every change of the table, and read the older ones."""
APPLICATION_ID: Final = 0x43574C31
"""`PRAGMA application_id`: tells our files from anybody else's."""
KEPT_WAL_BYTES: Final = 16 * 1024 * 1024
_SHRINK_BYTES: Final = 1024 * 1024
"""A file larger than this gives the room of deleted bodies back to the disk."""
_SHRINK_PAGES: Final = 1000
"""So much at once: bodies may wait for the disk meanwhile."""
_OVERHEAD_BYTES: Final = 64
_ROWS_AT_ONCE: Final = 64
"""Few statements: beside a busy loop 500 bodies took 13 ms so, and 24 ms with one for each."""
_INSERT: Final = "INSERT INTO body (id, spooled_ms, topic, key, headers, value, checksum, size_bytes) VALUES "
_INSERTS: Final = tuple(_INSERT + ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * rows) for rows in range(_ROWS_AT_ONCE + 1))
"""By the number of rows."""
_OLDEST: Final = (
    "SELECT id, spooled_ms, topic, key, headers, value, checksum FROM body WHERE id > ? ORDER BY id LIMIT ?"
)
_ONE: Final = "SELECT id, spooled_ms, topic, key, headers, value, checksum FROM body WHERE id = ?"
_DELETE: Final = "DELETE FROM body WHERE id = ? RETURNING topic, key, size_bytes"
_ALL: Final = -1
_SCHEMA: Final = """
CREATE TABLE body (
    id INTEGER PRIMARY KEY AUTOINCREMENT, spooled_ms INTEGER NOT NULL, topic TEXT NOT NULL, key BLOB NOT NULL,
    headers BLOB NOT NULL, value BLOB NOT NULL, checksum INTEGER NOT NULL, size_bytes INTEGER NOT NULL
)
"""
_Row = tuple[int, int, str, bytes, bytes, bytes, int]


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """One record for Kafka, as the publisher got it."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def size_bytes(self) -> int:
        """About what it takes on the disk."""
        return _OVERHEAD_BYTES + len(self.key) + len(self.value) + sum(len(n) + len(v) for n, v in self.headers)


class SpooledEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A stored body."""

    id: int
    spooled_ms: int
    """Epoch milliseconds."""
    body: Body


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds."""

    bodies: int = 0
    size_bytes: int = 0
    oldest_ms: int = 0
    """Epoch milliseconds; 0 when it is empty."""


class SpoolDamaged(Exception):
    """The file is no spool, or parts of it cannot be read; it has to be set aside."""


class NewerSpool(Exception):
    """A later release wrote the file: only that one may read it."""


class SpoolStore:
    """An open file."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, next_id: int) -> None:
        self._path = path
        self._db = connection
        self._next_id = next_id

    @classmethod
    def open(cls, path: Path, *, first_id: int = 1) -> Self:
        """Open or create, with ids from `first_id` at least; raises Damaged, NewerSpool, OSError and sqlite3.Error (the disk)."""
        fresh = not path.exists()
        db = sqlite3.connect(path, isolation_level=None, timeout=5)
        try:
            _prepare(db)
            if fresh:
                sync_folder(path.parent)  # SQLite makes the log's name durable, but not the new file's
            (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
        except BaseException as exc:
            db.close()
            if not isinstance(exc, SpoolDamaged) and is_damage(exc):
                raise SpoolDamaged(str(exc)) from exc
            raise
        return cls(path, db, next_id=max(last + 1, first_id))

    @property
    def next_id(self) -> int:
        """What the next body gets; a file that takes this one's place must go on from here."""
        return self._next_id

    def close(self) -> None:
        """Release the file; nothing waits in it that was not already durable."""
        self._db.close()

    def append(self, bodies: Sequence[Body], *, now_ms: int) -> list[int]:
        """Store all or none in one commit; when it returns they are on the disk. Ids in the order of `bodies`."""
        ids = list(range(self._next_id, self._next_id + len(bodies)))
        rows = [_row(number, now_ms, body) for number, body in zip(ids, bodies, strict=True)]
        with self._commit():
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                some = rows[start : start + _ROWS_AT_ONCE]
                self._db.execute(_INSERTS[len(some)], [value for row in some for value in row])
        self._next_id += len(bodies)
        return ids

    def read(self, after: int, *, limit: int, limit_bytes: int) -> list[SpooledEntry]:
        """The oldest bodies with an id above `after`, in order; at least one if there is any. Raises Damaged."""
        found: list[SpooledEntry] = []
        held_bytes = 0
        for row in self._db.execute(_OLDEST, (after, limit)):
            entry = entry_of(row)
            if entry is None:
                raise SpoolDamaged(f"body {row[0]} does not match its checksum")
            held_bytes += entry.body.size_bytes
            if found and held_bytes > limit_bytes:
                break
            found.append(entry)
        return found

    def delete(self, ids: Sequence[int]) -> tuple[list[SpoolKey], int]:
        """Forget bodies; topic and key of those there were, and their bytes: an id that is not there is no error."""
        with self._commit():
            found = [row for number in ids for row in self._db.execute(_DELETE, (number,))]
        return [(topic, key) for topic, key, _ in found], sum(size_bytes for _, _, size_bytes in found)

    def totals(self) -> Totals:
        """Count, bytes and age of what is stored; reads all of it."""
        bodies, size_bytes = self._db.execute("SELECT count(*), coalesce(sum(size_bytes), 0) FROM body").fetchone()
        return Totals(bodies=bodies, size_bytes=size_bytes, oldest_ms=self.oldest_ms())

    def oldest_ms(self) -> int:
        """When the oldest body was stored, in epoch milliseconds; 0 when there is none."""
        row = self._db.execute("SELECT spooled_ms FROM body ORDER BY id LIMIT 1").fetchone()
        return row[0] if row else 0

    def ids(self) -> Iterator[int]:
        """The ids of all bodies in order."""
        for (number,) in self._db.execute("SELECT id FROM body ORDER BY id"):
            yield number

    def keys(self) -> Iterator[SpoolKey]:
        """Topic and key of all bodies in order."""
        yield from self._db.execute("SELECT topic, key FROM body ORDER BY id")

    def entries(self) -> Iterator[SpooledEntry]:
        """All readable bodies in order; one that does not match its checksum is left out."""
        for row in self._db.execute(_OLDEST, (0, _ALL)):
            entry = entry_of(row)
            if entry is not None:
                yield entry

    def probe(self) -> None:
        """Write something that changes nothing; raises what `append` would."""
        self._db.execute(f"PRAGMA user_version={VERSION}")

    def shrink(self) -> bool:
        """Give some of the room of deleted bodies back to the disk, when it is worth it; whether there is more."""
        more = False
        if self._path.stat().st_size > _SHRINK_BYTES:
            self._db.executescript(f"PRAGMA incremental_vacuum({_SHRINK_PAGES});")  # `execute` would free a single page
            (free_pages,) = self._db.execute("PRAGMA freelist_count").fetchone()
            more = free_pages > 0
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return more

    @contextlib.contextmanager
    def _commit(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def look(path: Path) -> tuple[Totals, dict[str, int]]:
    """Totals, and bodies by vendor, of a file that a running ingress may be writing to; raises Damaged and sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
        try:
            store = SpoolStore(path, db, next_id=0)
            totals, vendors = store.totals(), dict[str, int]()
            for entry in store.entries():
                vendor = dict(entry.body.headers).get("vendor", b"").decode("utf-8", "replace")
                vendors[vendor] = vendors.get(vendor, 0) + 1
        except sqlite3.DatabaseError as exc:
            if is_damage(exc) or "no such table" in str(exc):
                raise SpoolDamaged(str(exc)) from exc
            raise
    return totals, vendors


def salvage(path: Path) -> Iterator[Body]:
    """What can still be read of a damaged file, in order: from its beginning up to the damage, then from its end down to it."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
        last = 0
        with contextlib.suppress(sqlite3.DatabaseError):
            for row in db.execute(_OLDEST, (0, _ALL)):
                last = row[0]
                yield from _good(row)
        # Their ids first: a file of gigabytes must not be in memory, and one page that is broken costs one body.
        for number in reversed(_from_the_end(db, last)):
            with contextlib.suppress(sqlite3.DatabaseError):
                for row in db.execute(_ONE, (number,)).fetchall():
                    yield from _good(row)


def _from_the_end(db: sqlite3.Connection, last: int) -> list[int]:
    """Ids above `last`, from the highest down to where the file cannot be read."""
    found: list[int] = []
    with contextlib.suppress(sqlite3.DatabaseError):
        for (number,) in db.execute("SELECT id FROM body WHERE id > ? ORDER BY id DESC", (last,)):
            found.append(number)  # what was read before an error counts
    return found


def entry_of(row: _Row) -> SpooledEntry | None:
    """A row as it was stored, None when it does not match its checksum."""
    number, spooled_ms, topic, key, headers, value, checksum = row
    try:
        if _checksum(topic, key, headers, value) != checksum:
            return None
        pairs = msgspec.msgpack.decode(headers, type=tuple[tuple[str, bytes], ...])
    except (msgspec.MsgspecError, TypeError, AttributeError, UnicodeError):
        return None  # a damaged page can give any column any type
    return SpooledEntry(id=number, spooled_ms=spooled_ms, body=Body(topic=topic, key=key, value=value, headers=pairs))


def is_damage(error: BaseException) -> bool:
    """Whether an error of SQLite says that the file itself is broken, and not the disk below it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, SpoolDamaged) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_full(error: BaseException) -> bool:
    """Whether the disk has no room; the file is as it was."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def _good(row: _Row) -> Iterable[Body]:
    entry = entry_of(row)
    return [entry.body] if entry else []


def _prepare(db: sqlite3.Connection) -> None:
    """Check whose file it is, create what a new one lacks, and bring the log into the file."""
    (ours,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if ours == APPLICATION_ID and version > VERSION:
        raise NewerSpool(f"its version is {version}, this release reads up to {VERSION}")
    if tables and (ours != APPLICATION_ID or version != VERSION):
        raise SpoolDamaged(f"application id {ours:#x}, version {version}: not a spool of ours")
    if not tables:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
    (mode,) = db.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError(f"the file system does not take a write-ahead log: {mode}")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(f"PRAGMA journal_size_limit={KEPT_WAL_BYTES}")
    if not tables:
        db.execute("BEGIN IMMEDIATE")
        db.execute(_SCHEMA)
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={VERSION}")
        db.execute("COMMIT")
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise SpoolDamaged(str(verdict))
    # After a failed fsync the kernel may call pages clean that never reached the disk, and the log would go on behind them. Copied
    # into the file, everything that can be seen is written again, and the log starts anew.
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("another process reads the spool")


def _row(number: int, now_ms: int, body: Body) -> tuple[int, int, str, bytes, bytes, bytes, int, int]:
    headers = msgspec.msgpack.encode(body.headers)
    checksum = _checksum(body.topic, body.key, headers, body.value)
    return number, now_ms, body.topic, body.key, headers, body.value, checksum, body.size_bytes


def _checksum(topic: str, key: bytes, headers: bytes, value: bytes) -> int:
    lengths = f"{len(topic)},{len(key)},{len(headers)},".encode()
    return zlib.crc32(value, zlib.crc32(headers, zlib.crc32(key, zlib.crc32(topic.encode(), zlib.crc32(lengths)))))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
