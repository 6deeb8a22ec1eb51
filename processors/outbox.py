"""The outbox: publishes many messages and returns only when Kafka has acknowledged every one of them.

One plain aiokafka producer (acks=all, idempotent). What is published at the same moment, as steps on small batches of
several partitions do, leaves together, one batch per partition: a request costs client and broker more than a
millisecond, however little is in it. Measured against a broker on the
same two cores, 500 messages of 300 B over 24 partitions: `send_batch` without linger 66-82k/s, one `send` per message
13-55k/s and twice the CPU; with batches of our own a linger only adds waiting.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from aiokafka.errors import KafkaError

from processors.partitioning import partitions_of
from schemas.config.settings import KafkaSettings
from schemas.errors import CallweaveError, Unavailable
from schemas.kafka import clients
from schemas.kafka.away import away
from schemas.kafka.failures import REFUSED

log: Final = logging.getLogger(__name__)

STOP_S: Final = 3.0
BATCH_BYTES = 1 << 20
QUIET_TURNS: Final = 3
"""Turns of the event loop without another `publish` after which what has gathered is sent: a step takes one or two from
its batch to its first message."""
OVERHEAD_BYTES = 100
"""Upper bound of what a record alone in its batch adds to its key, value and headers."""


_NO_HEADERS: Final[list[tuple[str, bytes]]] = []
Place = tuple[str, int]
"""A topic's name and the number of one of its partitions."""
Sending = asyncio.Task[None]
"""A batch on its way; it is done when the batch is acknowledged."""


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record to publish; with `partition` None the key decides."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    timestamp_ms: int | None = None

    @property
    def size_bytes(self) -> int:
        """The size on the wire before compression, rounded up."""
        size = OVERHEAD_BYTES + len(self.key or b"") + len(self.value or b"")
        if self.headers:
            size += sum([len(name) + len(value) + 10 for name, value in self.headers])
        return size


class Oversize(CallweaveError):
    """A message that the broker would refuse whenever it is sent; no message of the same `publish` was sent."""

    code = "oversize"

    def __init__(self, message: Message, limit_bytes: int) -> None:
        super().__init__(f"{message.topic}: a message of {message.size_bytes} bytes, the limit is {limit_bytes}")
        self.message = message


