"""Kafka as the parts see it: logs that keep what they acknowledged, on a network that loses requests and answers.

A request that left a machine arrives although its sender died, or not at all, or twice; its answer comes late or never.
What one sender appends to one partition keeps its order where the sender waits for it. It must not know what is in a
record.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from ingress.kafka.producer import AckTimeout
from ingress.kafka.publisher import Settled
from processors.outbox import Message
from processors.partitioning import partitions_of
from processors.records import Partition, Record, RecordBatch
from schemas.errors import Unavailable
from schemas.raw import Headers
from schemas.topics import DEAD, FACTS, LEDGER, NORMALIZED, RAW, STATE, TIMELINES
from tests.property.whole_way.loop import Process, WorldLoop
from tests.support.http.submitting import by_task

PARTITIONS: Final = 2
TOPICS: Final = (RAW.name, FACTS.name, STATE.name, NORMALIZED.name, TIMELINES.name, DEAD.name, LEDGER.name)
EPOCH_MS: Final = 1_772_352_000_000
_HOP_S: Final = 0.004
_SLOW_S: Final = 0.5


def _partition_of(key: bytes) -> int:
    return partitions_of([key], PARTITIONS)[key]


class Weather:
    """The faults of the moment; one source of chance for everything."""

    def __init__(self, loop: WorldLoop, dice: random.Random) -> None:
        self.loop = loop
        self.dice = dice
        self.calm = False
        """Lose nothing from now on."""
        self.kafka_away = False
        self.clickhouse_away = False
        self.disk_broken = False

    def chance(self, share: float) -> bool:
        """True by chance; never when it is calm."""
        return not self.calm and self.dice.random() < share

    def later(self, work: Callable[..., object], *arguments: object) -> None:
        """Do something after one way through the network, which is sometimes slow."""
        delay_s = self.dice.random() * (_SLOW_S if self.chance(0.06) else _HOP_S)
        self.loop.call_later(delay_s, work, *arguments, context=self.loop.nature.context)

    async def hop(self) -> None:
        """Wait for one way through the network."""
        there = self.loop.create_future()
        self.later(settle, there)
        await there


def settle(future: "asyncio.Future[Any]", result: object = None) -> None:
    """Answer a future that still waits."""
    if not future.done():
        future.set_result(result)


def refuse(future: "asyncio.Future[Any]", error: Exception) -> None:
    """Fail a future that still waits."""
    if not future.done():
        future.set_exception(error)
        future.exception()


class Broker:
    """The topics."""

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        self.logs: dict[Partition, list[Record]] = {
            (topic, number): [] for topic in TOPICS for number in range(PARTITIONS)
        }
        self.jumped_ms = 0
        self.under_way = 0
        """Requests that left and did not arrive yet."""
        self._readers: dict[str, list[asyncio.Future[None]]] = {topic: [] for topic in TOPICS}

    def clock_ms(self) -> int:
        """The time that the logs stamp."""
        return EPOCH_MS + self.jumped_ms + int(self.weather.loop.time() * 1000)

    def append(self, message: Message) -> None:
        """Put one record at the end of its partition."""
        number = message.partition
        if number is None:
            number = _partition_of(message.key or b"")
        log = self.logs[message.topic, number]
        log.append(
            Record(
                offset=len(log),
                timestamp_ms=self.clock_ms(),
                key=message.key,
                value=message.value,
                headers=message.headers,
            )
        )
        waiting, self._readers[message.topic] = self._readers[message.topic], []
        for reader in waiting:
            settle(reader)

    async def news(self, topics: Sequence[str], within_s: float) -> None:
        """Wait until something is appended to one of these, and a moment longer for the rest of it."""
        reader = self.weather.loop.create_future()
        for topic in topics:
            self._readers[topic].append(reader)
        self.weather.loop.call_later(within_s, settle, reader)
        await reader
        await self.weather.hop()

    async def end(self, topic: str, number: int) -> int:
        """Implement `processors.stages.join_stage.EndOffset`."""
        await self.weather.hop()
        return len(self.logs[topic, number])

    def produce(self, sender: Process, messages: Sequence[Message], answer: "asyncio.Future[Any]") -> None:
        """Send records of one partition; a crash tears them, and the answer says that all are there."""
        self.under_way += 1
        self.weather.later(self._arrive, sender, list(messages), answer)

    def _arrive(self, sender: Process, messages: list[Message], answer: "asyncio.Future[Any]") -> None:
        weather = self.weather
        if (weather.kafka_away or sender.frozen) and sender.alive:
            weather.later(self._arrive, sender, messages, answer)
            return
        if weather.chance(0.03) or (not sender.alive and weather.dice.random() < 0.5):
            self.under_way -= 1
            weather.later(refuse, answer, Unavailable("the connection is gone", code="kafka"))
            return
        some = 1 + int(weather.dice.random() * len(messages))
        for message in messages[:some]:
            self.append(message)
            if weather.chance(0.02):
                self.append(message)
        if some < len(messages):
            weather.later(self._arrive, sender, messages[some:], answer)
            return
        self.under_way -= 1
        if weather.chance(0.02):
            weather.later(refuse, answer, Unavailable("the answer is lost", code="kafka"))
        else:
            weather.later(settle, answer)


class Outbox:
    """`processors.outbox.Outbox` on this network: returns when all is there, or raises with some of it there."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append all; of one partition in order."""
        await asyncio.gather(*self.hand_over(messages))

    def hand_over(self, messages: Iterable[Message]) -> "list[asyncio.Future[Any]]":
        """Send, and leave the waiting to the caller."""
        if not self._process.alive:
            return [self._broker.weather.loop.create_future()]
        queues: dict[Partition, list[Message]] = {}
        for message in messages:
            number = message.partition
            if number is None:
                number = _partition_of(message.key or b"")
            queues.setdefault((message.topic, number), []).append(message)
        answers = []
        for queue in queues.values():
            answers.append(self._broker.weather.loop.create_future())
            self._broker.produce(self._process, queue, answers[-1])
        return answers


