"""Calls on this machine's disk instead of in memory: stores in one RocksDB of this process (`join.store`).

The truth stays on `calls.join-state`: what lies here is of no use to anybody but this process. It begins with an empty
folder, writes no log of its own and waits for no disk, and whoever starts next removes what a process left that was
killed. So a death at any moment loses and doubles nothing. What RocksDB cannot write or read raises `StoreFailed`.

A store is a number that stands before all its keys. Once nobody has the store any more, everything under its number is
removed, as memory would be freed, and before that nothing is: a batch that goes on after a rebalance finds its calls.
"""

import contextlib
import fcntl
import itertools
import os
import shutil
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from processors.store.calls import StoreFailed
from schemas.config.settings import Settings
from schemas.errors import SetupError

if TYPE_CHECKING:
    from rocksdict import Rdict

CACHE_BYTES: Final = 64 << 20
"""Memory of what was read, with the indexes and filters of the files."""
WRITE_BUFFER_BYTES: Final = 16 << 20
"""Memory of what was written last, twice at most."""
_BLOOM_BITS: Final = 10
"""Bits of the filter for each call, with which one look in a hundred for a call that is not there reads a file."""
_MOST_FILES: Final = 256
"""The most files that are open at a time."""
_NUMBER_BYTES: Final = 8
_MINUTE_BYTES: Final = 6
_ENTRY: Final = b"e"
_WAITS: Final = b"w"
_LOCK: Final = "lock"


def store_dir(settings: Settings) -> Path:
    """Return the folder of the local stores of the workers that share these settings."""
    return Path(settings.embedded.data_dir, "states").absolute()


class LocalStore:
    """The RocksDB of this process, in a folder of its own below `folder`. Raises `SetupError`."""

    def __init__(self, folder: Path) -> None:
        try:
            self._own, self._locked = _own_folder(folder)
            self._db = _opened(self._own / "db")
        except Exception as exc:
            raise SetupError(
                f"calls cannot be kept in {folder} (join.store): {exc}",
                advice="It is below embedded.data_dir, which must be on a disk of this machine.",
            ) from exc
        self._numbers = itertools.count(1)
        self._left: list[bytes] = []
        """The numbers of stores that nobody has any more."""

    def new_calls(self) -> "RocksCalls":
        """Make an empty store, and free what nobody has any more."""
        while self._left:
            remove_range(self._db, self._left.pop())
        number = next(self._numbers).to_bytes(_NUMBER_BYTES, "big")
        calls = RocksCalls(self._db, number)
        weakref.finalize(calls, self._left.append, number)
        return calls

    def close(self) -> None:
        """Remove everything."""
        with contextlib.suppress(Exception):  # the next process removes what is left
            self._db.close()
            shutil.rmtree(self._own)
        os.close(self._locked)


class RocksCalls:
    """The store of one partition's calls."""

    def __init__(self, db: "Rdict", number: bytes) -> None:
        self._db = db
        self._number = number
        self._entries = number + _ENTRY

    def get(self, key: str) -> bytes | None:
        """Return the entry of a call."""
        name = self._entries + key.encode()
        try:
            entry: bytes | None = self._db.get(name)
        except Exception as exc:  # noqa: BLE001 - the library raises nothing more particular
            _fail("read", exc)
        return entry

    def put(self, key: str, entry: bytes) -> None:
        """Keep the entry of a call."""
        name = self._entries + key.encode()
        try:
            self._db.put(name, entry)
        except Exception as exc:  # noqa: BLE001 - as above
            _fail("written", exc)

    def remove(self, key: str) -> None:
        """Forget the entry of a call."""
        name = self._entries + key.encode()
        try:
            self._db.delete(name)
        except Exception as exc:  # noqa: BLE001 - as above
            _fail("written", exc)

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Yield every call."""
        return ((key.decode(), entry) for key, entry in self._scan(self._entries))

    def wait(self, minute: int, key: str) -> None:
        """Keep a call among those of a minute."""
        name = self._waiting(minute) + key.encode()
        try:
            self._db.put(name, b"")
        except Exception as exc:  # noqa: BLE001 - as above
            _fail("written", exc)

    def take_waiting(self, minute: int) -> list[str]:
        """Return the calls of a minute."""
        waiting = self._waiting(minute)
        keys = [key for key, _ in self._scan(waiting)]
        try:
            for key in keys:  # one by one: every range that was ever removed would make reading slower
                self._db.delete(waiting + key)
        except Exception as exc:  # noqa: BLE001 - as above
            _fail("written", exc)
        return [key.decode() for key in keys]

    def _waiting(self, minute: int) -> bytes:
        return self._number + _WAITS + minute.to_bytes(_MINUTE_BYTES, "big")

    def _scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield what is under a prefix, without the prefix."""
        try:
            found = self._db.iter()
            found.seek(prefix)
            while found.valid() and (key := found.key()).startswith(prefix):
                yield key[len(prefix) :], found.value()
                found.next()
            found.status()  # an error ends the way through as the end of the keys does
        except Exception as exc:  # noqa: BLE001 - as above
            _fail("read", exc)


def remove_range(db: "Rdict", prefix: bytes) -> None:
    """Remove all keys that begin so."""
    try:
        db.delete_range(prefix, (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big"))
    except Exception as exc:  # noqa: BLE001 - as above
        _fail("written", exc)


def _fail(what: str, exc: Exception) -> NoReturn:
    raise StoreFailed(f"the calls on this machine's disk cannot be {what} (join.store): {exc}") from exc


def _own_folder(folder: Path) -> tuple[Path, int]:
    """Make a folder of this process, and remove those of dead ones; returns it with the file that stays locked."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / _LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        left = [other for other in folder.iterdir() if other.is_dir() and _is_left(other)]
        own = folder / uuid.uuid4().hex
        own.mkdir(mode=0o700)
        locked = os.open(own / _LOCK, os.O_CREAT | os.O_WRONLY, 0o600)
        fcntl.flock(locked, fcntl.LOCK_EX)
    for other in left:
        shutil.rmtree(other, ignore_errors=True)
    return own, locked


def _is_left(folder: Path) -> bool:
    """True when the process whose folder it is has ended."""
    try:
        with (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True  # half removed
    except BlockingIOError:
        return False
    return True


def _opened(path: Path) -> "Rdict":
    try:
        import rocksdict as rocks  # noqa: PLC0415 - not installed everywhere
    except ImportError as exc:
        raise SetupError("it needs the package callweave[rocksdb]") from exc
    blocks = rocks.BlockBasedOptions()
    blocks.set_block_cache(rocks.Cache(CACHE_BYTES))
    blocks.set_bloom_filter(_BLOOM_BITS, block_based=False)
    # In parts: the index of a whole file has a megabyte, more than a shard of the cache, and would be read each time.
    blocks.set_index_type(rocks.BlockBasedIndexType.two_level_index_search())
    blocks.set_partition_filters(size=True)
    blocks.set_cache_index_and_filter_blocks(v=True)
    blocks.set_pin_top_level_index_and_filter(v=True)
    options = rocks.Options(raw_mode=True)
    options.create_if_missing(create_if_missing=True)
    options.set_block_based_table_factory(blocks)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_max_open_files(_MOST_FILES)
    options.set_compression_type(rocks.DBCompressionType.lz4())
    options.set_keep_log_file_num(1)
    db = rocks.Rdict(str(path), options)
    unlogged = rocks.WriteOptions()
    unlogged.disable_wal = True  # type: ignore[method-assign,assignment]  # an attribute, whatever its stub says
    db.set_write_options(unlogged)
    return db