class Outbox:
    """Publishes to one Kafka cluster; `async with Outbox(...) as outbox: await outbox.publish(messages)`."""

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        role: str = "process",
        deadline_s: float = 30.0,
        max_message_bytes: int = 1_000_000,
    ) -> None:
        self._kafka = kafka
        self._role = role
        self._deadline_s = deadline_s
        self._max_message_bytes = max_message_bytes
        self._turns = count()
        self._queues: dict[Place, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._gathered: list[tuple[dict[Place, list[Message]], asyncio.Future[set[Sending]]]] = []
        """Messages of the next round, and for those of each publisher the future that gets the batches to wait for."""
        self._round: asyncio.Task[None] | None = None
        self._sending: set[Sending] = set()
        self._producer = clients.producer(
            kafka,
            role,
            linger_ms=0,
            max_batch_size=min(BATCH_BYTES, max_message_bytes),
            max_request_size=2 * max(BATCH_BYTES, max_message_bytes),
            request_timeout_ms=int(deadline_s * 1000),
        )

    async def start(self) -> None:
        """Connect; raises `Unavailable`."""
        try:
            await self._producer.start()
        except KafkaError as error:
            await self._producer.stop()
            raise await away(self._kafka, error, role=self._role) from error

    async def stop(self) -> None:
        """Disconnect within `STOP_S`: published messages are durable, for others aiokafka would wait without end."""
        try:
            await asyncio.wait_for(self._producer.stop(), STOP_S)
        except TimeoutError:
            log.warning("Kafka did not answer a producer that stops")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish all messages and return when every one is acknowledged by all replicas in sync.

        Messages to one partition keep their order. Raises `Oversize` before anything is sent, and `Unavailable` when
        any message is not acknowledged within the deadline: then some may be on the topic and some not.
        """
        for message in messages:
            if message.size_bytes > self._max_message_bytes:
                raise Oversize(message, self._max_message_bytes)
        if not messages:
            return
        try:
            async with asyncio.timeout(self._deadline_s):
                placed = await self._placed(messages)
                sent = await self._in_next_round(placed)
                await asyncio.wait(sent)  # this cancels none of them: others wait for them, too
        except TimeoutError as error:
            raise Unavailable(
                f"Kafka did not acknowledge {len(messages)} messages in {self._deadline_s:g} s"
            ) from error
        except REFUSED as error:
            raise await away(self._kafka, error, role=self._role) from error
        except KafkaError as error:
            raise Unavailable(f"Kafka did not take {len(messages)} messages: {error!r}") from error
        if failures := [failure for each in sent if (failure := _failure(each)) is not None]:
            if isinstance(failures[0], REFUSED):
                raise await away(self._kafka, failures[0], role=self._role)
            raise Unavailable(f"Kafka refused {len(failures)} of {len(sent)} batches: {failures[0]!r}")

    async def _placed(self, messages: Sequence[Message]) -> dict[Place, list[Message]]:
        """Return the messages by the partition that each goes to; waits while a topic is not known."""
        keys: dict[str, list[bytes]] = {message.topic: [] for message in messages}
        for message in messages:
            if message.partition is None and message.key is not None:
                keys[message.topic].append(message.key)
        sizes = {topic: len(await self._producer.partitions_for(topic)) for topic in keys}
        chosen = {topic: partitions_of(keys[topic], sizes[topic]) for topic in keys}
        placed: dict[Place, list[Message]] = defaultdict(list)
        for message in messages:
            topic, key = message.topic, message.key
            if (partition := message.partition) is None:
                partition = next(self._turns) % sizes[topic] if key is None else chosen[topic][key]
            placed[topic, partition].append(message)
        return placed

    async def _in_next_round(self, placed: dict[Place, list[Message]]) -> set[Sending]:
        """Hand messages over together with those that others publish at this moment; return what to wait for."""
        handed: asyncio.Future[set[Sending]] = asyncio.get_running_loop().create_future()
        self._gathered.append((placed, handed))
        if self._round is None:
            self._round = asyncio.create_task(self._hand_over())
        return await handed

    async def _hand_over(self) -> None:
        """Send what has gathered as soon as the event loop brings nothing more."""
        seen, quiet = 0, 0
        while quiet < QUIET_TURNS:
            await asyncio.sleep(0)
            seen, quiet = len(self._gathered), quiet + 1 if seen == len(self._gathered) else 0
        gathered, self._gathered, self._round = self._gathered, [], None
        open_batches: dict[Place, Any] = {}
        sending: dict[int, Sending] = {}
        for placed, handed in gathered:
            if handed.done():
                continue  # nobody waits for it any more, so it is not sent
            try:
                batches = self._filled(placed, open_batches)
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                handed.set_exception(error)
                continue
            for number, (place, batch) in batches.items():
                if number not in sending:
                    sending[number] = task = asyncio.create_task(self._deliver(place, batch))
                    self._sending.add(task)
                    task.add_done_callback(self._delivered)
            handed.set_result({sending[number] for number in batches})

    def _filled(
        self, placed: dict[Place, list[Message]], open_batches: dict[Place, Any]
    ) -> dict[int, tuple[Place, Any]]:
        """Put messages into the open batch of their partition, or a new one where it is full; return these batches."""
        filled: dict[int, tuple[Place, Any]] = {}
        for place, messages in placed.items():
            batch = open_batches.get(place)
            put = 0 if batch is None else _append(batch, messages)
            if put:
                filled[id(batch)] = place, batch
            while put < len(messages):
                batch = open_batches[place] = self._producer.create_batch()
                put += _append(batch, messages[put:])
                filled[id(batch)] = place, batch
        return filled

    async def _deliver(self, place: Place, batch: Any) -> None:
        """Send one batch and return when it is acknowledged."""
        async with asyncio.timeout(self._deadline_s):
            # One at a time and in turn: aiokafka counts the time of everyone who waits for the same partition several
            # times over, and lets them race for the place, so that a busy partition times out at once.
            async with self._queues[place]:
                acknowledged = await self._producer.send_batch(batch, place[0], partition=place[1])
            await acknowledged

    def _delivered(self, task: Sending) -> None:
        self._sending.discard(task)
        _failure(task)  # nobody may be left to ask for it


def _append(batch: Any, messages: list[Message]) -> int:
    """Append messages until the batch is full, and return their number: at least one where the batch was empty."""
    append = batch._builder.append  # noqa: SLF001 - the batch's own only hands on, and takes half as long again
    first: int = batch.record_count()
    offset = first
    try:
        for message in messages:
            headers = [*message.headers] if message.headers else _NO_HEADERS  # aiokafka takes nothing but a list
            if append(offset, message.timestamp_ms, message.key, message.value, headers) is None:
                break
            offset += 1
    finally:
        batch._relative_offset = offset  # noqa: SLF001 - as its own `append` does
    return offset - first


def _failure(task: Sending) -> BaseException | None:
    """Return why a batch is not acknowledged."""
    return asyncio.CancelledError() if task.cancelled() else task.exception()
