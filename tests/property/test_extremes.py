"""Extremes in every numeric, money and time field of every kind, up to the rows of the real engine.

Whatever a body says, no stage raises, the sink refuses no row, nothing vanishes, what comes out of the engine is what
went in, and `v_cdr` and `v_timelines` tell the same. How many pairs are tried: CALLWEAVE_TEST_SCALE times six values
for each.
"""

import random
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any, Final

import msgspec
import pytest

from schemas.facts import Fact, FactType
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from tests.property.real_rows.agree import disagreements
from tests.property.real_rows.engine import ask, put, tables
from tests.property.real_rows.extremes import INSTANTS, bare, summary, values
from tests.property.real_rows.kinds import CALLED, CALLER, CONFERENCE, KINDS, RECEIVED, Element, Kind, after
from tests.property.real_rows.way import Way, newest
from tests.support.scale import SCALE

ROUNDS: Final = SCALE
PAIRS: Final = 6 * ROUNDS
SUMS: Final = 200 * ROUNDS

RECEIPTS: Final = (*INSTANTS[:-1], datetime(5138, 11, 16, tzinfo=UTC))


Case = tuple[str, Kind, list[Element], datetime]
"""A case: its name, the elements of one body, and the time of receipt."""


def alone(_rng: random.Random) -> Iterator[Case]:
    """Every value in every field."""
    for label, kind in KINDS.items():
        for name in kind.driven:
            for value in values(kind, name):
                call = f"alone {label} {name} {str(value)[:40]} {type(value).__name__}"
                yield call, kind, [kind.of(call) | {name: value}], RECEIVED


def in_pairs(rng: random.Random) -> Iterator[Case]:
    """Every two fields of a kind, with some values each."""
    for label, kind in KINDS.items():
        for one, other in combinations(kind.driven, 2):
            for number in range(PAIRS):
                call = f"pair {label} {one} {other} {number}"
                changes = {one: rng.choice(values(kind, one)), other: rng.choice(values(kind, other))}
                yield call, kind, [kind.of(call) | changes], RECEIVED


def in_sums(rng: random.Random) -> Iterator[Case]:
    """Participants of one conference, each with extremes of its own; and records beside states."""
    leg = KINDS[CONFERENCE]
    for number in range(SUMS):
        call = f"sum {number}"
        names = rng.choice((("duration",), ("singleoriamount",), ("stime", "etime"), leg.driven[:-1]))
        elements = []
        for place in range(rng.randint(2, 4)):
            changes = {name: rng.choice(values(leg, name)) for name in names if rng.random() < 0.8}
            # A time of its own, so that no two of them are one record.
            own = {"tel": f"1390000{place:04}", "stime": leg.spell(after(place))}
            elements.append(leg.of(call) | own | changes)
        yield call, leg, elements, RECEIVED
    for number in range(SUMS):
        call = f"states {number}"
        yield call, KINDS["callback_cdr"], [_record_and_states(call, rng)], RECEIVED
        yield call, KINDS["callback_state"], _states(call, rng), RECEIVED


def at_any_receipt(rng: random.Random) -> Iterator[Case]:
    """Bodies with extreme times of receipt: a wrong clock, or another program on the raw topic."""
    for label, kind in KINDS.items():
        for receipt in RECEIPTS:
            for number in range(6):
                call = f"receipt {label} {receipt.year} {number}"
                changes = {name: kind.spell(receipt + timedelta(seconds=rng.randint(-90, 90))) for name in kind.times}
                chosen = {name: value for name, value in changes.items() if number == 0 or rng.random() < 0.6}
                yield call, kind, [kind.of(call) | chosen], receipt


def _record_and_states(call: str, rng: random.Random) -> Element:
    kind = KINDS["callback_cdr"]
    names = rng.sample(kind.driven, rng.randint(0, 2))
    return kind.of(call) | {name: rng.choice(values(kind, name)) for name in names}


def _states(call: str, rng: random.Random) -> list[Element]:
    kind = KINDS["callback_state"]
    pushed = []
    for phone, begin in ((CALLER, 0), (CALLED, 11)):
        for step, state in enumerate(("callout", "alerting", "answer", "disconnect")):
            at = kind.spell(after(begin + 3 * step))
            extreme = rng.choice(values(kind, "timestamp")) if rng.random() < 0.25 else at
            if rng.random() < 0.8:
                pushed.append(kind.of(call) | {"dsc": phone, "state": state, "timestamp": extreme})
    return pushed or [kind.of(call)]


