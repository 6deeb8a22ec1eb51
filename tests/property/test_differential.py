"""`v_cdr` and `v_timelines` agree on count, cost and disposition, whatever set of facts they were made from.

A history is what a vendor may say of one call: its record, corrections, contradictions, extremes, copies, states, in
any order; now and then somebody decides which content counts. Histories are interleaved, the joiner restarts in between
and repeats what it had not committed, calls time out, and rows go in twice, in any order. No call lives longer than the
joiner's horizon (`test_after_horizon` has those). 600 histories with a fixed seed; CALLWEAVE_TEST_SCALE times as
many.
"""

import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import pytest

from schemas.codec import STAGE_FACT
from schemas.facts import Disposition, Fact, FactType
from sinks.clickhouse import ClickHouse
from tests.property.real_rows.agree import disagreements
from tests.property.real_rows.engine import ask, put, tables
from tests.property.real_rows.extremes import bare, summary, values
from tests.property.real_rows.kinds import CALLED, CALLER, CONFERENCE, KINDS, RECEIVED, Element, Kind, after
from tests.property.real_rows.way import Way, newest
from tests.support.scale import SCALE

SEEDS: Final = SCALE
HISTORIES: Final = 600
OF_CALLS: Final = tuple(label for label in KINDS if label not in ("callback_state", "binding"))
SECOND_MS: Final = 1000
DECIDED: Final = 0.1
"""The probability that an operator decides at once on a record with several contents."""
TWO_WAY: Final = "callback_cdr"
STATE: Final = "callback_state"


class SentBody(msgspec.Struct, frozen=True):
    """One body of a history."""

    call: str
    kind: Kind
    elements: tuple[Element, ...]
    received_at: datetime


def history(number: int, rng: random.Random, label: str = "") -> list[SentBody]:
    """Make the bodies of one call, in the order in which they come."""
    call = f"history {number}"
    label = label or rng.choice((*OF_CALLS, TWO_WAY, CONFERENCE))
    kind = KINDS[label]
    bodies = [
        SentBody(call, kind, _record(call, label, rng), RECEIVED) for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 6)))
    ]
    if label == TWO_WAY:
        bodies += [SentBody(call, KINDS[STATE], (state,), RECEIVED) for state in _states(call, rng)]
        if rng.random() < 0.1:
            bodies = [sent for sent in bodies if sent.kind is not kind] or bodies
    bodies += rng.choices(bodies, k=rng.choice((0, 0, 1, 3)))
    rng.shuffle(bodies)
    received_s = 0.0
    ordered = []
    for sent in bodies:
        # Mostly as it comes; a spool or another process may have stamped it earlier. or another process may have
        # stamped it earlier.
        received_s += rng.choice((0.01, 1, 30, 400)) if rng.random() < 0.9 else -rng.choice((0.5, 20))
        ordered.append(msgspec.structs.replace(sent, received_at=RECEIVED + timedelta(seconds=received_s)))
    return ordered


def _record(call: str, label: str, rng: random.Random) -> tuple[Element, ...]:
    kind = KINDS[label]
    if label == CONFERENCE:
        return tuple(
            kind.of(call) | {"tel": f"1390000000{place}", "stime": kind.spell(after(place))} | _other(kind, rng)
            for place in rng.sample(range(4), rng.randint(1, 3))
        )
    return (kind.of(call) | _other(kind, rng),)


def _other(kind: Kind, rng: random.Random) -> Element:
    """Return the changes of this content against the plain record: none, a correction, or an extreme."""
    changes: Element = {}
    chance = rng.random
    if chance() < 0.25:
        changes |= kind.unanswered
    if chance() < 0.15:
        changes |= kind.unfinished
    if kind.seconds and chance() < 0.25:
        changes[kind.seconds[0]] = str(rng.choice((59, 61, 3600)))
    if kind.money and chance() < 0.3:
        changes[kind.money[0]] = rng.choice(("0.15", "0", "", "2.9400001", "$1.00", "100000.01"))
    if "updatedAt" in kind.times and chance() < 0.6:
        changes["updatedAt"] = kind.spell(after(rng.randint(60, 90)))
    if chance() < 0.15:
        name = rng.choice(kind.driven)
        changes[name] = rng.choice(values(kind, name))
    if chance() < 0.2:
        name = rng.choice(kind.times)
        changes[name] = kind.spell(after(rng.randint(0, 100)))
    return changes


