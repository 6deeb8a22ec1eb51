"""Flushes one batch: rows into their tables, refused rows to `calls.dead`. Waits while ClickHouse is away.

This module knows no offsets: the worker commits none before `flush` returns.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from schemas.backoff import Backoff
from schemas.codec import Codecs
from schemas.dead_letter import DeadLetter, without_original
from schemas.errors import Unavailable
from schemas.metrics import Registry
from sinks.columns import Table
from sinks.error_classes import RowsRefused
from sinks.flush.insert import Insert, RefusedRow, insert_or_bisect
from sinks.flush.sink_dead_letter import SinkCode, belongs_on_topic, dead_letter_of, without_headers
from sinks.rows import DEAD_LETTERS
from sinks.writing.records import Records

log: Final = logging.getLogger(__name__)

T = TypeVar("T")
Publish = Callable[[list[DeadLetter]], Awaitable[None]]


class Flusher:
    """Flushes batches, and shows in a gauge whether one waits for ClickHouse."""

    def __init__(
        self,
        insert: Insert,
        publish: Publish,
        backoff: Backoff,
        metrics: Registry,
        require_room: Callable[[], Awaitable[None]],
    ) -> None:
        """`require_room` raises `Unavailable` where what was inserted may not be stored, because a disk is full."""
        self._insert = insert
        self._require_room = require_room
        self._publish = publish
        self._backoff = backoff
        self._metrics = metrics
        self._waiting = 0

    async def flush(self, tables: Sequence[tuple[Table[Any], Records]], undecodable: Sequence[DeadLetter]) -> None:
        """Returns when every row is in its table or a dead letter, and `undecodable` is on `calls.dead`."""
        refused = await self._until_available(lambda: self._insert_all(tables))
        dead = [*undecodable]
        for refusals in refused:
            dead += [dead_letter_of(one.origin, _code(one), one.detail) for one in refusals]
        # One about a record of calls.dead goes into the table directly: the topic would bring it back for ever.
        await self._publish([dead_letter for dead_letter in dead if belongs_on_topic(dead_letter)])
        for dead_letter in dead:
            if not belongs_on_topic(dead_letter):
                await self._insert_dead_letter(dead_letter)
        now_s = time.time()
        for table, rows in tables:
            newest_s = max(origin.timestamp_ms for origin in rows.origins) / 1000
            self._metrics.put("callweave_sink_freshness_seconds", table.label, value=max(0.0, now_s - newest_s))

    async def _insert_all(self, tables: Sequence[tuple[Table[Any], Records]]) -> list[list[RefusedRow]]:
        """Inserts the rows of all tables and returns the refused ones of each. Raises `Unavailable` for a full disk."""
        refused = await asyncio.gather(*(self._insert_rows(table, rows) for table, rows in tables))
        try:
            await self._require_room()
        except Unavailable:
            for table, _ in tables:
                self._metrics.add("callweave_sink_inserts_total", table.label, "retry")
            raise
        return refused

    async def _insert_rows(self, table: Table[Any], rows: Records) -> list[RefusedRow]:
        return await self._until_available(lambda: insert_or_bisect(table, rows, self._insert, self._metrics))

    async def _insert_dead_letter(self, dead_letter: DeadLetter) -> None:
        async def once() -> None:
            for form in (dead_letter, without_original(dead_letter), without_headers(dead_letter)):
                try:
                    await self._insert(DEAD_LETTERS, [form])
                except RowsRefused:
                    continue
                await self._require_room()
                return
            log.error(
                "lost: ClickHouse refuses the dead letter of %s[%d] %d",
                dead_letter.topic,
                dead_letter.partition,
                dead_letter.offset,
            )

        await self._until_available(once)

    async def _until_available(self, work: Callable[[], Awaitable[T]]) -> T:
        """Repeats `work` with backoff while it raises `Unavailable`; logs each new reason once."""
        attempt = 0
        last_reason = ""
        try:
            while True:
                try:
                    return await work()
                except Unavailable as exc:
                    if not attempt:
                        self._show_waiting(1)
                    if str(exc) != last_reason:  # away, and then back without its tables: an operator does other things
                        last_reason = str(exc)
                        log.warning("waiting for ClickHouse: %s", last_reason)
                    attempt += 1
                await asyncio.sleep(self._backoff.delay_s(attempt - 1, random.random()))  # noqa: S311 - spreads clients, no secret
        finally:
            if attempt:
                self._show_waiting(-1)

    def _show_waiting(self, change: int) -> None:
        """Sets the gauge, which is 0 only when no table waits."""
        self._waiting += change
        self._metrics.put("callweave_sink_waiting", value=min(1, self._waiting))
        if not self._waiting:
            log.warning("no longer waiting for ClickHouse")


def _code(refusal: RefusedRow) -> SinkCode:
    return "internal" if refusal.code == "internal" else "row"


def publisher(producer: Any, codecs: Codecs, topic: str, limit_bytes: int) -> Publish:
    """Returns a `Publish` that waits until Kafka holds every dead letter.

    One larger than `limit_bytes` is sent without its original, and then without its headers.
    """

    def fitting(dead_letter: DeadLetter) -> bytes:
        value = b""
        for form in (dead_letter, without_original(dead_letter), without_headers(dead_letter)):
            value = codecs.dead_letter.encode(form)
            if len(value) <= limit_bytes:
                break
        return value

    async def publish(dead_letters: list[DeadLetter]) -> None:
        sent = [await producer.send(topic, fitting(one), key=one.vendor.encode()) for one in dead_letters]
        await asyncio.gather(*sent)

    return publish
