"""A deterministic world that fails: raw log, normalisers, facts log, joiners, outputs, changelog and offsets, from one seed.

Every write is a step, and between any two steps a process may die (which tears batches and loses acknowledgements), be
replaced while it still writes (a zombie), write a record twice, or commit an offset again. The joiner is `processors.join`;
what is believed afterwards (the highest version per id) is compared with the same log joined once, without any failure,
and the counts with the raw log itself. `Rules` names the right way and the naive ones.
"""

import random
from collections.abc import Generator, Iterator
from typing import Final, Literal

import msgspec

from processors.join import CallState, reunite, step, timeout
from processors.merge import normalized
from processors.timelines import timelines_of
from schemas.facts import Fact
from schemas.settings import JoinSettings
from schemas.timeline import Timeline
from tests.strategies import RECORDS, STATES, placed

SETTINGS: Final = JoinSettings()
_KEYS: Final = ("ytx|main|call-1", "ytx|main|call-2")
_POOL: Final = {
    key: [
        msgspec.structs.replace(fact, call_key=key, fact_id=f"{key}/{fact.fact_id}")
        for fact in (*RECORDS[:11], *STATES)
    ]
    for key in _KEYS
}
_JUMPS_MS: Final = (31 * 60_000, 25 * 3_600_000)
_DAY_MS: Final = 86_400_000

Stage = Literal["outputs", "states", "offset"]
Process = Generator[None, None, None]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How the joiner of a world works."""

    order: tuple[Stage, ...] = ("outputs", "states", "offset")
    interleaved: bool = False
    """Outputs and states are written in no order."""
    drop_what_was_seen: bool = False
    """The naive rule: a known content is dropped, wherever it comes from."""
    last_state_wins: bool = False
    """Restoring takes a key's last record, as compaction would, though a zombie may have written it."""
    time_passes: bool = True
    """Whether calls time out and facts come late."""


RIGHT: Final = Rules()


class World:
    """All that outlives a process, and the dice."""

    def __init__(self, seed: int, rules: Rules) -> None:
        self.dice = random.Random(seed)
        self.rules = rules
        self.raw = (self._raw_log(0), self._raw_log(1))
        self.raw_committed = [0, 0]
        self.facts: list[tuple[int, Fact | None]] = []
        self.committed = 0
        self.commits = [0]
        self.changelog: list[tuple[str, CallState]] = []
        self.timelines: dict[str, Timeline] = {}
        self.normalized: dict[str, Fact] = {}
        self.said: dict[tuple[str, int], Timeline | Fact] = {}
        self.contradictions = 0
        self.clock_ms = 1_000_000
        self.owner = 0

    def _raw_log(self, partition: int) -> list[list[Fact]]:
        """Raw records of one to three elements; vendors repeat, correct and contradict themselves."""
        records: list[list[Fact]] = []
        for offset in range(self.dice.randint(1, 4)):
            elements: list[Fact] = []
            for element in range(self.dice.randint(1, 3)):
                earlier = [fact for record in records for fact in record]
                if earlier and self.dice.random() < 0.25:
                    fact = self.dice.choice(earlier)
                else:
                    fact = self.dice.choice(_POOL[self.dice.choice(_KEYS)])
                received = 100 * offset + self.dice.choice((0, 0, 0, 50 * partition, -150))
                elements.append(placed(fact, offset, element=element, partition=partition, received=received))
            records.append(elements)
        return records

    def append_fact(self, fact: Fact | None) -> None:
        """The log stamps its own time; sometimes long after the record before."""
        self.clock_ms += 1000
        if self.rules.time_passes and self.dice.random() < 0.08:
            self.clock_ms += self.dice.choice(_JUMPS_MS)
        self.facts.append((self.clock_ms, fact))

    def publish(self, output: Timeline | Fact) -> None:
        """What readers believe: the highest version; two contents at one version are a contradiction."""
        name = output.timeline_id if isinstance(output, Timeline) else output.fact_id
        if self.said.setdefault((name, output.version), output) != output:
            self.contradictions += 1
        if isinstance(output, Timeline):
            if name not in self.timelines or output.version >= self.timelines[name].version:
                self.timelines[name] = output
        elif name not in self.normalized or output.version >= self.normalized[name].version:
            self.normalized[name] = output

    def commit(self, offset: int, owner: int) -> None:
        """A zombie's commit is refused; an old commit may be carried out again."""
        if owner != self.owner or offset == self.committed:
            return
        self.commits.append(offset)
        self.committed = self.dice.choice(self.commits) if self.dice.random() < 0.03 else offset

    def restored(self) -> dict[str, CallState]:
        """The states in the changelog; a zombie may have written last, so all of a key's records count."""
        states: dict[str, CallState] = {}
        for key, state in self.changelog:
            known = None if self.rules.last_state_wins else states.get(key)
            states[key] = reunite(known, state, SETTINGS) if known else state
        return states


def _normaliser(world: World, partition: int) -> Process:
    log = world.raw[partition]
    position = world.raw_committed[partition]
    while position < len(log):
        batch = log[position : position + world.dice.randint(1, 2)]
        for fact in (fact for record in batch for fact in record):
            yield
            world.append_fact(fact)
            if world.dice.random() < 0.03:
                world.append_fact(fact)
        position += len(batch)
        yield
        world.raw_committed[partition] = max(position, world.raw_committed[partition])