def _states(call: str, rng: random.Random) -> list[Element]:
    kind, bodies = KINDS[STATE], []
    for phone, begin in ((CALLER, 0), (CALLED, 11), ("13700000003", 15)):
        for step, state in enumerate(("callout", "alerting", "answer", "disconnect")):
            wanted = 0.7 if phone != "13700000003" else 0.05
            if rng.random() < wanted:
                at: Any = kind.spell(after(begin + 3 * step))
                if rng.random() < 0.05:
                    at = rng.choice(values(kind, "timestamp"))
                bodies.append(kind.of(call) | {"dsc": phone, "state": state, "timestamp": at})
    return bodies if rng.random() < 0.7 else []


def interleaved(histories: list[list[SentBody]], rng: random.Random) -> list[SentBody]:
    """Interleave all histories, each in its own order; as many at a time as a busy hour has."""
    waiting, running, order = list(reversed(histories)), list[list[SentBody]](), list[SentBody]()
    while waiting or running:
        while waiting and len(running) < 40:
            running.append(list(reversed(waiting.pop())))
        chosen = rng.randrange(len(running))
        order.append(running[chosen].pop())
        if not running[chosen]:
            running.pop(chosen)
    return order


class Played(msgspec.Struct, kw_only=True):
    """All histories, joined, and in the engine."""

    way: Way
    refused: list[str]
    db: ClickHouse
    happened: Counter[str]
    decided: dict[str, Fact]
    """Record to the content that an operator chose, where nothing newer came."""


@pytest.fixture(scope="module", params=range(SEEDS))
async def played(request: pytest.FixtureRequest, clickhouse_url: str) -> AsyncIterator[Played]:
    """Six hundred histories."""
    rng = random.Random(f"differential/{request.param}")
    way, log, decided = Way(), list[tuple[str, bytes]](), dict[str, Fact]()
    known: dict[str, dict[str, Fact]] = defaultdict(dict)
    decisions = 0
    for sent in interleaved([history(number, rng) for number in range(HISTORIES)], rng):
        before = len(way.facts.get(sent.call, ()))
        facts = way.push(sent.call, sent.kind, bare(sent.kind.body(*sent.elements)), sent.received_at)
        for fact in facts:
            if fact.content_digest not in known[fact.fact_id]:
                decided.pop(fact.fact_id, None)
            contents = known[fact.fact_id] = {**known[fact.fact_id], fact.content_digest: fact}
            if fact.fact_type is FactType.RECORD and len(contents) > 1 and rng.random() < DECIDED:
                decided[fact.fact_id] = kept = rng.choice(list(contents.values()))
                decisions += 1
                decided_at = RECEIVED + timedelta(hours=2, seconds=decisions)
                way.decide(sent.call, kept, kept.content_digest, decided_at)
        log += [(sent.call, message) for message in way.facts.get(sent.call, ())[before:]]
    happened = _join(way, log, rng)
    async with tables(clickhouse_url) as db:
        refused = await put(db, way.normalized, way.timelines, rng)
        yield Played(way=way, refused=refused, db=db, happened=happened, decided=decided)


def _join(way: Way, log: list[tuple[str, bytes]], rng: random.Random) -> Counter[str]:
    """Run the joiner over the facts topic: it commits, dies, restores its states, and times calls out."""
    happened: Counter[str] = Counter()
    written: dict[str, bytes | None] = {}
    place, committed, now_ms = 0, 0, 0
    while place < len(log):
        case, message = log[place]
        now_ms += rng.choice((0, 5, 200))
        if rng.random() < 0.004:
            now_ms += 40 * 60 * SECOND_MS
            happened["calls time out"] += 1
        way.advance(now_ms)
        way.join(case, message)
        place += 1
        if rng.random() < 0.05:
            written |= way.held.take_changed()
            # States are written before the offset is: a crash in between repeats what is already known.
            committed = place if rng.random() < 0.7 else committed
            happened["offsets are committed"] += 1
        if rng.random() < 0.01:
            happened["records are read again"] += place - committed
            happened["the joiner dies"] += 1
            way.restart(written)
            place = committed
    way.advance(now_ms + 2 * 86_400 * SECOND_MS)
    return happened


