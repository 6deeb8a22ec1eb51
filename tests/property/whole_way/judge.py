"""The judge of a world at rest: its views must show what an undisturbed world makes of the same raw log.

The undisturbed world reads every raw element once. Where the logs' clock jumped, calls timed out and facts came late by
the facts topic's stamps, so those, and nothing else of it, are taken from there.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from processors.call.precedence import normalized
from processors.normalise import Normalised
from processors.partitioning import partitions_of
from processors.records import Record
from processors.store.changelog import StateLog
from processors.store.partition import PartitionState
from processors.timeline.build import timelines_of
from schemas.facts import Fact
from schemas.raw import Position
from schemas.timeline import Timeline
from schemas.topics import FACTS, RAW, STATE
from sinks.rows import DEAD_LETTERS, TABLES, TIMELINES, table_of
from tests.property.whole_way.broker import PARTITIONS, Broker
from tests.property.whole_way.clickhouse import key_of
from tests.property.whole_way.quick import CODECS, outcome_of
from tests.property.whole_way.rules import SETTINGS
from tests.support.kafka.ledger_rows import Key, outcomes
from tests.support.kafka.ledger_rows import Row as Entry

if TYPE_CHECKING:
    from tests.property.whole_way.world import World

Place = tuple[int, int, int]
"""Raw partition, offset and element."""
_COMPACTION_LAG_MS: Final = int(STATE.config["min.compaction.lag.ms"])
Shown = dict[str, dict[tuple[Any, ...], Any]]
"""Table to key to record."""


def judge(world: "World") -> Iterator[str]:
    """Describe everything that is wrong, one sentence each."""
    broker = world.broker
    read = {
        Position(RAW.name, number, record.offset): record
        for number in range(PARTITIONS)
        for record in broker.logs[RAW.name, number]
    }
    arrived = {dict(record.headers)["request_id"].decode() for record in read.values()}
    lost = [request_id for request_id in world.vendors.acknowledged if request_id not in arrived]
    if lost:
        yield f"{len(lost)} acknowledged bodies are not on the raw topic"
    outcomes = [outcome_of(place, record) for place, record in read.items()]
    elements = sum(world.vendors.elements[record.value or b""] for record in read.values())
    truth = _stamped(broker, outcomes) if world.jumped else _at_once(outcomes)
    elements -= sum(len(outcome.filtered) for outcome in outcomes)
    yield from _identity(broker, elements, truth, world.clickhouse.views[DEAD_LETTERS.name])
    yield from _books(broker, truth, world.clickhouse.ledger, exact=world.rules.states_last)
    yield from _compare(_expected(outcomes, truth), world.clickhouse.views)
    if world.clickhouse.contradictions:
        yield f"{world.clickhouse.contradictions} rows say something else at the same version"


def _at_once(outcomes: list[Normalised]) -> list[PartitionState]:
    """Run an undisturbed world in which all facts come at one moment, and then no more."""
    held = PartitionState(SETTINGS)
    for outcome in outcomes:
        for fact in outcome.facts:
            held.apply(fact)
    for _ in held.advance(2 * SETTINGS.close_after_s * 1000):
        pass
    return [held]


def _stamped(broker: Broker, outcomes: list[Normalised]) -> list[PartitionState]:
    """Run an undisturbed world in which each fact comes when it first reached the facts topic, missing ones last."""
    facts = {_place(fact): fact for outcome in outcomes for fact in outcome.facts}
    partitions = []
    for number in range(PARTITIONS):
        held = PartitionState(SETTINGS)
        for record in broker.logs[FACTS.name, number]:
            for _ in held.advance(record.timestamp_ms):
                pass
            fact = facts.pop(_place(CODECS.stage_fact.decode(record.value)), None) if record.value else None
            if fact is not None:
                held.apply(fact)
        partitions.append(held)
    for fact in facts.values():
        key = fact.call_key.encode()
        partitions[partitions_of([key], PARTITIONS)[key]].apply(fact)
    return partitions


def _place(fact: Fact) -> Place:
    return fact.raw_partition, fact.raw_offset, fact.raw_element


def _identity(broker: Broker, elements: int, truth: list[PartitionState], dead: dict[Any, Any]) -> Iterator[str]:
    """Check that the books balance (guarantee 7) in what survives: the states and the dead letters' table."""
    held = PartitionState(SETTINGS)
    for number in range(PARTITIONS):
        states = StateLog()
        for record in _compacted(broker.logs[STATE.name, number], broker.clock_ms() - _COMPACTION_LAG_MS):
            states.take(record)
        for call in states.calls():
            held.load(*call)
    kept = +held.items
    wanted = sum((partition.items for partition in truth), Counter())
    if kept != wanted:
        yield f"the states count {dict(kept)} and not {dict(wanted)}"
    dead_letters = sum(record.stage == "normalise" for _, record in dead.values())
    if elements != sum(kept.values()) + dead_letters:
        yield f"{elements} elements came in, {sum(kept.values())} are facts or duplicates, {dead_letters} dead"