SETS: Final[dict[str, Callable[[random.Random], Iterator[Case]]]] = {
    "alone": alone,
    "in pairs": in_pairs,
    "in sums": in_sums,
    "at any receipt": at_any_receipt,
}


class Driven(msgspec.Struct, kw_only=True):
    """The results of a set of cases."""

    way: Way
    refused: list[str]
    db: ClickHouse
    cases: int


@pytest.fixture(scope="module", params=list(SETS))
async def driven(request: pytest.FixtureRequest, clickhouse_url: str) -> AsyncIterator[Driven]:
    """Send and join each case, and insert everything into the engine."""
    way, cases = Way(), 0
    for case, kind, elements, received_at in SETS[request.param](random.Random(f"extremes/{request.param}")):
        cases += 1
        bodies = [[element] for element in elements] if kind is KINDS["callback_state"] else [elements]
        for body in bodies:
            way.push(case, kind, bare(kind.body(*body)), received_at)
    way.join_all()
    async with tables(clickhouse_url) as db:
        refused = await put(db, way.normalized, way.timelines)
        yield Driven(way=way, refused=refused, db=db, cases=cases)


def test_no_stage_raises(driven: Driven) -> None:
    """No error comes from the normaliser, the joiner or the encoding of a message."""
    assert summary(driven.way.broken) == ""


def test_the_sink_refuses_nothing(driven: Driven) -> None:
    assert summary(driven.refused) == ""


def test_nothing_vanishes(driven: Driven) -> None:
    """Every case is a fact or a dead letter, and every fact a row."""
    way = driven.way
    without = [case for case, codes in way.dead.items() if not codes and case not in way.facts]

    assert summary(without) == ""
    assert driven.cases > 300


async def test_both_views_tell_the_same(driven: Driven) -> None:
    assert summary(await disagreements(driven.db)) == ""


async def test_what_comes_out_of_the_engine_is_what_went_in(driven: Driven) -> None:
    """Times beyond a column, or money that it rounds, would come out changed."""
    facts = {name: fact for name, fact in newest(driven.way.normalized).items() if fact.fact_type is FactType.RECORD}
    wanted = {name: _amounts(fact) for name, fact in facts.items()}
    rows = await ask(driven.db, f"SELECT toString(record_id), {', '.join(AMOUNTS_AND_TIMES)} FROM {{db}}.v_cdr")
    calls = {timeline.timeline_id: _amounts(timeline) for timeline in _newest_calls(driven.way.timelines)}
    shown = await ask(driven.db, f"SELECT timeline_id, {', '.join(AMOUNTS_AND_TIMES)} FROM {{db}}.v_timelines")

    assert summary(_unlike(wanted, rows)) == ""
    assert summary(_unlike(calls, shown)) == ""


async def test_what_nobody_can_bill_is_in_no_sum(driven: Driven) -> None:
    """Seconds beyond seven days and money beyond 100,000 a record are NULL."""
    query = "SELECT vendor_call_id, billable_s, cost FROM {db}.v_cdr WHERE billable_s > 604800 OR abs(cost) > 100000"

    assert summary(await ask(driven.db, query)) == ""


AMOUNTS_AND_TIMES: Final = (
    "setup_at", "alerting_at", "answer_at", "end_at", "pdd_ms", "ring_ms", "talk_ms", "vendor_duration_s", "billable_s", "cost",
)  # fmt: skip


def _amounts(record: Fact | Timeline) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in AMOUNTS_AND_TIMES)


def _newest_calls(timelines: list[Timeline]) -> list[Timeline]:
    last: dict[str, Timeline] = {}
    for timeline in timelines:
        if timeline.timeline_id not in last or timeline.version >= last[timeline.timeline_id].version:
            last[timeline.timeline_id] = timeline
    return list(last.values())


def _unlike(wanted: dict[str, tuple[Any, ...]], rows: list[tuple[Any, ...]]) -> list[str]:
    shown = {str(row[0]): tuple(row[1:]) for row in rows}
    missing = [f"{name} has no row" for name in wanted.keys() - shown.keys()]
    other = [
        f"{name} {column}: {had} became {has}"
        for name in wanted.keys() & shown.keys()
        for column, had, has in zip(AMOUNTS_AND_TIMES, wanted[name], shown[name], strict=True)
        if (Decimal(had) if column == "cost" and had is not None else had) != has
    ]
    return [*missing, *other]
