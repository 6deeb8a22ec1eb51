"""One batch, all the way: rows in, refused rows on `calls.dead`, and only then is it done. Waits while ClickHouse is away.

It knows no offsets: that nothing is committed before `finish` returns is the worker's part.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from schemas.codec import Codecs
from schemas.dead_letter import DeadLetter, without_original
from schemas.errors import Unavailable
from schemas.metrics import Registry
from sinks.error_classes import RowsRefused
from sinks.flush.backoff import Backoff
from sinks.flush.batch import SinkBatch, SinkRow
from sinks.flush.insert import Insert, RefusedRow, insert_or_bisect
from sinks.flush.sink_dead_letter import SinkCode, belongs_on_topic, letter_of, without_headers
from sinks.rows import DEAD_LETTERS, Table

log: Final = logging.getLogger(__name__)

T = TypeVar("T")
Publish = Callable[[list[DeadLetter]], Awaitable[None]]


class Flusher:
    """Finishes batches."""

    def __init__(self, insert: Insert, publish: Publish, backoff: Backoff, metrics: Registry) -> None:
        self._insert = insert
        self._publish = publish
        self._backoff = backoff
        self._metrics = metrics
        self._waiting = 0

    async def finish(self, batch: SinkBatch, letters: Sequence[DeadLetter]) -> None:
        """Return when every row of `batch` is in its table or a dead letter, and `letters` too are on `calls.dead`."""
        tables = list(batch.tables())
        refused = await asyncio.gather(*(self._land(table, items) for table, items in tables))
        dead = [*letters]
        for refusals in refused:
            dead += [letter_of(one.item.origin, _code(one), one.detail) for one in refusals]
        # A letter about calls.dead goes into the table directly; on the topic it would be refused again, for ever.
        await self._publish([letter for letter in dead if belongs_on_topic(letter)])
        for letter in dead:
            if not belongs_on_topic(letter):
                await self._keep(letter)
        now_s = time.time()
        for table, items in tables:
            newest_s = max(item.origin.timestamp_ms for item in items) / 1000
            self._metrics.put("callweave_sink_freshness_seconds", table.label, value=max(0.0, now_s - newest_s))

    async def _land(self, table: Table[Any], items: Sequence[SinkRow]) -> list[RefusedRow]:
        return await self._patiently(lambda: insert_or_bisect(table, items, self._insert, self._metrics))

    async def _keep(self, letter: DeadLetter) -> None:
        async def once() -> None:
            for form in (letter, without_original(letter), without_headers(letter)):
                try:
                    await self._insert(DEAD_LETTERS, [form])
                except RowsRefused:
                    continue
                return
            log.error(
                "lost: ClickHouse refuses the dead letter of %s[%d] %d", letter.topic, letter.partition, letter.offset
            )

        await self._patiently(once)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        attempt = 0
        said = ""
        try:
            while True:
                try:
                    return await work()
                except Unavailable as exc:
                    if not attempt:
                        self._show_waiting(1)
                    if str(exc) != said:  # away, and then there without its tables: each asks something else of people
                        said = str(exc)
                        log.warning("waiting for ClickHouse: %s", said)
                    attempt += 1
                await asyncio.sleep(self._backoff.delay_s(attempt - 1, random.random()))  # noqa: S311 - spreads clients, no secret
        finally:
            if attempt:
                self._show_waiting(-1)

    def _show_waiting(self, change: int) -> None:
        """Several tables may wait at once: the gauge is 0 when none does."""
        self._waiting += change
        self._metrics.put("callweave_sink_waiting", value=min(1, self._waiting))
        if not self._waiting:
            log.warning("no longer waiting for ClickHouse")


def _code(refusal: RefusedRow) -> SinkCode:
    return "internal" if refusal.code == "internal" else "row"


def publisher(producer: Any, codecs: Codecs, topic: str, limit_bytes: int) -> Publish:
    """A `Publish` that returns when Kafka holds every letter; one too large for the topic goes without its bytes, or its headers."""

    def form_of(letter: DeadLetter) -> bytes:
        value = b""
        for form in (letter, without_original(letter), without_headers(letter)):
            value = codecs.dead_letter.encode(form)
            if len(value) <= limit_bytes:
                break
        return value

    async def publish(letters: list[DeadLetter]) -> None:
        waiting = [await producer.send(topic, form_of(letter), key=letter.vendor.encode()) for letter in letters]
        await asyncio.gather(*waiting)

    return publish
