"""The short form of `make chaos`: each heavy fault once, on the real stack, beside vendors that send poisons.

No call is lost, doubled or wrong, and no process ends because of a request.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.chaos.faults.faults import TABLE, Step, schedule
from tests.chaos.judge.report import table
from tests.chaos.runner import Options, chaos

SEED = 20
DURATION_S = 75
LONGEST_S = 4.0
POISON = 0.05
HEAVY = (
    "ingress killed",
    "both workers killed",
    "sink killed",
    "poller killed",
    "two brokers down",
    "worker frozen",
    "workers cut off Kafka",
    "sink's packets dropped",
    "ClickHouse killed",
    "ClickHouse's disk full",
)


def each_once() -> Iterator[Step]:
    """The heavy faults in the order of the seed, none longer than a few seconds."""
    rows = [msgspec.structs.replace(row, max_s=min(row.max_s, LONGEST_S)) for row in TABLE if row.name in HEAVY]
    rows = [msgspec.structs.replace(row, min_s=min(row.min_s, row.max_s)) for row in rows]
    for _, step in zip(rows, schedule(SEED, table=tuple(rows)), strict=False):
        yield step


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_nothing_is_lost_or_doubled_whatever_breaks(tmp_path: Path) -> None:
    """Acknowledged bodies are on the raw topic, and the topics, views and counts agree with the raw topic."""
    options = Options(data_dir=tmp_path / "data", seed=SEED, duration_s=DURATION_S, poison=POISON)

    report = await chaos(options, each_once(), lambda _line: None)

    assert report.clean, table(report)
    assert report.acked > 0
    assert set(report.lines) <= set(HEAVY)
    assert len(report.poisons) > 20
    assert sum(line.times for line in report.lines.values()) > 1
