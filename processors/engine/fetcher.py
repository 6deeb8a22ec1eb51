"""The consumer thread: one aiokafka consumer with exactly our settings, whose fetches never overlap a seek.

Stock Faust may drop records that were fetched just before a rebalance and not seek back to them, because aiokafka seeks
only where something was committed before. Here a fetch and a seek take turns, every fetch is stamped with the number of
seeks before it, and a seek goes to the committed offset or to the beginning, always. A reader that sees an old stamp
discards the records: they will come again.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import aiokafka
import msgspec
import uvloop
from faust.exceptions import ImproperlyConfigured
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP
from mode.threads import MethodQueue

from processors.engine.assignor import EachTopicAssignor
from processors.engine.gathering import gather
from processors.records import Record, record_of
from schemas.config.settings import KafkaSettings
from schemas.kafka import clients

ASK_S = 5.0
"""Timeout of asking the broker for the lag."""
CALLS_AT_ONCE = 8


class ReaderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of reading record batches; times in seconds unless the name says otherwise."""

    batch_records: int = 1000
    """Most records in one batch."""
    batches_ahead: int = 2
    """A partition is not read further while this many of its batches are unfinished; the next ones then grow larger."""
    poll_records: int = 2000
    """Most records taken from aiokafka's fetcher at once."""
    partition_fetch_bytes: int = 1 << 20
    """Most bytes of one partition in a fetch; a larger record comes nevertheless, alone."""
    fetch_bytes: int = 16 << 20
    """Most bytes of all partitions of one broker in a fetch."""
    fetch_wait_ms: int = 500
    """Longest time that the broker waits before an empty answer; records are answered at once."""
    isolation_level: str = "read_committed"
    """Isolation towards transactions of other producers; we use none."""
    drain_s: float = 5.0
    """Longest time that a rebalance or stop waits for batches being processed; must be well below the session
    timeout."""


class FetcherThread(AIOKafkaConsumerThread):  # type: ignore[misc]  # faust has no usable types
    """Faust's consumer thread with our consumer in it."""

    _method_queue: MethodQueue | None = None

    def __init__(self, consumer: Any, *, kafka: KafkaSettings, settings: ReaderSettings, **kwargs: Any) -> None:
        self.kafka = kafka
        self.settings = settings
        self.seeks = 0
        """Number of seeks so far; read by the main thread."""
        self._turn = asyncio.Lock()
        # Like the main thread's: asyncio's own is Python, and takes more CPU for the same sockets.
        super().__init__(consumer, thread_loop=uvloop.new_event_loop(), **kwargs)
        self._close_thread_loop_on_stop = True

    async def fetch(self, partitions: set[TP], timeout_s: float) -> tuple[int, Mapping[TP, list[Record]]]:
        """Return `seeks` and the next records of these partitions, waiting at most `timeout_s` for the first."""
        stamped: tuple[int, Mapping[TP, list[Record]]] = await self.call_thread(self._fetch, partitions, timeout_s)
        return stamped

    async def _fetch(self, partitions: set[TP], timeout_s: float) -> tuple[int, Mapping[TP, list[Record]]]:
        async with self._turn:
            consumer = self._ensure_consumer()
            records = await self._fetch_records(
                consumer, partitions, timeout=timeout_s, max_records=self.settings.poll_records
            )
            gather(consumer, sum(map(len, records.values())))
            return self.seeks, records

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        """Set every assigned partition to its committed offset, or to its beginning, and return what was committed."""
        committed: Mapping[TP, int | None] = await self.call_thread(self._seek_to_committed)
        return committed

    async def _seek_to_committed(self) -> Mapping[TP, int | None]:
        async with self._turn:
            self.seeks += 1
            consumer = self._ensure_consumer()
            partitions = sorted(consumer.assignment())
            offsets = await asyncio.gather(*(consumer.committed(tp) for tp in partitions))
            fresh = []
            for tp, offset in zip(partitions, offsets, strict=True):
                if offset is None:
                    fresh.append(tp)
                else:
                    consumer.seek(tp, offset)
            if fresh:
                await consumer.seek_to_beginning(*fresh)
            return {TP(tp.topic, tp.partition): offset for tp, offset in zip(partitions, offsets, strict=True)}

    async def lag(self, partitions: Iterable[TP]) -> Mapping[TP, int]:
        """Ask the broker for the number of offsets between the reading position and the end of each partition."""
        lags: Mapping[TP, int] = await self.call_thread(self._lag, list(partitions))
        return lags

    async def _lag(self, partitions: list[TP]) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        async with asyncio.timeout(ASK_S):
            ends = await consumer.end_offsets(consumer.assignment() & set(partitions))
            return {TP(tp.topic, tp.partition): end - await consumer.position(tp) for tp, end in ends.items()}

    @property
    def method_queue(self) -> MethodQueue:
        """The calls into this thread; more workers than Faust's two, so that no question delays a commit."""
        if self._method_queue is None:
            self._method_queue = MethodQueue(num_workers=CALLS_AT_ONCE, loop=self.thread_loop, beacon=self.beacon)
        return self._method_queue

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002 - Faust's signature
        if self.app.tables.changelog_topics:
            raise ImproperlyConfigured(
                "Faust tables cannot be recovered through record batches: restore state by `restore()`"
            )
        conf, settings = self.app.conf, self.settings
        return clients.consumer(
            self.kafka,
            "process",
            make=record_of,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            # Faust's own assignor is for its tables; this one moves as few partitions as possible, and has no leader.
            partition_assignment_strategy=[EachTopicAssignor],
            max_poll_records=settings.poll_records,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=settings.partition_fetch_bytes,
            fetch_max_bytes=settings.fetch_bytes,
            fetch_max_wait_ms=settings.fetch_wait_ms,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            isolation_level=settings.isolation_level,
            # Delay before a topic is noticed that had no leader when the group formed: after a broker's restart all of
            # them.
            metadata_max_age_ms=3_000,
        )
