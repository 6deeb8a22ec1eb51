"""Large calls: workers that write segments and tell by the clock leave what one that does neither leaves.

Every call counts as large here. Workers die between any two messages, with any part of a batch's messages written, or
at any call that they put into or get from where they keep them; their successors restore and repeat. The oracle is the
way of small calls: one worker, states written whole, in memory.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.call.state import CallState
from processors.outbox import Message
from processors.records import Record, RecordBatch
from processors.stages.join_stage import JoinStage
from processors.store import segments, telling
from processors.store.calls import Calls, MemoryCalls, NewCalls, StoreFailed
from processors.store.changelog import StateLog
from processors.store.partition import PartitionState
from processors.store.rocks import LocalStore
from processors.timeline.build import timelines_of
from schemas.codec import Codecs
from schemas.config.settings import JoinSettings
from schemas.facts import Fact
from schemas.metrics import Registry
from schemas.timeline import Timeline
from schemas.topics import FACTS, TIMELINES
from tests.support.kafka.join_log import StateLog as Topics
from tests.support.strategies import fact_logs

JOIN: Final = JoinSettings(horizon_s=100 * 86400)
"""The horizon lies beyond the end of each history, since a repeated fact of a forgotten call begins another call."""
CODECS: Final = Codecs()
PARTITION: Final = 1
GAPS_MS: Final = (0, 5, 400, 1500, 2_000_000, 100_000_000)
"""Gaps within a second, beyond it, and beyond each of the two timeouts."""


class Killed(Exception):
    """The worker is killed between two of its messages."""


class Turn(msgspec.Struct, frozen=True):
    """One record batch, and how its worker ends."""

    facts: tuple[Fact | None, ...]
    """None is a tick."""
    gaps_ms: tuple[int, ...]
    dies_at: int | None
    """The number of the publication at which the worker is killed; None: it goes on."""
    written: int
    """The messages of that publication that are written, as bits."""
    fails_at: int | None
    """The number of the use of its stores at which the disk fails; None: it does not."""
    commits: bool
    """The batch is committed before the worker ends."""


@st.composite
def turns(draw: st.DrawFn) -> list[Turn]:
    """Draws a history: the facts of one call in batches, with ticks and deaths."""
    log: list[Fact | None] = list(draw(fact_logs()))
    found: list[Turn] = []
    while log:
        size = draw(st.integers(1, 4))
        facts = (*log[:size], *([None] if draw(st.booleans()) else []))
        del log[:size]
        found.append(
            Turn(
                facts=facts,
                gaps_ms=tuple(draw(st.sampled_from(GAPS_MS)) for _ in facts),
                dies_at=draw(st.none() | st.integers(1, 4)),
                written=draw(st.integers(0, 31)),
                fails_at=draw(st.none() | st.integers(1, 60)),
                commits=draw(st.booleans()),
            )
        )
    return found


class World(Topics):
    """The topics, and one worker after the other, which keeps calls where it is said."""

    def __init__(self, new_calls: NewCalls) -> None:
        super().__init__()
        self._new_calls = new_calls
        self.dies_at: int | None = None
        self.written = 0
        self.fails_at: int | None = None

    def use(self) -> None:
        """Note one use of a store; raises `StoreFailed` at the number that was drawn."""
        if self.fails_at is not None:
            self.fails_at -= 1
            if not self.fails_at:
                raise StoreFailed

    async def publish(self, messages: Sequence[Message]) -> None:
        """Take the messages, or some of them and raise `Killed`."""
        if self.dies_at is not None:
            self.dies_at -= 1
            if not self.dies_at:
                self.messages += [each for bit, each in enumerate(messages) if self.written >> bit % 5 & 1]
                raise Killed
        await super().publish(messages)

    def worker(self) -> JoinStage:
        """Start a worker, which restores."""
        return JoinStage(
            self,  # type: ignore[arg-type]  # as much of an outbox as it uses
            CODECS,
            JOIN,
            self.restore,
            Registry(),
            end=self.end,
            new_calls=lambda: Failing(self, self._new_calls()),
        )

    async def play(self, history: Sequence[Turn]) -> list[Record]:
        """Play a history, then let pass what news may wait; returns the facts topic."""
        log: list[Record] = []
        begun, committed, worker = [0], 0, self.worker()
        for turn in history:
            for fact, gap_ms in zip(turn.facts, turn.gaps_ms, strict=True):
                now_ms = (log[-1].timestamp_ms if log else 1_000_000) + gap_ms
                value = CODECS.stage_fact.encode(fact) if fact else None
                log.append(Record(offset=len(log), timestamp_ms=now_ms, key=b"", value=value))
            self.dies_at, self.written, self.fails_at = turn.dies_at, turn.written, turn.fails_at
            try:
                await worker.step(batch_of(log[begun[-1] :]))
            except (Killed, StoreFailed):
                worker = self.worker()
            else:
                goes_on = turn.dies_at is None and turn.fails_at is None
                committed = len(log) if turn.commits or goes_on else committed
                begun.append(len(log))
                if goes_on:
                    continue
                worker = self.worker()
            self.dies_at = self.fails_at = None
            if committed < len(log):
                await worker.step(batch_of(log[committed:]))
            committed = len(log)
            begun.append(len(log))
        end_ms = log[-1].timestamp_ms + telling.wait_ms(len(log))
        log.append(Record(offset=len(log), timestamp_ms=end_ms, key=b"", value=None))
        await worker.step(batch_of(log[-1:]))
        return log

    def shown(self) -> dict[str, Timeline]:
        """Return each timeline of the highest version; no version says two things."""
        shown: dict[str, Timeline] = {}
        said: dict[tuple[str, int], bytes] = {}
        for message in self.messages:
            if message.topic == TIMELINES.name and message.value:
                timeline = CODECS.timeline.decode(message.value)
                assert said.setdefault((timeline.timeline_id, timeline.version), message.value) == message.value
                if timeline.timeline_id not in shown or timeline.version >= shown[timeline.timeline_id].version:
                    shown[timeline.timeline_id] = timeline
        return shown


class Failing(Calls):
    """A store whose every use may fail."""

    def __init__(self, world: World, calls: Calls) -> None:
        self._world = world
        self._calls = calls

    def get(self, key: str) -> bytes | None:
        self._world.use()
        return self._calls.get(key)

    def put(self, key: str, entry: bytes) -> None:
        self._world.use()
        self._calls.put(key, entry)

    def remove(self, key: str) -> None:
        self._world.use()
        self._calls.remove(key)

    def items(self) -> Iterator[tuple[str, bytes]]:
        self._world.use()
        return self._calls.items()

    def wait(self, minute: int, key: str) -> None:
        self._world.use()
        self._calls.wait(minute, key)

    def take_waiting(self, minute: int) -> list[str]:
        self._world.use()
        return self._calls.take_waiting(minute)


def batch_of(records: Sequence[Record]) -> RecordBatch:
    """One batch of these records."""
    return RecordBatch(
        topic=FACTS.name,
        partition=PARTITION,
        records=tuple(records),
        first_offset=records[0].offset,
        next_offset=records[-1].offset + 1,
    )


def alone(log: Sequence[Record]) -> tuple[dict[str, CallState], dict[str, int]]:
    """Join the log by the way of small calls; returns the states by key, and the last version told of each timeline."""
    held, told = PartitionState(JOIN), dict[str, int]()
    for record in log:
        results = [done for _, done in held.advance(record.timestamp_ms)]
        if record.value is not None:
            results.append(held.apply(CODECS.stage_fact.decode(record.value)))
        # A repetition tells again what was told. Its version may count duplicates that were not told, and nothing else.
        news = [done for done in results if done.outcome != "replayed"]
        told |= {timeline.timeline_id: timeline.version for done in news for timeline in done.timelines}
    return {key: state for key, state in held._touched.items() if state}, told


def restored(world: World) -> dict[str, CallState]:
    """Restore what the workers wrote."""
    log, held = StateLog(), PartitionState(JOIN, b"a reader")
    for offset, message in enumerate(world.states):
        log.take(Record(offset=offset, timestamp_ms=0, key=message.key, value=message.value, headers=message.headers))
    found = list(log.calls())
    for call in found:
        held.load(*call)
    return {call.key: state for call in found if (state := held._state(call.key))}


@pytest.fixture(scope="module", params=["in memory", "on disk"])
def new_calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewCalls]:
    """Make the workers' stores."""
    if request.param == "in memory":
        yield MemoryCalls
        return
    with contextlib.closing(LocalStore(tmp_path_factory.mktemp("calls"))) as store:
        yield store.new_calls


@pytest.mark.parametrize("share", [10, 0], ids=["told by growth and by the clock", "told by the clock alone"])
@pytest.mark.parametrize("large", [0, 2], ids=["all calls", "calls of three items"])
@settings(max_examples=100, deadline=None)
@given(history=turns())
def test_deaths_restores_and_repetitions_end_as_the_way_of_small_calls(
    new_calls: NewCalls, large: int, share: int, history: list[Turn]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "LARGE", large)
        patch.setattr(telling, "SHARE", share)
        world = World(new_calls)
        log = asyncio.run(world.play(history))
        states, told = alone(log)
        shown = world.shown()

        assert restored(world) == states
        for timeline in (timeline for state in states.values() for timeline in timelines_of(state)):
            ours = shown[timeline.timeline_id]
            # A duplicate that is not told may add to the version alone: what waits may be told together with it.
            assert told[timeline.timeline_id] <= ours.version <= timeline.version
            assert _encoded(ours) == _encoded(timeline)


def _encoded(timeline: Timeline) -> bytes:
    return CODECS.timeline.encode(msgspec.structs.replace(timeline, version=0))
