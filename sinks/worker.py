"""The sink's process: reads the three public topics, inserts in rounds, and commits what is in ClickHouse.

A record's offset is committed only when its row, or its dead letter, is acknowledged. Everything else follows from rows
that converge: after a crash, a rebalance or a timeout the same records are read and inserted again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from schemas.codec import Codecs
from schemas.config.settings import Settings
from schemas.dead_letter import DeadLetter
from schemas.errors import Unavailable, Undecodable
from schemas.metrics import Registry
from schemas.raw import Position
from schemas.topics import DEAD, MAX_MESSAGE_BYTES
from sinks.clickhouse import ClickHouse
from sinks.consumer import RebalanceCounter, member, rewind
from sinks.flush.backoff import Backoff
from sinks.flush.batch import BatchPolicy, Origin, SinkBatch, SinkRow
from sinks.flush.flusher import Flusher, publisher
from sinks.flush.sink_dead_letter import letter_of
from sinks.typed_records import read

T = TypeVar("T")

log: Final = logging.getLogger(__name__)

DRAIN_S: Final = 10.0
"""At a stop, a round in hand gets this long; what it does not finish is read again at the next start."""
COMMIT_S: Final = 30.0
"""A commit is repeated while Kafka is away; after this long the process ends, and the next one reads the rows again."""
_IDLE_MS: Final = 200
_SLICE: Final = 2000
"""Records decoded at a time: about 0.1 s, in which nothing else runs."""
_HOLD_S: Final = 1.0
"""A round that takes longer pauses the partitions, and the consumer goes on polling to stay in its group."""
_LETTER_ROOM: Final = 64 * 1024
"""Left for headers and framing of a record at the broker's limit."""