def _books(broker: Broker, truth: list[PartitionState], ledger: dict[Key, Entry], *, exact: bool) -> Iterator[str]:
    """Check that the ledger has every raw record, and counts its elements as the undisturbed world does."""
    found = outcomes(ledger)
    for number in range(PARTITIONS):
        read = {offset for partition, offset, element in found if partition == number and not element}
        if missing := {record.offset for record in broker.logs[RAW.name, number]} ^ read:
            yield f"the ledger lacks or invents offsets {sorted(missing)} of partition {number}"
    counts = Counter(found.values())
    wanted = sum((partition.items for partition in truth), Counter())
    duplicates = sum(count for (_, outcome), count in wanted.items() if outcome == "duplicate")
    right = counts["duplicate"] == duplicates or not exact
    if not right or counts["fact"] + counts["duplicate"] != sum(wanted.values()):
        yield f"the ledger counts {dict(counts)} and not {dict(wanted)}"
    if still_open := counts["waiting"] + counts["unaccounted"] + counts["unseen"]:
        yield f"{still_open} elements are open in the ledger"


def _compacted(log: list[Record], before_ms: int) -> Iterator[Record]:
    """Return what compaction leaves at the least: the last record of each key among the older ones."""
    last = {record.key: record.offset for record in log if record.timestamp_ms < before_ms}
    return (record for record in log if record.offset >= last.get(record.key, 0))


def _expected(outcomes: list[Normalised], truth: list[PartitionState]) -> Shown:
    shown: Shown = {table.name: {} for table in TABLES}
    for dead_letter in (dead_letter for outcome in outcomes for dead_letter in outcome.dead):
        shown[DEAD_LETTERS.name][key_of(DEAD_LETTERS, dead_letter)] = dead_letter
    for state in (state for partition in truth for state in partition._touched.values()):
        assert state is not None, "the horizon is beyond the world's end"
        for timeline in timelines_of(state):
            shown[TIMELINES.name][key_of(TIMELINES, timeline)] = timeline
        for item in state.items.values():
            fact = normalized(item)
            shown[table_of(fact).name][key_of(table_of(fact), fact)] = fact
    return shown


def _compare(expected: Shown, views: dict[str, dict[tuple[Any, ...], tuple[int, Any]]]) -> Iterator[str]:
    for name, wanted in expected.items():
        view = views[name]
        if missing := wanted.keys() - view.keys():
            yield f"{name} lacks {sorted(missing)}"
        if strange := view.keys() - wanted.keys():
            yield f"{name} has {sorted(strange)}"
        for key in wanted.keys() & view.keys():
            if not _same(view[key][1], wanted[key]):
                yield f"{name} {key} is wrong: {_difference(view[key][1], wanted[key])}"


def _same(believed: Any, wanted: Any) -> bool:
    """True when equal but for the version, which a duplicate that changes nothing may raise unpublished."""
    if not isinstance(wanted, Fact | Timeline):
        return bool(believed == wanted)
    unversioned = msgspec.structs.replace(believed, version=wanted.version)
    return bool(believed.version <= wanted.version and unversioned == wanted)


def _difference(believed: Any, wanted: Any) -> str:
    ours, theirs = msgspec.structs.asdict(believed), msgspec.structs.asdict(wanted)
    return "; ".join(f"{name} {ours[name]!r} for {theirs[name]!r}" for name in ours if ours[name] != theirs[name])