def _joiner(world: World, owner: int) -> Process:
    states = world.restored()
    position = world.committed
    clock_ms = 0
    while True:
        batch = world.facts[position : position + world.dice.randint(1, 5)]
        if not batch:
            yield
            world.commit(position, owner)
            continue
        outputs: dict[str, Timeline | Fact] = {}
        changed: dict[str, CallState] = {}
        for stamp_ms, fact in batch:
            clock_ms = max(clock_ms, stamp_ms)
            _join(world.rules, states, clock_ms, fact, outputs, changed)
        position += len(batch)
        for stage, name in _writes(world, outputs, changed):
            yield
            if stage == "outputs":
                world.publish(outputs[name])
            elif stage == "states":
                world.changelog.append((name, changed[name]))
            else:
                world.commit(position, owner)


def _writes(
    world: World, outputs: dict[str, Timeline | Fact], changed: dict[str, CallState]
) -> Iterator[tuple[Stage, str]]:
    names: dict[Stage, list[str]] = {"outputs": list(outputs), "states": list(changed), "offset": [""]}
    if not world.rules.interleaved:
        return iter([(stage, name) for stage in world.rules.order for name in names[stage]])
    mixed: list[tuple[Stage, str]] = [(stage, name) for stage in ("outputs", "states") for name in names[stage]]
    world.dice.shuffle(mixed)
    return iter([*mixed, ("offset", "")])


def _join(
    rules: Rules,
    states: dict[str, CallState],
    clock_ms: int,
    fact: Fact | None,
    outputs: dict[str, Timeline | Fact],
    changed: dict[str, CallState],
) -> None:
    """What `processors.partition_state` does with one record, and the naive rule beside it."""
    for key in sorted(states, key=lambda key: (states[key].deadline_ms, key)):
        if states[key].deadline_ms <= clock_ms:
            done = timeout(states[key], clock_ms, SETTINGS)
            assert done.state is not None, "the horizon is beyond the world's end"
            states[key] = changed[key] = done.state
            outputs.update((timeline.timeline_id, timeline) for timeline in done.timelines)
    if fact is None:
        return
    known = states.get(fact.call_key)
    if rules.drop_what_was_seen and known is not None and _seen(known, fact):
        return
    done = step(known, fact, clock_ms, SETTINGS)
    assert done.state is not None
    if done.state != known:
        states[fact.call_key] = changed[fact.call_key] = done.state
    if done.normalized is not None:
        outputs[fact.fact_id] = done.normalized
    outputs.update((timeline.timeline_id, timeline) for timeline in done.timelines)


def _seen(state: CallState, fact: Fact) -> bool:
    item = state.items.get(fact.fact_id)
    return item is not None and any(c.fact.content_digest == fact.content_digest for c in item.contents)


def _run(world: World) -> None:
    """Let processes live and die until all is read, written and committed."""
    dice = world.dice
    current: list[Process] = [_normaliser(world, 0), _normaliser(world, 1), _joiner(world, 0)]
    zombies: list[Process] = []
    failures = dice.randint(0, 8)
    ended = [False, False]
    last_tick = False
    while not last_tick or world.committed < len(world.facts):
        index = 2 if all(ended) else dice.randrange(3)
        if failures and dice.random() < 0.12:
            failures -= 1
            if dice.random() < 0.4:
                zombies.append(current[index])
            current[index] = _replacement(world, index)
            continue
        if zombies and dice.random() < 0.2:
            next(dice.choice(zombies), None)
        if index < 2:
            ended[index] = ended[index] or next(current[index], "ended") == "ended"
        else:
            next(current[2])
        if all(ended) and not last_tick and dice.random() < 0.3:
            last_tick = True
            if world.rules.time_passes:
                world.clock_ms += 2 * _DAY_MS
            world.append_fact(None)


def _replacement(world: World, index: int) -> Process:
    if index < 2:
        return _normaliser(world, index)
    world.owner += 1
    return _joiner(world, world.owner)


def wrongs(seed: int, rules: Rules = RIGHT) -> list[str]:
    """What is wrong in the end: nothing, for the right rules."""
    world = World(seed, rules)
    _run(world)
    return list(_differences(world))


def _differences(world: World) -> Iterator[str]:
    truth: dict[str, CallState] = {}
    ignored: dict[str, Timeline | Fact] = {}
    unwritten: dict[str, CallState] = {}
    for stamp_ms, fact in world.facts:
        _join(RIGHT, truth, stamp_ms, fact, ignored, unwritten)
    believed = world.restored()
    for key in _KEYS:
        elements = [fact for log in world.raw for record in log for fact in record if fact.call_key == key]
        distinct = len({(fact.fact_id, fact.content_digest) for fact in elements})
        counts = (distinct, len(elements) - distinct)
        if (truth[key].counts() if key in truth else (0, 0)) != counts:
            yield f"{key}: the facts topic lacks elements of the raw topic"
        if (believed[key].counts() if key in believed else (0, 0)) != counts:
            yield f"{key}: the state's counts are not the raw topic's"
        if key in truth:
            yield from _misbelieved(world, truth[key])
    if world.contradictions:
        yield "two contents at one version"


def _misbelieved(world: World, truth: CallState) -> Iterator[str]:
    for timeline in timelines_of(truth):
        if not _same(world.timelines.get(timeline.timeline_id), timeline):
            yield f"{timeline.timeline_id}: the timeline is wrong"
    for item in truth.items.values():
        expected = normalized(item)
        if not _same(world.normalized.get(expected.fact_id), expected):
            yield f"{expected.fact_id}: the record is wrong"


def _same(believed: Timeline | Fact | None, expected: Timeline | Fact) -> bool:
    """Equal but for the version, which a copy that changes nothing may raise without being published."""
    if believed is None or believed.version > expected.version:
        return False
    return msgspec.structs.replace(believed, version=expected.version) == expected
