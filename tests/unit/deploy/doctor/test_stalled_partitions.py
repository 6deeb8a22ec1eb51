"""Lag and stalled partitions from Kafka's offsets, and the verdicts of the doctor and the live view."""

import math
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deploy.doctor.stalled_partitions import GroupOffsets, PartitionOffsets, StallDetector, StalledPartition, sentences
from deploy.doctor.work import verdict_on_parts, verdict_on_work
from deploy.local.dashboard import line, rendered
from deploy.local.stack_health import lag_of, warnings_on_parts
from deploy.local.stats import StackStats
from deploy.process import part_states
from deploy.process.part_process import PartSpec, supervised_part
from deploy.process.part_states import PartState, read_states, remove_states, write_states
from deploy.process.scrape import parse
from processors.poison.suspects import Book, RecordPlace, WorkerEnd
from schemas.metrics import Registry

NOW_S = 1_700_000_000.0


def group(
    *partitions: tuple[str, int, int, int], name: str = "callweave-process", members: int = 1, committed: bool = True
) -> GroupOffsets:
    return GroupOffsets(
        name=name,
        members=members,
        committed=committed,
        partitions=tuple(
            PartitionOffsets(group=name, topic=topic, partition=partition, committed=at, end=end)
            for topic, partition, at, end in partitions
        ),
    )


@pytest.mark.parametrize(
    ("looks", "stalled"),
    [
        pytest.param([(0, 5, 5), (40, 5, 5)], [], id="nothing waits"),
        pytest.param([(0, 5, 9), (40, 9, 12)], [], id="it moves"),
        pytest.param([(0, 5, 125), (40, 5, 125)], [(120, 40)], id="it stands"),
        pytest.param([(0, 5, 9), (10, 5, 50), (40, 5, 125)], [(120, 40)], id="more comes and nothing is done"),
        pytest.param([(0, 5, 9), (30, 7, 9), (40, 7, 9)], [], id="it moved a moment ago"),
        pytest.param([(0, 5, 9), (20, 9, 9), (40, 9, 12)], [], id="it was done in between"),
        pytest.param([(0, 5, 9), (10, 9, 12), (40, 9, 12)], [(3, 30)], id="it stopped later"),
    ],
)  # fmt: skip
def test_what_does_not_move(looks: list[tuple[float, int, int]], stalled: list[tuple[int, float]]) -> None:
    detector = StallDetector()
    for at_s, committed, end in looks:
        groups = [group(("calls.raw", 3, committed, end))]
        detector.observe(groups, at_s)

    found = detector.stalled(groups, looks[-1][0], longer_than_s=20)
    assert [(one.waiting, one.for_s) for one in found] == stalled


def test_a_stalled_partition_is_reported_with_its_time_and_lag() -> None:
    assert str(StalledPartition(topic="calls.raw", partition=3, waiting=120, for_s=40.2)) == (
        "partition 3 of calls.raw has not moved for 40 s with 120 records waiting"
    )
    many = [StalledPartition(topic="calls.raw", partition=n, waiting=1, for_s=40) for n in range(24)]
    assert sentences(many)[-1] == "and 21 more partitions"
    assert len(sentences(many)) == 4


STANDS = StalledPartition(topic="calls.raw", partition=3, waiting=120, for_s=40)
RAW_WAITS = ("calls.raw", 3, 5, 125)


@pytest.mark.parametrize(
    ("groups", "stalled", "state", "sentence"),
    [
        pytest.param([group(RAW_WAITS)], [], "ok", "120 records wait, and every partition moves", id="busy"),
        pytest.param([group(("calls.raw", 3, 5, 5))], [], "ok", "0 records wait", id="idle"),
        pytest.param([group(RAW_WAITS)], [STANDS], "bad", "has not moved for 40 s with 120 records", id="it stands"),
        pytest.param(
            [group(RAW_WAITS)],
            [StalledPartition(topic="calls.raw", partition=3, waiting=1, for_s=6)],
            "note",
            "has not moved for 6 s with 1 record waiting",
            id="it stands for as long as a restart takes",
        ),
        pytest.param([group(RAW_WAITS, members=0)], [STANDS], "bad", "nobody works for callweave-process: 120", id="nobody"),
        pytest.param([group(("calls.raw", 3, 5, 5), members=0)], [], "bad", "nobody works", id="nobody, nothing waits"),
        pytest.param(
            [group(("calls.raw", 3, 0, 9), members=0, committed=False)], [], "bad", "9 records", id="nobody ever, and records wait"
        ),
        pytest.param(
            [group(("calls.raw", 3, 0, 0), members=0, committed=False)], [], "note", "nobody has worked yet", id="not begun"
        ),
        pytest.param(
            [group(RAW_WAITS), group(("calls.dead", 0, 1, 1), name="callweave-sink", members=0)],
            [],
            "bad",
            "callweave-sink",
            id="one of two groups has nobody",
        ),
    ],
)  # fmt: skip
def test_the_verdict_on_the_work(
    groups: list[GroupOffsets], stalled: list[StalledPartition], state: str, sentence: str
) -> None:
    found = verdict_on_work(groups, stalled)

    assert (found.state, sentence in found.detail) == (state, True), found.detail
    assert bool(found.advice) == (state == "bad" or bool(stalled))


