"""The sink's loop: reads the three public topics, flushes batches, and commits the offsets of rows in ClickHouse.

A record's offset is committed only when its row, or its dead letter, is acknowledged (guarantee 5). After a crash, a
rebalance or a timeout the same records are read and inserted again, and rows converge (guarantee 8).
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from schemas import topics
from schemas.codec import Codecs
from schemas.errors import Unavailable
from schemas.kafka.holding import hold
from schemas.metrics import Registry
from sinks.columns import Table
from sinks.consumer import RebalanceCounter, rewind
from sinks.flush.batch import BatchPolicy, Origin, SinkBatch, paced
from sinks.flush.flusher import Flusher
from sinks.rows import DEAD_LETTERS, TIMELINES
from sinks.typed_records import gathered, is_tombstone
from sinks.writing.ledger import LEDGER
from sinks.writing.records import Records

T = TypeVar("T")

log: Final = logging.getLogger(__name__)

DRAIN_S: Final = 10.0
"""Seconds that a running flush gets at a stop; what it does not finish is read again at the next start."""
COMMIT_S: Final = 30.0
"""Seconds for which a commit is repeated while Kafka is away; then the process ends, and the rows are read again."""
IDLE_MS: Final = 200
"""Longest time for which the first record is waited for at once."""
HOLD_MS: Final = 100
"""Longest time for which the broker holds a fetch while a batch gathers: it ends when the batch is due, and has all
that came until then. A fetch that is answered with its first record has none of the others: they wait for the next one,
which the client sends only when the first was taken and a fetch of the quiet partitions has ended."""
LAST_MS: Final = 20
"""Time for which the fetch behind a record is held that came alone, and is due at once: it brings what came since, as
the other rows of the same call."""
ANSWER_MS: Final = 20
"""Time in which the answer to a fetch that was held arrives."""
_HELD_BYTES: Final = 256 * 1024
"""Bytes for which no fetch is held: so many records share its costs well."""
_MANY_RECORDS: Final = 500
_POLL_RECORDS: Final = 2000
"""Records taken at a time: a few milliseconds, in which the event loop does nothing else."""
_LEDGER_S: Final = 2.0
"""Time for which entries of the ledger gather: an insert costs a server as much as ten thousand of them."""
_SECOND_US: Final = 1_000_000
_PAUSE_AFTER_S: Final = 1.0
"""A flush that takes longer pauses the partitions, and the consumer goes on polling to stay in its group."""


class Sink:
    """The loop of one consumer: poll, gather, flush, commit."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        rebalances: RebalanceCounter,
        flusher: Flusher,
        codecs: Codecs,
        policy: BatchPolicy,
        metrics: Registry,
    ) -> None:
        self._consumer = consumer
        self._rebalances = rebalances
        self._flusher = flusher
        self._codecs = codecs
        self._policy = policy
        self._metrics = metrics
        self._paced = policy
        """The policy of the next batch, which is gathered for longer while rows come late."""
        self._rewound_at = -1
        """The count of rebalances for which the consumer's positions hold."""
        self._flushed_s = -math.inf
        """The middle of the last flush: the next one is counted from it, so a slow server gets time to gather rows."""
        self._ledger_due_s = -math.inf
        """The time from which on a poll reads the ledger, too."""
        self._behind = False
        """True when the last poll returned many records, so that more of them are there."""
        self._held = False
        """True when the last records gathered at the broker until they were fetched."""
        self._holds = False
        """The same of the fetch that is under way."""
        self._begin()

    async def work(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then finishes the last batch within `DRAIN_S` seconds."""
        while not stop.is_set():
            if self._rebalances.count != self._rewound_at:
                self._begin()
                # While Kafka is away this waits for the committed offsets without end.
                rewound = await _or_stop(rewind(self._consumer, self._rebalances), stop)
                if rewound is None:
                    break
                self._rewound_at = rewound
            await self._take_some(stop)
            if self._batch.due(_now_s()):
                if not self._behind and not self._held and not self._batch.full:
                    await self._take_some(stop)
                await self._flush(stop)
        await self._flush(stop)

    def measure(self) -> None:
        """Sets the lag gauge: the records on the broker that are not yet read."""
        lag = 0
        for tp in self._consumer.assignment():
            with contextlib.suppress(AssertionError, IllegalStateError):  # assigned a moment ago
                end = self._consumer.highwater(tp)
                state = self._consumer._subscription.subscription.assignment.state_value(tp)  # noqa: SLF001 - position() may wait for the broker
                if end is not None and state.has_valid_position:
                    lag += max(0, end - state.position)
        self._metrics.put("callweave_lag_records", "sink", value=lag)

    def _begin(self) -> None:
        self._batch = SinkBatch(self._paced, self._flushed_s)

    async def _take_some(self, stop: asyncio.Event) -> None:
        """Takes the next records into the batch."""
        polled = await self._poll(stop)
        self._behind = sum(map(len, polled.values())) >= _MANY_RECORDS
        for place, came in polled.items():
            rows = [origin for origin in came if not is_tombstone(place.topic, origin.value)]
            self._batch.add((place.topic, place.partition), came, rows)

    async def _poll(self, stop: asyncio.Event) -> dict[TopicPartition, list[Origin]]:
        """Returns some records; none when a rebalance or the stop came in between."""
        before = self._rewound_at
        # During a rebalance getmany waits without regard to its timeout.
        records = await _or_stop(self._fetched(min(_POLL_RECORDS, self._batch.room)), stop)
        return records if records is not None and before == self._rebalances.count else {}

    async def _fetched(self, limit: int) -> dict[TopicPartition, list[Origin]]:
        """Returns some records, and says how long the broker holds the fetch behind them, before it is asked for."""
        self._let_the_ledger_wait()
        wait_s = self._batch.wait_s(_now_s())
        timeout_ms = IDLE_MS if wait_s is None else min(IDLE_MS, math.ceil(wait_s * 1000) + LAST_MS + ANSWER_MS)
        records: dict[TopicPartition, list[Origin]] = await self._consumer.getmany(
            timeout_ms=timeout_ms, max_records=limit
        )
        if any(place.topic == topics.LEDGER.name for place in records):
            self._ledger_due_s = _now_s() + _LEDGER_S
            self._let_the_ledger_wait()
        hold_ms = self._hold_ms(sum(map(len, records.values())))
        self._held, self._holds = self._holds, hold_ms > 0
        hold(self._consumer, hold_ms, _HELD_BYTES)
        return records

    def _hold_ms(self, came: int) -> int:
        """Returns how long the next fetch is held when so many records came: until the batch with them is due."""
        if came >= _MANY_RECORDS or (not came and self._batch.wait_s(_now_s()) is None):
            return 0
        left_ms = math.ceil(self._batch.left_s(_now_s()) * 1000)
        if not left_ms and self._holds:
            return HOLD_MS  # it is for the next batch, as this one has all that came
        return max(LAST_MS, min(HOLD_MS, left_ms))

    def _let_the_ledger_wait(self) -> None:
        """Pauses the ledger until it is its turn again: what is fetched and not taken would hold up all partitions."""
        ledger = {place for place in self._consumer.assignment() if place.topic == topics.LEDGER.name}
        paused = ledger & self._consumer.paused()
        if _now_s() >= self._ledger_due_s:
            self._consumer.resume(*paused)
        else:
            self._consumer.pause(*(ledger - paused))

    async def _flush(self, stop: asyncio.Event) -> None:
        """Flushes the batch and commits it, unless the partitions change hands or a stop runs out of time."""
        offsets = self._batch.offsets()
        if not offsets:
            return
        began_s = _now_s()
        flushing = asyncio.create_task(self._flush_records(self._batch.origins))
        try:
            done = await self._stay_in_group(flushing, stop)
        finally:
            await _end(flushing)
        gathered_s, self._flushed_s = began_s - self._flushed_s, (began_s + _now_s()) / 2
        if done:
            youngest_s = flushing.result()
            self._paced = paced(self._policy, self._batch.rows, gathered_s, time.time() - youngest_s)
            await self._commit({TopicPartition(*partition): offset for partition, offset in offsets.items()})
        self._begin()

    async def _flush_records(self, origins: Mapping[str, Sequence[Origin]]) -> float:
        """Flushes the records of each topic; returns the latest receipt of a row, 0 without rows."""
        tables, dead_letters = gathered(origins, self._codecs)
        await self._flusher.flush(tables, dead_letters)
        return max((_youngest_s(table, records) for table, records in tables), default=0.0)

    async def _stay_in_group(self, flushing: asyncio.Task[float], stop: asyncio.Event) -> bool:
        """Waits for the task while the consumer stays in its group; False when waiting longer has no use."""
        await asyncio.wait({flushing}, timeout=_PAUSE_AFTER_S)
        if flushing.done():
            return True
        paused = list(self._consumer.assignment())
        self._consumer.pause(*paused)
        stop_s: float | None = None
        while not flushing.done() and self._rebalances.count == self._rewound_at:
            if stop.is_set():
                stop_s = stop_s or _now_s() + DRAIN_S
                if _now_s() > stop_s:
                    log.warning("stopped before ClickHouse took the last rows; they are read again at the next start")
                    break
            # Paused partitions give no records: this only tells the group that the consumer is alive.
            await self._consumer.getmany(*paused, timeout_ms=0)
            await asyncio.wait({flushing}, timeout=IDLE_MS / 1000)
        self._consumer.resume(*(self._consumer.paused() & set(paused)))
        return flushing.done()

    async def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        try:
            await asyncio.wait_for(self._consumer.commit(offsets), COMMIT_S)
        except (CommitFailedError, IllegalStateError):
            # The partitions went to another member, which inserts these rows again: nothing is lost.
            self._rebalances.end()
        except TimeoutError as exc:
            raise Unavailable(f"Kafka did not take a commit in {COMMIT_S} s") from exc


_RECEIPT: Final[Mapping[str, str]] = {
    TIMELINES.name: "last_received_at",
    LEDGER.name: "newest_s",
    DEAD_LETTERS.name: "occurred_at",
}
"""The field that says when the last of what a row says was received, where it is not `received_at`."""


def _youngest_s(table: Table[Any], records: Records) -> float:
    """Returns the latest receipt of some rows, by the clock of the ingress."""
    name = _RECEIPT.get(table.name, "received_at")
    receipts = map(attrgetter(name), records.objects.values())
    receipts_s: list[float] = [at.timestamp() if isinstance(at, datetime) else at for at in receipts]
    _, scanned = records.columns
    if scanned is not None:
        receipts_s.append(int(scanned.longs(name).values.max()) / _SECOND_US)
    return max(receipts_s, default=0.0)


def _now_s() -> float:
    """Returns the event loop's clock in seconds: it is monotonic, and every wait here is measured by it."""
    return asyncio.get_running_loop().time()


async def _or_stop(work: Awaitable[T], stop: asyncio.Event) -> T | None:
    """Returns the result of `work`, or None when the stop came first and cancelled it."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        await _end(working, stopping)


async def _end(*tasks: asyncio.Future[Any]) -> None:
    """Cancels the tasks that still run, and waits until all have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