def test_no_stage_raises(played: Played) -> None:
    assert summary(played.way.broken) == ""


def test_the_sink_refuses_nothing(played: Played) -> None:
    assert summary(played.refused) == ""


async def test_both_views_tell_the_same(played: Played) -> None:
    assert summary(await disagreements(played.db)) == ""


async def test_every_record_is_one_row(played: Played) -> None:
    """There are as many rows as distinct records, and as many timelines as calls that can have one."""
    facts = [STAGE_FACT.decode(message) for messages in played.way.facts.values() for message in messages]
    records = {fact.fact_id for fact in facts if fact.fact_type is FactType.RECORD}
    calls = {fact.vendor_call_id for fact in facts if fact.fact_type in (FactType.RECORD, FactType.STATE)}
    rows = await ask(played.db, "SELECT count(), uniqExact(record_id) FROM {db}.v_cdr")
    shown = await ask(played.db, "SELECT count(), uniqExact(vendor_call_id) FROM {db}.v_timelines")

    assert rows == [(len(records), len(records))]
    assert shown == [(len(calls), len(calls))]


_OPEN: Final = (None, Disposition.UNKNOWN, Disposition.IN_PROGRESS)
OUTCOME: Final = ("disposition", "answer_at", "end_at", "talk_ms", "billable_s", "cost")


def _outcome(fact: Fact) -> tuple[Any, ...]:
    """Return the columns of a content; None for unknown ones."""
    return tuple(None if value in _OPEN else value for value in (getattr(fact, name) for name in OUTCOME))


def _agrees(content: tuple[Any, ...], row: tuple[Any, ...]) -> bool:
    """True when the row has everything that the content knows."""
    return all(known in (None, shown) for known, shown in zip(content, row, strict=True))


def _whole(row: tuple[Any, ...], contents: set[tuple[Any, ...]]) -> bool:
    """True when all of the row comes from contents that contradict nothing in it."""
    agreeing = [content for content in contents if _agrees(content, row)]
    shown = [{content[place] for content in agreeing} for place in range(len(row))]
    return bool(agreeing) and all(value is None or value in those for value, those in zip(row, shown, strict=True))


async def test_a_final_row_is_one_content_whole(played: Played) -> None:
    """No row has the answer of one content beside the money of another that contradicts it."""
    contents: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    for messages in played.way.facts.values():
        for fact in map(STAGE_FACT.decode, messages):
            if fact.fact_type is FactType.RECORD:
                contents[fact.fact_id].add(_outcome(fact))
    mixed = [
        f"{fact.vendor_call_id}: {_outcome(fact)} is none of {contents[name]}"
        for name, fact in newest(played.way.normalized).items()
        if fact.is_final and not _whole(_outcome(fact), contents[name])
    ]

    assert summary(mixed) == ""


def test_what_somebody_chose_is_shown(played: Played) -> None:
    """This holds where nothing newer came after the decision."""
    shown = newest(played.way.normalized)
    other = [
        f"{kept.vendor_call_id}: {_outcome(shown[name])} is not {_outcome(kept)}"
        for name, kept in played.decided.items()
        if not _agrees(_outcome(kept), _outcome(shown[name]))
    ]

    assert summary(other) == ""
    assert len(played.decided) > 20


HAPPENS: Final = (
    "calls time out",
    "offsets are committed",
    "records are read again",
    "the joiner dies",
    "final contents contradict each other",
    "a record and states are joined",
    "a conference has several participants",
    "nobody answered",
    "a field is beyond its bound",
)


@pytest.fixture(scope="module")
async def counted(played: Played) -> Counter[str]:
    """Count the features of the histories."""
    query = """
        SELECT
            countIf(has(quality_flags, 'conflict_final')), countIf(has_record AND has_states), countIf(length(legs.role) > 2),
            countIf(disposition = 'no_answer'), countIf(has(quality_flags, 'range_error'))
        FROM {db}.v_timelines
    """
    (row,) = await ask(played.db, query)
    return played.happened + Counter(dict(zip(HAPPENS[4:], map(int, row), strict=True)))


@pytest.mark.parametrize("what", HAPPENS)
def test_it_happens_in_these_histories(counted: Counter[str], what: str) -> None:
    """Histories in which nothing happens would prove nothing."""
    assert counted[what] >= 10
