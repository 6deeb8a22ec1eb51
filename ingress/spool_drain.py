"""Brings what was spooled to Kafka when it is back: in order per key, and slowly enough that live bodies keep their latency.

A body leaves the spool after Kafka's acknowledgement, so one that was sent just before a crash is sent twice: a duplicate, which
the joiner knows. A key that Kafka does not take holds up only itself.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from ingress.kafka_publisher import Late
from ingress.publisher import Headers
from ingress.spool import Spool
from ingress.spool_store import Entry
from schemas.errors import Unavailable
from schemas.metrics import Registry

SLICES_PER_S: Final = 10
"""The second's share is sent in so many portions."""
SLICE_BYTES: Final = 4 * 1024 * 1024
LOOK_EVERY_S: Final = 0.25
PATIENCE_S: Final = 10.0
"""For one body: then its key waits for the next round."""
MOST_BLOCKED_KEYS: Final = 10_000

_log = logging.getLogger("callweave.spool")
_Key = tuple[str, bytes]


class Kafka(Protocol):
    """As much of a `KafkaPublisher` as the spool needs."""

    async def publish(
        self, topic: str, key: bytes, value: bytes, headers: Headers, *, within_s: float | None = None
    ) -> None:
        """Return after Kafka's acknowledgement; else raise Unavailable, after `within_s` seconds `Late`."""

    def why_not(self) -> str:
        """Why Kafka takes nothing now, "" when it does."""


class Drain:
    """Empties one spool."""

    def __init__(self, spool: Spool, kafka: Kafka, metrics: Registry, *, per_s: int) -> None:
        self._spool = spool
        self._kafka = kafka
        self._metrics = metrics
        self._per_s = per_s

    async def run(self) -> None:
        """Empty the spool whenever there is something in it and Kafka is there; until cancelled."""
        while True:
            if self._spool.bodies and not self._kafka.why_not():
                try:
                    await self.once()
                except Unavailable as exc:
                    _log.warning("draining stopped for now: %s", exc)
                except Exception:  # noqa: BLE001  # nothing may end the one task that empties the spool
                    _log.exception("draining failed in an unknown way")
                if not self._spool.bodies:
                    _log.info("the spool is drained")
                    await self._spool.shrink()
            await asyncio.sleep(LOOK_EVERY_S)

    async def once(self) -> int:
        """One round from the oldest to the newest body; how many went. Raises Unavailable `spool`."""
        loop = asyncio.get_running_loop()
        after, sent = 0, 0
        blocked: set[_Key] = set()
        limit = max(1, self._per_s // SLICES_PER_S)
        while not self._kafka.why_not() and len(blocked) < MOST_BLOCKED_KEYS:
            begun = loop.time()
            entries = await self._spool.read(after, limit=limit, limit_bytes=SLICE_BYTES)
            if not entries:
                break
            after = entries[-1].id
            sent += await self._slice(entries, blocked)
            await asyncio.sleep(max(0.0, begun + len(entries) / self._per_s - loop.time()))
        if self._spool.undeleted:
            await self._spool.delete(())
        return sent

    async def _slice(self, entries: Sequence[Entry], blocked: set[_Key]) -> int:
        """Send some: the keys side by side, the bodies of a key one after the other; keys that stop are `blocked` from then."""
        keys: dict[_Key, list[Entry]] = {}
        for entry in entries:
            keys.setdefault((entry.body.topic, entry.body.key), []).append(entry)
        wanted = [key for key in keys if key not in blocked]
        counts = await asyncio.gather(*(self._sequence(keys[key]) for key in wanted))
        blocked.update(key for key, count in zip(wanted, counts, strict=True) if count < len(keys[key]))
        ids = [entry.id for key, count in zip(wanted, counts, strict=True) for entry in keys[key][:count]]
        if ids:
            await self._spool.delete(ids)
            self._metrics.add("callweave_spool_drained_total", by=len(ids))
        return len(ids)

    async def _sequence(self, entries: Sequence[Entry]) -> int:
        """How many of a key's bodies went, from the first to the one that did not."""
        for count, entry in enumerate(entries):
            if not await self._send(entry):
                return count
        return len(entries)

    async def _send(self, entry: Entry) -> bool:
        later = self._spool.on_its_way.get(entry.id)
        if later is not None:
            await asyncio.wait({later}, timeout=PATIENCE_S)
            self._spool.on_its_way.pop(entry.id, None)
            if later.done() and not later.cancelled() and later.exception() is None:
                return True
        body = entry.body
        try:
            await self._kafka.publish(body.topic, body.key, body.value, list(body.headers), within_s=PATIENCE_S)
        except Late as exc:
            if exc.later is not None:
                self._spool.on_its_way[entry.id] = exc.later
            return False
        except Unavailable as exc:
            if exc.code == "oversize":
                _log.error("body %d stays in the spool: %s", entry.id, exc)
            return False
        return True
