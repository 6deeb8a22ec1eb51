"""Calls at once, by minute: each figure equals a count of every instant by hand."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from schemas.facts import Disposition
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.rows import TIMELINES
from tests.contract.views.samples import START, ask, call

MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
FROM: Final = START + timedelta(hours=30)
TO: Final = FROM + timedelta(minutes=40)


def some_call(rng: random.Random, number: int) -> Timeline:
    """Returns a call that begins before or in the time that is asked for, and lasts nothing, seconds, or days."""
    lengths = (0, 0.5, 1, 20, 60, 59.999999, 90, 300, 4000, 30 * 3600, 80 * 3600)
    began = FROM + timedelta(
        seconds=rng.choice([rng.uniform(-3000, 2500), 60 * rng.randrange(-90, 40), -80_000, -90_000])
    )
    began = began.replace(microsecond=rng.choice((0, 1, 500_000, 999_999)))
    ended = began + timedelta(seconds=rng.choice(lengths))
    answered = began + (ended - began) * rng.choice((0, 0.3, 1)) if rng.random() < 0.7 else None
    known = rng.random() < 0.9
    return call(
        number, vendor=rng.choice(("ytx", "huawei")), started_at=began, setup_at=began, answer_at=answered,
        end_at=ended if known else None, phase=2 if known else rng.choice((0, 1)), is_final=known, slot_at=began,
    )  # fmt: skip


def spans(calls: list[Timeline]) -> Iterator[tuple[str, datetime, datetime, datetime]]:
    """Yields the vendor, start, answer and end of each call, by the rules that the view's comment has."""
    for one in calls:
        assert one.started_at is not None
        limit = one.started_at + DAY
        last = max(filter(None, (one.started_at, one.answer_at, one.end_at)))
        ended = limit if one.end_at is None and one.phase == 0 else min(limit, last)
        yield one.vendor, one.started_at, min(ended, one.answer_at or ended), ended


def at_once(intervals: list[tuple[datetime, datetime]], low: datetime, high: datetime) -> int:
    """Returns the most of the intervals that hold one instant of [low, high)."""
    instants = [low, *(began for began, _ in intervals if low < began < high)]
    return max(sum(began <= at < ended for began, ended in intervals) for at in instants)


async def test_every_minute_equals_a_count_by_hand(db: ClickHouse) -> None:
    rng = random.Random(6)
    calls = [some_call(rng, n) for n in range(300)]
    await db.insert(TIMELINES, calls)
    rows = await ask(
        db,
        "SELECT minute_at, vendor, running, peak, talking, talking_peak "
        f"FROM v_concurrency(from = '{FROM:%F %T}', to = '{TO:%F %T}') ORDER BY minute_at, vendor",
    )
    shown = {(minute, vendor): figures for minute, vendor, *figures in rows}
    assert len(rows) == len(shown)

    expected: dict[tuple[datetime, str], list[int]] = {}
    for n in range(int((TO - FROM) / MINUTE)):
        minute = FROM + n * MINUTE
        for vendor in ("ytx", "huawei"):
            known = [(began, answered, ended) for name, began, answered, ended in spans(calls) if name == vendor]
            whole = [(began, ended) for began, _, ended in known]
            talk = [(answered, ended) for _, answered, ended in known]
            expected[minute, vendor] = [
                sum(began <= minute < ended for began, ended in whole), at_once(whole, minute, minute + MINUTE),
                sum(began <= minute < ended for began, ended in talk), at_once(talk, minute, minute + MINUTE),
            ]  # fmt: skip
    assert {key: figures for key, figures in shown.items() if any(figures)} == {
        key: figures for key, figures in expected.items() if any(figures)
    }
    assert max(figures[1] for figures in expected.values()) > 20


EARLIER: Final = START.replace(minute=50)
ONE: Final[dict[str, tuple[dict[str, Any], list[int]]]] = {
    "it began before": ({"started_at": EARLIER, "end_at": EARLIER + 15 * MINUTE}, [1, 1, 1, 1, 1]),
    "it began a day before, and half a minute": ({"started_at": START - 23 * timedelta(hours=1) - timedelta(seconds=30), "end_at": START + DAY}, []),
    "it ends on the full minute": ({"started_at": EARLIER, "end_at": EARLIER + 12 * MINUTE}, [1, 1]),
    "it is open and has no end": ({"started_at": EARLIER, "phase": 0}, [1] * 60),
    "it was closed without an end": ({"started_at": EARLIER, "phase": 1}, []),
    "it was closed without an end and had been answered": (
        {"started_at": EARLIER, "answer_at": EARLIER + 11 * MINUTE, "phase": 1}, [1],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "running"), ONE.values(), ids=ONE)
async def test_one_call_runs_in_the_minutes_that_it_touches(
    db: ClickHouse, fields: dict[str, Any], running: list[int]
) -> None:
    first = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    assert START.hour == first.hour - 1
    await db.insert(TIMELINES, [call(1, **{"disposition": Disposition.ANSWERED, "slot_at": START, **fields})])
    rows = await ask(
        db,
        "SELECT minute_at, running FROM v_concurrency(from = '2026-03-01 09:00:00', to = '2026-03-01 10:00:00') "
        "WHERE peak > 0 ORDER BY minute_at",
    )
    assert rows == [(first + n * MINUTE, count) for n, count in enumerate(running)]