def part(name: str, *restarts_s_ago: float) -> PartState:
    restarts = tuple(NOW_S - ago for ago in restarts_s_ago)
    return PartState(name=name, pid=7, restarts=restarts, last_exit=-9, metrics="http://127.0.0.1:1/metrics")


def book(*ends_s_ago: float, place: RecordPlace | None = None) -> Book:
    found = Book()
    for ago in ends_s_ago:
        found = found.died(WorkerEnd(worker="up-1", at_ms=int(1000 * (NOW_S - ago)), place=place))
    return found


AT = RecordPlace(topic="calls.raw", partition=3, first=17, next=18)


@pytest.mark.parametrize(
    ("seen", "state", "sentence"),
    [
        pytest.param({}, "ok", "none", id="nothing"),
        pytest.param({"states": [part("sink", 5, 100)]}, "ok", "none", id="twice"),
        pytest.param({"states": [part("sink", 5, 100, 900)]}, "ok", "none", id="three times, once long ago"),
        pytest.param(
            {"states": [part("process-1", 5, 9, 20, 100, 599)]},
            "bad",
            "process-1 was started again 5 times in the last 10 minutes (exit -9)",
            id="five times",
        ),
        pytest.param({"held_s": {"sink": 4.0}}, "ok", "none", id="a short pause"),
        pytest.param({"held_s": {"sink": 7.0}}, "bad", "sink's event loop was blocked for 7 s", id="a long pause"),
        pytest.param({"held_s": {"process-1": math.inf}}, "bad", "process-1 does not answer within 5 s", id="it does not answer"),
        pytest.param({"known": book(1, 2)}, "ok", "none", id="two workers killed from outside"),
        pytest.param({"known": book(1, 2, 3)}, "bad", "worker up-1 ended 3 times in the last 10 minutes", id="three"),
        pytest.param({"known": book(1, 2, 900)}, "ok", "none", id="one of three long ago"),
        pytest.param({"known": book(1, place=AT)}, "note", "workers died at calls.raw/3/17 1 times", id="a suspect"),
        pytest.param({"known": book(1, 2, place=AT)}, "note", "1 records are put aside, the last is calls.raw/3/17", id="poison"),
    ],
)  # fmt: skip
def test_the_verdict_on_the_parts(seen: dict[str, Any], state: str, sentence: str) -> None:
    found = verdict_on_parts(seen.get("states", ()), seen.get("held_s", {}), seen.get("known", Book()), now_s=NOW_S)

    assert (found.state, sentence in found.detail) == (state, True), found.detail


def test_lag_is_by_stage_and_from_outside() -> None:
    groups = [
        group(("calls.raw", 0, 5, 9), ("calls.raw", 1, 0, 3), ("calls.facts", 0, 1, 1)),
        group(("calls.dead", 0, 1, 2), ("calls.timelines", 0, 0, 5), name="callweave-sink"),
    ]
    assert lag_of(groups) == {"normalise": 7, "join": 0, "sink": 6}


def test_what_the_view_warns_of() -> None:
    metrics = Registry()
    metrics.put("callweave_loop_blocked_seconds", "sink", value=12)
    metrics.put("callweave_loop_blocked_seconds", "poll", value=0.2)
    metrics.add("callweave_process_quarantined_total", "join", by=2)

    found = warnings_on_parts({"process-1": 5, "sink": 1}, {"process-2": 12.0, "poll": 3.0}, parse(metrics.text()))

    assert found == [
        "process-1 was started again 5 times in the last 10 minutes",
        "process-2 has not answered for 12 s: its event loop is blocked, or it does not get up",
        "the event loop of a sink was blocked for 12 s in the last minute",
        "2 records at which workers died are put aside: callweave dead list --code poison",
    ]
    assert warnings_on_parts({"sink": 0}, {}, []) == []


def shown(numbers: StackStats) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123 - the output is recorded
    console.print(rendered(numbers, StackStats(), 1.0))
    console.file.close()
    return console.export_text()


def test_the_view_shows_warnings_first_and_none_where_all_is_well() -> None:
    warned = StackStats(warnings=("partition 3 of calls.raw has not moved for 40 s with 120 records waiting",))

    assert shown(warned).splitlines()[1].startswith("│ partition 3 of calls.raw has not moved for 40 s")
    assert "look here" not in shown(StackStats())
    assert line(warned).endswith("| WARNING: partition 3 of calls.raw has not moved for 40 s with 120 records waiting")
    assert "WARNING" not in line(StackStats())


def test_another_process_reads_what_up_says_of_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = supervised_part(PartSpec(name="process-1", arguments=()), tmp_path)
    one.started_again += [NOW_S - 1000, NOW_S - 599, NOW_S - 1]
    one.process.last_exit = -9
    write_states(tmp_path, [one], {"process-1": "http://127.0.0.1:9642/metrics"})

    states = read_states(tmp_path)
    assert states is not None
    (read,) = states.parts
    assert (read.name, read.pid, read.last_exit, len(read.restarts)) == ("process-1", 0, -9, 3)
    assert one.restarts_lately(NOW_S) == 2

    def gone(_pid: int, _signal: int) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", gone)
    assert read_states(tmp_path) is None  # it was killed, and could not remove its file
    monkeypatch.undo()
    remove_states(tmp_path)
    assert read_states(tmp_path) is None
    remove_states(tmp_path)


def test_a_state_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / part_states.FILE).write_text("{")
    assert read_states(tmp_path) is None
