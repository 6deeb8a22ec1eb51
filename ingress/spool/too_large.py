"""Keeps bodies that the broker finds too large in a store of their own inside the spool's folder; later ones go on.

It happens only where the topic's `max.message.bytes` is below what the ingress takes, so a person has to decide: raise
it and send them (`callweave spool drain`), or write them to a file (`callweave spool export`). They are never dropped.
All functions run in the spool's thread, under the spool's lock.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ingress.spool.folder import FILE, open_store
from ingress.spool.store import SpoolDamaged, SpooledEntry, SpoolStore, Totals, is_full

_AT_ONCE: Final = 50
_AT_ONCE_BYTES: Final = 8 * 1024 * 1024


def folder_of(spool: Path) -> Path:
    """Returns their folder."""
    return spool / "too-large"


def totals(spool: Path, *, now_ms: Callable[[], int]) -> Totals:
    """Returns their totals; raises OSError and sqlite3.Error for the disk's failures."""
    if not (folder_of(spool) / FILE).exists():
        return Totals()
    with _opened(spool, now_ms) as store:
        return store.totals()


def keep(spool: Path, entry: SpooledEntry, *, now_ms: Callable[[], int]) -> Totals:
    """Stores one; returns the totals after it. Raises OSError and sqlite3.Error for the disk's failures."""
    folder_of(spool).mkdir(exist_ok=True)
    with _opened(spool, now_ms) as store:
        store.append([entry.body], now_ms=entry.spooled_ms)
        return store.totals()


def take_back(spool: Path, into: SpoolStore, *, now_ms: Callable[[], int]) -> int:
    """Moves all to the spool itself; returns their number.

    A crash in the middle leaves some in both: they are sent twice, and none is lost.
    """
    if not (folder_of(spool) / FILE).exists():
        return 0
    count, after = 0, 0
    with _opened(spool, now_ms) as store:
        while entries := store.read(after, limit=_AT_ONCE, limit_bytes=_AT_ONCE_BYTES):
            into.append([entry.body for entry in entries], now_ms=entries[0].spooled_ms)
            count, after = count + len(entries), entries[-1].id
    shutil.rmtree(folder_of(spool))
    return count


@contextlib.contextmanager
def _opened(spool: Path, now_ms: Callable[[], int]) -> Iterator[SpoolStore]:
    store = open_store(folder_of(spool), now_ms=now_ms).store
    try:
        yield store
    except (sqlite3.Error, SpoolDamaged) as exc:
        if is_full(exc):
            raise
        # Not as SpoolDamaged: its handler would set the spool itself aside.
        raise OSError(f"{folder_of(spool)}: {exc}") from exc
    finally:
        store.close()
