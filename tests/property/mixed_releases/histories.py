"""One seeded history: news of some calls, workers of mixed releases, sinks, and how each of their turns ends.

A history is played twice: by releases mixed as it says, and by this release alone with all else alike. In both every
row stands in one slot, and both have the same rows with the same contents.
"""

import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, get_args

import msgspec

from processors.outbox import Message
from processors.records import Record
from schemas.topics import DEAD, STATE
from sinks.columns import Table
from sinks.flush.placing import Places, identity_of
from tests.property.mixed_releases.crew import PARTITION, CrewWorker, Killed, Topics, on_the_topic
from tests.property.mixed_releases.late_news import Appended, clock_at, news, together
from tests.property.mixed_releases.releases import Writes
from tests.property.mixed_releases.takers import SLOTTED, Fate, Store, Taker

_ORDERS: Final[tuple[tuple[tuple[Writes, ...], ...], ...]] = (
    (("older",), ("older", "previous"), ("previous",), ("previous", "newest"), ("newest",)),
    (("previous",), ("previous", "newest"), ("newest",)),
    (("newest",), ("previous",), ("newest",)),
    (("previous",), ("newest",), ("previous",), ("newest",)),
    (("older", "previous", "newest"),),
)
"""The releases that may work in each part of a history: an upgrade, its end alone, anything beside anything."""
_FATES: Final = tuple[Fate, ...](get_args(Fate))
_LIVES_FOR: Final = (0, 1, 2, 3, 4, 6)
_CLOSED_AFTER_MS: Final = 30 * 86_400_000


