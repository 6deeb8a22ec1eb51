"""The one thread that uses a spool's file: it commits the gathered bodies together, and reports to the event loop.

While a commit waits for the disk the next bodies gather: that is the group commit. After any error of the disk the file
is closed and opened again (see `ingress.spool.store`), as often as it takes. It must not know limits or Kafka.
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import msgspec

from ingress.spool import too_large
from ingress.spool.folder import FILE, LOCK_PATIENCE_S, claim, free_bytes, open_store, set_aside, start_over
from ingress.spool.queued_keys import SpooledKeys, SpoolKey
from ingress.spool.store import Body, SpoolDamaged, SpooledEntry, SpoolStore, Totals, is_damage, is_full
from schemas.errors import CallweaveError, SetupError, Unavailable

GROUP_BODIES: Final = 512
GROUP_BYTES: Final = 8 * 1024 * 1024
LOOK_EVERY_S: Final = 1.0
SWITCH_S: Final = 0.0002
"""Longest time for which a busy event loop keeps the interpreter from this thread, which asks for it some forty times
for 200 bodies. With Python's 5 ms they took up to 0.65 s, so up to 0.06."""
_T = TypeVar("_T")
_BROKEN: Final = (sqlite3.Error, OSError, SpoolDamaged)

_log = logging.getLogger("callweave.spool")


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """A body to store, and the future of its id."""

    body: Body
    no_retry: bool
    done: asyncio.Future[int]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Any other work on the store."""

    work: Callable[[SpoolStore], Any]
    done: asyncio.Future[Any]


_Job = Put | Ask


class SpoolWriter:
    """Owns the folder, its lock and its store; public methods are called from the loop's thread."""

    def __init__(self, folder: Path, *, now_ms: Callable[[], int], patience_s: float = LOCK_PATIENCE_S) -> None:
        self._folder = folder
        self._now_ms = now_ms
        self._patience_s = patience_s
        self._first_id = 1
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._store: SpoolStore | None = None
        self._lock: IO[str] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._damage = ""
        self._looked_at = 0.0
        self.free_bytes = 0
        """Free bytes of the disk, at most about a second old."""
        self.bodies = 0
        self.size_bytes = 0
        self.committed_bytes = 0
        """All bytes ever put and committed here; only the disk's thread changes it."""
        self.oldest_ms = 0
        """Time of the oldest body in epoch milliseconds, at most about a second old."""
        self.set_aside = 0
        """The number of files that could not be read and wait for a person."""
        self.too_large = Totals()
        """Totals of the bodies that the broker does not take and that wait for a person."""
        self.trouble = "the spool is not open yet"
        """The reason why the disk does not take bodies, "" when it does, as far as the last attempt showed."""

    async def start(self) -> None:
        """Locks and opens the folder; a failing disk is tried again, a SetupError is raised."""
        self._loop = asyncio.get_running_loop()
        sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))
        first: asyncio.Future[Any] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(first,), name="callweave-spool", daemon=True)
        self._thread.start()
        await first

    async def stop(self, *, within_s: float) -> None:
        """Finishes the queued work and closes."""
        if self._thread is None:
            return
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, within_s)
        if self._thread.is_alive():
            _log.error("the spool's disk did not finish within %g s", within_s)

    def put(self, body: Body, *, no_retry: bool) -> asyncio.Future[int]:
        """Queues a body; the result is its id, after its commit. Fails with Unavailable `spool`, `spool_full`."""
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._jobs.put(Put(body=body, no_retry=no_retry, done=done))
        return done

    def ask(self, work: Callable[[SpoolStore], _T]) -> asyncio.Future[_T]:
        """Queues work on the store; fails with Unavailable `spool`."""
        done: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._jobs.put(Ask(work=work, done=done))
        return done

    async def delete(self, ids: Sequence[int]) -> list[SpoolKey]:
        """Deletes bodies; returns topic and key of those that existed. Raises Unavailable `spool`, `spool_full`."""
        return await self.ask(lambda store: self._forget(store, ids))

    async def count_keys(self, into: SpooledKeys) -> None:
        """Adds the keys that the file holds, while nobody else uses `into`; raises Unavailable `spool`."""
        await self.ask(lambda store: into.add(store.keys()))

    async def set_too_large_aside(self, entry: SpooledEntry) -> list[SpoolKey]:
        """Sets a body apart, then deletes it here; returns and raises as `delete` does."""

        def move(store: SpoolStore) -> list[SpoolKey]:
            self.too_large = too_large.keep(self._folder, entry, now_ms=self._now_ms)
            return self._forget(store, [entry.id])

        return await self.ask(move)

    async def take_too_large_back(self) -> int:
        """Queues the bodies that were set apart behind the others; returns their number.

        Raises Unavailable `spool`, `spool_full`.
        """

        def move(store: SpoolStore) -> int:
            count = too_large.take_back(self._folder, store, now_ms=self._now_ms)
            self._count(store)
            return count

        return await self.ask(move)

    async def start_over(self, delivered: frozenset[int]) -> bool:
        """Replaces a store that holds only delivered bodies by an empty one; returns True when it did.

        This serves a disk that is too full to delete from.
        """

        def again(store: SpoolStore) -> bool:
            if any(number not in delivered for number in store.ids()):
                return False
            self._close()
            start_over(self._folder)
            self._ensure_open()
            return True

        return await self.ask(again)

    def _forget(self, store: SpoolStore, ids: Sequence[int]) -> list[SpoolKey]:
        keys, size_bytes = store.delete(ids)
        self.bodies -= len(keys)
        self.size_bytes -= size_bytes
        self.oldest_ms = store.oldest_ms()
        return keys

    def _count(self, store: SpoolStore) -> None:
        totals = store.totals()
        self.bodies, self.size_bytes, self.oldest_ms = totals.bodies, totals.size_bytes, totals.oldest_ms
        self.set_aside = len(set_aside(self._folder))
        self.too_large = too_large.totals(self._folder, now_ms=self._now_ms)

    def _run(self, first: asyncio.Future[Any]) -> None:
        try:
            self._ensure_open()
        except SetupError as exc:
            if self._lock is not None:
                self._lock.close()
            self._report(first, error=exc)
            return
        except _BROKEN as exc:
            self._fail(exc)
        self._report(first)
        while jobs := self._gather():
            try:
                self._serve(jobs)
            except Exception as exc:  # noqa: BLE001  # a bug must not leave callers waiting
                _log.exception("the spool failed in an unknown way")
                for job in jobs:
                    self._report(job.done, error=Unavailable(f"the spool failed: {type(exc).__name__}", code="spool"))
            if time.monotonic() - self._looked_at > LOOK_EVERY_S:
                self._look()  # for a spool that is never quiet
        self._close()
        if self._lock is not None:
            self._lock.close()

    def _gather(self) -> list[_Job]:
        """Returns the jobs since the last commit, up to one commit's worth; none at the end."""
        jobs: list[_Job] = []
        held_bytes = 0
        with contextlib.suppress(queue.Empty):
            while len(jobs) < GROUP_BODIES and held_bytes < GROUP_BYTES:
                job = self._next(wait=not jobs)
                if job is None:
                    if jobs:
                        self._jobs.put(None)  # found again after these jobs
                    break
                jobs.append(job)
                held_bytes += job.body.size_bytes if isinstance(job, Put) else 0
        return jobs

    def _next(self, *, wait: bool) -> _Job | None:
        """Returns the next job; in quiet seconds the disk is checked, so that a trouble ends by itself."""
        while wait:
            try:
                return self._jobs.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                self._look()
        return self._jobs.get_nowait()

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        try:
            store = self._ensure_open()
            if not (self._folder / FILE).exists():  # bodies that still went into the removed file would be lost
                raise FileNotFoundError(f"somebody removed {self._folder / FILE}")
            self.free_bytes, self.oldest_ms = free_bytes(self._folder), store.oldest_ms()
            if self.trouble:
                store.probe()
                self.trouble = ""
        except (SetupError, *_BROKEN) as exc:
            self._fail(exc)

    def _serve(self, jobs: Sequence[_Job]) -> None:
        self._store_all([job for job in jobs if isinstance(job, Put)])
        for job in jobs:
            if isinstance(job, Ask):
                self._do(job)

    def _do(self, job: Ask) -> None:
        try:
            self._report(job.done, job.work(self._ensure_open()))
        except (SetupError, *_BROKEN) as exc:
            self._fail(exc)
            self._report(job.done, error=Unavailable(self.trouble, code=_code(exc)))

    def _store_all(self, puts: Sequence[Put]) -> None:
        """Stores all in one commit; on a full disk each body alone, first those that are sent only once."""
        if not puts:
            return
        try:
            ids = self._ensure_open().append([put.body for put in puts], now_ms=self._now_ms())
        except (SetupError, *_BROKEN) as exc:
            if is_full(exc) and len(puts) > 1:
                for put in sorted(puts, key=lambda put: not put.no_retry):
                    self._store_all([put])
                return
            self._fail(exc)
            for put in puts:
                self._report(put.done, error=Unavailable(self.trouble, code=_code(exc)))
        else:
            self.trouble = ""
            self.bodies += len(puts)
            stored_bytes = sum(put.body.size_bytes for put in puts)
            self.size_bytes += stored_bytes
            self.committed_bytes += stored_bytes
            for put, number in zip(puts, ids, strict=True):
                self._report(put.done, number)

    def _ensure_open(self) -> SpoolStore:
        if self._store is not None:
            return self._store
        if self._lock is None:
            self._lock = claim(self._folder, patience_s=self._patience_s)
        opened = open_store(self._folder, now_ms=self._now_ms, damage=self._damage, first_id=self._first_id)
        self._store, self._damage, self.trouble = opened.store, "", ""
        self.free_bytes = free_bytes(self._folder)
        _log.info("the spool is open: %s", self._folder)
        self._count(opened.store)
        return opened.store

    def _fail(self, error: Exception) -> None:
        """Notes what is wrong.

        The file is opened again for the next job, except after a full disk, which leaves it whole.
        """
        before = self.trouble
        self.trouble = f"the spool {self._folder} cannot be used: {error}"
        if before != self.trouble:
            _log.error("%s", self.trouble)
        if is_damage(error):
            self._damage = str(error)
        if not is_full(error):
            self._close()

    def _close(self) -> None:
        if self._store is not None:
            self._first_id = self._store.next_id
            with contextlib.suppress(sqlite3.Error):
                self._store.close()
            self._store = None

    def _report(
        self,
        done: asyncio.Future[Any],
        result: object = None,
        *,
        error: CallweaveError | None = None,
    ) -> None:
        self._call(_settle, done, result, error)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            self._loop.call_soon_threadsafe(function, *arguments)


def _code(error: Exception) -> str:
    return "spool_full" if is_full(error) else "spool"


def _settle(done: asyncio.Future[object], result: object, error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
        done.exception()  # marked as retrieved: a caller that gave up needs no warning on stderr
