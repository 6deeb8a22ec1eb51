"""The sink's fetches at a real broker: held until a batch is due, and without the ledger between its turns."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from aiokafka.protocol.fetch import FetchRequest

from schemas.backoff import Backoff
from schemas.codec import TIMELINE, Codecs
from schemas.config.settings import KafkaSettings, SinkSettings
from schemas.kafka import clients
from schemas.ledger.entries import LedgerEntries, encode_entries
from schemas.metrics import Registry
from schemas.timeline import Timeline
from schemas.topics import LEDGER, TIMELINES
from sinks.columns import Table
from sinks.consumer import member
from sinks.flush.batch import BatchPolicy
from sinks.flush.flusher import Flusher
from sinks.worker import HOLD_MS, LAST_MS, Sink
from tests.integration.sinks.driving import PARTITIONS, forget

CALLS = 120
GAP_S = 0.02
SETTINGS = SinkSettings(session_timeout_s=6)


class Fetch(msgspec.Struct, frozen=True):
    """One request to the broker, and what the sink held when it was sent."""

    held_ms: int
    """The time for which it is held; 0 for one that is answered with the first record."""
    topics: frozenset[str]
    gathers: bool
    """A batch had begun."""
    ledger_waits: bool
    """It was not the ledger's turn."""


class Scene:
    """A sink over a real consumer, whose inserts are kept here."""

    sink: Sink

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.entries = 0
        self.fetches: list[Fetch] = []

    async def insert(self, _table: Table[Any], records: Sequence[Any]) -> None:
        self.calls += [record.timeline_id for record in records if isinstance(record, Timeline)]
        self.entries += sum(isinstance(record, LedgerEntries) for record in records)

    def sent(self, request: FetchRequest) -> None:
        now_s = asyncio.get_running_loop().time()
        self.fetches.append(
            Fetch(
                held_ms=request._max_wait_ms if request._min_bytes > 1 else 0,
                topics=frozenset(topic for topic, _ in request.topics),
                gathers=self.sink._batch.wait_s(now_s) is not None,
                ledger_waits=now_s < self.sink._ledger_due_s,
            )
        )


def entry() -> bytes:
    """A message of the ledger with one entry."""
    four, eight = bytes(4), bytes(8)
    return encode_entries(
        LedgerEntries(
            stage=0, senders=(("ytx", "main", "push"),), newest_s=0, sender=b"\0", received_s=four, partition=four,
            offset=eight, element=four, version=eight,
        )
    )  # fmt: skip


@pytest.fixture
async def scene(broker: KafkaSettings) -> AsyncIterator[Scene]:
    await forget(broker)
    stop, metrics = asyncio.Event(), Registry()

    async def nothing(*_: object) -> None: ...

    async with member(broker, SETTINGS) as (consumer, rebalances, _):
        made = Scene()
        flusher = Flusher(made.insert, nothing, Backoff(first_s=0.1, cap_s=1), metrics, nothing)
        policy = BatchPolicy(max_rows=50_000, max_bytes=1 << 26, max_age_s=0.5)
        made.sink = Sink(consumer, rebalances, flusher, Codecs(), policy, metrics)
        send = consumer._client.send

        async def watched(node: int, request: Any, **further: Any) -> Any:
            if isinstance(request, FetchRequest):
                made.sent(request)
            return await send(node, request, **further)

        consumer._client.send = watched
        working = asyncio.create_task(made.sink.work(stop))
        yield made
        stop.set()
        await working


async def test_a_fetch_ends_when_the_batch_is_due_whatever_comes_to_other_partitions(
    broker: KafkaSettings, scene: Scene
) -> None:
    """The partitions of the dead letters and all but one of the calls are quiet: their fetches hold up none."""
    wanted = [f"{number}" for number in range(CALLS)]
    async with clients.producer(broker, "test", linger_ms=0) as producer, asyncio.timeout(90):
        for call in wanted:
            value = TIMELINE.encode(Timeline(timeline_id=call, call_key=call, vendor="v"))
            await producer.send_and_wait(TIMELINES.name, value, key=call.encode(), partition=int(call) // 40)
            await producer.send_and_wait(LEDGER.name, entry(), partition=int(call) % PARTITIONS)
            await asyncio.sleep(GAP_S)
        while len(scene.calls) < CALLS or scene.entries < CALLS:  # noqa: ASYNC110 - what is waited for is the sink
            await asyncio.sleep(0.05)

    assert sorted(scene.calls) == sorted(wanted)
    assert scene.entries == CALLS
    gathering = [fetch for fetch in scene.fetches if fetch.gathers]
    assert {fetch.held_ms for fetch in gathering} <= {*range(LAST_MS, HOLD_MS + 1)}
    assert HOLD_MS in {fetch.held_ms for fetch in gathering}
    waiting = [fetch for fetch in scene.fetches if fetch.ledger_waits]
    assert waiting
    assert not [fetch for fetch in waiting if LEDGER.name in fetch.topics]