class Mixture(NamedTuple):
    """The releases of a history."""

    parts: tuple[tuple[Writes, ...], ...]
    move_at: int | None
    """Offset of the facts topic at which the tables are moved; None where they had slots before the history."""

    def at(self, offset: int, length: int) -> tuple[Writes, ...]:
        """Return the releases that work where the committed offset is so far."""
        return self.parts[min(len(self.parts) - 1, offset * len(self.parts) // length)]


ALONE: Final = Mixture((("newest",),), None)


class PlayedHistory(msgspec.Struct, kw_only=True):
    """The topics and tables in the end."""

    topics: Topics
    store: Store
    happened: Counter[str]


def mixture_of(seed: int, length: int) -> Mixture:
    """Draw the releases of a history."""
    rng = random.Random(f"mixture/{seed}")
    parts = rng.choice(_ORDERS)
    if parts[0] != ("older",) or rng.random() < 0.1:
        return Mixture(parts, None)
    return Mixture(parts, rng.randint(0, max(0, length * 3 // 5 - 5)))  # before anybody writes the newest


async def play_history(seed: int, *, mixed: bool = True, places: type[Places] = Places) -> PlayedHistory:
    """Play a history to its end."""
    happened: Counter[str] = Counter()
    log = news(random.Random(f"news/{seed}"), happened)
    log.append(Appended(log[-1].at_ms + _CLOSED_AFTER_MS, None))
    mixture = mixture_of(seed, len(log)) if mixed else ALONE
    return await _Play(seed, log, mixture, places, happened).to_the_end()


class _Play:
    def __init__(
        self, seed: int, log: list[Appended], mixture: Mixture, places: type[Places], happened: Counter[str]
    ) -> None:
        self._rng = random.Random(f"turns/{seed}")
        """Draws the same whatever the releases are."""
        self._releases = random.Random(f"releases/{seed}")
        self._log = log
        self._mixture = mixture
        self._happened = happened
        writers = [self._release(offset) for offset in range(len(log))]
        self._facts: Sequence[Record] = on_the_topic(log, writers)
        self._topics, self._store = Topics(), Store()
        if mixture is not ALONE:  # the release before has worked on the partition, as on all at an upgrade
            self._topics.append(Message(topic=STATE.name, key=b"of before", value=None, partition=PARTITION))
        if mixture.move_at is not None:
            self._store.moved_at = None
        self._taker = Taker(self._topics, self._store, places)
        self._committed = 0
        self._frozen: tuple[CrewWorker, int] | None = None
        self._worker = self._started()

    async def to_the_end(self) -> PlayedHistory:
        rng = self._rng
        while self._committed < len(self._log):
            await self._work(rng.randint(1, 3), rng.random(), rng.choice(_LIVES_FOR))
            if rng.random() < 0.3:
                await self._thaw()
            if self._store.moved_at is None and self._committed >= (self._mixture.move_at or 0):
                self._move()
            if rng.random() < 0.6:
                await self._take(rng.randint(1, 9), rng.choice(_FATES), rng.random())
        await self._thaw()
        self._taker.arrive()
        while self._taker.is_behind:
            await self._taker.turn(rng.randint(1, 20), "commits")
        self._happened["rows are looked up"] += self._store.looked_up
        return PlayedHistory(topics=self._topics, store=self._store, happened=self._happened)

    def _release(self, offset: int) -> Writes:
        """Draw a release; who comes behind a worker that died may be of the next part already."""
        return self._releases.choice(self._mixture.at(offset + self._releases.randint(0, 2), len(self._log)))

    def _started(self) -> CrewWorker:
        """Start a worker.

        None that tells no slots comes while one that does is frozen: it cannot know of what is published behind its
        back. An upgrade (OPERATIONS, step 6) has no such order.
        """
        drawn = self._release(self._committed)
        told = self._frozen is not None and self._frozen[0].release == "newest"
        worker = CrewWorker(self._topics, "newest" if told else drawn, self._committed)
        self._happened[f"a worker is {worker.release}"] += 1
        return worker

    async def _work(self, size: int, chance: float, lives_for: int) -> None:
        """Let the worker take a batch; then it commits or not, dies, is replaced, or is frozen with the next one."""
        worker, happened = self._worker, self._happened
        if worker.position >= len(self._log):
            self._committed = worker.position
            return
        if chance < 0.15:
            worker.lives_for, size = lives_for, size + 3
        with contextlib.suppress(Killed):
            await worker.work(self._batch(worker, size))
        if chance < 0.15:
            happened["a worker dies between its messages"] += 1
            self._worker = self._started()
        elif chance < 0.65:
            self._committed = worker.position
        elif chance < 0.75:
            return
        elif chance < 0.85:
            happened["a worker dies before its commit"] += 1
            self._worker = self._started()
        elif chance < 0.95 or worker.position >= len(self._log):
            happened["a worker is replaced in order"] += 1
            self._committed = worker.position
            self._worker = self._started()
        else:
            happened["a worker is frozen with a batch, and goes on beside its successor"] += 1
            self._frozen = worker, size
            self._topics.facts_end = max(self._topics.facts_end, worker.position + size)  # it has read them already
            self._committed = worker.position
            self._worker = self._started()

    async def _thaw(self) -> None:
        if self._frozen:
            worker, size = self._frozen
            self._frozen = None
            await worker.work(self._batch(worker, size))

    def _batch(self, worker: CrewWorker, most: int) -> Sequence[Record]:
        return self._facts[worker.position :][: together(self._log, worker.position, most)]

    async def _take(self, most: int, fate: Fate, chance: float) -> None:
        self._happened[f"a sink {fate}"] += 1
        await self._taker.turn(most, fate)
        if chance < 0.3:
            self._taker.arrive()
        elif chance < 0.34:
            self._happened["a sink reads the topics again from their beginning"] += 1
            self._taker.committed = dict.fromkeys(self._taker.committed, 0)
            self._taker.start()

    def _move(self) -> None:
        self._happened["rows are moved to the tables with slots"] += self._store.move(
            clock_at(self._log[min(self._committed, len(self._log) - 1)].at_ms)
        )
        self._taker.start()


def judge_history(mixed: PlayedHistory, alone: PlayedHistory) -> Iterator[str]:
    """Describe everything that is wrong, one sentence each."""
    for name, played in (("mixed", mixed), ("alone", alone)):
        if played.topics.of[DEAD.name]:
            yield f"{name}: {len(played.topics.of[DEAD.name])} dead letters"
        yield from (f"{name}: {sentence}" for table in SLOTTED for sentence in _doubled(played, table))
    for table in SLOTTED:
        ours, theirs = _contents(mixed, table), _contents(alone, table)
        if ours.keys() != theirs.keys():
            yield f"{table.label} has {sorted(map(str, ours.keys() ^ theirs.keys()))} in one of both"
        for identity in ours.keys() & theirs.keys():
            if ours[identity] != theirs[identity]:
                yield f"{table.label} {identity} has other contents"


def _doubled(played: PlayedHistory, table: Table[Any]) -> Iterator[str]:
    slots: dict[Any, list[str]] = {}
    for _, record in played.store.stored.views[table.name].values():
        slots.setdefault(identity_of(record), []).append(str(record.slot_at))
    for identity, stands in slots.items():
        if len(stands) > 1:
            yield f"{table.label} {identity} stands in {sorted(stands)}"


def _contents(played: PlayedHistory, table: Table[Any]) -> dict[Any, Any]:
    """Return each row without its slot; of several the newest version."""
    shown: dict[Any, Any] = {}
    for version, record in played.store.stored.views[table.name].values():
        identity = identity_of(record)
        if identity not in shown or version > shown[identity].version:
            shown[identity] = msgspec.structs.replace(record, slot_at=None, slot_certain=False)
    return shown