class IngressKafka:
    """`ingress.durable.drainer.KafkaSide` on this network."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._outbox = Outbox(broker, process)

    @property
    def late_bytes(self) -> int:
        """Return 0: these bodies are small."""
        return 0

    def why_not(self) -> str:
        """Return the last result of the health check."""
        return "Kafka does not answer" if self._broker.weather.kafka_away else ""

    async def publish(
        self, topic: str, key: bytes, value: bytes, headers: Headers, *, within_s: float | None = None
    ) -> None:
        """Wait for the acknowledgement; `AckTimeout` when it is late: then the record may still arrive."""
        if trouble := self.why_not():
            raise Unavailable(trouble, code="kafka")
        if self._broker.weather.chance(0.03):
            raise AckTimeout("never sent", None)
        # A body lies where its moment's batch went: one call's bodies are on several partitions.
        number = self._broker.weather.dice.randrange(PARTITIONS)
        message = Message(topic=topic, key=key, value=value, headers=tuple(headers), partition=number)
        (answer,) = self._outbox.hand_over([message])
        try:
            async with asyncio.timeout(within_s):
                await asyncio.shield(answer)
        except TimeoutError as exc:
            raise AckTimeout("not in time", answer) from exc

    def submit(
        self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, *, within_s: float
    ) -> None:
        """Begin what `publish` does."""
        by_task(self.publish(topic, key, value, headers, within_s=within_s), settled)


class LetterProducer:
    """The part of an aiokafka producer that the sink's dead letters need."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def send(self, topic: str, value: bytes, *, key: bytes) -> "asyncio.Future[Any]":
        """Send a message; the future is done when it is there."""
        return self._outbox.hand_over([Message(topic=topic, key=key, value=value)])[0]


def restorer(broker: Broker, process: Process) -> "partial[Any]":
    """Implement `processors.stages.join_stage.RestoreStates`."""
    return partial(_restore, broker, process)


async def _restore(broker: Broker, process: Process, topic: str, number: int, end: int) -> Any:
    for record in broker.logs[topic, number][:end]:
        if broker.weather.chance(0.1):
            await broker.weather.hop()
        yield RecordBatch(
            topic=topic, partition=number, records=(record,), first_offset=record.offset, next_offset=record.offset + 1
        )
