"""Sends spooled bodies to Kafka when it is back: in order per key, and slowly enough not to delay live bodies.

A body leaves the spool after Kafka's acknowledgement, so one that was sent just before a crash is sent twice: the
joiner recognises the duplicate. A key that Kafka does not take holds up only itself.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Literal, Protocol

from ingress.kafka.producer import AckTimeout
from ingress.kafka.publisher import Settled
from ingress.spool.queued_keys import SpoolKey
from ingress.spool.spool import Spool
from ingress.spool.store import SpooledEntry
from schemas.errors import Unavailable
from schemas.metrics import Registry
from schemas.raw import Headers

SLICES_PER_S: Final = 10
"""Portions in which a second's share is sent."""
SLICE_BYTES: Final = 4 * 1024 * 1024
LOOK_EVERY_S: Final = 0.25
PATIENCE_S: Final = 10.0
"""Longest wait for one body; its key then waits for the next round."""
MOST_BLOCKED_KEYS: Final = 10_000

_log = logging.getLogger("callweave.spool")
_Outcome = Literal["sent", "set_aside", "stuck"]


class KafkaSide(Protocol):
    """The part of a `KafkaPublisher` that the spool needs."""

    async def publish(
        self, topic: str, key: bytes, value: bytes, headers: Headers, *, within_s: float | None = None
    ) -> None:
        """Returns after Kafka's acknowledgement; else raises Unavailable, after `within_s` seconds `AckTimeout`."""

    def submit(
        self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, *, within_s: float
    ) -> None:
        """Begins what `publish` does, for a caller without a task; `settled` is called once, now or later."""

    def why_not(self) -> str:
        """Returns why Kafka takes nothing now, "" when it does."""

    @property
    def late_bytes(self) -> int:
        """Bytes of records that were given up and that Kafka's client still holds."""


class Drainer:
    """Empties one spool into Kafka."""

    def __init__(self, spool: Spool, kafka: KafkaSide, metrics: Registry, *, per_s: int) -> None:
        self._spool = spool
        self._kafka = kafka
        self._metrics = metrics
        self._per_s = per_s

    async def run(self) -> None:
        """Empties the spool whenever it holds bodies and Kafka is there; runs until cancelled."""
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
        """Sends one round, from the oldest to the newest body; returns how many went. Raises Unavailable `spool`."""
        loop = asyncio.get_running_loop()
        after, sent = 0, 0
        blocked: set[SpoolKey] = set()
        limit = max(1, self._per_s // SLICES_PER_S)
        while not self._kafka.why_not() and len(blocked) < MOST_BLOCKED_KEYS:
            begun, taken = loop.time(), self._spool.taken
            entries = await self._spool.read(after, limit=limit, limit_bytes=SLICE_BYTES)
            if not entries:
                break
            after = entries[-1].id
            sent += await self._slice(entries, blocked)
            # Bodies that were spooled meanwhile were live and are no load beside the live ones: without this, keys that
            # always have traffic would fill the spool as fast as it empties.
            beside = max(0, len(entries) - (self._spool.taken - taken))
            await asyncio.sleep(max(0.0, begun + beside / self._per_s - loop.time()))
        if self._spool.undeleted:
            await self._spool.delete(())
        return sent

    async def _slice(self, entries: Sequence[SpooledEntry], blocked: set[SpoolKey]) -> int:
        """Sends some bodies: keys side by side, the bodies of a key in order; keys that stop are added to `blocked`."""
        keys: dict[SpoolKey, list[SpooledEntry]] = {}
        for entry in entries:
            keys.setdefault((entry.body.topic, entry.body.key), []).append(entry)
        wanted = [key for key in keys if key not in blocked]
        ends = await asyncio.gather(*(self._sequence(keys[key]) for key in wanted))
        blocked.update(key for key, outcomes in zip(wanted, ends, strict=True) if "stuck" in outcomes)
        ids = [
            entry.id
            for key, outcomes in zip(wanted, ends, strict=True)
            for entry, outcome in zip(keys[key], outcomes, strict=False)  # the bodies behind a stuck one wait
            if outcome == "sent"
        ]
        if ids:
            await self._spool.delete(ids)
            self._metrics.add("callweave_spool_drained_total", by=len(ids))
        return len(ids)

    async def _sequence(self, entries: Sequence[SpooledEntry]) -> list[_Outcome]:
        """Sends the bodies of one key in order; returns their outcomes up to the first one that did not go."""
        outcomes: list[_Outcome] = []
        for entry in entries:
            outcomes.append(await self._send(entry))
            if outcomes[-1] == "stuck":
                break
        return outcomes

    async def _send(self, entry: SpooledEntry) -> _Outcome:
        later = self._spool.unacknowledged.get(entry.id)
        if later is not None:
            await asyncio.wait({later}, timeout=PATIENCE_S)
            self._spool.unacknowledged.pop(entry.id, None)
            if later.done() and not later.cancelled() and later.exception() is None:
                return "sent"
        body = entry.body
        try:
            await self._kafka.publish(body.topic, body.key, body.value, list(body.headers), within_s=PATIENCE_S)
        except AckTimeout as exc:
            if exc.later is not None:
                self._spool.unacknowledged[entry.id] = exc.later
            return "stuck"
        except Unavailable as exc:
            return await self._set_aside(entry, exc) if exc.code == "oversize" else "stuck"
        return "sent"

    async def _set_aside(self, entry: SpooledEntry, error: Unavailable) -> _Outcome:
        """Sets a body aside that only another limit on the topic would let through.

        Later bodies must not wait for that.
        """
        _log.error(
            "a body is kept apart: %s; raise max.message.bytes of %s and run `callweave spool drain` with the ingress stopped",
            error,
            entry.body.topic,
        )
        try:
            await self._spool.set_too_large_aside(entry)
        except Unavailable as exc:
            _log.error("it could not be kept apart and holds up its key: %s", exc)
            return "stuck"
        return "set_aside"
