"""Calls after the joiner has forgotten them: both views still agree, and the first push stands.

Conferences are left out: a participant who comes after the horizon is in `v_cdr` and `v_conferences`, and in no earlier
call. So are records with a revision clock, which versions hold to the hour: two revisions of one hour, received a week
apart, are as good as each other (`tests/unit/processors/test_versions.py` has those of different hours).
"""

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

import msgspec
import pytest

from schemas.facts import PULLED, FactType
from sinks.clickhouse import ClickHouse
from tests.property.real_rows.agree import disagreements
from tests.property.real_rows.engine import ask, put, tables
from tests.property.real_rows.extremes import bare, summary
from tests.property.real_rows.kinds import CONFERENCE, KINDS, RECEIVED
from tests.property.real_rows.way import JOIN, Way, newest
from tests.property.test_differential import OF_CALLS, TWO_WAY, history
from tests.support.scale import SCALE

CALLS: Final = 300 * SCALE
LIVES: Final = 3
BEYOND: Final = timedelta(seconds=JOIN.horizon_s + 3600)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


class Lives(msgspec.Struct, kw_only=True):
    """Calls that came three times, each time after they had been forgotten."""

    way: Way
    refused: list[str]
    db: ClickHouse


@pytest.fixture(scope="module")
async def lives(clickhouse_url: str) -> AsyncIterator[Lives]:
    """Every life of a call has other records, states, corrections and extremes."""
    rng = random.Random("after the horizon")
    labels = [label for label in OF_CALLS if label != CONFERENCE and "updatedAt" not in KINDS[label].times]
    way = Way()
    chosen = [rng.choice((*labels, TWO_WAY)) for _ in range(CALLS)]
    for life in range(LIVES):
        way.advance(_ms(RECEIVED + life * BEYOND))
        for number, label in enumerate(chosen):
            for saying in history(number, rng, label):
                before = len(way.facts.get(saying.call, ()))
                body = bare(saying.kind.body(*saying.elements))
                way.push(saying.call, saying.kind, body, saying.received_at + life * BEYOND)
                for message in way.facts.get(saying.call, ())[before:]:
                    way.join(saying.call, message)
    way.advance(_ms(RECEIVED + LIVES * BEYOND))
    async with tables(clickhouse_url) as db:
        refused = await put(db, way.normalized, way.timelines, rng)
        yield Lives(way=way, refused=refused, db=db)


def test_no_stage_raises(lives: Lives) -> None:
    assert summary(lives.way.broken) == ""
    assert summary(lives.refused) == ""


async def test_both_views_tell_the_same(lives: Lives) -> None:
    assert summary(await disagreements(lives.db)) == ""


async def test_each_row_is_there_once_although_its_call_was_forgotten(lives: Lives, clickhouse_url: str) -> None:
    """In the order of the topics, and once more from the beginning, as after a rewind; also of another sink."""
    async with tables(clickhouse_url) as db:
        for _ in range(2):
            assert summary(await put(db, lives.way.normalized, lives.way.timelines)) == ""
        for view, identity in (("cdr", "record_id"), ("call_events", "record_id"), ("timelines", "timeline_id")):
            ((rows, known),) = await ask(db, f"SELECT count(), uniqExact({identity}) FROM {{db}}.{view}")
            assert rows == known > CALLS // 4, view
    assert sum(not call.slot_certain for call in lives.way.timelines) > CALLS


def test_what_was_pushed_first_stands(lives: Lives) -> None:
    """A later life replaces a row only if it is more complete: final, or with a cost that the first lacked."""
    rows = newest(lives.way.normalized)
    first = {
        name: fact
        for name, fact in newest(
            [fact for fact in lives.way.normalized if fact.received_at < RECEIVED + BEYOND]
        ).items()
        if fact.fact_type is FactType.RECORD and fact.source not in PULLED and fact.revised_at is None
    }
    stood = [name for name, fact in first.items() if rows[name].content_digest == fact.content_digest]
    replaced = [
        f"{rows[name].vendor_call_id}: {fact.is_final} {fact.cost} by {rows[name].is_final} {rows[name].cost}"
        for name, fact in first.items()
        if name not in stood and fact.is_final and "cost_missing" not in fact.quality_flags
    ]

    assert summary(replaced) == ""
    assert len(stood) > CALLS // 4
