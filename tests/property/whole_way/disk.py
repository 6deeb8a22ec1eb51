"""The disk below a spool, and the spool's writer with a task for its thread.

What was committed outlives every crash; in a crash within a commit the whole of it is kept or the whole is lost, as
`tests/property/test_spool_power_loss.py` shows of the real file. Everything above the store is the real code.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ingress.spool.queued_keys import SpoolKey
from ingress.spool.store import Body, SpooledEntry, SpoolStore, Totals
from ingress.spool.writer import SpoolWriter
from tests.property.whole_way.broker import Weather
from tests.property.whole_way.loop import Process

_FREE_BYTES: Final = 1 << 40


class PowerFailed(BaseException):
    """The power failed in the middle of a commit."""


class Disk:
    """The disk, which outlives a process."""

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        self.entries: dict[int, SpooledEntry] = {}
        self.next_id = 1
        self.stored: list[bytes] = []
        """Every value that was ever stored, in order."""


class Store:
    """`ingress.spool.store.SpoolStore` on that disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    @property
    def next_id(self) -> int:
        """Ids are never used twice."""
        return self._disk.next_id

    def append(self, bodies: Sequence[Body], *, now_ms: int) -> list[int]:
        """All or none; raises what SQLite raises, and the power may fail."""
        self._work()
        disk = self._disk
        fails = disk.weather.chance(0.02)
        ids = list(range(disk.next_id, disk.next_id + len(bodies)))
        disk.next_id += len(bodies)
        if not fails or disk.weather.dice.random() < 0.5:
            for number, body in zip(ids, bodies, strict=True):
                disk.entries[number] = SpooledEntry(id=number, spooled_ms=now_ms, body=body)
                disk.stored.append(body.value)
        if fails:
            raise PowerFailed
        return ids

    def read(self, after: int, *, limit: int, limit_bytes: int) -> list[SpooledEntry]:
        """Read the oldest bodies above an id."""
        self._work()
        return [self._disk.entries[number] for number in sorted(self._disk.entries) if number > after][:limit]

    def delete(self, ids: Sequence[int]) -> tuple[list[SpoolKey], int]:
        """Read topic and key of these ids, and their bytes."""
        self._work()
        gone = [entry.body for number in ids if (entry := self._disk.entries.pop(number, None)) is not None]
        return [(body.topic, body.key) for body in gone], sum(body.size_bytes for body in gone)

    def totals(self) -> Totals:
        """Return the number of bodies and bytes."""
        entries = self._disk.entries.values()
        return Totals(
            bodies=len(entries), size_bytes=sum(entry.body.size_bytes for entry in entries), oldest_ms=self.oldest_ms()
        )

    def oldest_ms(self) -> int:
        """Return the time at which the oldest was stored."""
        return self._disk.entries[min(self._disk.entries)].spooled_ms if self._disk.entries else 0

    def ids(self) -> Iterator[int]:
        """Read everything in order."""
        return iter(sorted(self._disk.entries))

    def keys(self) -> Iterator[SpoolKey]:
        """Return topic and key of all, in order."""
        bodies = [self._disk.entries[number].body for number in self.ids()]
        return iter([(body.topic, body.key) for body in bodies])

    def shrink(self) -> None:
        """Do nothing: there is no space to free."""

    def close(self) -> None:
        """Do nothing: there is no file to close."""

    def _work(self) -> None:
        if self._disk.weather.disk_broken:
            raise sqlite3.OperationalError("disk I/O error")


class Writer(SpoolWriter):
    """The real writer; only its thread and what opens its file are replaced."""

    def __init__(self, disk: Disk, process: Process, now_ms: Callable[[], int]) -> None:
        super().__init__(Path("unused"), now_ms=now_ms)
        self._disk = disk
        self._process = process
        self._queued = asyncio.Event()

    async def start(self) -> None:
        """Begin."""
        self._loop = asyncio.get_running_loop()
        self._ensure_open()
        self._process.spawn(self._live_on())

    async def stop(self, *, within_s: float) -> None:
        """Do nothing: no process stops in order here."""

    def put(self, body: Body, *, no_retry: bool) -> "asyncio.Future[int]":
        """Queue a body."""
        self._queued.set()
        return super().put(body, no_retry=no_retry)

    def ask(self, work: Callable[[SpoolStore], Any]) -> "asyncio.Future[Any]":
        """Queue work."""
        self._queued.set()
        return super().ask(work)

    async def _live_on(self) -> None:
        while True:
            await self._queued.wait()
            self._queued.clear()
            await self._disk.weather.hop()
            while not self._jobs.empty():
                try:
                    self._serve(self._gather())
                except PowerFailed:
                    self._process.exit_soon()
                    return
                await self._disk.weather.hop()

    def _ensure_open(self) -> SpoolStore:
        if self._store is None:
            store = Store(self._disk)
            totals = store.totals()
            self._store, self.trouble, self.free_bytes = store, "", _FREE_BYTES  # type: ignore[assignment]  # the same methods
            self.bodies, self.size_bytes, self.oldest_ms = totals.bodies, totals.size_bytes, totals.oldest_ms
        return self._store  # type: ignore[return-value]  # as above


class HastyWriter(Writer):
    """A naive spool that acknowledges a body when it is queued."""

    def put(self, body: Body, *, no_retry: bool) -> "asyncio.Future[int]":
        """Queue a body, and report it as stored."""
        super().put(body, no_retry=no_retry)
        stored: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        stored.set_result(-1)
        return stored
