"""Rows converge: repetitions, other batches and older versions change nothing that a view shows (guarantee 8)."""

import random
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from schemas.facts import (
    FactType,
    State,
)
from sinks.clickhouse import ClickHouse
from sinks.columns import Table
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, DEAD_LETTERS, TIMELINES
from tests.contract.views.samples import START, all_views, ask, call, dead_letter, record
from tests.support.scale import SCALE


def _histories(rng: random.Random) -> dict[str, tuple[Table[Any], list[list[Any]]]]:
    """Returns some identities of each table, each with all its versions in order."""
    versions = range(1, 4)
    kinds = (
        ("cdr", CDR, FactType.RECORD),
        ("call_events", CALL_EVENTS, FactType.STATE),
        ("bindings", BINDINGS, FactType.BINDING),
    )
    found: dict[str, tuple[Table[Any], list[list[Any]]]] = {}
    for name, table, kind in kinds:
        found[name] = (
            table,
            [
                [
                    # What a row is sorted and partitioned by stays; all else may change, the account's spelling aside.
                    record(n, fact_type=kind, vendor=("ytx", "huawei")[n % 2], version=v, state=rng.choice(list(State)),
                           custom_ref=f"v{v}", received_at=START + timedelta(days=rng.randrange(-400, 400)),
                           setup_at=rng.choice([None, START + timedelta(days=rng.randrange(-400, 400))]))
                    for v in versions
                ]
                for n in range(1, 12)
            ],
        )  # fmt: skip
    found["timelines"] = (
        TIMELINES,
        [
            [
                call(n, version=v, account_id=rng.choice(["", "acc"]), talk_ms=rng.choice([None, 0, v]), custom_ref=f"v{v}",
                     setup_at=rng.choice([None, START + timedelta(days=rng.randrange(-400, 400))]))
                for v in versions
            ]
            for n in range(1, 12)
        ],
    )  # fmt: skip
    found["dead_letters"] = (DEAD_LETTERS, [[dead_letter(n)] for n in range(1, 12)])
    return found


def _cuts(rows: Sequence[Any], rng: random.Random) -> list[list[Any]]:
    bounds = sorted({0, len(rows), *(rng.randrange(len(rows) + 1) for _ in range(4))})
    return [list(rows[low:high]) for low, high in pairwise(bounds)]


@pytest.mark.parametrize("seed", range(2 * SCALE))
async def test_repetitions_other_cuts_and_older_versions_change_no_view(db: ClickHouse, seed: int) -> None:
    rng = random.Random(seed)
    histories = _histories(rng)
    for table, history in histories.values():
        await db.insert(table, [versions[-1] for versions in history])
    expected = await all_views(db)
    assert len(expected["v_cdr"]) == len(expected["timelines"]) == len(expected["call_events"]) == 11

    for table, history in histories.values():
        rows = [version for versions in history for version in versions] * 2
        rng.shuffle(rows)
        for cut in _cuts(rows, rng):
            await db.insert(table, cut)
        await db.insert(table, rows)
    assert await all_views(db) == expected


async def test_the_newest_version_shows_whatever_order_the_versions_came_in(db: ClickHouse) -> None:
    for version in (2, 3, 1):
        await db.insert(TIMELINES, [call(version=version, talk_ms=version * 1000)])
    assert await ask(db, "SELECT version, talk_ms FROM v_timelines") == [(3, 3000)]
