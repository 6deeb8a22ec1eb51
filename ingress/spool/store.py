"""The spool's file: acknowledged bodies that are not yet in Kafka, in SQLite.

Bodies for which `append` returned survive the loss of power: WAL, `synchronous=FULL`, one commit for many bodies. Ids
only grow and are never used twice, so that a late deletion cannot hit another body. Synchronous and for one thread; it
must not know Kafka, asyncio, or what a body holds.
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
"""`PRAGMA application_id`: distinguishes our files from any others."""
KEPT_WAL_BYTES: Final = 16 * 1024 * 1024
_SHRINK_BYTES: Final = 1024 * 1024
"""Size beyond which a file gives the room of deleted bodies back to the disk."""
_SHRINK_PAGES: Final = 1000
"""Pages that are freed at once: bodies may wait for the disk meanwhile."""
_OVERHEAD_BYTES: Final = 64
_ROWS_AT_ONCE: Final = 64
"""Rows of one statement: beside a busy loop 500 bodies took 13 ms so, and 24 ms with a statement each."""
_INSERT: Final = "INSERT INTO body (id, spooled_ms, topic, key, headers, value, checksum, size_bytes) VALUES "
_INSERTS: Final = tuple(_INSERT + ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * rows) for rows in range(_ROWS_AT_ONCE + 1))
"""INSERT statements, indexed by their number of rows."""
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
        """Rough size on the disk."""
        return _OVERHEAD_BYTES + len(self.key) + len(self.value) + sum(len(n) + len(v) for n, v in self.headers)


class SpooledEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A stored body."""

    id: int
    spooled_ms: int
    """Time of storing, in epoch milliseconds."""
    body: Body


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Count, size and age of stored bodies."""

    bodies: int = 0
    size_bytes: int = 0
    oldest_ms: int = 0
    """Time of the oldest body in epoch milliseconds, 0 when there is none."""


class SpoolDamaged(Exception):
    """Raised for a file that is no spool, or of which parts cannot be read; it has to be set aside."""


class NewerSpool(Exception):
    """Raised for a file that a later release wrote: only that release may read it."""


class SpoolStore:
    """An open spool file."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, next_id: int) -> None:
        self._path = path
        self._db = connection
        self._next_id = next_id

    @classmethod
    def open(cls, path: Path, *, first_id: int = 1) -> Self:
        """Opens or creates a file, with ids from `first_id` or above.

        Raises SpoolDamaged, NewerSpool, and OSError or sqlite3.Error for the disk's failures.
        """
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
        """The id of the next body; a file that takes this one's place must continue from here."""
        return self._next_id

    def close(self) -> None:
        """Closes the file; nothing waits in it that is not already durable."""
        self._db.close()

    def append(self, bodies: Sequence[Body], *, now_ms: int) -> list[int]:
        """Stores all bodies or none in one durable commit; returns their ids in order."""
        ids = list(range(self._next_id, self._next_id + len(bodies)))
        rows = [_row(number, now_ms, body) for number, body in zip(ids, bodies, strict=True)]
        with self._commit():
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                some = rows[start : start + _ROWS_AT_ONCE]
                self._db.execute(_INSERTS[len(some)], [value for row in some for value in row])
        self._next_id += len(bodies)
        return ids

    def read(self, after: int, *, limit: int, limit_bytes: int) -> list[SpooledEntry]:
        """Returns the oldest bodies above an id in order, at least one if there is any; raises SpoolDamaged."""
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
        """Deletes bodies; returns topic and key of those that existed, and their bytes."""
        with self._commit():
            found = [row for number in ids for row in self._db.execute(_DELETE, (number,))]
        return [(topic, key) for topic, key, _ in found], sum(size_bytes for _, _, size_bytes in found)

    def totals(self) -> Totals:
        """Returns count, bytes and age of the stored bodies; reads the whole table."""
        bodies, size_bytes = self._db.execute("SELECT count(*), coalesce(sum(size_bytes), 0) FROM body").fetchone()
        return Totals(bodies=bodies, size_bytes=size_bytes, oldest_ms=self.oldest_ms())

    def oldest_ms(self) -> int:
        """Returns the time at which the oldest body was stored, in epoch milliseconds; 0 when there is none."""
        row = self._db.execute("SELECT spooled_ms FROM body ORDER BY id LIMIT 1").fetchone()
        return row[0] if row else 0

    def ids(self) -> Iterator[int]:
        """Yields the ids of all bodies in order."""
        for (number,) in self._db.execute("SELECT id FROM body ORDER BY id"):
            yield number

    def keys(self) -> Iterator[SpoolKey]:
        """Yields topic and key of all bodies in order."""
        yield from self._db.execute("SELECT topic, key FROM body ORDER BY id")

    def entries(self) -> Iterator[SpooledEntry]:
        """Yields all readable bodies in order, without those that do not match their checksum."""
        for row in self._db.execute(_OLDEST, (0, _ALL)):
            entry = entry_of(row)
            if entry is not None:
                yield entry

    def probe(self) -> None:
        """Writes something that changes nothing; raises what `append` would."""
        self._db.execute(f"PRAGMA user_version={VERSION}")

    def shrink(self) -> bool:
        """Gives some of the room of deleted bodies back to the disk, where it is worth it.

        Returns True when there is more.
        """
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
    """Returns totals, and bodies by vendor, of a file that a running ingress may be writing to.

    Raises SpoolDamaged and sqlite3.Error.
    """
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
    """Yields the readable bodies of a damaged file: from its beginning up to the damage, then from its end down."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
        last = 0
        with contextlib.suppress(sqlite3.DatabaseError):
            for row in db.execute(_OLDEST, (0, _ALL)):
                last = row[0]
                yield from _good(row)
        # The ids first: a file of gigabytes must not be in memory, and a broken page costs one body.
        for number in reversed(_from_the_end(db, last)):
            with contextlib.suppress(sqlite3.DatabaseError):
                for row in db.execute(_ONE, (number,)).fetchall():
                    yield from _good(row)


def _from_the_end(db: sqlite3.Connection, last: int) -> list[int]:
    """Returns the ids above `last`, from the highest down to where the file cannot be read."""
    found: list[int] = []
    with contextlib.suppress(sqlite3.DatabaseError):
        for (number,) in db.execute("SELECT id FROM body WHERE id > ? ORDER BY id DESC", (last,)):
            found.append(number)  # ids that were read before an error count
    return found


def entry_of(row: _Row) -> SpooledEntry | None:
    """Returns a row as it was stored, None when it does not match its checksum."""
    number, spooled_ms, topic, key, headers, value, checksum = row
    try:
        if _checksum(topic, key, headers, value) != checksum:
            return None
        pairs = msgspec.msgpack.decode(headers, type=tuple[tuple[str, bytes], ...])
    except (msgspec.MsgspecError, TypeError, AttributeError, UnicodeError):
        return None  # a damaged page can give any column any type
    return SpooledEntry(id=number, spooled_ms=spooled_ms, body=Body(topic=topic, key=key, value=value, headers=pairs))


def is_damage(error: BaseException) -> bool:
    """True when an error of SQLite says that the file itself is broken, and not the disk below it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, SpoolDamaged) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_full(error: BaseException) -> bool:
    """True when the disk has no room; the file is then as it was."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def _good(row: _Row) -> Iterable[Body]:
    entry = entry_of(row)
    return [entry.body] if entry else []


def _prepare(db: sqlite3.Connection) -> None:
    """Checks whose file it is, creates what a new one lacks, and copies the log into the file."""
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
    # After a failed fsync the kernel may take pages for clean that never reached the disk, and the log would continue
    # behind them. Copying the log into the file writes everything that is visible again, and the log starts anew.
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
    """Makes the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