class Sink:
    """Reads, gathers, inserts, commits; made for one consumer."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        tenure: RebalanceCounter,
        rounds: Flusher,
        codecs: Codecs,
        policy: BatchPolicy,
        metrics: Registry,
    ) -> None:
        self._consumer = consumer
        self._tenure = tenure
        self._rounds = rounds
        self._codecs = codecs
        self._policy = policy
        self._metrics = metrics
        self._held = -1
        self._begin()

    async def work(self, stop: asyncio.Event) -> None:
        """Until `stop`, then finish the round in hand within `DRAIN_S`."""
        while not stop.is_set():
            if self._tenure.count != self._held:
                self._begin()
                # While Kafka is away it waits for the committed offsets without end.
                rewound = await _or_stop(rewind(self._consumer, self._tenure), stop)
                if rewound is None:
                    break
                self._held = rewound
            for records in (await self._poll(stop)).values():
                for record in records:
                    self._take(record)
            if self._batch.due(_now_s()):
                await self._round(stop)
        await self._round(stop)

    def measure(self) -> None:
        """Set the lag gauge: records that are on the broker and not yet read."""
        lag = 0
        for tp in self._consumer.assignment():
            with contextlib.suppress(AssertionError, IllegalStateError):  # assigned a moment ago
                end = self._consumer.highwater(tp)
                state = self._consumer._subscription.subscription.assignment.state_value(tp)  # noqa: SLF001 - position() may wait for the broker
                if end is not None and state.has_valid_position:
                    lag += max(0, end - state.position)
        self._metrics.put("callweave_lag_records", "sink", value=lag)

    def _begin(self) -> None:
        self._batch = SinkBatch(self._policy)
        self._letters: list[DeadLetter] = []

    async def _poll(self, stop: asyncio.Event) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Some records; none when a rebalance or the stop came in between."""
        limit = min(_SLICE, self._batch.room)
        held = self._held
        idle_ms = min(_IDLE_MS, int(self._policy.max_age_s * 1000))
        # During a rebalance getmany waits without regard to its timeout.
        getting = self._consumer.getmany(timeout_ms=idle_ms, max_records=limit)
        records: dict[TopicPartition, list[ConsumerRecord]] | None = await _or_stop(getting, stop)
        return records if records is not None and held == self._tenure.count else {}

    def _take(self, record: ConsumerRecord) -> None:
        origin = Origin(
            position=Position(record.topic, record.partition, record.offset),
            key=record.key,
            value=record.value or b"",
            headers=tuple(record.headers),
            timestamp_ms=record.timestamp,
        )
        now_s = _now_s()
        try:
            found = read(record.topic, record.value, self._codecs)
        except Undecodable as exc:
            self._letters.append(letter_of(origin, "schema", str(exc)))
            found = None
        except Exception as exc:  # noqa: BLE001  # whatever a record says, it must not end the process
            log.error("%s[%d] %d cannot be read: %s", record.topic, record.partition, record.offset, type(exc).__name__)  # noqa: TRY400 - what was raised may quote values
            self._letters.append(letter_of(origin, "internal", type(exc).__name__))
            found = None
        if found is None:
            self._batch.passed(origin, now_s)
        else:
            self._batch.add(found[0], SinkRow(found[1], origin), now_s)

    async def _round(self, stop: asyncio.Event) -> None:
        """Finish the batch and commit it, unless the partitions change hands or the stop does not wait longer."""
        offsets = self._batch.offsets()
        if not offsets:
            return
        finishing = asyncio.create_task(self._rounds.finish(self._batch, self._letters))
        try:
            done = await self._hold(finishing, stop)
        finally:
            await _end(finishing)
        if done:
            finishing.result()
            await self._commit({TopicPartition(*place): offset for place, offset in offsets.items()})
        self._begin()

    async def _hold(self, finishing: asyncio.Task[None], stop: asyncio.Event) -> bool:
        """Wait for the task; False when waiting longer has no use."""
        await asyncio.wait({finishing}, timeout=_HOLD_S)
        if finishing.done():
            return True
        held = list(self._consumer.assignment())
        self._consumer.pause(*held)
        stop_s: float | None = None
        while not finishing.done() and self._tenure.count == self._held:
            if stop.is_set():
                stop_s = stop_s or _now_s() + DRAIN_S
                if _now_s() > stop_s:
                    log.warning("stopped before ClickHouse took the last rows; they are read again at the next start")
                    break
            # Paused partitions give nothing: this only tells the group that we are alive.
            await self._consumer.getmany(*held, timeout_ms=0)
            await asyncio.wait({finishing}, timeout=_IDLE_MS / 1000)
        self._consumer.resume(*(self._consumer.paused() & set(held)))
        return finishing.done()

    async def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        try:
            await asyncio.wait_for(self._consumer.commit(offsets), COMMIT_S)
        except (CommitFailedError, IllegalStateError):
            # The partitions went to another member, which inserts these rows again: nothing is lost.
            self._tenure.end()
        except TimeoutError as exc:
            raise Unavailable(f"Kafka did not take a commit in {COMMIT_S} s") from exc


async def run(settings: Settings, stop: asyncio.Event, metrics: Registry, codecs: Codecs | None = None) -> None:
    """Sink until `stop` is set. Raises `Unavailable` when Kafka is away, and whatever else ends the work."""
    codecs = codecs or Codecs()
    metrics.put("callweave_sink_waiting", value=0)
    sink = settings.sink
    async with (
        ClickHouse(settings.clickhouse) as clickhouse,
        member(settings.kafka, sink) as (consumer, tenure, producer),
    ):
        publish = publisher(producer, codecs, DEAD.name, MAX_MESSAGE_BYTES - _LETTER_ROOM)
        backoff = Backoff(first_s=sink.retry_first_s, cap_s=sink.retry_cap_s)
        rounds = Flusher(clickhouse.insert, publish, backoff, metrics)
        policy = BatchPolicy(max_rows=sink.max_rows, max_bytes=sink.max_bytes, max_age_s=sink.max_age_s)
        worker = Sink(consumer, tenure, rounds, codecs, policy, metrics)
        metrics.before_read(worker.measure)
        try:
            await worker.work(stop)
        except KafkaError as exc:
            raise Unavailable(f"Kafka at {settings.kafka.bootstrap}: {type(exc).__name__}") from exc


def _now_s() -> float:
    """The event loop's clock: monotonic, and what every wait here goes by."""
    return asyncio.get_running_loop().time()


async def _or_stop(work: Awaitable[T], stop: asyncio.Event) -> T | None:
    """What `work` returns, or None when the stop came first; then it is cancelled."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        await _end(working, stopping)


async def _end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what still runs and wait until it has."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
