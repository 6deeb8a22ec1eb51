"""A worker's spool as the event loop sees it: takes bodies within limits, and returns them in order.

Senders that can send again are refused first: a share of the room is kept for vendors that call once in a body's life.
It must not know Kafka, vendors or HTTP.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

from ingress.admission import HIGH_WATER
from ingress.spool.folder import LOCK_PATIENCE_S
from ingress.spool.queued_keys import SpooledKeys
from ingress.spool.store import Body, SpooledEntry, SpoolStore, Totals
from ingress.spool.writer import SpoolWriter
from schemas.config.settings import IngressSettings
from schemas.errors import Unavailable
from schemas.metrics import Registry

FLOOR_SHARE: Final = 0.25
"""Share of `spool_min_free_bytes` that is left free by bodies that are sent only once as well."""
STOP_S: Final = 10.0
ALARM_EVERY_S: Final = 60.0

_log = logging.getLogger("callweave.spool")


class Spool:
    """Use it as an async context manager; starting raises SetupError when another process or a later release has it."""

    def __init__(
        self,
        folder: Path,
        limits: IngressSettings,
        metrics: Registry,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        patience_s: float = LOCK_PATIENCE_S,
    ) -> None:
        self._limits = limits
        self._metrics = metrics
        self._now_ms = now_ms
        self._writer = SpoolWriter(folder, now_ms=now_ms, patience_s=patience_s)
        self._waiting_bytes = 0
        self._settled_bytes = 0
        """All bytes ever committed and reported to their callers; only the loop changes it."""
        self._keys = SpooledKeys()
        self._drained: set[int] = set()
        self._alarm: asyncio.Task[None] | None = None
        self.unacknowledged: dict[int, asyncio.Future[object]] = {}
        """Stored bodies, by id, that Kafka's client holds as well, and may still deliver."""
        self.taken = 0
        """Bodies that came in since the start."""

    async def __aenter__(self) -> Self:
        await self._writer.start()
        with contextlib.suppress(Unavailable):
            await self._writer.count_keys(self._keys)
        self._alarm = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            await asyncio.gather(self._alarm, return_exceptions=True)
        await self._writer.stop(within_s=STOP_S)

    @property
    def bodies(self) -> int:
        """The number of bodies that wait for Kafka."""
        return self._writer.bodies

    @property
    def size_bytes(self) -> int:
        """The bytes of these bodies."""
        return self._writer.size_bytes

    @property
    def waiting_bytes(self) -> int:
        """Bytes of bodies in memory that wait for the disk."""
        return self._waiting_bytes

    @property
    def oldest_s(self) -> float:
        """The age of the oldest body in seconds, 0 when there is none."""
        oldest_ms = self._writer.oldest_ms
        return max(0.0, (self._now_ms() - oldest_ms) / 1000) if oldest_ms and self.bodies else 0.0

    @property
    def set_aside(self) -> int:
        """The number of files that could not be read and wait for a person."""
        return self._writer.set_aside

    @property
    def too_large(self) -> Totals:
        """Totals of the bodies that the broker finds too large and that wait for a person."""
        return self._writer.too_large

    def holds(self, topic: str, key: bytes) -> bool:
        """True when bodies of this key are here (and sometimes when none is): a later one queues behind them."""
        return (topic, key) in self._keys

    def trouble(self) -> str:
        """Returns why it would take no body at all, "" when it would take one."""
        return self._writer.trouble or self._no_room(0, no_retry=True)

    def put(self, body: Body, *, no_retry: bool) -> asyncio.Future[int]:
        """Stores a body; the result is set after the commit's fsync. Do not cancel it.

        Raises, or fails with, Unavailable `spool`, `spool_full`, `buffer_full`.
        """
        size = body.size_bytes
        room = self._limits.max_buffer_bytes * (1.0 if no_retry else HIGH_WATER)
        if self._waiting_bytes + size > room:
            raise self._refused(f"{self._waiting_bytes} bytes already wait for the disk", "buffer_full")
        if full := self._no_room(size, no_retry=no_retry):
            raise self._refused(full, "spool_full")
        self._waiting_bytes += size
        self.taken += 1
        self._keys.add([(body.topic, body.key)])
        done = self._writer.put(body, no_retry=no_retry)
        done.add_done_callback(lambda done: self._settle(done, body))
        return done

    async def read(self, after: int, *, limit: int, limit_bytes: int) -> list[SpooledEntry]:
        """Returns the oldest bodies above an id that are still to be delivered, in order.

        Raises Unavailable `spool`.
        """
        while entries := await self._writer.ask(partial(_read, after=after, limit=limit, limit_bytes=limit_bytes)):
            wanted = [entry for entry in entries if entry.id not in self._drained]
            if wanted:
                return wanted
            after = entries[-1].id
        return []

    async def delete(self, ids: Sequence[int]) -> None:
        """Forgets delivered bodies.

        Those that a full disk does not delete are not returned again, and deleted later.
        """
        self._drained.update(ids)
        wanted = sorted(self._drained)
        try:
            self._keys.remove(await self._writer.delete(wanted))
        except Unavailable:
            with contextlib.suppress(Unavailable):
                if await self._writer.start_over(frozenset(wanted)):
                    self._drained.difference_update(wanted)
        else:
            self._drained.difference_update(wanted)
        if not self.bodies and not self._waiting_bytes:
            self._keys.clear()

    async def set_too_large_aside(self, entry: SpooledEntry) -> None:
        """Sets a body apart that the broker does not take; raises Unavailable `spool`, `spool_full`."""
        self._keys.remove(await self._writer.set_too_large_aside(entry))

    async def take_too_large_back(self) -> int:
        """Queues the bodies that were set apart once more.

        Returns their number. Raises Unavailable `spool`, `spool_full`.
        """
        return await self._writer.take_too_large_back()

    @property
    def undeleted(self) -> int:
        """The number of delivered bodies that the disk did not delete."""
        return len(self._drained)

    async def shrink(self) -> None:
        """Gives room back to the disk; worth it when the spool is empty."""
        with contextlib.suppress(Unavailable):
            while await self._writer.ask(lambda store: store.shrink()) and not self.bodies:
                pass  # bodies that came meanwhile are stored between two steps

    def _no_room(self, size: int, *, no_retry: bool) -> str:
        most = self._limits.spool_max_bytes * (1.0 if no_retry else HIGH_WATER)
        # Bodies that are committed and not yet settled count in the writer's size and still among the waiting ones.
        twice = self._writer.committed_bytes - self._settled_bytes
        if self._writer.size_bytes + self.too_large.size_bytes + self._waiting_bytes - twice + size > most:
            return f"the spool is full: {self._writer.bodies} bodies, {self._writer.size_bytes} bytes"
        floor = self._limits.spool_min_free_bytes * (FLOOR_SHARE if no_retry else 1.0)
        if self._writer.free_bytes - self._waiting_bytes - size < floor and not self._writer.trouble:
            return f"the spool's disk is full: {self._writer.free_bytes} bytes are free"
        return ""

    def _refused(self, sentence: str, code: str) -> Unavailable:
        self._metrics.add("callweave_spool_refused_total", code)
        return Unavailable(sentence, code=code)

    def _settle(self, done: asyncio.Future[int], body: Body) -> None:
        self._waiting_bytes -= body.size_bytes
        error = done.exception()
        if error is None:
            self._settled_bytes += body.size_bytes
            self._metrics.add("callweave_spool_written_total")
        else:
            self._keys.remove([(body.topic, body.key)])
            self._metrics.add(
                "callweave_spool_refused_total", error.code if isinstance(error, Unavailable) else "spool"
            )

    async def _watch(self) -> None:
        """Logs an error, again and again, while bodies are older than they should get."""
        while True:
            if self.oldest_s > self._limits.spool_max_age_s:
                _log.error("the oldest of %d bodies in the spool waits for %d s", self.bodies, self.oldest_s)
            await asyncio.sleep(ALARM_EVERY_S)


def _read(store: SpoolStore, *, after: int, limit: int, limit_bytes: int) -> list[SpooledEntry]:
    return store.read(after, limit=limit, limit_bytes=limit_bytes)
