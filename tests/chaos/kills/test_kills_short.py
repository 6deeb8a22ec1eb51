"""The short form of `make kills`: failpoints of sink and workers once each, and the wrong ways that it must catch."""

from pathlib import Path

import pytest

from tests.chaos.judge.naive import Naive
from tests.chaos.kills.failpoints import SINK, WORKER
from tests.chaos.kills.kill_report import kill_table
from tests.chaos.kills.kill_series import KillOptions, kill_series

SEED = 5


RATE = 12.0
"""Requests a second: enough for a record at every point, and two fifths of the traffic of `make kills`."""


# Of what lies between two durable steps of a part, one point each; `all` has those beside it.
ONE_OF_EACH_STEP = (
    *("migrated, not yet noted", "insert refused", "half of an insert sent", "insert answered"),
    *("normalised, no fact published", "facts handed over", "states half restored", "joined, nothing published"),
    *("records and timelines acknowledged, states not published", "states acknowledged", "partitions revoked"),
    *("group joined, no answer yet", "records fetched", "before the commit", "commit sent, no answer yet"),
)
POINTS = [
    pytest.param(ONE_OF_EACH_STEP, id="one of each step"),
    pytest.param(tuple({point.name for point in (*SINK, *WORKER)}), id="all", marks=pytest.mark.long),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("names", POINTS)
async def test_killed_at_every_failpoint_nothing_is_lost_or_doubled(names: tuple[str, ...], tmp_path: Path) -> None:
    """Ledger, raw topic, public topics, every view, dead letters and the books (guarantee 7) agree afterwards."""
    of_sink, of_worker = ([point for point in points if point.name in names] for points in (SINK, WORKER))
    options = KillOptions(
        data_dir=tmp_path / "data",
        seed=SEED,
        sink=len(of_sink),
        workers=len(of_worker),
        rate=RATE,
        only=frozenset(names),
    )

    report = await kill_series(options, lambda _line: None)

    assert report.clean, kill_table(report)
    assert {name: line.kills for name, line in report.lines.items()} == {
        f"{point.part}: {point.name}": 1 for point in (*of_sink, *of_worker)
    }
    assert {point.name for point in (*of_sink, *of_worker)} == set(names)
    assert report.acked > 0


NAIVE: list[tuple[Naive, int, int, tuple[str, ...]]] = [
    ("sink commits first", 3, 0, ("before the inserts",)),
    ("worker commits first", 0, 4, ("normalised, no fact published", "joined, nothing published")),
]


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("naive", "sink", "workers", "only"), NAIVE, ids=[row[0] for row in NAIVE])
async def test_an_offset_before_its_work_is_caught_as_a_loss(
    naive: Naive, sink: int, workers: int, only: tuple[str, ...], tmp_path: Path
) -> None:
    """The same comparison that finds nothing above finds it."""
    options = KillOptions(
        data_dir=tmp_path / "data", seed=SEED, sink=sink, workers=workers, naive=naive, only=only, quiet_s=15
    )

    report = await kill_series(options, lambda _line: None)

    assert report.harms["lost"] > 0
    assert (report.kills("sink"), report.kills("worker")) == (sink, workers)
